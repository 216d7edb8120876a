package realtime_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	auditapi "nimbus/appliance/audit/api"
	"nimbus/appliance/db/dbtest"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/permission"
	"nimbus/appliance/realtime"
)

const (
	readThing = "test:thing:read"
	readOther = "test:other:read"
)

// bench serves sockets over the real permission engine with a database of its
// own. Things of the kind "thing" may be watched with test:thing:read.
type bench struct {
	*realtime.Service
	t      *testing.T
	rights *permission.Service
	trail  *audit.Service
	bus    *event.Bus
	tenant id.ID
	other  id.ID
	url    string

	mu     sync.Mutex
	actors map[string]actor.Actor
	raised map[id.ID]id.ID                    // break-glass sessions by person
	racing func(context.Context, id.ID) error // may watch the kind "racing"
}

func newBench(t *testing.T) *bench {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	b := &bench{t: t, bus: event.NewBus(quiet), tenant: id.New(), other: id.New(), actors: map[string]actor.Actor{}, raised: map[id.ID]id.ID{}}
	d, history := dbtest.Open(t, audit.Migrations, permission.Migrations)
	isRoot := func(id.ID) bool { return false }
	check := func(ctx context.Context, p string) error { return b.rights.Check(ctx, p) }
	trail := audit.New(audit.Config{DB: d, Logger: quiet, Check: check, IsRoot: isRoot, Events: b.bus})
	b.trail = trail
	b.rights = permission.New(permission.Config{DB: d, Audit: trail, Events: b.bus, Logger: quiet, IsRoot: isRoot})
	for _, tenant := range []id.ID{b.tenant, b.other} {
		b.must(d.AddTenant(t.Context(), tenant, history))
		b.must(b.rights.Seed(t.Context(), tenant))
	}
	b.Service = realtime.New(realtime.Config{
		Events: b.bus, Logger: quiet, Authenticate: b.authenticate, Current: b.current, Lives: b.lives,
		Allowed: b.rights.AllowedOn, Held: b.rights.Mine, Follow: auditapi.Follow(trail), Record: auditapi.Record,
		Watchable: map[string]func(context.Context, id.ID) error{
			"thing":  func(ctx context.Context, _ id.ID) error { return b.rights.Check(ctx, readThing) },
			"other":  func(ctx context.Context, _ id.ID) error { return b.rights.Check(ctx, readOther) },
			"racing": func(ctx context.Context, subject id.ID) error { return b.racing(ctx, subject) },
		},
	})
	b.must(trail.Start(t.Context()))
	t.Cleanup(func() { _ = trail.Stop(context.Background()) })
	b.serve()
	return b
}

func (b *bench) serve() {
	b.must(b.Start(b.t.Context()))
	front := httptest.NewServer(b)
	b.url = front.URL
	b.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := b.Stop(ctx); err != nil {
			b.t.Error(err)
		}
		front.Close()
	})
}

func (b *bench) authenticate(r *http.Request) (actor.Actor, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a, ok := b.actors[r.Header.Get("Authorization")]
	return b.raise(a), ok, nil
}

// lives fails for who has no session any more.
func (b *bench) lives(_ context.Context, a actor.Actor) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.actors[a.Session.String()]; !ok {
		return fault.New(fault.Unauthenticated, "Your session has ended.")
	}
	return nil
}

func (b *bench) current(_ context.Context, a actor.Actor) actor.Actor {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.raise(a)
}

func (b *bench) raise(a actor.Actor) actor.Actor {
	a.BreakGlass = b.raised[a.ID]
	return a
}

// glass begins a break-glass session of somebody, or ends it with a zero id.
func (b *bench) glass(a actor.Actor, session id.ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.raised[a.ID] = session
}

