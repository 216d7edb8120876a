package postgres

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// ErrDirectory means that the data directory is not one this program may start. Nothing in
// it was touched. The message says what was found.
var ErrDirectory = errors.New("the data directory was left untouched")

// home is Config.Dir: where things lie and whom they belong to.
type home struct {
	dir  string
	bin  string // folder of the unpacked release
	acct *account
}

func (h home) path(name string) string { return filepath.Join(h.dir, name) }
func (h home) data() string            { return h.path("data") }

// make creates the folder itself, open for passing through and for nothing else.
func (h home) make() error {
	if err := os.MkdirAll(h.dir, 0o755); err != nil {
		return err
	}
	return os.Chmod(h.dir, 0o711)
}

// checkData refuses what is not an empty folder, a missing one, or a cluster of the given
// major version. It only reads.
func checkData(dir, major string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: %s cannot be read: %w", ErrDirectory, dir, err)
	}
	content, err := os.ReadFile(filepath.Join(dir, "PG_VERSION"))
	if err != nil {
		return fmt.Errorf("%w: %s is not empty, but its PG_VERSION cannot be read (%w); "+
			"restore the folder from a backup, or start with another data directory", ErrDirectory, dir, err)
	}
	found := strings.TrimSpace(string(content))
	if found == "" || strings.Trim(found, "0123456789.") != "" {
		return fmt.Errorf("%w: %s is not empty, but its PG_VERSION holds no version (%.20q); "+
			"restore the folder from a backup, or start with another data directory", ErrDirectory, dir, found)
	}
	if found != major {
		return otherMajor(dir, found, major)
	}
	return nil
}

// password reads the superuser's password, or makes one when there is no cluster yet.
func (h home) password() (string, error) {
	data, err := os.ReadFile(h.path("password"))
	if err == nil && len(bytes.TrimSpace(data)) > 0 {
		return string(bytes.TrimSpace(data)), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if h.initialised() {
		return "", fmt.Errorf("%w: the password of its superuser is missing from %s; restore that file from a backup", ErrDirectory, h.path("password"))
	}
	raw := make([]byte, 24)
	rand.Read(raw) // never fails, see crypto/rand
	secret := hex.EncodeToString(raw)
	return secret, writeSynced(h.path("password"), secret+"\n")
}

// writeSynced replaces a private file so that after a power cut the old or the new one is there.
func writeSynced(path, content string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(content)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func (h home) initialised() bool {
	_, err := os.Stat(filepath.Join(h.data(), "PG_VERSION"))
	return err == nil
}

// initialise makes the cluster when there is none. It is made in a folder beside, written
// to the disk and then renamed: data/ is either absent or whole, at any power cut.
func (h home) initialise(ctx context.Context, password string, log *slog.Logger) error {
	if err := h.sweep(".initdb-*", ".new-*"); err != nil {
		return err
	}
	if h.initialised() {
		return nil
	}
	tmp, err := os.MkdirTemp(h.dir, ".initdb-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	log.Info("making a new database cluster", "dir", h.data(), "version", bundled.short())
	if err := h.initdb(ctx, tmp, password); err != nil {
		return err
	}
	if err := syncFilesystem(tmp); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(tmp, "data"), h.data()); err != nil {
		return err
	}
	return syncFilesystem(h.dir)
}

func (h home) initdb(ctx context.Context, tmp, password string) error {
	pwfile := filepath.Join(tmp, "password")
	if err := os.WriteFile(pwfile, []byte(password), 0o600); err != nil {
		return err
	}
	if err := errors.Join(h.acct.own(tmp), h.acct.own(pwfile)); err != nil {
		return err
	}
	cmd := h.command(ctx, "initdb", "-D", filepath.Join(tmp, "data"), "-U", superuser, "--pwfile="+pwfile,
		"--auth-host=scram-sha-256", "--auth-local=scram-sha-256", "--encoding=UTF8", "--locale=C",
		"--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--data-checksums", "--no-sync", "--no-instructions")
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("initdb: %w: %s", err, complaint(out))
	}
	return nil
}

// sweep removes what an interrupted start left. The lock is held, so nobody uses it.
func (h home) sweep(patterns ...string) error {
	for _, p := range patterns {
		found, err := filepath.Glob(h.path(p))
		for _, path := range found {
			err = errors.Join(err, os.RemoveAll(path))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// claim gives the cluster, the socket's folder and the spool to the account of the children.
func (h home) claim() error {
	if err := errors.Join(os.MkdirAll(h.run(), 0o700), os.MkdirAll(h.spool(), 0o700)); err != nil {
		return err
	}
	return errors.Join(h.acct.ownTree(h.data()), h.acct.ownTree(h.run()), h.acct.ownTree(h.spool()))
}

// run is the folder of the Unix socket.
func (h home) run() string { return h.path("run") }

// command prepares a program of the release, with an environment of its own.
func (h home) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(h.bin, "bin", program), args...)
	cmd.Dir = h.bin
	cmd.Env = []string{
		"LD_LIBRARY_PATH=" + filepath.Join(h.bin, "lib"),
		"LC_ALL=C", "TZ=UTC", "PATH=/usr/bin:/bin", "HOME=/",
	}
	cmd.SysProcAttr = h.acct.attributes()
	return cmd
}

// probe runs the unpacked binary once as the children's account: whether that is possible
// depends on every folder above, on mount options and on the C library.
func (h home) probe(ctx context.Context) error {
	out, err := h.command(ctx, "postgres", "--version").CombinedOutput()
	if err == nil {
		return nil
	}
	if !errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("postgres --version: %w: %s", err, complaint(out))
	}
	if dir := h.acct.blocked(h.bin); dir != "" {
		return fmt.Errorf("user %s, who runs Postgres, may not pass %s: allow it with `chmod o+x %s`, or choose another data directory", h.acct.name, dir, dir)
	}
	return fmt.Errorf("%s cannot be run (is its file system mounted noexec?): %w", h.bin, err)
}

// explain adds what to do when an error comes of a full disk.
func explain(err error, dir string) error {
	if err == nil || !errors.Is(err, syscall.ENOSPC) && !strings.Contains(err.Error(), "No space left on device") {
		return err
	}
	return fmt.Errorf("the disk that holds %s is full (%d MB free): make room and start again: %w", dir, freeBytes(dir)>>20, err)
}

// complaint picks the line of a failed program's output that says what went wrong, or
// else the last one.
func complaint(out []byte) string {
	last := "it said nothing"
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		if strings.Contains(line, "FATAL:") || strings.Contains(line, "PANIC:") || strings.Contains(line, "ERROR:") || strings.Contains(line, "error:") {
			return line
		}
		if line != "" {
			last = line
		}
	}
	return last
}
