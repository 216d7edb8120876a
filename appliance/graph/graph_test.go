package graph

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	auditapi "nimbus/appliance/audit/api"
	"nimbus/appliance/breakglass"
	"nimbus/appliance/db/dbtest"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/identity"
)

// bench is the service behind a server, with one tenant whose actor is Ann.
type bench struct {
	t      *testing.T
	url    string
	audit  *audit.Service
	events *event.Bus
	ann    actor.Actor
	denied atomic.Bool
	over   atomic.Bool // what let Ann in has ended
	ctx    context.Context
}

func newBench(t *testing.T) *bench {
	t.Helper()
	d, history := dbtest.Open(t, audit.Migrations)
	log := slog.New(slog.DiscardHandler)
	b := &bench{t: t, events: event.NewBus(log), ann: actor.Actor{Kind: actor.User, ID: id.New(), Name: "Ann", TenantID: id.New(), Session: id.New()}}
	b.audit = audit.New(audit.Config{DB: d, Logger: log, Events: b.events, IsRoot: func(id.ID) bool { return false },
		Check: func(_ context.Context, p string) error {
			if b.denied.Load() {
				return fault.New(fault.Forbidden, "You may not: %s is missing.", p)
			}
			return nil
		}})
	b.ctx = actor.With(t.Context(), b.ann)
	must(t, d.AddTenant(t.Context(), b.ann.TenantID, history))
	must(t, b.audit.Start(t.Context()))
	g := New(Settings{Audit: b.audit, Events: b.events, Logger: log, Record: auditapi.Trail(b.audit).Record,
		Lives: func(context.Context, actor.Actor) error {
			if b.over.Load() {
				return fault.New(fault.Unauthenticated, "It is over.")
			}
			return nil
		}})
	must(t, g.Start(t.Context()))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Nobody") == "" {
			r = r.WithContext(actor.With(r.Context(), b.ann))
		}
		g.ServeHTTP(w, r)
	}))
	b.url = server.URL + "/graphql"
	t.Cleanup(func() {
		_ = g.Stop(context.Background())
		server.Close()
		_ = b.audit.Stop(context.Background())
	})
	return b
}

func (b *bench) record(event string) {
	b.t.Helper()
	must(b.t, b.audit.RecordAlone(b.ctx, b.ann.TenantID, audit.Entry{
		Event: event, Target: audit.Target{Kind: "thing", Name: "x"}, After: map[string]any{"name": "new", "password": "canary"},
	}))
}

func (b *bench) post(body string, header ...string) (int, string) {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.url, strings.NewReader(body))
	must(b.t, err)
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	must(b.t, err)
	defer answer.Body.Close()
	var text strings.Builder
	buf := make([]byte, 4096)
	for n, err := answer.Body.Read(buf); n > 0 || err == nil; n, err = answer.Body.Read(buf) {
		text.Write(buf[:n])
	}
	return answer.StatusCode, text.String()
}

func query(q string) string {
	body, _ := json.Marshal(map[string]string{"query": q})
	return string(body)
}

func TestQueries(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for i := range 3 {
		b.record(fmt.Sprintf("test.thing.done-%d", i))
	}
	page := ""
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(page, "done-2") && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		_, page = b.post(query(`{ viewer { name } auditRecords(first: 2, filter: {event: "test"}) { next items { sequence event actor { name } after } } }`))
	}
	want := `{"data":{"viewer":{"name":"Ann"},"auditRecords":{"next":"2","items":[{"sequence":3,"event":"test.thing.done-2","actor":{"name":"Ann"},"after":{"name":"new","password":"••••••"}},`
	if !strings.HasPrefix(page, want) {
		t.Fatalf("first page %s", page)
	}
	_, page = b.post(query(`{ auditRecords(first: 2, after: "2") { next items { event } } auditRecord(sequence: 1) { event leaf } }`))
	if !strings.HasPrefix(page, `{"data":{"auditRecords":{"next":null,"items":[{"event":"test.thing.done-0"}]},"auditRecord":{"event":"test.thing.done-0","leaf":"`) {
		t.Errorf("second page %s", page)
	}
	_, answer := b.post(query(`{ auditRecord(sequence: 99) { event } }`))
	if !strings.Contains(answer, `"code":"not_found"`) {
		t.Errorf("a record that is not there: %s", answer)
	}
	b.denied.Store(true)
	_, answer = b.post(query(`{ auditRecords { items { event } } }`))
	if !strings.Contains(answer, `"code":"forbidden"`) || strings.Contains(answer, "test.thing") {
		t.Errorf("without the right: %s", answer)
	}
	if status, _ := b.post(query(`{ viewer { name } }`), "X-Nobody", "1"); status != http.StatusUnauthorized {
		t.Errorf("nobody gets %d", status)
	}
	if status, _ := b.post(query(`{ viewer { name } }`), "Content-Type", "text/plain"); status != http.StatusBadRequest && status != http.StatusUnprocessableEntity {
		t.Errorf("a form gets %d", status)
	}
}

