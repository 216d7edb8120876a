package socketio

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// The cases of the Engine.IO protocol's published test-suite, and what they leave open.

func TestHandshakePolling(t *testing.T) {
	t.Parallel()
	n := newNode(t, quickHeartbeat)
	response := n.request("GET", "EIO=4&transport=polling", "")
	if got := response.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control %q", got)
	}
	status, body := n.do("GET", "EIO=4&transport=polling", "")
	g := parseGreeting(t, body)
	if status != 200 || !slices.Equal(g.Upgrades, []string{"websocket"}) ||
		g.PingInterval != 60 || g.PingTimeout != 40 || g.MaxPayload != 1_000_000 {
		t.Errorf("%d %+v", status, g)
	}
	var fields map[string]any
	if err := json.Unmarshal([]byte(body[1:]), &fields); err != nil || len(fields) != 5 {
		t.Errorf("fields %v, %v", fields, err)
	}
}

func TestHandshakeWebSocket(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	b, _, err := n.dial("EIO=4&transport=websocket")
	if err != nil {
		t.Fatal(err)
	}
	if g := parseGreeting(t, b.next()); g.Upgrades == nil || len(g.Upgrades) != 0 || g.PingInterval != 25_000 {
		t.Errorf("%+v", g)
	}
}

func TestHandshakeRefused(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	for name, c := range map[string]struct {
		method, query string
		status        int
		body          string
	}{
		"no EIO":            {"GET", "transport=polling", 400, `{"code":5,"message":"Unsupported protocol version"}`},
		"EIO abc":           {"GET", "EIO=abc&transport=polling", 400, `{"code":5,"message":"Unsupported protocol version"}`},
		"EIO 3":             {"GET", "EIO=3&transport=polling", 400, `{"code":5,"message":"Unsupported protocol version"}`},
		"no transport":      {"GET", "EIO=4", 400, `{"code":0,"message":"Transport unknown"}`},
		"transport abc":     {"GET", "EIO=4&transport=abc", 400, `{"code":0,"message":"Transport unknown"}`},
		"POST":              {"POST", "EIO=4&transport=polling", 400, `{"code":2,"message":"Bad handshake method"}`},
		"PUT":               {"PUT", "EIO=4&transport=polling", 400, `{"code":2,"message":"Bad handshake method"}`},
		"OPTIONS":           {"OPTIONS", "EIO=4&transport=polling", 400, `{"code":2,"message":"Bad handshake method"}`},
		"no upgrade header": {"GET", "EIO=4&transport=websocket", 400, `{"code":3,"message":"Bad request"}`},
		"unknown sid":       {"GET", "EIO=4&transport=polling&sid=abc", 400, `{"code":1,"message":"Session ID unknown"}`},
		"unknown sid, POST": {"POST", "EIO=4&transport=polling&sid=abc", 400, `{"code":1,"message":"Session ID unknown"}`},
	} {
		t.Run(name, func(t *testing.T) {
			response := n.request(c.method, c.query, "")
			status, body := n.do(c.method, c.query, "")
			if status != c.status || body != c.body || response.Header.Get("Content-Type") != "application/json" {
				t.Errorf("%d %s (%s)", status, body, response.Header.Get("Content-Type"))
			}
		})
	}
	if n.Connections() != 0 {
		t.Errorf("%d connections are left", n.Connections())
	}
}

func TestHandshakeWebSocketRefused(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	for _, query := range []string{
		"transport=websocket", "EIO=abc&transport=websocket", "EIO=4", "EIO=4&transport=abc",
		"EIO=4&transport=websocket&sid=unknown",
	} {
		if _, response, err := n.dial(query); err == nil || response.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %v", query, err)
		}
	}
	if n.Connections() != 0 {
		t.Errorf("%d connections are left", n.Connections())
	}
}

func TestPollingMessages(t *testing.T) {
	t.Parallel()
	p := newNode(t).poll()
	p.connect()
	p.wantPost(`42["message","hello"]`)
	p.wantGet(`42["message-back","hello"]`)
	p.wantPost("42[\"message\",1]\x1e42[\"message\",2]\x1e42[\"message\",3]")
	var got string
	for strings.Count(got, "message-back") < 3 {
		_, part := p.get()
		got += "\x1e" + part
	}
	if got != "\x1e42[\"message-back\",1]\x1e42[\"message-back\",2]\x1e42[\"message-back\",3]" {
		t.Errorf("%q", got)
	}
}

