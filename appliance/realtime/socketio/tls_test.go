package socketio

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// serveTLS is how the appliance serves: TLS, HTTP/2 for polling, deadlines on the server.
func serveTLS(t *testing.T, n *node) *httptest.Server {
	t.Helper()
	front := httptest.NewUnstartedServer(n.Server)
	front.EnableHTTP2 = true
	front.Config.ReadTimeout, front.Config.WriteTimeout = 300*time.Millisecond, 300*time.Millisecond
	front.StartTLS()
	t.Cleanup(front.Close)
	return front
}

func TestPollingOutlivesServerDeadlines(t *testing.T) {
	t.Parallel()
	n := newNode(t, func(c *Config) { c.PingInterval = 500 * time.Millisecond })
	front := serveTLS(t, n)
	for name, client := range map[string]*http.Client{
		"HTTP/2.0": front.Client(),
		"HTTP/1.1": {Transport: &http.Transport{TLSClientConfig: http1Only(front)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			query := "EIO=4&transport=polling"
			query += "&sid=" + parseGreeting(t, over(t, client, name, "GET", front.URL, query, "")).SID
			for range 2 { // a poll that is held longer than the server's WriteTimeout
				if got := over(t, client, name, "GET", front.URL, query, ""); got != "2" {
					t.Fatalf("%q", got)
				}
				if got := over(t, client, name, "POST", front.URL, query, "3"); got != "ok" {
					t.Fatalf("%q", got)
				}
			}
		})
	}
}

// over sends one request, which must use that version of HTTP.
func over(t *testing.T, client *http.Client, version, method, url, query, body string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url+"/socket.io/?"+query, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Origin", url)
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil || response.Proto != version {
		t.Fatal(err, response.Proto)
	}
	return string(content)
}

func TestWebSocketOverTLSIsCutAtOnce(t *testing.T) {
	t.Parallel()
	n := newNode(t, func(c *Config) { c.SendBuffer, c.CloseTimeout = 64<<20, 50*time.Millisecond })
	front := serveTLS(t, n)
	conn, _, err := websocket.Dial(t.Context(), front.URL+"/socket.io/?EIO=4&transport=websocket", &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: &http.Transport{TLSClientConfig: http1Only(front)}},
		HTTPHeader: http.Header{"Origin": {front.URL}},
	})
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{t: t, conn: conn}
	t.Cleanup(func() { _ = conn.CloseNow() })
	parseGreeting(t, b.next())
	b.connect("")
	b.want(`42["auth",{}]`)
	time.Sleep(400 * time.Millisecond) // longer than the server's deadlines
	b.send(`42["message",1]`)
	b.want(`42["message-back",1]`)
	for range 30 {
		if err := n.Emit("flood", strings.Repeat("x", 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	n.DisconnectSessions(func(any) bool { return true })
	eventually(t, "the connection is gone", func() bool { return n.Connections() == 0 })
	if took := time.Since(began); took > time.Second {
		t.Errorf("it took %v", took)
	}
}

func http1Only(front *httptest.Server) *tls.Config {
	config := front.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	config.NextProtos = []string{"http/1.1"}
	return config
}
