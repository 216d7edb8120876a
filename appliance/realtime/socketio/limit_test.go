package socketio

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestSameOrigin(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		header []string
		want   bool
	}{
		"own origin":             {[]string{"Origin", "https://nimbus.lan:8443"}, true},
		"own origin, upper case": {[]string{"Origin", "https://NIMBUS.lan:8443"}, true},
		"other port":             {[]string{"Origin", "https://nimbus.lan"}, false},
		"other host":             {[]string{"Origin", "https://evil.example"}, false},
		"host as user":           {[]string{"Origin", "https://nimbus.lan:8443@evil.example"}, false},
		"host as prefix":         {[]string{"Origin", "https://nimbus.lan:8443.evil.example"}, false},
		"null":                   {[]string{"Origin", "null"}, false},
		"not a URL":              {[]string{"Origin", "%zz"}, false},
		"other and a token":      {[]string{"Origin", "https://evil.example", "Authorization", "Bearer x"}, false},
		"fetched by own page":    {[]string{"Sec-Fetch-Site", "same-origin"}, true},
		"fetched by a neighbour": {[]string{"Sec-Fetch-Site", "same-site"}, false},
		"fetched from elsewhere": {[]string{"Sec-Fetch-Site", "cross-site", "Referer", "https://nimbus.lan:8443/"}, false},
		"typed in":               {[]string{"Sec-Fetch-Site", "none"}, false},
		"own referer":            {[]string{"Referer", "https://nimbus.lan:8443/stacks"}, true},
		"other referer":          {[]string{"Referer", "https://evil.example/?https://nimbus.lan:8443"}, false},
		"a program":              {[]string{"Authorization", "Bearer x"}, true},
		"a cookie alone":         {[]string{"Cookie", "session=x"}, false},
	} {
		r := httptest.NewRequest("GET", "https://nimbus.lan:8443/socket.io/", nil)
		for i := 0; i < len(c.header); i += 2 {
			r.Header.Set(c.header[i], c.header[i+1])
		}
		if got := SameOrigin(r); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestOriginIsCheckedOnEveryRequest(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	evil := []string{"Origin", "https://evil.example"}
	p := n.poll()
	for _, c := range []struct{ method, query string }{
		{"GET", "EIO=4&transport=polling"}, {"GET", p.query()}, {"POST", p.query()},
	} {
		if status, body := n.do(c.method, c.query, "3", evil...); status != 403 || body != `{"code":4,"message":"Forbidden"}` {
			t.Errorf("%s %s: %d %s", c.method, c.query, status, body)
		}
	}
	for _, query := range []string{"EIO=4&transport=websocket", "EIO=4&transport=websocket&sid=" + p.sid} {
		if _, response, err := n.dial(query, evil...); err == nil || response.StatusCode != 403 {
			t.Errorf("%s: %v", query, err)
		}
	}
	p.connect()
}

func TestAuthenticationRefused(t *testing.T) {
	t.Parallel()
	n := newNode(t, func(c *Config) {
		before := c.Authenticate
		c.Authenticate = func(r *http.Request) (any, error) {
			if r.Header.Get("Cookie") == "" {
				return nil, &ConnectError{Message: "sign in first"}
			}
			return before(r)
		}
	})
	if status, body := n.do("GET", "EIO=4&transport=polling", ""); status != 403 || body != `{"code":4,"message":"sign in first"}` {
		t.Errorf("%d %s", status, body)
	}
	status, body := n.do("GET", "EIO=4&transport=polling", "", "Cookie", "session=revoked")
	if status != 403 || body != `{"code":4,"message":"Forbidden"}` { // the cause stays inside
		t.Errorf("%d %s", status, body)
	}
}

func TestConnectionLimits(t *testing.T) {
	t.Parallel()
	n := newNode(t, func(c *Config) { c.MaxConnections, c.MaxConnectionsPerSession = 3, 2 })
	open := func(session string) (int, string) {
		response := n.request("GET", "EIO=4&transport=polling", "", "Cookie", "session="+session)
		return response.StatusCode, response.Header.Get("Retry-After")
	}
	for i, c := range []struct {
		session string
		status  int
	}{{"ann", 200}, {"ann", 200}, {"ann", 503}, {"bob", 200}, {"cat", 503}} {
		status, retry := open(c.session)
		if status != c.status || (retry != "") != (status == 503) {
			t.Errorf("connection %d of %s: %d, Retry-After %q", i, c.session, status, retry)
		}
	}
	for _, s := range n.snapshot() {
		if s.key == "ann" {
			s.abort(ReasonForcedClose)
		}
	}
	if status, _ := open("ann"); status != 200 {
		t.Errorf("after the others left: %d", status)
	}
}

func TestHandshakeRate(t *testing.T) {
	t.Parallel()
	n := newNode(t, func(c *Config) { c.HandshakeRate, c.HandshakeBurst = 0.001, 2 })
	for i, want := range []int{200, 200, 429} {
		if status, body := n.do("GET", "EIO=4&transport=polling", ""); status != want {
			t.Errorf("handshake %d: %d %s", i, status, body)
		}
	}
}

func TestThrottle(t *testing.T) {
	t.Parallel()
	now := time.Now()
	limit := newThrottle(2, 3)
	allowed := func(key string, at time.Time) (count int) {
		for range 10 {
			if limit.allow(key, at) {
				count++
			}
		}
		return count
	}
	for _, c := range []struct {
		key   string
		after time.Duration
		want  int
	}{{"a", 0, 3}, {"b", 0, 3}, {"a", time.Second, 2}, {"a", 0, 0}, {"a", time.Hour, 3}} {
		if got := allowed(c.key, now.Add(c.after)); got != c.want {
			t.Errorf("%s after %v: %d, want %d", c.key, c.after, got, c.want)
		}
	}
	for i := range 3 * throttleKeys {
		limit.allow(fmt.Sprint(i), now)
	}
	if len(limit.buckets) > throttleKeys {
		t.Errorf("%d keys are remembered", len(limit.buckets))
	}
}

func TestRemoteNetwork(t *testing.T) {
	t.Parallel()
	for remote, want := range map[string]string{
		"192.0.2.7:1234":           "192.0.2.7",
		"[::ffff:192.0.2.7]:1234":  "192.0.2.7",
		"[2001:db8:1:2:3:4:5:6]:1": "2001:db8:1:2::/64",
		"[fe80::1%eth0]:1":         "fe80::/64",
		"name:1":                   "name",
		"@":                        "@",
	} {
		if got := remoteNetwork(&http.Request{RemoteAddr: remote}); got != want {
			t.Errorf("%s: %s, want %s", remote, got, want)
		}
	}
}

// flood emits until the buffer of a polling client that does not poll is full.
func flood(t *testing.T, n *node) (dropped int) {
	t.Helper()
	body := strings.Repeat("x", 1000)
	for range 20 {
		for _, s := range n.Namespace("/").Sockets() {
			if s.Emit("flood", body) != nil {
				dropped++
			}
		}
	}
	return dropped
}

func TestSlowConsumerIsDisconnected(t *testing.T) {
	t.Parallel()
	n := newNode(t, func(c *Config) { c.SendBuffer = 5000 })
	reasons := make(chan string, 1)
	n.OnDisconnect(func(_ *Socket, reason string) { reasons <- reason })
	p := n.poll()
	p.connect()
	flood(t, n)
	if got := <-reasons; got != ReasonSlowConsumer {
		t.Errorf("reason %q", got)
	}
	p.wantGone()
}

func TestSlowConsumerIsTold(t *testing.T) {
	t.Parallel()
	n := newNode(t, func(c *Config) { c.SendBuffer, c.SlowConsumer = 5000, SlowDrop })
	p := n.poll()
	p.connect()
	lost := flood(t, n)
	if lost < 10 {
		t.Fatalf("%d were dropped", lost)
	}
	if _, body := p.get(); strings.Count(body, "flood") != 20-lost {
		t.Errorf("%d came through, %d were dropped", strings.Count(body, "flood"), lost)
	}
	p.wantGet(fmt.Sprintf(`42["events_dropped",%d]`, lost))
	if flood(t, n) == 0 {
		t.Error("the buffer has no end any more")
	}
}

func TestLargeMessageFitsAlone(t *testing.T) {
	t.Parallel()
	n := newNode(t, func(c *Config) { c.SendBuffer = 1000 })
	b, id := n.browseConnected()
	large := strings.Repeat("x", 50_000)
	eventually(t, "nothing else is queued", func() bool { return queuedBytes(n) == 0 })
	if err := n.socket(id).Emit("large", large); err != nil {
		t.Fatal(err)
	}
	b.want(`42["large","` + large + `"]`)
}

func queuedBytes(n *node) int {
	total := 0
	for _, s := range n.snapshot() {
		s.mu.Lock()
		total += s.queued
		s.mu.Unlock()
	}
	return total
}

func TestFloodOfEventsSlowsItsSender(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	release := make(chan struct{})
	n.OnEvent("slow", func(_ context.Context, e *Event) {
		<-release
		_ = e.Ack()
	})
	b, _ := n.browseConnected()
	for range maxInbox + 50 {
		b.send(`420["slow"]`)
	}
	peer := n.snapshot()[0].peer
	eventually(t, "the inbox is full", func() bool { return inboxLength(peer) == maxInbox })
	time.Sleep(20 * time.Millisecond)
	if got := inboxLength(peer); got != maxInbox {
		t.Errorf("%d packets wait", got)
	}
	close(release)
	for range maxInbox + 50 {
		b.want(`430[]`)
	}
}

func inboxLength(p *peer) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.inbox)
}