func TestPollingBinary(t *testing.T) {
	t.Parallel()
	p := newNode(t).poll()
	p.connect()
	p.wantPost("451-[\"message\",{\"_placeholder\":true,\"num\":0}]\x1ebAQIDBA==")
	p.wantGet("451-[\"message-back\",{\"_placeholder\":true,\"num\":0}]\x1ebAQIDBA==")
}

func TestPollingContentType(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	p := n.poll()
	p.wantPost("40")
	response := n.request("GET", p.query(), "")
	if got := response.Header.Get("Content-Type"); got != "text/plain; charset=UTF-8" {
		t.Errorf("Content-Type %q", got)
	}
	if status, _ := n.do("POST", p.query(), "x", "Content-Type", "application/octet-stream"); status != 400 {
		t.Errorf("a binary payload was answered %d", status)
	}
	p.wantGone()
}

func TestPollingInvalidPacketCloses(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	for _, body := range []string{"abc", "", "2", "0{}", "b****", "4\xff", "7", "3\x1e", "4abc"} {
		p := n.poll()
		status, _ := p.post(body)
		if body == "4abc" { // valid for Engine.IO; the layer above ends the session
			eventually(t, "the session is gone", func() bool { return n.session(p.sid) == nil })
		} else if status != http.StatusBadRequest {
			t.Errorf("%q was answered %d", body, status)
		}
		p.wantGone()
	}
}

func TestPollingOverlappingGetCloses(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	p := n.poll()
	first := make(chan string)
	go func() {
		_, body := p.get()
		first <- body
	}()
	waitForPoll(t, n, p)
	if status, _ := p.get(); status != http.StatusBadRequest {
		t.Errorf("the second poll was answered %d", status)
	}
	if body := <-first; body != "1" {
		t.Errorf("the first poll was answered %q", body)
	}
	p.wantGone()
}

func waitForPoll(t *testing.T, n *node, p *poller) {
	t.Helper()
	s := n.session(p.sid)
	eventually(t, "a poll is pending", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.poll != nil
	})
}

func TestPollingOverlappingPostCloses(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	p := n.poll()
	if refused := n.session(p.sid).beginPost(); refused != nil {
		t.Fatal(refused)
	}
	if status, _ := p.post("3"); status != http.StatusBadRequest {
		t.Errorf("the second post was answered %d", status)
	}
	p.wantGone()
}

func TestPollingPayloadTooLarge(t *testing.T) {
	t.Parallel()
	n := newNode(t, func(c *Config) { c.MaxPayload = 1000 })
	p := n.poll()
	if status, body := p.post(strings.Repeat("4", 1001)); status != http.StatusRequestEntityTooLarge {
		t.Errorf("%d %s", status, body)
	}
	p.connect() // the session is still good
}

func TestPollingAbandonedPollCloses(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	p := n.poll()
	hasty := http.Client{Timeout: 50 * time.Millisecond}
	r, _ := http.NewRequestWithContext(t.Context(), "GET", n.http.URL+"/socket.io/?"+p.query(), nil)
	r.Header.Set("Origin", n.http.URL)
	if _, err := hasty.Do(r); err == nil {
		t.Fatal("the poll was answered")
	}
	eventually(t, "the session is gone", func() bool { return n.Connections() == 0 })
}

func TestWebSocketInvalidFrameCloses(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	for _, text := range []string{"abc", "", "2", "0", "9"} {
		b := n.browse()
		b.send(text)
		b.wantClosed()
	}
	b := n.browse()
	b.sendBinary(1, 2, 3) // no packet asked for an attachment
	b.wantClosed()
}

func TestWebSocketMessageTooLargeCloses(t *testing.T) {
	t.Parallel()
	n := newNode(t, func(c *Config) { c.MaxPayload = 1000 })
	b, _ := n.browseConnected()
	fits := `2["message","` + strings.Repeat("x", 1000-len(`2["message",""]`)) + `"]`
	b.send("4" + fits)
	if got := b.next(); len(got) < 1000 {
		t.Errorf("%q", got)
	}
	b.send("4" + strings.Repeat("x", 1001))
	b.wantClosed()
}

func TestHeartbeatPolling(t *testing.T) {
	t.Parallel()
	p := newNode(t, quickHeartbeat).poll()
	for range 3 {
		p.wantGet("2")
		p.wantPost("3")
	}
}

func TestHeartbeatPollingTimeout(t *testing.T) {
	t.Parallel()
	n := newNode(t, quickHeartbeat)
	p := n.poll()
	eventually(t, "the session is gone", func() bool { return n.Connections() == 0 })
	p.wantGone()
}

