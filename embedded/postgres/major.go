package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// ErrMajor means that an earlier major version of Postgres made the cluster: Upgrade brings
// it to this one. It comes with ErrDirectory.
var ErrMajor = errors.New("the cluster is of an earlier major version")

func otherMajor(dir, found, major string) error {
	was, _ := strconv.Atoi(found)
	is, _ := strconv.Atoi(major)
	if was > 0 && was < is {
		return fmt.Errorf("%w: %w: %s was made by Postgres %s, this program runs Postgres %s; "+
			"run `nimbus upgrade`, which makes a new cluster of it and keeps the old one", ErrDirectory, ErrMajor, dir, found, major)
	}
	return fmt.Errorf("%w: %s was made by Postgres %s, this program runs Postgres %s; "+
		"make a backup with the program version that made it and restore that here", ErrDirectory, dir, found, major)
}

// oldRelease is a folder of unpacked programs of another version.
type oldRelease struct {
	version string // such as 17.10
	major   string
	bin     string
	make    bool // a cluster when there is none
}

// NewOf returns a server that runs the programs of another release, see InstallArchive. It
// makes a cluster of that release when there is none.
func NewOf(programs string, cfg Config) (*Server, error) {
	old, err := readOld(filepath.Join(programs, unpackedMark))
	old.make = true
	s := New(cfg)
	s.cfg.old = &old
	return s, err
}

// InstallArchive unpacks the programs of another release, as package bundle/fetch packs
// them, below binDir and returns their folder. An upgrade finds them there.
func InstallArchive(binDir, archive string) (string, error) {
	data, err := os.ReadFile(archive)
	if err != nil {
		return "", err
	}
	line, err := os.ReadFile(archive + ".sha256")
	if err != nil || len(line) < sha256.Size*2 {
		return "", errors.Join(err, fmt.Errorf("%s.sha256 holds no checksum", archive))
	}
	sum := string(line[:sha256.Size*2])
	return installAs(filepath.Join(binDir, strings.TrimSuffix(filepath.Base(archive), ".tar.zst")+"-"+sum[:8]), data, sum)
}

// UpgradePlan says what Upgrade would do.
type UpgradePlan struct {
	From     string `json:"from"` // major version of the cluster; "" when there is nothing to do
	To       string `json:"to"`
	Programs string `json:"programs"` // the old release's folder; "" when it is not there
	Bytes    uint64 `json:"bytes"`    // of the old cluster
	Needs    uint64 `json:"needs"`    // free bytes that the new one may take at most
	Free     uint64 `json:"free"`
	Kept     string `json:"kept"` // where the old cluster will lie
}

// Problem says why the upgrade is not possible, and what to do.
func (p UpgradePlan) Problem() error {
	switch {
	case p.From == "":
		return nil
	case p.Programs == "":
		return fmt.Errorf("the programs of Postgres %s, which can read the old cluster, are not here any more: "+
			"start the release of this program that came with Postgres %s once, which unpacks them, and upgrade then", p.From, p.From)
	case p.Free < p.Needs:
		return fmt.Errorf("the upgrade from Postgres %s to %s writes a second cluster and needs %d MB, %d MB are free: make room and try again",
			p.From, p.To, p.Needs>>20, p.Free>>20)
	}
	return nil
}

// reserve is what is needed besides the rows: an empty cluster and its log.
const reserve = 600 << 20

// PlanUpgrade looks what Upgrade would do with the cluster of cfg. It changes nothing.
func PlanUpgrade(cfg Config) (UpgradePlan, error) {
	cfg = New(cfg).cfg
	h := home{dir: cfg.Dir}
	err := checkData(h.data(), bundled.major())
	if !errors.Is(err, ErrMajor) {
		return UpgradePlan{To: bundled.major()}, err
	}
	version, err := os.ReadFile(filepath.Join(h.data(), "PG_VERSION"))
	if err != nil {
		return UpgradePlan{}, err
	}
	p := UpgradePlan{From: strings.TrimSpace(string(version)), To: bundled.major(), Kept: h.free("data-" + strings.TrimSpace(string(version)))}
	p.Programs = findOld(cfg.BinDir, p.From).bin
	if p.Bytes, err = size(h.data()); err != nil {
		return p, err
	}
	p.Needs = p.Bytes + p.Bytes/4 + reserve
	p.Free = freeBytes(cfg.Dir)
	return p, nil
}

