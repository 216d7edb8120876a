package valkey

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	client "github.com/valkey-io/valkey-go"
)

func start(t *testing.T, cfg Config) *Server {
	t.Helper()
	s := New(cfg)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 2 {
			if err := s.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		}
		if s.Client() != nil || s.Ready(context.Background()) == nil {
			t.Error("still there after Stop")
		}
	})
	return s
}

func childConfig(t *testing.T) Config {
	t.Helper()
	if New(Config{}).binary() == "" {
		t.Fatal("no valkey-server or redis-server in PATH; install the Debian package redis-server")
	}
	return Config{Dir: filepath.Join(t.TempDir(), "valkey")}
}

func eventually(t *testing.T, f func() error) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for err := f(); err != nil; err = f() {
		if time.Now().After(deadline) {
			t.Fatal("not in five seconds: ", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// exercise uses the client in the ways that the product does.
func exercise(t *testing.T, s *Server) {
	t.Helper()
	ctx, c := t.Context(), s.Client()
	if err := s.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	if err := c.Do(ctx, c.B().Set().Key("k").Value("v").PxMilliseconds(300).Build()).Error(); err != nil {
		t.Fatal(err)
	}
	if got, err := c.DoCache(ctx, c.B().Get().Key("k").Cache(), time.Second).ToString(); err != nil || got != "v" {
		t.Fatalf("got %q, %v", got, err)
	}
	publishAndReceive(t, c)
	eventually(t, func() error {
		if err := c.Do(ctx, c.B().Get().Key("k").Build()).Error(); !client.IsValkeyNil(err) {
			return fmt.Errorf("the key has not expired: %w", err)
		}
		return nil
	})
}

func publishAndReceive(t *testing.T, c client.Client) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	got := make(chan string, 100)
	done := make(chan error, 1)
	go func() {
		done <- c.Receive(ctx, c.B().Subscribe().Channel("room").Build(), func(m client.PubSubMessage) { got <- m.Message })
	}()
	eventually(t, func() error {
		heard, err := c.Do(ctx, c.B().Publish().Channel("room").Message("hello").Build()).AsInt64()
		if err == nil && heard == 0 {
			err = errors.New("nobody listens yet")
		}
		return err
	})
	select {
	case m := <-got:
		if m != "hello" {
			t.Fatalf("received %q", m)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("nothing was received")
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func TestChild(t *testing.T) {
	t.Parallel()
	cfg := childConfig(t)
	s := start(t, cfg)
	if s.Kind() != Child {
		t.Fatalf("kind %q", s.Kind())
	}
	exercise(t, s)
	c := s.Client()
	settings, err := c.Do(t.Context(), c.B().ConfigGet().Parameter("port", "save", "appendonly", "maxmemory", "maxmemory-policy").Build()).AsStrMap()
	want := map[string]string{"port": "0", "save": "", "appendonly": "no", "maxmemory": "67108864", "maxmemory-policy": "allkeys-lru"}
	if err != nil || fmt.Sprint(settings) != fmt.Sprint(want) {
		t.Fatalf("settings %v, %v; want %v", settings, err, want)
	}
}

func TestSocketIsPrivate(t *testing.T) {
	t.Parallel()
	for name, dir := range map[string]string{
		"short": filepath.Join(t.TempDir(), "s"),
		"long":  filepath.Join(t.TempDir(), strings.Repeat("long", 30)),
	} {
		cfg := childConfig(t)
		cfg.Dir = dir
		c, err := startChild(t.Context(), cfg, New(cfg).binary(), New(cfg).log)
		if err != nil {
			t.Fatal(name, err)
		}
		info, err := os.Stat(filepath.Dir(c.socket))
		if err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: folder %v, %v", name, info.Mode(), err)
		}
		if err := c.stop(t.Context()); err != nil {
			t.Fatal(name, err)
		}
		if _, err := os.Stat(c.socket); !os.IsNotExist(err) {
			t.Errorf("%s: the socket is left behind: %v", name, err)
		}
	}
}

func TestChildIsRestarted(t *testing.T) {
	t.Parallel()
	cfg := childConfig(t)
	p, err := startChild(t.Context(), cfg, New(cfg).binary(), New(cfg).log)
	if err != nil {
		t.Fatal(err)
	}
	c, err := connectTo(p.dial)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{cfg: cfg, log: New(cfg).log}
	s.use(Child, c, p.stop)
	defer func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	killed := p.pid.Load()
	if err := syscall.Kill(int(killed), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if p.pid.Load() == killed {
			return errors.New("not started again")
		}
		return s.Ready(t.Context())
	})
	exercise(t, s)
}

// TestChildRunsAsAnotherUser needs a folder whose parents that user may enter. Without
// being root there is no choice, and the server runs as ourselves.
func TestChildRunsAsAnotherUser(t *testing.T) {
	t.Parallel()
	parent, err := os.MkdirTemp("/tmp", "nimbus-valkey-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(parent) }()
	if err := os.Chmod(parent, 0o755); err != nil {
		t.Fatal(err)
	}
	cfg := childConfig(t)
	cfg.Dir, cfg.User = filepath.Join(parent, "valkey"), "nobody"
	p, err := startChild(t.Context(), cfg, New(cfg).binary(), New(cfg).log)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.stop(context.Background()) }()
	info, err := os.Stat(fmt.Sprintf("/proc/%d", p.pid.Load()))
	if err != nil {
		t.Fatal(err)
	}
	if uid := info.Sys().(*syscall.Stat_t).Uid; (uid == 0) || (os.Geteuid() != 0 && int(uid) != os.Geteuid()) {
		t.Fatalf("the server runs as %d", uid)
	}
}

func TestServerThatExitsIsReplaced(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := start(t, Config{Dir: t.TempDir(), Binary: "/bin/ls", Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if s.Kind() != InProcess || !strings.Contains(log.String(), "its last line was") {
		t.Fatalf("kind %q, log:\n%s", s.Kind(), log.String())
	}
}

func TestInProcess(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Memory: true})
	if s.Kind() != InProcess {
		t.Fatalf("kind %q", s.Kind())
	}
	exercise(t, s)
}

func TestInProcessIsBounded(t *testing.T) {
	t.Parallel()
	m := startMemory()
	defer func() { _ = m.stop(context.Background()) }()
	for i := range keyLimit {
		_ = m.server.Set(fmt.Sprint(i), "")
	}
	m.bound()
	if n := len(m.server.Keys()); n != keyLimit {
		t.Fatalf("%d keys are left, all of %d fit", n, keyLimit)
	}
	_ = m.server.Set("one more", "")
	m.bound()
	if n := len(m.server.Keys()); n != 0 {
		t.Fatalf("%d keys are left", n)
	}
}

func TestBrokenServerIsReplaced(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Dir: t.TempDir(), Binary: "/nonexistent/valkey-server"})
	if s.Kind() != InProcess {
		t.Fatalf("kind %q", s.Kind())
	}
	exercise(t, s)
}

// aging lets the keys of a foreign miniredis expire.
func aging(t *testing.T, m *miniredis.Miniredis) *miniredis.Miniredis {
	t.Helper()
	m.ClockTTL(true)
	t.Cleanup(m.Close)
	return m
}

func TestExternal(t *testing.T) {
	t.Parallel()
	m := aging(t, miniredis.NewMiniRedis())
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	m.RequireAuth("secret")
	s := start(t, Config{URL: "redis://:secret@" + m.Addr() + "/0"})
	if s.Kind() != External {
		t.Fatalf("kind %q", s.Kind())
	}
	exercise(t, s)
}

func TestExternalTLS(t *testing.T) {
	t.Parallel()
	certificate, roots := selfSigned(t)
	m := aging(t, miniredis.NewMiniRedis())
	if err := m.StartTLS(&tls.Config{Certificates: []tls.Certificate{certificate}}); err != nil {
		t.Fatal(err)
	}
	url := "rediss://" + m.Addr()
	exercise(t, start(t, Config{URL: url, RootCAs: roots}))
	if err := New(Config{URL: url}).Start(t.Context()); err == nil {
		t.Fatal("an unknown certificate was accepted")
	}
}

func TestExternalRefusals(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"http://:canary@localhost", "redis://:canary@127.0.0.1:1", "redis://:canary@[::1"} {
		s := New(Config{URL: url})
		err := s.Start(t.Context())
		if err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: error %v", url, err)
		}
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func selfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}
