package pocketbase

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// started serves ours on a free port and returns a client that trusts it.
func started(t *testing.T, cfg Config, ours http.Handler) (*Server, *http.Client) {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = filepath.Join(t.TempDir(), "front")
	}
	cfg.Listen = "127.0.0.1:0"
	s := New(cfg)
	if ours != nil {
		s.SetHandler(ours)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error("stop: ", err)
		}
	})
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true, DisableCompression: true,
	}
	t.Cleanup(transport.CloseIdleConnections)
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return s, &http.Client{Transport: transport, Timeout: 10 * time.Second, CheckRedirect: stay}
}

type reply struct {
	*http.Response
	body string
}

func send(t *testing.T, c *http.Client, method, url string, header ...string) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{res, string(body)}
}

var interfaceFiles = fstest.MapFS{
	"index.html":          {Data: []byte("<html>page</html>")},
	"main-ABCDEFGH.js":    {Data: []byte("plain")},
	"main-ABCDEFGH.js.br": {Data: []byte("brotli")},
	"main-ABCDEFGH.js.gz": {Data: []byte("gzip")},
	"icon.svg":            {Data: []byte("<svg/>")},
}

func TestPathsFindTheirHandler(t *testing.T) {
	t.Parallel()
	named := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "ours "+r.URL.Path) })
	s, c := started(t, Config{Static: interfaceFiles}, named)
	for _, tt := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/v1/stacks", 200, "ours /v1/stacks"},
		{"POST", "/graphql", 200, "ours /graphql"},
		{"GET", "/scim/v2/Users", 200, "ours /scim/v2/Users"},
		{"GET", "/socket.io/", 200, "ours /socket.io/"},
		{"GET", "/healthz", 200, "ours /healthz"},
		{"GET", "/readyz", 200, "ours /readyz"},
		{"GET", "/metrics", 200, "ours /metrics"},
		{"GET", "/", 200, "<html>page</html>"},
		{"GET", "/stacks/1", 200, "<html>page</html>"},
		{"GET", "/v1x", 200, "<html>page</html>"},
		{"GET", "/missing.js", 404, "404 page not found"},
		{"GET", "/icon.svg", 200, "<svg/>"},
		{"HEAD", "/icon.svg", 200, ""},
	} {
		got := send(t, c, tt.method, "https://"+s.Addr()+tt.path, "Accept", "text/html")
		if got.StatusCode != tt.status || strings.TrimSpace(got.body) != tt.body {
			t.Errorf("%s %s: %d %q, want %d %q", tt.method, tt.path, got.StatusCode, got.body, tt.status, tt.body)
		}
	}
}

func TestConsoleIsForThisMachineOnly(t *testing.T) {
	t.Parallel()
	s, c := started(t, Config{}, nil)
	if got := send(t, c, "GET", "https://"+s.Addr()+"/api/health"); got.StatusCode != 200 || !strings.Contains(got.body, "healthy") {
		t.Errorf("from this machine: %d %q", got.StatusCode, got.body)
	}
	for peer, want := range map[string]bool{
		"127.0.0.1:1": true, "127.8.8.8:1": true, "[::1]:1": true, "[::ffff:127.0.0.1]:1": true,
		"192.0.2.1:1": false, "[2001:db8::1]:1": false, "[::ffff:192.0.2.1]:1": false, "localhost:1": false, "": false,
	} {
		r := &http.Request{RemoteAddr: peer, Header: http.Header{"X-Forwarded-For": {"127.0.0.1"}}}
		if got := fromHere(r); got != want {
			t.Errorf("peer %q: %v", peer, got)
		}
	}
}

func TestAssetsAreCachedAndCompressed(t *testing.T) {
	t.Parallel()
	s, c := started(t, Config{Static: interfaceFiles}, nil)
	for accept, want := range map[string]string{"gzip, deflate, br, zstd": "brotli", "gzip": "gzip", "": "plain", "identity": "plain"} {
		got := send(t, c, "GET", "https://"+s.Addr()+"/main-ABCDEFGH.js", "Accept-Encoding", accept)
		if got.body != want || got.Header.Get("Cache-Control") != "public, max-age=31536000, immutable" || got.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("Accept-Encoding %q: %q %v", accept, got.body, got.Header)
		}
	}
	page := send(t, c, "GET", "https://"+s.Addr()+"/", "Accept", "text/html")
	for name, want := range map[string]string{
		"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff", "Content-Security-Policy": policy,
		"Referrer-Policy": "same-origin", "Strict-Transport-Security": "",
	} {
		if got := page.Header.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestPlainHTTPIsRedirectedOrTold(t *testing.T) {
	t.Parallel()
	s, c := started(t, Config{}, nil)
	got := send(t, c, "GET", "http://"+s.Addr()+"/stacks", "Accept", "text/html")
	if got.StatusCode != http.StatusPermanentRedirect || got.Header.Get("Location") != "https://"+s.Addr()+"/stacks" {
		t.Errorf("browser: %d %q", got.StatusCode, got.Header.Get("Location"))
	}
	for _, method := range []string{"GET", "POST"} {
		if got := send(t, c, method, "http://"+s.Addr()+"/v1/session"); got.StatusCode != 400 || !strings.Contains(got.body, "HTTPS") {
			t.Errorf("program %s: %d %q", method, got.StatusCode, got.body)
		}
	}
}

func TestRobustness33RedirectStaysOnTheHost(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"", "a@evil", "evil/path", "evil\\x", "a b", "a\r\nX: y"} {
		if validHost(host) {
			t.Errorf("host %q is taken for one", host)
		}
	}
	s, _ := started(t, Config{}, nil)
	conn, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET //evil.example/ HTTP/1.1\r\nHost: nimbus.local\r\nAccept: text/html\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got := res.Header.Get("Location"); !strings.HasPrefix(got, "https://nimbus.local/") {
		t.Errorf("location %q", got)
	}
}

func TestHijackPasses(t *testing.T) {
	t.Parallel()
	s, _ := started(t, Config{}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error("hijack: ", err)
			return
		}
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
		conn.Close()
	}))
	conn, err := tls.Dial("tcp", s.Addr(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /socket.io/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	if got, _ := io.ReadAll(conn); !strings.HasSuffix(string(got), "hello") {
		t.Errorf("hijacked: %q", got)
	}
}

func TestHTTP2(t *testing.T) {
	t.Parallel()
	s, c := started(t, Config{Static: interfaceFiles}, nil)
	if got := send(t, c, "GET", "https://"+s.Addr()+"/"); got.Proto != "HTTP/2.0" {
		t.Errorf("spoken: %s", got.Proto)
	}
}

func TestLifeCycle(t *testing.T) {
	t.Parallel()
	s := New(Config{Dir: t.TempDir(), Listen: "127.0.0.1:0"})
	if err := s.Stop(t.Context()); err != nil {
		t.Error("stop without start: ", err)
	}
	if s.Ready(t.Context()) == nil {
		t.Error("ready before start")
	}
	begun := time.Now()
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Log("start took ", time.Since(begun))
	if err := s.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	other := New(Config{Dir: t.TempDir(), Listen: s.Addr()})
	if err := other.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "--listen") {
		t.Errorf("port taken: %v", err)
	}
	for range 2 {
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