// TestRobustness37Bombs sends queries that are cheap to write and dear to answer.
func TestRobustness37Bombs(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	deep := "{ viewer { name } " + strings.Repeat("... on Query { ", 50) + "viewer { id }" + strings.Repeat(" }", 50) + " }"
	nested := "{ __schema { types " + strings.Repeat("{ fields { type ", 25) + "{ name }" + strings.Repeat(" } }", 25) + " } }"
	bombs := map[string]string{
		"depth 50":        query(nested),
		"fragments in 50": query(deep),
		"7,000 aliases":   query("{ " + repeat(7000, "a%d: viewer { name } ") + "}"),
		"700 aliases":     query("{ " + repeat(700, "a%d: viewer { name } ") + "}"),
		"the same field":  query("{ " + strings.Repeat("viewer { name } ", 900) + "}"),
		"100k directives": query("{ viewer { name " + strings.Repeat("@a ", 100_000) + "} }"),
		"60 directives":   query("{ viewer { name " + strings.Repeat("@a ", 60) + "} }"),
		"fragment cycle":  query("{ viewer { ...a } } fragment a on Viewer { ...b } fragment b on Viewer { ...a }"),
		"fragments twice": query("{ viewer { ...f0 } } " + doubling(20)),
		"batch of 1,000":  "[" + strings.Repeat(query("{ viewer { name } }")+",", 999) + query("{ viewer { name } }") + "]",
		"no query":        "{}",
		"large":           query("{ viewer { name } } #" + strings.Repeat("x", 100_000)),
	}
	b.post(query("{ viewer { name } }")) // the connection is open
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for name, bomb := range bombs {
		start := time.Now()
		status, answer := b.post(bomb)
		if took := time.Since(start); status != http.StatusBadRequest || strings.Contains(answer, `"data":{`) {
			t.Errorf("%s: %d after %v: %.200s", name, status, took, answer)
		} else {
			t.Logf("%s: refused after %v", name, took)
		}
	}
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 64<<20 {
		t.Errorf("the heap grew by %d MB", grown>>20)
	}
	_, answer := b.post(query("{ " + repeat(100, "a%d: auditRecords(first: 200) { items { event time } } ") + "}"))
	if !strings.Contains(answer, "complexity") {
		t.Errorf("100 lists at once: %.200s", answer)
	}
}

func repeat(n int, format string) string {
	var s strings.Builder
	for i := range n {
		fmt.Fprintf(&s, format, i)
	}
	return s.String()
}

// doubling is fragments of which each uses the next twice.
func doubling(n int) string {
	var s strings.Builder
	for i := range n {
		fmt.Fprintf(&s, "fragment f%d on Viewer { ...f%d ...f%d } ", i, i+1, i+1)
	}
	fmt.Fprintf(&s, "fragment f%d on Viewer { name }", n)
	return s.String()
}

