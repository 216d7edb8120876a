package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Rule 8 of the architecture: the data directory is sacred.
func TestRule8RefusesADirectoryInDoubt(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name  string
		files map[string]string
		says  []string
	}{
		{"other major", map[string]string{"PG_VERSION": "17\n", "base/1": "rows"}, []string{"Postgres 17", "Postgres 18"}},
		{"older than ten", map[string]string{"PG_VERSION": "9.6\n", "base/1": "rows"}, []string{"Postgres 9.6"}},
		{"no PG_VERSION", map[string]string{"base/1": "rows"}, []string{"PG_VERSION cannot be read", "backup"}},
		{"empty PG_VERSION", map[string]string{"PG_VERSION": "", "base/1": "rows"}, []string{"holds no version"}},
		{"garbage in PG_VERSION", map[string]string{"PG_VERSION": "\x00\xff18", "base/1": "rows"}, []string{"holds no version"}},
		{"PG_VERSION is a folder", map[string]string{"PG_VERSION/x": "", "base/1": "rows"}, []string{"PG_VERSION cannot be read"}},
		{"somebody else's files", map[string]string{"holiday.jpg": "pixels"}, []string{"is not empty"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cfg := testConfig(t)
			writeFiles(t, filepath.Join(cfg.Dir, "data"), c.files)
			before := snapshot(t, filepath.Join(cfg.Dir, "data"))
			err := New(cfg).Start(deadline(t))
			if !errors.Is(err, ErrDirectory) {
				t.Fatalf("got %v", err)
			}
			for _, part := range c.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q is missing from: %v", part, err)
				}
			}
			if after := snapshot(t, filepath.Join(cfg.Dir, "data")); !maps.Equal(before, after) {
				t.Errorf("touched: %v, was %v", after, before)
			}
		})
	}
}

func TestRule8LostPasswordDoesNotMakeANewCluster(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	s := start(t, cfg)
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(cfg.Dir, "password")); err != nil {
		t.Fatal(err)
	}
	if err := New(cfg).Start(deadline(t)); !errors.Is(err, ErrDirectory) || !strings.Contains(err.Error(), "password") {
		t.Errorf("got %v", err)
	}
}

func TestRule8InterruptedInitdbIsDoneAgain(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	left := filepath.Join(cfg.Dir, ".initdb-1")
	writeFiles(t, left, map[string]string{"data/PG_VERSION": "18\n", "data/base/1": "half"})
	start(t, cfg)
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the half-made cluster is still there: %v", err)
	}
}

func TestRule8FullDisk(t *testing.T) {
	t.Parallel()
	for _, size := range []string{"1m", "24m"} { // while unpacking; in initdb
		t.Run(size, func(t *testing.T) {
			t.Parallel()
			cfg := testConfig(t)
			mountSmall(t, cfg.Dir, size)
			if size == "1m" {
				cfg.BinDir = filepath.Join(cfg.Dir, "bin")
			}
			err := New(cfg).Start(deadline(t))
			if err == nil || !strings.Contains(err.Error(), "is full") || !strings.Contains(err.Error(), "make room") {
				t.Fatalf("got %v", err)
			}
			if _, err := os.Stat(filepath.Join(cfg.Dir, "data")); !errors.Is(err, fs.ErrNotExist) {
				t.Error("a half-made data directory is there")
			}
		})
	}
}

func TestRobustness02FullDiskWhileRunning(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.Unsafe = false
	mountSmall(t, cfg.Dir, "160m")
	s := start(t, cfg)
	dsn := s.AdminDSN("postgres")
	if err := execute(t, dsn, "CREATE TABLE filler (data text); ALTER TABLE filler ALTER data SET STORAGE EXTERNAL"); err != nil {
		t.Fatal(err)
	}
	var err error
	for range 200 {
		if err = execute(t, dsn, "INSERT INTO filler SELECT repeat('x', 1000000)"); err != nil {
			break
		}
	}
	if err == nil {
		t.Fatal("the disk never became full")
	}
	mountSmall(t, cfg.Dir, "400m", "remount")
	eventually(t, func() bool { return execute(t, dsn, "INSERT INTO filler SELECT 'room again'") == nil })
}

func TestFullDiskIsExplained(t *testing.T) {
	t.Parallel()
	err := explain(&fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}, os.TempDir())
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "is full") {
		t.Errorf("got %v", err)
	}
}

func TestRobustness06StalePID(t *testing.T) {
	t.Parallel()
	cfg := stopped(t)
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	writePID(t, cfg, gone.Process.Pid)
	start(t, cfg)
}

func TestRobustness06RecycledPID(t *testing.T) {
	t.Parallel()
	cfg := stopped(t)
	other := exec.Command("sleep", "60")
	if acct, err := childAccount(""); err != nil {
		t.Fatal(err)
	} else {
		other.SysProcAttr = acct.attributes() // the same user: Postgres itself would refuse
	}
	other.Dir = "/"
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer other.Wait()
	defer other.Process.Kill()
	writePID(t, cfg, other.Process.Pid)
	s := start(t, cfg)
	port := s.current().port
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	writeSocketLock(t, cfg, port, other.Process.Pid)
	start(t, cfg)
	if !alive(other.Process.Pid) || zombie(other.Process.Pid) {
		t.Error("the other program was killed")
	}
}

// An appliance that is killed takes its server along, even without a chance to say so.
func TestRobustness06KilledParent(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	parent, pid := startInProcess(t, cfg, "")
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	parent.Wait()
	eventually(t, func() bool { return !alive(pid) || zombie(pid) })
	start(t, cfg)
}

