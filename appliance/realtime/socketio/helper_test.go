package socketio

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// patience is how long a test waits for what should come at once.
const patience = 5 * time.Second

// node is a running server that behaves like the one the protocol's test-suites are written
// for: "auth" after each connection, "message" comes back, "message-with-ack" is acknowledged.
type node struct {
	t *testing.T
	*Server
	http *httptest.Server
}

// account is the test's idea of a Nimbus session: its name, from a header or cookie.
type account struct{ name string }

func authenticateAccount(r *http.Request) (any, error) {
	name := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if cookie, err := r.Cookie("session"); err == nil {
		name = cookie.Value
	}
	if name == "revoked" {
		return nil, errors.New("the session was revoked at some internal place")
	}
	return account{name}, nil
}

func testConfig(changes ...func(*Config)) Config {
	cfg := Config{
		Authenticate: authenticateAccount,
		SessionKey:   func(session any) string { return session.(account).name },
	}
	for _, change := range changes {
		change(&cfg)
	}
	return cfg
}

func newNode(t *testing.T, changes ...func(*Config)) *node {
	t.Helper()
	s := New(testConfig(changes...))
	for _, name := range []string{"/", "/custom"} {
		echo(s.Namespace(name))
	}
	return serve(t, s)
}

func serve(t *testing.T, s *Server) *node {
	t.Helper()
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(s)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
		front.Close()
	})
	return &node{t, s, front}
}

func echo(ns *Namespace) {
	ns.OnConnect(func(s *Socket) error {
		auth := map[string]any{}
		if err := s.Auth(&auth); err != nil {
			return err
		}
		return s.Emit("auth", auth)
	})
	ns.OnEvent("message", func(_ context.Context, e *Event) {
		_ = e.Socket().Emit("message-back", e.Args().Values()...)
	})
	ns.OnEvent("message-with-ack", func(_ context.Context, e *Event) {
		_ = e.Ack(e.Args().Values()...)
	})
}

func quickHeartbeat(c *Config) {
	c.PingInterval, c.PingTimeout = 60*time.Millisecond, 40*time.Millisecond
}

func (n *node) request(method, query, body string, header ...string) *http.Response {
	n.t.Helper()
	r, err := http.NewRequestWithContext(n.t.Context(), method, n.http.URL+"/socket.io/?"+query, strings.NewReader(body))
	if err != nil {
		n.t.Fatal(err)
	}
	r.Header.Set("Origin", n.http.URL)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { response.Body.Close() })
	return response
}

