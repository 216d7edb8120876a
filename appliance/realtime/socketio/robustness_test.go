package socketio

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestRobustness27RevokedSessionIsCutAtOnce(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	ann, _ := n.browseConnected("Cookie", "session=ann")
	annIdle := n.browse("Cookie", "session=ann") // in no namespace yet
	bob, _ := n.browseConnected("Cookie", "session=bob")
	_, body := n.do("GET", "EIO=4&transport=polling", "", "Cookie", "session=ann")
	annPolls := &poller{n, parseGreeting(t, body).SID}
	annPolls.connect()

	began := time.Now()
	if cut := n.DisconnectIf(func(s *Socket) bool { return s.Session() == account{"ann"} }); cut != 2 {
		t.Errorf("%d connections were cut", cut)
	}
	if cut := n.DisconnectSessions(func(session any) bool { return session == account{"ann"} }); cut != 1 && cut != 3 {
		t.Errorf("%d connections without a namespace were cut", cut)
	}
	if err := n.Emit("secret"); err != nil {
		t.Fatal(err)
	}
	ann.want("41")
	ann.wantClosed()
	annIdle.wantClosed()
	if took := time.Since(began); took > 500*time.Millisecond {
		t.Errorf("it took %v", took)
	}
	annPolls.wantGet("41")
	annPolls.wantGet("1")
	annPolls.wantGone()
	bob.want(`42["secret"]`)
}