// Where the parent-death signal did not work, the orphan is stopped before a start.
func TestRobustness06OrphanedPostmaster(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	parent, pid := startInProcess(t, cfg, "no death signal")
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	parent.Wait()
	time.Sleep(200 * time.Millisecond)
	if !alive(pid) || zombie(pid) {
		t.Fatal("there is no orphan to test with")
	}
	s := start(t, cfg)
	if alive(pid) && !zombie(pid) {
		t.Error("two postmasters run")
	}
	if got := query(t, s.AdminDSN("postgres"), "SELECT 'served'"); got != "served" {
		t.Error(got)
	}
}

func TestRobustness07SecondOnOneDirectory(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	s := start(t, cfg)
	began := time.Now()
	err := New(cfg).Start(deadline(t))
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
	if err := s.Ready(t.Context()); err != nil {
		t.Error("the first one suffered:", err)
	}
}

// TestHelperAppliance is not a test: startInProcess runs it as the appliance to be killed.
func TestHelperAppliance(t *testing.T) {
	dir := os.Getenv("NIMBUS_TEST_PG_DIR")
	if dir == "" {
		t.Skip("started by other tests only")
	}
	s := New(Config{Dir: dir, BinDir: os.Getenv("NIMBUS_TEST_PG_BIN"), Unsafe: true, noDeathSignal: os.Getenv("NIMBUS_TEST_PG_MODE") != ""})
	if err := s.Start(context.Background()); err != nil {
		fmt.Println("error", err)
		return
	}
	fmt.Println("pid", s.current().process().pid())
	time.Sleep(time.Minute)
}

// startInProcess starts a server in a child of the test and returns the child and the
// postmaster's process id.
func startInProcess(t *testing.T, cfg Config, mode string) (*exec.Cmd, int) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestHelperAppliance$")
	cmd.Env = append(os.Environ(), "NIMBUS_TEST_PG_DIR="+cfg.Dir, "NIMBUS_TEST_PG_BIN="+cfg.BinDir, "NIMBUS_TEST_PG_MODE="+mode)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	var pid int
	if _, err := fmt.Fscanf(out, "pid %d", &pid); err != nil {
		t.Fatal("the helper did not start: ", err)
	}
	return cmd, pid
}

// stopped returns the config of a server that was started once and stopped.
func stopped(t *testing.T) Config {
	t.Helper()
	cfg := testConfig(t)
	s := New(cfg)
	if err := s.Start(deadline(t)); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	return cfg
}

func writePID(t *testing.T, cfg Config, pid int) {
	t.Helper()
	data := filepath.Join(cfg.Dir, "data")
	file := filepath.Join(data, "postmaster.pid")
	if err := os.WriteFile(file, fmt.Appendf(nil, "%d\n%s\n1700000000\n5432\n\n127.0.0.1\n  1234567 1\nready   \n", pid, data), 0o600); err != nil {
		t.Fatal(err)
	}
	acct, err := childAccount("")
	if err != nil {
		t.Fatal(err)
	}
	if err := acct.own(file); err != nil {
		t.Fatal(err)
	}
}

// writeSocketLock leaves what a killed server leaves beside its socket.
func writeSocketLock(t *testing.T, cfg Config, port, pid int) {
	t.Helper()
	file := filepath.Join(cfg.Dir, "run", fmt.Sprintf(".s.PGSQL.%d.lock", port))
	content := fmt.Appendf(nil, "%d\n%s\n1700000000\n%d\n%s\n", pid, filepath.Join(cfg.Dir, "data"), port, filepath.Join(cfg.Dir, "run"))
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	acct, err := childAccount("")
	if err != nil {
		t.Fatal(err)
	}
	if err := acct.own(file); err != nil {
		t.Fatal(err)
	}
}

func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// snapshot describes every file below dir: content, mode, owner, time of change.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.Walk(dir, func(path string, info fs.FileInfo, err error) error {
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		content, _ := os.ReadFile(path)
		all[path] = fmt.Sprint(string(content), info.Mode(), st.Uid, st.Gid, st.Ino, info.ModTime(), st.Ctim)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// mountSmall puts a file system of the given size at dir, which only root may do.
func mountSmall(t *testing.T, dir, size string, remount ...string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a small file system")
	}
	flags := uintptr(0)
	if len(remount) > 0 {
		flags = syscall.MS_REMOUNT
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", flags, "size="+size+",mode=0755"); err != nil {
		t.Skip("cannot mount here: ", err)
	}
	if flags == 0 {
		t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	}
}

// TestRobustness06WhatWasLeftIsNotReady: the file of a killed server that had the same
// process id, as after a power cut, does not say that the new one serves.
func TestRobustness06WhatWasLeftIsNotReady(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "postmaster.pid")
	left := []byte("42\n/data\n1700000000\n5432\n/run\n127.0.0.1\n  1 2\nready   \n")
	write := func(data []byte) {
		t.Helper()
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(left)
	if serves(file, 42, left) {
		t.Error("what was left counts")
	}
	started := strings.Replace(string(left), "1700000000", "1700000100", 1)
	write([]byte(strings.Replace(started, "ready   ", "starting", 1)))
	if serves(file, 42, left) {
		t.Error("a server that starts counts")
	}
	write([]byte(started))
	if !serves(file, 42, left) {
		t.Error("a server that is ready does not count")
	}
}
