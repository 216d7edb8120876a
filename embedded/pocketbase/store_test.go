package pocketbase

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

type value struct {
	Name  string
	Count int
}

func opened(t *testing.T, dir string) *Server {
	t.Helper()
	s := New(Config{Dir: dir})
	if err := s.OpenStore(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestStoreKeepsValues(t *testing.T) {
	t.Parallel()
	dir, ctx := t.TempDir(), t.Context()
	s := opened(t, dir)
	var got value
	if found, err := s.Get(ctx, "a", &got); found || err != nil {
		t.Errorf("before: %v %v", found, err)
	}
	if err := s.Put(ctx, "a", value{"Häuschen", 1}); err != nil {
		t.Fatal(err)
	}
	if err := s.Update(ctx, "a", &got, func() error { got.Count++; return nil }); err != nil {
		t.Fatal(err)
	}
	failed := errors.New("no")
	if err := s.Update(ctx, "a", &value{}, func() error { return failed }); !errors.Is(err, failed) {
		t.Error(err)
	}
	if err := s.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(ctx, "a", &got); !errors.Is(err, errClosed) {
		t.Errorf("closed: %v", err)
	}
	got = value{}
	if found, err := opened(t, dir).Get(ctx, "a", &got); !found || err != nil || got != (value{"Häuschen", 2}) {
		t.Errorf("after: %v %v %+v", found, err, got)
	}
}

func TestStoreUpdatesOneAfterTheOther(t *testing.T) {
	t.Parallel()
	s := opened(t, t.TempDir())
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			var v value
			if err := s.Update(t.Context(), "n", &v, func() error { v.Count++; return nil }); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	var v value
	if _, err := s.Get(t.Context(), "n", &v); err != nil || v.Count != 20 {
		t.Errorf("%v %+v", err, v)
	}
}

func TestFilesAreForTheirOwnerOnly(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "front")
	s, _ := started(t, Config{Dir: dir}, nil)
	if err := s.Put(t.Context(), "a", 1); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v %v", info, err)
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestMain writes without end when it is the child of the test below.
func TestMain(m *testing.M) {
	if dir := os.Getenv("NIMBUS_TEST_WRITE"); dir != "" {
		writeWithoutEnd(dir)
	}
	os.Exit(m.Run())
}

func writeWithoutEnd(dir string) {
	s := New(Config{Dir: dir})
	if err := s.OpenStore(); err != nil {
		panic(err)
	}
	for i := 0; ; i++ {
		if err := s.Put(context.Background(), "n", i); err != nil {
			panic(err)
		}
		os.Stdout.WriteString(strconv.Itoa(i) + "\n")
	}
}

func TestRobustness01StoreSurvivesKill(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "front")
	for range 5 {
		acknowledged := killWhileWriting(t, dir)
		s := opened(t, dir)
		var n int
		if found, err := s.Get(t.Context(), "n", &n); !found || err != nil || n < acknowledged {
			t.Fatalf("acknowledged %d, found %d %v %v", acknowledged, n, found, err)
		}
		if err := s.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// killWhileWriting kills a writer after it acknowledged some writes, and
// returns the last of them.
func killWhileWriting(t *testing.T, dir string) int {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), "NIMBUS_TEST_WRITE="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	buffer := make([]byte, 256)
	for strings.Count(text.String(), "\n") < 20 {
		n, err := out.Read(buffer)
		if err != nil {
			t.Fatal("the writer ended: ", err)
		}
		text.Write(buffer[:n])
	}
	_ = child.Process.Kill()
	_ = child.Wait()
	lines := strings.Split(text.String(), "\n")
	last, err := strconv.Atoi(lines[len(lines)-2])
	if err != nil {
		t.Fatal(err)
	}
	return last
}

func TestSnapshotOpensAsAStore(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := opened(t, t.TempDir())
	if err := s.Put(ctx, "a", value{"before", 1}); err != nil {
		t.Fatal(err)
	}
	copied := t.TempDir()
	path := filepath.Join(copied, SnapshotPath)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := s.Snapshot(ctx, path); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(ctx, "a", value{"after", 2}); err != nil {
		t.Fatal(err)
	}
	if err := s.Snapshot(ctx, path); err == nil {
		t.Error("a file that was there is replaced")
	}
	var got value
	if found, err := opened(t, copied).Get(ctx, "a", &got); !found || err != nil || got.Name != "before" {
		t.Errorf("the copy holds %+v, %v, %v", got, found, err)
	}
}