func TestHeartbeatWebSocket(t *testing.T) {
	t.Parallel()
	b := newNode(t, quickHeartbeat).browse()
	b.mute = true
	for range 3 {
		b.want("2")
		b.send("3")
	}
	b.want("2")
	b.wantClosed() // no pong this time
}

func TestClientCloses(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	p := n.poll()
	pending := make(chan string)
	go func() {
		_, body := p.get()
		pending <- body
	}()
	waitForPoll(t, n, p)
	p.wantPost("1")
	if body := <-pending; body != "6" {
		t.Errorf("the pending poll was answered %q", body)
	}
	p.wantGone()
	b := n.browse()
	b.send("1")
	b.wantClosed()
}

func TestUpgrade(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	p := n.poll()
	p.connect()
	pending := make(chan string)
	go func() {
		_, body := p.get()
		pending <- body
	}()
	waitForPoll(t, n, p)
	b := n.probe(p)
	if body := <-pending; body != "6" {
		t.Errorf("the pending poll was answered %q", body)
	}
	p.wantGet("6") // and so is every other until the upgrade is over
	if err := n.Emit("between"); err != nil {
		t.Fatal(err)
	}
	b.send("5")
	b.send(`42["message","hello"]`)
	b.want(`42["between"]`, `42["message-back","hello"]`)

	if status, body := p.get(); status != 400 || body != `{"code":3,"message":"Bad request"}` {
		t.Errorf("a poll after the upgrade: %d %s", status, body)
	}
	if status, _ := p.post("3"); status != 400 {
		t.Errorf("a post after the upgrade: %d", status)
	}
	if _, _, err := n.dial("EIO=4&transport=websocket&sid=" + p.sid); err == nil {
		t.Error("a second WebSocket took over the session")
	}
	b.send(`42["message","still here"]`)
	b.want(`42["message-back","still here"]`)
}

func (n *node) probe(p *poller) *browser {
	n.t.Helper()
	b, _, err := n.dial("EIO=4&transport=websocket&sid=" + p.sid)
	if err != nil {
		n.t.Fatal(err)
	}
	b.send("2probe")
	b.want("3probe")
	return b
}

func TestUpgradeFailsAndPollingGoesOn(t *testing.T) {
	t.Parallel()
	n := newNode(t, func(c *Config) { c.UpgradeTimeout = 50 * time.Millisecond })
	p := n.poll()
	p.connect()
	for _, send := range []string{"2wrong", ""} {
		b, _, err := n.dial("EIO=4&transport=websocket&sid=" + p.sid)
		if err != nil {
			t.Fatal(err)
		}
		if send != "" {
			b.send(send)
		}
		b.wantClosed()
		eventually(t, "another upgrade may be tried", n.session(p.sid).upgradable)
	}
	p.wantPost(`42["message","hello"]`)
	p.wantGet(`42["message-back","hello"]`)
	b := n.probe(p)
	b.send("5")
	b.send(`42["message","upgraded"]`)
	b.want(`42["message-back","upgraded"]`)
}

func TestUpgradeBelongsToSession(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	_, body := n.do("GET", "EIO=4&transport=polling", "", "Cookie", "session=ann")
	query := "EIO=4&transport=websocket&sid=" + parseGreeting(t, body).SID
	for _, cookie := range []string{"session=bob", "session=revoked"} {
		if _, response, err := n.dial(query, "Cookie", cookie); err == nil || response.StatusCode != http.StatusForbidden {
			t.Errorf("%s took over ann's connection: %v", cookie, err)
		}
	}
	if _, _, err := n.dial(query, "Cookie", "session=ann"); err != nil {
		t.Error(err)
	}
}

func TestPayloadRoundTrip(t *testing.T) {
	t.Parallel()
	frames := []frame{{data: []byte("4a")}, {binary: true, data: []byte{0, 0x1e, 255}}, {binary: true, data: []byte{}}, pingFrame}
	payload := appendPayload(nil, frames)
	if want := "4a\x1eb" + base64.StdEncoding.EncodeToString([]byte{0, 0x1e, 255}) + "\x1eb\x1e2"; string(payload) != want {
		t.Errorf("%q, want %q", payload, want)
	}
	i := 0
	for f, err := range parsePayload(payload) {
		if err != nil || f.binary != frames[i].binary || string(f.data) != string(frames[i].data) {
			t.Errorf("frame %d: %v %v", i, f, err)
		}
		i++
	}
	if i != len(frames) {
		t.Errorf("%d frames", i)
	}
}
