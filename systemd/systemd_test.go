package systemd

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// listen plays the service manager and sets the environment that it gives.
func listen(t *testing.T, watchdog time.Duration) *net.UnixConn {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", strconv.FormatInt(watchdog.Microseconds(), 10))
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	return conn
}

// next is the next message within a second, or "".
func next(t *testing.T, conn *net.UnixConn) string {
	t.Helper()
	buffer := make([]byte, 4096)
	_ = conn.SetReadDeadline(time.Now().Add(time.Second))
	n, err := conn.Read(buffer)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	return string(buffer[:n])
}

func TestManagerHearsReadinessAndStatus(t *testing.T) {
	conn := listen(t, time.Minute)
	m := FromEnvironment()
	m.Ready("Serving at https://x\nFAKE=1")
	if got, want := next(t, conn), "READY=1\nSTATUS=Serving at https://x FAKE=1"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	m.Stopping()
	if got := next(t, conn); !strings.HasPrefix(got, "STOPPING=1\n") {
		t.Errorf("got %q", got)
	}
}

// TestStartThatComesAlongIsGivenTime: as long as the phase changes more time is asked for,
// however long all phases take; a phase that takes too long is left to the manager.
func TestStartThatComesAlongIsGivenTime(t *testing.T) {
	conn := listen(t, 0)
	var phase atomic.Pointer[string]
	enter := func(s string) { phase.Store(&s) }
	enter("one")
	const every, longest = 10 * time.Millisecond, 300 * time.Millisecond
	stop := FromEnvironment().extend(context.Background(), func() string { return *phase.Load() }, every, longest)
	defer stop()
	for _, p := range []string{"one", "two", "three", "four"} {
		enter(p)
		want := "EXTEND_TIMEOUT_USEC=60000000\nWATCHDOG=1\nSTATUS=Starting: " + p
		for next(t, conn) != want {
		}
		for end := time.Now().Add(longest / 2); time.Now().Before(end); {
			if got := next(t, conn); got != want {
				t.Fatalf("in phase %s: got %q", p, got)
			}
		}
	}
	for began := time.Now(); next(t, conn) != ""; {
		if time.Since(began) > 10*longest {
			t.Fatal("a phase that does not end is given time for ever")
		}
	}
}

func TestChildrenInheritNothing(t *testing.T) {
	listen(t, time.Minute)
	FromEnvironment()
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		if value, ok := os.LookupEnv(name); ok {
			t.Errorf("%s is still %q", name, value)
		}
	}
	if m := FromEnvironment(); m != nil {
		t.Error("there is a manager without its socket")
	}
}

// TestWatchdogStarvesWhenNotAlive: the dog is fed while the check succeeds, and not once when
// it fails; then the status says why. A new status is told at once, the same one not again.
func TestWatchdogStarvesWhenNotAlive(t *testing.T) {
	conn := listen(t, 80*time.Millisecond)
	m := FromEnvironment()
	ctx, cancel := context.WithCancel(context.Background())
	var status atomic.Pointer[string]
	tell := func(s string) { status.Store(&s) }
	var dead atomic.Bool
	tell("Waiting")
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.Watch(ctx, func() string { return *status.Load() }, func(context.Context) error {
			if dead.Load() {
				return errors.New("postgres: no answer")
			}
			return nil
		})
	}()
	expect := func(want ...string) {
		t.Helper()
		for _, w := range want {
			if got := next(t, conn); got != w {
				t.Fatalf("got %q, want %q", got, w)
			}
		}
	}
	expect("WATCHDOG=1", "STATUS=Waiting", "WATCHDOG=1", "WATCHDOG=1")
	tell("Serving")
	for got := ""; got != "STATUS=Serving"; {
		if got = next(t, conn); got != "WATCHDOG=1" && got != "STATUS=Serving" {
			t.Fatalf("got %q", got)
		}
	}
	dead.Store(true)
	for got := ""; got != "STATUS=postgres: no answer"; {
		if got = next(t, conn); got != "WATCHDOG=1" && got != "STATUS=postgres: no answer" {
			t.Fatalf("got %q", got)
		}
	}
	expect("") // starved
	dead.Store(false)
	expect("WATCHDOG=1", "STATUS=Serving")
	cancel()
	<-done
}

func TestWatchdogOfAnotherProcessIsNotOurs(t *testing.T) {
	if got := watchdogInterval("1000000", "1"); got != 0 {
		t.Errorf("got %v", got)
	}
	if got := watchdogInterval("1000000", ""); got != time.Second {
		t.Errorf("got %v", got)
	}
}

func TestWithoutManagerNothingHappens(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	m := FromEnvironment()
	m.Ready("x")
	m.Extend(context.Background(), func() string { return "x" })()
	m.Watch(context.Background(), func() string { return "x" }, func(context.Context) error { t.Error("asked"); return nil })
	m.Stopping()
}

func TestManagerThatIsGoneHoldsNothingUp(t *testing.T) {
	listen(t, 0).Close()
	began := time.Now()
	FromEnvironment().Ready("x")
	if d := time.Since(began); d > time.Second {
		t.Errorf("took %v", d)
	}
}

func TestCredential(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	if err := os.WriteFile(filepath.Join(dir, "pin"), []byte("1234\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := Credential("pin"); string(got) != "1234\n" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := Credential("none"); got != nil || err != nil {
		t.Errorf("a missing one: got %q, %v", got, err)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	if got, err := Credential("pin"); got != nil || err != nil {
		t.Errorf("without a directory: got %q, %v", got, err)
	}
}
