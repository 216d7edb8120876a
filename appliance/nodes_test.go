package appliance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	valkeygo "github.com/valkey-io/valkey-go"

	"nimbus/appliance/event"
	"nimbus/appliance/id"
	"nimbus/appliance/permission"
	"nimbus/embedded/valkey"
)

// heardBy is a bus that keeps what it delivers.
func heardBy() (*event.Bus, chan event.Event) {
	bus, heard := event.NewBus(slog.New(slog.DiscardHandler)), make(chan event.Event, 10_000)
	bus.Subscribe(func(e event.Event) { heard <- e })
	return bus, heard
}

func next(t *testing.T, heard <-chan event.Event) event.Event {
	t.Helper()
	select {
	case e := <-heard:
		return e
	case <-time.After(10 * time.Second):
		t.Fatal("nothing is heard")
		return event.Event{}
	}
}

// TestEventsKeepTheirOrderBetweenNodes has two nodes on one cache.
func TestEventsKeepTheirOrderBetweenNodes(t *testing.T) {
	quiet := slog.New(slog.DiscardHandler)
	cache := valkey.New(valkey.Config{Dir: t.TempDir(), Logger: quiet})
	if err := cache.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	mine, own := heardBy()
	theirs, heard := heardBy()
	here, there := newNodes(cache, mine, quiet), newNodes(cache, theirs, quiet)
	for _, n := range []*nodes{here, there} {
		if err := n.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []<-chan event.Event{own, heard} {
		if e := next(t, c); e.Type != event.MissedEvent {
			t.Fatalf("a subscription begins with %q", e.Type)
		}
	}
	for i := range 1000 {
		here.send(event.Event{Type: "test.counted", Data: json.RawMessage(fmt.Sprint(i))})
	}
	for i := 0; i < 1000; i++ {
		switch e := next(t, heard); {
		case e.Type == event.MissedEvent: // a subscription may be confirmed twice
			i--
		case string(e.Data) != fmt.Sprint(i):
			t.Fatalf("event %d is %q %s", i, e.Type, e.Data)
		}
	}

	if err := cache.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	here.send(event.Event{Type: "test.lost"})
	if err := cache.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if e := next(t, heard); e.Type != event.MissedEvent {
		t.Errorf("after a break they hear %q", e.Type)
	}
	for len(own) > 0 {
		if e := <-own; e.Type != event.MissedEvent {
			t.Errorf("a node hears its own %q", e.Type)
		}
	}
	for _, n := range []*nodes{here, there} {
		for end := time.Now().Add(20 * time.Second); n.Ready(t.Context()) != nil; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("it has not recovered: %v", n.Ready(t.Context()))
			}
		}
		if err := n.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
	_ = cache.Stop(t.Context())
	here.send(event.Event{Type: "test.late"}) // nobody takes it, nothing breaks
}

// TestTooManyEventsAreTold fills the queue of a node that cannot send.
func TestTooManyEventsAreTold(t *testing.T) {
	bus, _ := heardBy()
	n := newNodes(valkey.New(valkey.Config{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)}), bus, slog.New(slog.DiscardHandler))
	for range waiting {
		n.send(event.Event{Type: "test.counted"})
	}
	if n.lost.Load() {
		t.Error("something is lost already")
	}
	n.send(event.Event{Type: "test.counted"})
	if !n.lost.Load() {
		t.Error("what is lost is not known")
	}
}

// TestADeadNodeIsNoticed has one node leave and another fall silent.
func TestADeadNodeIsNoticed(t *testing.T) {
	bus, heard := heardBy()
	n := newNodes(valkey.New(valkey.Config{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)}), bus, slog.New(slog.DiscardHandler))
	says := func(node id.ID, what sign, ago time.Duration) {
		raw, err := json.Marshal(envelope{Node: node, Sign: what})
		if err != nil {
			t.Fatal(err)
		}
		n.receive(valkeygo.PubSubMessage{Message: string(raw)})
		if at, ok := n.others[node]; ok {
			n.others[node] = at.Add(-ago)
		}
	}
	left, dead, alive := id.New(), id.New(), id.New()
	says(left, lives, 2*silence)
	says(left, leaves, 0)
	says(alive, lives, silence/2)
	n.mourn()
	if len(heard) != 0 {
		t.Fatalf("nobody died, and %q is heard", (<-heard).Type)
	}
	says(dead, lives, 2*silence)
	n.mourn()
	n.mourn()
	if e := next(t, heard); e.Type != event.MissedEvent || len(heard) != 0 {
		t.Errorf("a death is told by %q and %d more", e.Type, len(heard))
	}
	says(dead, lives, 2*silence)
	n.note(errNoCache)
	n.mourn()
	if len(heard) != 0 {
		t.Error("who hears nobody takes all others for dead")
	}
}

// TestWhatIsTakenAwayIsSentFirst publishes an end of rights: who asked for it goes
// on when the other node has been told.
func TestWhatIsTakenAwayIsSentFirst(t *testing.T) {
	quiet := slog.New(slog.DiscardHandler)
	cache := valkey.New(valkey.Config{Dir: t.TempDir(), Logger: quiet})
	if err := cache.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cache.Stop(context.Background()) }()
	mine, _ := heardBy()
	n := newNodes(cache, mine, quiet)
	sent := make(chan struct{})
	go func() { n.send(event.Event{Type: permission.ChangedEvent}); close(sent) }()
	select {
	case <-sent:
		t.Fatal("it does not wait")
	case <-time.After(50 * time.Millisecond):
	}
	n.send(event.Event{Type: "test.counted"}) // does not wait
	if err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-sent:
	case <-time.After(10 * time.Second):
		t.Fatal("it waits for ever")
	}
	if err := n.Stop(t.Context()); err != nil || len(n.queue) != 0 {
		t.Errorf("stop: %v, %d events are left", err, len(n.queue))
	}
}

// part is one that fails, or not.
type part struct{ err error }

func (p part) Start(context.Context) error { return nil }
func (p part) Ready(context.Context) error { return p.err }
func (p part) Stop(context.Context) error  { return nil }

// TestALoadBalancerKeepsWhatCanAnswer fails a part that no request needs, and one
// that all need.
func TestALoadBalancerKeepsWhatCanAnswer(t *testing.T) {
	a, ready := New(Config{}), ""
	a.phase.Store(&ready)
	status := func(query string) int {
		w := httptest.NewRecorder()
		a.readyz(w, httptest.NewRequest(http.MethodGet, "/readyz"+query, nil))
		return w.Code
	}
	broken := errors.New("away")
	for name, want := range map[string][2]int{"web": {200, 200}, "audit-sinks": {503, 200}, "audit": {503, 503}} {
		p := part{broken}
		if name == "web" {
			p.err = nil
		}
		if err := a.running.start(t.Context(), name, subsystem{part: p}); err != nil {
			t.Fatal(err)
		}
		if got := [2]int{status(""), status("?only=vital")}; got != want {
			t.Errorf("%s: %v instead of %v", name, got, want)
		}
		if err := a.running.stopOne(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
}