type message struct {
	ID      string          `json:"id,omitempty"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

func (b *bench) dial(header http.Header) (*websocket.Conn, error) {
	c, answer, err := websocket.Dial(b.t.Context(), b.url, &websocket.DialOptions{Subprotocols: []string{"graphql-transport-ws"}, HTTPHeader: header})
	if answer != nil && answer.Body != nil && err != nil {
		_ = answer.Body.Close()
	}
	return c, err
}

func (b *bench) subscribe(q string) *websocket.Conn {
	b.t.Helper()
	c, err := b.dial(nil)
	must(b.t, err)
	b.t.Cleanup(func() { _ = c.CloseNow() })
	must(b.t, wsjson.Write(b.t.Context(), c, message{Type: "connection_init"}))
	if m, err := next(b.t.Context(), c); err != nil || m.Type != "connection_ack" {
		b.t.Fatalf("%+v %v", m, err)
	}
	must(b.t, wsjson.Write(b.t.Context(), c, message{ID: "1", Type: "subscribe", Payload: json.RawMessage(query(q))}))
	return c
}

// next skips what only keeps the connection alive.
func next(ctx context.Context, c *websocket.Conn) (message, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		var m message
		if err := wsjson.Read(ctx, c, &m); err != nil || m.Type != "ping" && m.Type != "pong" && m.Type != "ka" {
			return m, err
		}
	}
}

const follow = `subscription { auditRecorded(filter: {event: "test"}) { lost records { event } } }`

func TestSubscription(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c := b.subscribe(follow)
	begun, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { // the subscription begins some time after it was asked for
		defer close(done)
		for ; begun.Err() == nil; time.Sleep(100 * time.Millisecond) {
			b.record("test.thing.done")
		}
	}()
	m, err := next(t.Context(), c)
	cancel()
	<-done
	must(t, err)
	if m.Type != "next" || !strings.Contains(string(m.Payload), `"event":"test.thing.done"`) {
		t.Fatalf("%s %s", m.Type, m.Payload)
	}
	b.denied.Store(true)
	b.record("test.thing.secret")
	for m.Type == "next" {
		if m, err = next(t.Context(), c); err != nil || strings.Contains(string(m.Payload), "secret") {
			t.Fatalf("without the right: %s %s %v", m.Type, m.Payload, err)
		}
	}
	if m.Type != "complete" {
		t.Errorf("it ended with %s", m.Type)
	}
}

// TestWhatComesOverASocketIsRecorded: every operation once, with its fields, who
// asked and how it ended, whatever becomes of it.
func TestWhatComesOverASocketIsRecorded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.subscribe(follow)
	for _, q := range []string{"query Me { viewer { name } }", "subscription { nonsense }", "{ auditRecord(sequence: 99999) { id } }"} {
		c := b.subscribe(q)
		for {
			m, err := next(t.Context(), c)
			if must(t, err); m.Type == "complete" {
				break
			}
		}
	}
	refused := b.subscribe("subscription { " + repeat(600, "a%d: auditRecorded { lost } ") + "}")
	_, err := next(t.Context(), refused)
	must(t, err)
	b.denied.Store(true)
	secret := b.subscribe("subscription Spy { auditRecorded { lost } }")
	_, err = next(t.Context(), secret)
	must(t, err)
	b.denied.Store(false)
	want := map[string]int{
		"success 200 subscription auditRecorded": 1, "success 200 query Me viewer": 1, "failure 400 subscription nonsense": 1,
		"failure 404 query auditRecord": 1, "failure 400 <nil>": 1, "denied 403 subscription Spy auditRecorded": 1,
	}
	got := map[string]int{}
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline) && len(got) < len(want); time.Sleep(20 * time.Millisecond) {
		got = b.calls()
	}
	if !maps.Equal(got, want) {
		t.Errorf("recorded: %v", got)
	}
}

// calls counts the recorded calls of Ann by how they ended and what they asked.
func (b *bench) calls() map[string]int {
	b.t.Helper()
	all, err := b.audit.List(b.ctx, audit.Filter{Category: "api", Actor: b.ann.ID.String(), Limit: 200})
	must(b.t, err)
	counts := map[string]int{}
	for _, r := range all {
		var d struct {
			Status           int
			Route, Operation any
		}
		must(b.t, json.Unmarshal(r.Details, &d))
		if d.Route != "/graphql" {
			b.t.Errorf("%+v", d)
		}
		counts[fmt.Sprintf("%s %d %v", r.Outcome, d.Status, d.Operation)]++
	}
	return counts
}

func TestSubscriptionEndsWithItsSession(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	other, mine := b.subscribe(follow), b.subscribe(follow)
	_ = other.CloseNow()
	start := time.Now()
	b.events.Deliver(event.Event{Type: identity.SessionEnded, User: b.ann.ID, ID: b.ann.Session})
	wantEnded(t, mine, start)
	missing := b.subscribe(follow)
	start = time.Now()
	b.events.Deliver(event.Event{Type: event.MissedEvent})
	wantEnded(t, missing, start)
}

// TestRobustness27SubscriptionEndsWithTheEmergency: rights that an emergency
// session gave do not outlive it in a socket that was opened under it.
func TestRobustness27SubscriptionEndsWithTheEmergency(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	own := b.subscribe(follow)
	b.ann.BreakGlass = id.New()
	raised := b.subscribe(follow)
	start := time.Now()
	b.events.Deliver(event.Event{Type: breakglass.EventEnded, Tenant: b.ann.TenantID, ID: b.ann.BreakGlass})
	wantEnded(t, raised, start)
	must(t, own.Ping(own.CloseRead(t.Context())))
}

// TestRobustness27NoSocketOfASessionThatJustEnded: between the question who it
// is and the moment when the socket can be cut the session may end.
func TestRobustness27NoSocketOfASessionThatJustEnded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.over.Store(true)
	c, err := b.dial(nil)
	if err == nil {
		_ = c.CloseNow()
		t.Fatal("the socket opened")
	}
}

// wantEnded reads what was on its way until the connection is closed.
func wantEnded(t *testing.T, c *websocket.Conn, since time.Time) {
	t.Helper()
	for {
		m, err := next(t.Context(), c)
		if err != nil || m.Type != "complete" {
			if took := time.Since(since); err == nil || took > time.Second {
				t.Errorf("after %v: %+v %v", took, m, err)
			}
			return
		}
	}
}

func TestSubscriptionsOfOtherSites(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if _, err := b.dial(http.Header{"Origin": {"https://evil.example"}}); err == nil {
		t.Error("another site may open a socket")
	}
	if _, err := b.dial(http.Header{"X-Nobody": {"1"}}); err == nil {
		t.Error("nobody may open a socket")
	}
	c := b.subscribe("subscription { " + repeat(600, "a%d: auditRecorded { lost } ") + "}")
	if m, err := next(t.Context(), c); err != nil || !strings.Contains(string(m.Payload), `"data":null`) {
		t.Errorf("a bomb over a socket: %+v %v", m, err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