// free is a path that nothing has yet.
func (h home) free(name string) string {
	path := h.path(name)
	for n := 2; ; n++ {
		if _, err := os.Lstat(path); err != nil {
			return path
		}
		path = h.path(name + "-" + strconv.Itoa(n))
	}
}

// findOld looks for the unpacked programs of a major version.
func findOld(binDir, major string) oldRelease {
	marks, _ := filepath.Glob(filepath.Join(binDir, "*", unpackedMark))
	for _, mark := range marks {
		if r, err := readOld(mark); err == nil && r.major == major {
			return r
		}
	}
	return oldRelease{}
}

func readOld(mark string) (oldRelease, error) {
	var r release
	data, err := os.ReadFile(mark)
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	return oldRelease{version: r.short(), major: r.major(), bin: filepath.Dir(mark)}, err
}

func size(dir string) (uint64, error) {
	var total uint64
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			total += uint64(info.Size())
		}
		return err
	})
	return total, err
}

// DSN is how the superuser reaches a database of a server.
type DSN = func(database string) string

// Upgrade makes a cluster of this program's major version beside the old one, has copy fill
// it, and puts it in the old one's place, which is kept (see UpgradePlan.Kept). Both servers
// run meanwhile. Killed at any point, the old cluster or the new one is there, whole; the
// next Upgrade or Start goes on.
func Upgrade(ctx context.Context, cfg Config, copy func(ctx context.Context, from, to DSN) error) (UpgradePlan, error) {
	cfg = New(cfg).cfg
	p, err := PlanUpgrade(cfg)
	if err == nil {
		err = p.Problem()
	}
	if err != nil || p.From == "" {
		return p, err
	}
	h := home{dir: cfg.Dir}
	if err := h.fillUpgrade(ctx, cfg, p, copy); err != nil {
		return p, explain(err, cfg.Dir)
	}
	lock, err := acquire(ctx, h.path("lock"))
	if err != nil {
		return p, err
	}
	return p, errors.Join(h.finishUpgrade(cfg.Logger), lock.release())
}

// fillUpgrade runs both servers and leaves a whole cluster in upgrade/, marked as such.
func (h home) fillUpgrade(ctx context.Context, cfg Config, p UpgradePlan, copy func(ctx context.Context, from, to DSN) error) (err error) {
	stop := func(s *Server) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer cancel()
		err = errors.Join(err, s.Stop(ctx))
	}
	release := findOld(cfg.BinDir, p.From)
	from := cfg
	from.old = &release
	old := New(from)
	if err := old.Start(ctx); err != nil {
		return fmt.Errorf("start the old cluster: %w", err)
	}
	defer stop(old)
	if err := h.makeUpgrade(); err != nil {
		return err
	}
	to := cfg
	to.Dir, to.Port, to.Unsafe = h.path("upgrade"), 0, true // all of it is written to the disk below, at once
	fresh := New(to)
	if err := fresh.Start(ctx); err != nil {
		return fmt.Errorf("start the new cluster: %w", err)
	}
	err = copy(ctx, old.AdminDSN, fresh.AdminDSN)
	if err == nil { // a stop that takes too long is not a clean one, and what waits in memory is lost without fsync
		err = checkpoint(ctx, fresh.AdminDSN(superuser))
	}
	stop(fresh)
	if err != nil {
		return err
	}
	if err := syncFilesystem(h.dir); err != nil {
		return err
	}
	if err := writeSynced(h.path(upgradeReady), filepath.Base(p.Kept)+"\n"); err != nil {
		return err
	}
	return syncFilesystem(h.dir)
}

// checkpoint has a server write everything that it has in memory.
func checkpoint(ctx context.Context, dsn string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, `checkpoint`)
	return err
}