// person makes somebody who holds some permissions in a tenant, each by a grant
// of its own.
func (b *bench) person(tenant id.ID, permissions ...string) (actor.Actor, []id.ID) {
	b.t.Helper()
	a := actor.Actor{Kind: actor.User, ID: id.New(), Name: "somebody", TenantID: tenant, Session: id.New()}
	b.mu.Lock()
	b.actors[a.Session.String()] = a
	b.mu.Unlock()
	var grants []id.ID
	for _, p := range permissions {
		grants = append(grants, b.grant(a, permission.Grant{Permission: p, Effect: permission.Allow}))
	}
	return a, grants
}

func subjectOf(a actor.Actor) permission.Subject {
	return permission.Subject{Kind: permission.UserSubject, ID: a.ID}
}

func (b *bench) grant(to actor.Actor, g permission.Grant) id.ID {
	b.t.Helper()
	made, err := b.rights.CreateGrant(b.system(to.TenantID), permission.DirectGrant{Subject: subjectOf(to), Grant: g})
	b.must(err)
	return made.ID
}

func (b *bench) system(tenant id.ID) context.Context {
	return actor.AsSystem(b.t.Context(), "test", tenant)
}

func (b *bench) publish(e event.Event) {
	b.t.Helper()
	b.must(b.bus.Publish(b.t.Context(), e, map[string]string{}))
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// browser is a Socket.IO connection over WebSocket. What it hears is kept with
// when it came.
type browser struct {
	t      *testing.T
	conn   *websocket.Conn
	heard  chan string
	closed chan struct{}
	paused sync.Mutex // held: nothing is read
}

// browse connects somebody.
func (b *bench) browse(a actor.Actor) *browser {
	b.t.Helper()
	header := http.Header{"Authorization": {a.Session.String()}, "Origin": {b.url}}
	conn, _, err := websocket.Dial(b.t.Context(), b.url+"/socket.io/?EIO=4&transport=websocket", &websocket.DialOptions{HTTPHeader: header})
	b.must(err)
	conn.SetReadLimit(64 << 20)
	w := &browser{t: b.t, conn: conn, heard: make(chan string, 1000), closed: make(chan struct{})}
	b.t.Cleanup(func() { _ = conn.CloseNow() })
	go w.listen()
	w.send("40")
	w.hears("40{")
	return w
}

func (w *browser) listen() {
	defer close(w.closed)
	for {
		w.paused.Lock()
		w.paused.Unlock() //nolint:staticcheck // waits for who holds it
		_, packet, err := w.conn.Read(context.Background())
		if err != nil {
			return
		}
		w.heard <- string(packet)
	}
}

func (w *browser) send(packet string) {
	w.t.Helper()
	if err := w.conn.Write(w.t.Context(), websocket.MessageText, []byte(packet)); err != nil {
		w.t.Fatal(err)
	}
}

// hears waits for a packet that contains a text and returns all up to it.
func (w *browser) hears(text string) string {
	w.t.Helper()
	var all strings.Builder
	late := time.After(30 * time.Second)
	for {
		select {
		case packet := <-w.heard:
			all.WriteString(packet + "\n")
			if strings.Contains(packet, text) {
				return all.String()
			}
		case <-late:
			w.t.Fatalf("%s was not heard, but %s", text, all.String())
		}
	}
}

// watch asks for a room and returns the answer.
func (w *browser) watch(kind string, subject id.ID) string {
	w.t.Helper()
	ask, err := json.Marshal([]any{"watch", map[string]any{"kind": kind, "id": subject}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.send("420" + string(ask))
	return w.hears("430")
}

func (w *browser) wantWatching(kind string, subject id.ID) {
	w.t.Helper()
	if answer := w.watch(kind, subject); !strings.Contains(answer, `"ok":true`) {
		w.t.Fatalf("watching %s: %s", kind, answer)
	}
}

// wantOpen fails when the connection is gone.
func (w *browser) wantOpen() {
	w.t.Helper()
	select {
	case <-w.closed:
		w.t.Error("the connection is closed")
	default:
	}
}

func (w *browser) wantClosed() {
	w.t.Helper()
	select {
	case <-w.closed:
	case <-time.After(5 * time.Second):
		w.t.Fatal("the connection is still open")
	}
}
