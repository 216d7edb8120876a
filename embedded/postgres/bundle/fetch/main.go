// Command fetch makes the archive of Postgres binaries that the build embeds.
//
//	go run ./embedded/postgres/bundle/fetch [-arch amd64|arm64] [-dir embedded/postgres/bundle]
//
// It asks npm for the package that postgres-linux-ARCH.lock.json names, checks it against
// the integrity written there, and writes postgres-linux-ARCH.tar.zst and its .sha256
// beside the lock file. The same lock file and the same fetch give the same bytes. When
// the archive is there and up to date, nothing is asked and nothing is written.
package main

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
)

// format is part of what makes an archive current: raise it when pack changes what it writes.
const format = 1

// lock names one npm package exactly. It is also the archive's first file, BUNDLE.json.
type lock struct {
	Package   string `json:"package"`
	Version   string `json:"version"`
	Integrity string `json:"integrity"`
	Format    int    `json:"format,omitempty"`
}

func main() {
	arch := flag.String("arch", runtime.GOARCH, "architecture to fetch: amd64 or arm64")
	dir := flag.String("dir", filepath.Join("embedded", "postgres", "bundle"), "folder of the lock file and the archive")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *dir, *arch); err != nil {
		fmt.Fprintln(os.Stderr, "fetch:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir, arch string) error {
	base := filepath.Join(dir, "postgres-linux-"+arch)
	want, err := readLock(base + ".lock.json")
	if err != nil {
		return err
	}
	archive := base + ".tar.zst"
	if current(archive, want) {
		fmt.Println(archive, "is up to date")
		return nil
	}
	fmt.Printf("fetching %s %s with npm\n", want.Package, want.Version)
	tmp, err := os.MkdirTemp("", "nimbus-postgres-fetch-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	tgz, err := npmPack(ctx, tmp, want)
	if err != nil {
		return err
	}
	return write(archive, tgz, want)
}

func readLock(path string) (lock, error) {
	var l lock
	data, err := os.ReadFile(path)
	if err != nil {
		return l, err
	}
	if err := json.Unmarshal(data, &l); err != nil {
		return l, fmt.Errorf("%s: %w", path, err)
	}
	if l.Package == "" || l.Version == "" || !strings.HasPrefix(l.Integrity, "sha512-") {
		return l, fmt.Errorf("%s: package, version and a sha512 integrity are needed", path)
	}
	l.Format = format
	return l, nil
}

// current says whether archive is whole (its .sha256 holds) and was made for want.
func current(archive string, want lock) bool {
	sum, err := os.ReadFile(archive + ".sha256")
	if err != nil {
		return false
	}
	data, err := os.ReadFile(archive)
	if err != nil || !strings.HasPrefix(string(sum), hexSum(data)) {
		return false
	}
	got, err := bundled(data)
	return err == nil && got == want
}

// npmPack downloads the package into dir and returns its bytes, checked against the lock.
func npmPack(ctx context.Context, dir string, want lock) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "npm", "pack", "--silent", want.Package+"@"+want.Version)
	cmd.Dir = dir
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("npm pack %s@%s (is npm installed and the registry reachable?): %w", want.Package, want.Version, err)
	}
	found, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil || len(found) != 1 {
		return nil, errors.Join(err, fmt.Errorf("npm pack left %d archives, expected one", len(found)))
	}
	data, err := os.ReadFile(found[0])
	if err != nil {
		return nil, err
	}
	sum := sha512.Sum512(data)
	if got := "sha512-" + base64.StdEncoding.EncodeToString(sum[:]); got != want.Integrity {
		return nil, fmt.Errorf("%s has integrity %s, the lock file says %s: do not use it", want.Package, got, want.Integrity)
	}
	return data, nil
}

// write packs tgz and puts the archive and its checksum in place, each by rename.
func write(archive string, tgz []byte, want lock) error {
	tmp, err := os.CreateTemp(filepath.Dir(archive), ".fetch-")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	sum := sha256.New()
	if err := pack(io.MultiWriter(tmp, sum), tgz, want); err != nil {
		return err
	}
	if err := errors.Join(tmp.Chmod(0o644), tmp.Close()); err != nil {
		return err
	}
	line := hex.EncodeToString(sum.Sum(nil)) + "  " + filepath.Base(archive) + "\n"
	if err := os.Rename(tmp.Name(), archive); err != nil {
		return err
	}
	if err := os.WriteFile(archive+".sha256", []byte(line), 0o644); err != nil {
		return err
	}
	return report(archive)
}

func report(archive string) error {
	info, err := os.Stat(archive)
	if err == nil {
		fmt.Printf("wrote %s, %.1f MB\n", archive, float64(info.Size())/1e6)
	}
	return err
}

func hexSum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