func TestRobustness27RevokedPeerThatDoesNotReadIsCut(t *testing.T) {
	t.Parallel()
	n := newNode(t, func(c *Config) { c.SendBuffer, c.CloseTimeout = 64<<20, 100*time.Millisecond })
	_, id := n.browseConnected()
	for range 40 { // more than the kernel takes
		if err := n.socket(id).Emit("flood", strings.Repeat("x", 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	n.DisconnectIf(func(*Socket) bool { return true })
	eventually(t, "the connection is gone", func() bool { return n.Connections() == 0 })
	if took := time.Since(began); took > time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestRobustness27WhatWasQueuedIsNotSentAfterRevocation(t *testing.T) {
	t.Parallel()
	n := newNode(t, func(c *Config) { c.SendBuffer, c.CloseTimeout = 64<<20, patience })
	b, id := n.browseConnected()
	b.connect("/custom,")
	b.want(`42/custom,["auth",{}]`)
	for range 40 { // more than the kernel takes
		if err := n.socket(id).Emit("flood", strings.Repeat("x", 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	n.DisconnectIf(func(*Socket) bool { return true })
	floods, goodbyes := 0, 0
	for packet, err := b.read(); err == nil; packet, err = b.read() {
		if strings.HasPrefix(packet, "41") {
			goodbyes++
		} else {
			floods++
		}
	}
	if floods >= 40 || goodbyes != 2 {
		t.Errorf("%d events and %d good-byes came after the revocation", floods, goodbyes)
	}
}

func TestRobustness27EventsAfterRevocationAreNotHandled(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	entered, release := make(chan struct{}, 10), make(chan struct{})
	n.OnEvent("write", func(ctx context.Context, _ *Event) {
		entered <- struct{}{}
		<-release
		if ctx.Err() == nil {
			t.Error("the handler was not told")
		}
	})
	parted := make(chan struct{})
	n.OnDisconnect(func(*Socket, string) { close(parted) })
	b, _ := n.browseConnected()
	for range 5 {
		b.send(`42["write"]`)
	}
	<-entered
	n.DisconnectIf(func(*Socket) bool { return true })
	close(release)
	<-parted
	if len(entered) != 0 {
		t.Errorf("%d more events were handled", len(entered))
	}
}

// rawClients opens WebSockets that cost this process next to nothing: the handshake by hand on
// a bare connection, then nobody reads.
func rawClients(t testing.TB, address string, count int) []net.Conn {
	t.Helper()
	clients := make([]net.Conn, count)
	for i := range clients {
		clients[i] = rawClient(t, address)
	}
	return clients
}

func rawClient(t testing.TB, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	_, err = fmt.Fprintf(conn, "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: %s\r\nOrigin: http://%s\r\n"+
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
		address, address)
	if err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReaderSize(conn, 1024)
	response, err := http.ReadResponse(reader, nil)
	if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(err, response)
	}
	// CONNECT to the main namespace: a masked text frame of two bytes, with a mask of zeros.
	if _, err := conn.Write([]byte{0x81, 0x82, 0, 0, 0, 0, '4', '0'}); err != nil {
		t.Fatal(err)
	}
	return conn
}

func manyConnections(c *Config) {
	c.MaxConnections, c.MaxConnectionsPerSession, c.HandshakeBurst = 1<<20, 1<<20, 1<<20
}

// Not parallel: it counts the goroutines and the memory of the process.
func TestIdleCostAndNoLeak(t *testing.T) {
	const count, perSocket = 500, 16 << 10
	s := New(testConfig(manyConnections))
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(s)
	defer front.Close()
	address := front.Listener.Addr().String()
	warm := rawClient(t, address)
	settled := func(sockets int) func() bool {
		return func() bool { return len(s.Namespace("/").Sockets()) == sockets }
	}
	eventually(t, "the first is connected", settled(1))
	goroutines, memory := runtime.NumGoroutine(), inUse()

	clients := rawClients(t, address, count)
	eventually(t, "all are connected", settled(count+1))
	eventually(t, "each holds one goroutine", func() bool { return runtime.NumGoroutine()-goroutines <= count+5 })
	cost := (inUse() - memory) / count
	t.Logf("an idle socket costs %d bytes", cost)
	if cost > perSocket && !raceDetector {
		t.Errorf("an idle socket costs %d bytes, more than %d", cost, perSocket)
	}

	for _, c := range append(clients, warm) {
		_ = c.Close()
	}
	eventually(t, "all are gone", func() bool { return s.Connections() == 0 && settled(0)() })
	eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= goroutines })
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "no memory is left", func() bool { return raceDetector || int64(inUse())-int64(memory) <= count*perSocket/8 })
}

// inUse is the heap and the stacks.
func inUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// Not parallel: it counts the goroutines of the process.
func TestPollersLeaveNothing(t *testing.T) {
	s := New(testConfig(quickHeartbeat))
	n := serve(t, s)
	before := runtime.NumGoroutine()
	for range 20 {
		n.poll() // and never again
	}
	eventually(t, "their heartbeats ran out", func() bool { return n.Connections() == 0 })
	http.DefaultClient.CloseIdleConnections()
	eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before })
}

func TestStopGivesUpOnHandlersThatHang(t *testing.T) {
	t.Parallel()
	s := New(testConfig())
	entered, release := make(chan struct{}), make(chan struct{})
	s.OnEvent("hang", func(context.Context, *Event) { close(entered); <-release })
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(s)
	defer front.Close()
	n := &node{t, s, front}
	b := n.browse()
	b.connect("")
	b.send(`42["hang"]`)
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	b.wantClosed()
	close(release)
	if err := s.Stop(t.Context()); err != nil {
		t.Errorf("the second Stop: %v", err)
	}
}

// BenchmarkBroadcast1000 is one event to a room of 1,000 WebSockets, up to the last byte read.
func BenchmarkBroadcast1000(b *testing.B) {
	const count = 1000
	s := New(testConfig(manyConnections))
	s.OnConnect(func(socket *Socket) error { return socket.Join("room") })
	if err := s.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	front := httptest.NewServer(s)
	defer front.Close()
	defer func() { _ = s.Stop(b.Context()) }()
	clients := rawClients(b, front.Listener.Addr().String(), count)
	for len(s.Namespace("/").Sockets()) < count {
		time.Sleep(time.Millisecond)
	}
	payload := map[string]any{"id": "deployment-1", "status": "applying", "log": strings.Repeat("x", 200)}
	m, err := encodeEvent("/", "progress", -1, []any{payload})
	if err != nil {
		b.Fatal(err)
	}
	received := countBytes(clients)
	perRound := int64(count * (m.size() + 4)) // two bytes of header and two of length on each frame
	time.Sleep(100 * time.Millisecond)
	b.ReportAllocs()
	for b.Loop() {
		start := received.Load()
		if err := s.To("room").Emit("progress", payload); err != nil {
			b.Fatal(err)
		}
		for received.Load() < start+perRound {
			time.Sleep(50 * time.Microsecond)
		}
	}
	b.ReportMetric(float64(count)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// countBytes reads everything that comes to the clients and counts it.
func countBytes(clients []net.Conn) *atomic.Int64 {
	total := new(atomic.Int64)
	for _, c := range clients {
		go func() {
			buffer := make([]byte, 4096)
			for {
				n, err := c.Read(buffer)
				total.Add(int64(n))
				if err != nil {
					return
				}
			}
		}()
	}
	return total
}
