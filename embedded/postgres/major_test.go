package postgres

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// oldPrograms unpacks Postgres 17 into the folder that all tests share.
func oldPrograms(t *testing.T) string {
	t.Helper()
	dir := filepath.Join("testdata", "17")
	if out, err := exec.CommandContext(t.Context(), "go", "run", "./bundle/fetch", "-dir", dir).CombinedOutput(); err != nil {
		t.Fatalf("fetch Postgres 17: %v %s", err, out)
	}
	programs, err := InstallArchive(sharedBin, filepath.Join(dir, "postgres-linux-"+runtime.GOARCH+".tar.zst"))
	if err != nil {
		t.Fatal(err)
	}
	return programs
}

// oldCluster makes a cluster of Postgres 17 with one row and stops it.
func oldCluster(t *testing.T) Config {
	t.Helper()
	cfg := testConfig(t)
	s, err := NewOf(oldPrograms(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(deadline(t)); err != nil {
		t.Fatal(err)
	}
	if got := query(t, s.AdminDSN("postgres"), "SELECT current_setting('server_version_num')"); !strings.HasPrefix(got, "17") {
		t.Fatalf("the old server is %s", got)
	}
	if err := execute(t, s.AdminDSN("postgres"), "CREATE TABLE kept AS SELECT 'yes' AS answer"); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// copyRow is the smallest copy of a cluster.
func copyRow(ctx context.Context, from, to DSN) error {
	source, err := pgx.Connect(ctx, from("postgres"))
	if err != nil {
		return err
	}
	defer source.Close(ctx)
	target, err := pgx.Connect(ctx, to("postgres"))
	if err != nil {
		return err
	}
	defer target.Close(ctx)
	var answer string
	if err := source.QueryRow(ctx, "SELECT answer FROM kept").Scan(&answer); err != nil {
		return err
	}
	_, err = target.Exec(ctx, "CREATE TABLE kept AS SELECT '"+answer+"' AS answer")
	return err
}

func TestRobustness46OldMajorIsExplainedAndUpgraded(t *testing.T) {
	t.Parallel()
	cfg := oldCluster(t)
	s := New(cfg)
	err := s.Start(deadline(t))
	if !errors.Is(err, ErrDirectory) || !errors.Is(err, ErrMajor) || !strings.Contains(err.Error(), "nimbus upgrade") {
		t.Errorf("an old cluster is refused with %v", err)
	}
	if err := s.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "Postgres 17") {
		t.Errorf("its health is %v", err)
	}
	p, err := Upgrade(deadline(t), cfg, copyRow)
	if err != nil || p.From != "17" || p.To != bundled.major() {
		t.Fatalf("%+v %v", p, err)
	}
	if got := query(t, start(t, cfg).AdminDSN("postgres"), "SELECT answer || current_setting('server_version_num')"+" FROM kept"); !strings.HasPrefix(got, "yes18") {
		t.Errorf("after the upgrade: %s", got)
	}
	if version, err := os.ReadFile(filepath.Join(p.Kept, "PG_VERSION")); err != nil || strings.TrimSpace(string(version)) != "17" {
		t.Errorf("the old cluster is not kept: %q %v", version, err)
	}
	if again, err := Upgrade(deadline(t), cfg, copyRow); err != nil || again.From != "" {
		t.Errorf("a second upgrade: %+v %v", again, err)
	}
}

func TestRobustness46FailedCopyKeepsTheOldCluster(t *testing.T) {
	t.Parallel()
	cfg := oldCluster(t)
	broken := errors.New("one row is missing")
	if _, err := Upgrade(deadline(t), cfg, func(context.Context, DSN, DSN) error { return broken }); !errors.Is(err, broken) {
		t.Fatalf("got %v", err)
	}
	if _, err := New(cfg).cfg, checkData(filepath.Join(cfg.Dir, "data"), "17"); err != nil {
		t.Errorf("the old cluster: %v", err)
	}
	if _, err := Upgrade(deadline(t), cfg, copyRow); err != nil {
		t.Errorf("the next try: %v", err)
	}
	kept, err := GiveUpKept(deadline(t), Config{Dir: cfg.Dir, BinDir: filepath.Join(cfg.Dir, "bin")})
	if left, _ := KeptClusters(cfg.Dir); err != nil || len(kept) != 1 || len(left) != 0 {
		t.Errorf("gave up %v, left %v: %v", kept, left, err)
	}
}

// TestRobustness46PowerCutWhileExchanging leaves the folders as a power cut would at each
// step of the exchange: a start finds the new cluster, and none makes an empty one.
func TestRobustness46PowerCutWhileExchanging(t *testing.T) {
	t.Parallel()
	cfg := oldCluster(t)
	p, err := Upgrade(deadline(t), cfg, copyRow)
	if err != nil {
		t.Fatal(err)
	}
	path := func(name string) string { return filepath.Join(cfg.Dir, name) }
	steps := []struct {
		name string
		undo func() error
	}{
		{"all done but the cleaning up", func() error { return nil }},
		{"the old one is away", func() error { return os.Rename(path("data"), path("upgrade/data")) }},
		{"nothing is moved", func() error {
			return errors.Join(os.Rename(path("data"), path("upgrade/data")), os.Rename(p.Kept, path("data")))
		}},
	}
	for _, s := range steps {
		err := errors.Join(os.MkdirAll(path("upgrade"), 0o711), os.WriteFile(path("upgrade/ready"), []byte(filepath.Base(p.Kept)+"\n"), 0o600), s.undo())
		if err != nil {
			t.Fatal(err)
		}
		server := New(cfg)
		if err := server.Start(deadline(t)); err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		if got := query(t, server.AdminDSN("postgres"), "SELECT answer FROM kept"); got != "yes" {
			t.Errorf("%s: %s", s.name, got)
		}
		if err := server.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(path("upgrade")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: upgrade/ is left: %v", s.name, err)
		}
	}
}

func TestUpgradeThatIsNotPossibleSaysWhy(t *testing.T) {
	t.Parallel()
	cfg := oldCluster(t)
	without := cfg
	without.BinDir = tempDir(t)
	if _, err := Upgrade(deadline(t), without, copyRow); err == nil || !strings.Contains(err.Error(), "programs of Postgres 17") {
		t.Errorf("without the old programs: %v", err)
	}
	p, err := PlanUpgrade(cfg)
	if err != nil || p.Bytes < 1<<20 || p.Needs < p.Bytes || p.Free == 0 {
		t.Fatalf("%+v %v", p, err)
	}
	p.Free = p.Needs - 1
	if err := p.Problem(); err == nil || !strings.Contains(err.Error(), "make room") {
		t.Errorf("with too little room: %v", err)
	}
	if _, err := os.Stat(filepath.Join(cfg.Dir, "upgrade")); err == nil {
		t.Error("something was begun")
	}
	began := time.Now()
	if err := otherMajor("data", "19", "18"); errors.Is(err, ErrMajor) || !strings.Contains(err.Error(), "backup") || time.Since(began) > time.Second {
		t.Errorf("a newer cluster: %v", err)
	}
}