func (n *node) do(method, query, body string, header ...string) (int, string) {
	n.t.Helper()
	response := n.request(method, query, body, header...)
	content, err := io.ReadAll(response.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return response.StatusCode, string(content)
}

// greeted is the payload of the open packet.
type greeted struct {
	SID          string   `json:"sid"`
	Upgrades     []string `json:"upgrades"`
	PingInterval int      `json:"pingInterval"`
	PingTimeout  int      `json:"pingTimeout"`
	MaxPayload   int      `json:"maxPayload"`
}

func parseGreeting(t *testing.T, packet string) greeted {
	t.Helper()
	var g greeted
	rest, found := strings.CutPrefix(packet, "0")
	if !found || json.Unmarshal([]byte(rest), &g) != nil || len(g.SID) < 20 {
		t.Fatalf("no open packet: %q", packet)
	}
	return g
}

// poller is a long-polling client.
type poller struct {
	n   *node
	sid string
}

func (n *node) poll() *poller {
	n.t.Helper()
	status, body := n.do("GET", "EIO=4&transport=polling", "")
	if status != http.StatusOK {
		n.t.Fatalf("handshake: %d %s", status, body)
	}
	return &poller{n, parseGreeting(n.t, body).SID}
}

func (p *poller) query() string { return "EIO=4&transport=polling&sid=" + p.sid }

func (p *poller) get() (int, string) { p.n.t.Helper(); return p.n.do("GET", p.query(), "") }

func (p *poller) post(body string) (int, string) {
	p.n.t.Helper()
	return p.n.do("POST", p.query(), body)
}

// wantGet fails unless the next poll answers 200 with exactly this.
func (p *poller) wantGet(want string) {
	p.n.t.Helper()
	if status, body := p.get(); status != http.StatusOK || body != want {
		p.n.t.Fatalf("poll: %d %q, want 200 %q", status, body, want)
	}
}

func (p *poller) wantPost(body string) {
	p.n.t.Helper()
	if status, answer := p.post(body); status != http.StatusOK || answer != "ok" {
		p.n.t.Fatalf("post %q: %d %q", body, status, answer)
	}
}

// wantGone fails unless the session is unknown by now.
func (p *poller) wantGone() {
	p.n.t.Helper()
	if status, body := p.get(); status != http.StatusBadRequest {
		p.n.t.Fatalf("poll of a closed session: %d %q, want 400", status, body)
	}
}

// connect joins the main namespace and reads the two packets that follow.
func (p *poller) connect() {
	p.n.t.Helper()
	p.wantPost("40")
	for got := ""; !strings.Contains(got, `42["auth",{}]`); {
		_, got = p.get()
	}
}

// browser is a WebSocket client. It answers pings by itself unless it is mute.
type browser struct {
	t    *testing.T
	conn *websocket.Conn
	mute bool
}

func (n *node) dial(query string, header ...string) (*browser, *http.Response, error) {
	h := http.Header{"Origin": {n.http.URL}}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	defer cancel()
	conn, response, err := websocket.Dial(ctx, n.http.URL+"/socket.io/?"+query, &websocket.DialOptions{HTTPHeader: h})
	if err != nil {
		return nil, response, err
	}
	conn.SetReadLimit(-1)
	n.t.Cleanup(func() { _ = conn.CloseNow() })
	return &browser{t: n.t, conn: conn}, response, nil
}

// browse opens a session over WebSocket.
func (n *node) browse(header ...string) *browser {
	n.t.Helper()
	b, _, err := n.dial("EIO=4&transport=websocket", header...)
	if err != nil {
		n.t.Fatal(err)
	}
	parseGreeting(n.t, b.next())
	return b
}

// browseConnected is in the main namespace as well; it returns the socket's id.
func (n *node) browseConnected(header ...string) (*browser, string) {
	n.t.Helper()
	b := n.browse(header...)
	id := b.connect("")
	b.want(`42["auth",{}]`)
	return b, id
}

// connect joins a namespace ("" or "/name,") and returns the socket's id.
func (b *browser) connect(namespace string) string {
	b.t.Helper()
	b.send("40" + namespace)
	var connected struct {
		SID string `json:"sid"`
	}
	rest, found := strings.CutPrefix(b.next(), "40"+namespace)
	if !found || json.Unmarshal([]byte(rest), &connected) != nil || connected.SID == "" {
		b.t.Fatalf("no CONNECT packet: %q", rest)
	}
	return connected.SID
}

func (b *browser) send(text string) {
	b.t.Helper()
	if err := b.conn.Write(b.t.Context(), websocket.MessageText, []byte(text)); err != nil {
		b.t.Fatal(err)
	}
}

func (b *browser) sendBinary(data ...byte) {
	b.t.Helper()
	if err := b.conn.Write(b.t.Context(), websocket.MessageBinary, data); err != nil {
		b.t.Fatal(err)
	}
}

func (b *browser) read() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		_, data, err := b.conn.Read(ctx)
		if err != nil || string(data) != "2" || b.mute {
			return string(data), err
		}
		b.send("3")
	}
}

func (b *browser) next() string {
	b.t.Helper()
	packet, err := b.read()
	if err != nil {
		b.t.Fatal(err)
	}
	return packet
}

func (b *browser) want(packets ...string) {
	b.t.Helper()
	for _, want := range packets {
		if got := b.next(); got != want {
			b.t.Fatalf("got %q, want %q", got, want)
		}
	}
}

// wantClosed reads to the end, which must come before patience is over.
func (b *browser) wantClosed() {
	b.t.Helper()
	for {
		if _, err := b.read(); err != nil {
			if errors.Is(err, context.DeadlineExceeded) {
				b.t.Fatal("the connection is still open")
			}
			return
		}
	}
}

// eventually waits for a condition that no event announces.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never came true: %s", what)
		}
	}
}