// upgradeReady marks a cluster in upgrade/ as whole, and names where the old one goes.
const upgradeReady = "upgrade/ready"

// makeUpgrade makes the new cluster's folder, with the same superuser's password.
func (h home) makeUpgrade() error {
	password, err := os.ReadFile(h.path("password"))
	if err != nil {
		return err
	}
	up := home{dir: h.path("upgrade")}
	if err := errors.Join(os.RemoveAll(up.dir), up.make()); err != nil {
		return err
	}
	return writeSynced(up.path("password"), string(password))
}

// fillOld prepares a server of an earlier major version. It makes and changes nothing but
// what every start of that version would.
func (s *Server) fillOld(ctx context.Context, r *running) (err error) {
	if err := checkData(r.home.data(), s.cfg.old.major); err != nil {
		return err
	}
	r.home.bin = s.cfg.old.bin
	if r.password, err = r.home.password(); err != nil {
		return err
	}
	if s.cfg.old.make {
		if err := r.home.initialise(ctx, r.password, s.log); err != nil {
			return err
		}
	}
	return r.home.claim()
}

// finishUpgrade puts a new cluster in its place, or removes one that was not finished. The
// lock is held. It goes on wherever a power cut ended it.
func (h home) finishUpgrade(log *slog.Logger) error {
	ready, err := os.ReadFile(h.path(upgradeReady))
	if errors.Is(err, fs.ErrNotExist) {
		return os.RemoveAll(h.path("upgrade"))
	}
	if err != nil {
		return err
	}
	kept := filepath.Base(strings.TrimSpace(string(ready)))
	fresh := filepath.Join(h.path("upgrade"), "data")
	if _, err := os.Stat(fresh); err == nil {
		if err := os.Rename(h.data(), h.path(kept)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.Rename(fresh, h.data()); err != nil {
			return err
		}
		log.Info("the database cluster is of a new major version; the old one is kept", "kept", h.path(kept), "version", bundled.major())
		if err := syncFilesystem(h.dir); err != nil {
			return err
		}
	}
	return os.RemoveAll(h.path("upgrade"))
}

// Kept is a cluster from before an upgrade.
type Kept struct {
	Path  string `json:"path"`
	Bytes uint64 `json:"bytes"`
}

// KeptClusters lists what upgrades left.
func KeptClusters(dir string) ([]Kept, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "data-[0-9]*"))
	var all []Kept
	for _, path := range paths {
		bytes, sizeErr := size(path)
		err = errors.Join(err, sizeErr)
		all = append(all, Kept{Path: path, Bytes: bytes})
	}
	return all, err
}

// GiveUpKept removes for good what upgrades left, with the programs that could read it. It
// refuses while the cluster in use is not one of this program's.
func GiveUpKept(ctx context.Context, cfg Config) ([]Kept, error) {
	cfg = New(cfg).cfg
	h := home{dir: cfg.Dir}
	if err := checkData(h.data(), bundled.major()); err != nil || !h.initialised() {
		return nil, errors.Join(err, ErrDirectory)
	}
	lock, err := acquire(ctx, h.path("lock"))
	if err != nil {
		return nil, err
	}
	defer lock.release()
	all, err := KeptClusters(cfg.Dir)
	for _, k := range all {
		err = errors.Join(err, os.RemoveAll(k.Path))
	}
	return all, errors.Join(err, removeOldPrograms(cfg.BinDir))
}

func removeOldPrograms(binDir string) error {
	marks, err := filepath.Glob(filepath.Join(binDir, "*", unpackedMark))
	for _, mark := range marks {
		if filepath.Base(filepath.Dir(mark)) != BundleID() {
			err = errors.Join(err, os.RemoveAll(filepath.Dir(mark)))
		}
	}
	return err
}

// freeBytes of the file system that holds dir.
func freeBytes(dir string) uint64 {
	var st syscall.Statfs_t
	if syscall.Statfs(dir, &st) != nil {
		return 0
	}
	return st.Bavail * uint64(st.Bsize)
}
