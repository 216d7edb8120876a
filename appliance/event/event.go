// Package event tells the rest of the appliance, and browsers, that something
// happened. An event published in a transaction leaves after the commit, and
// never when it is rolled back. Delivery is best effort and at most once:
// what must happen for certain is a workflow, not an event.
package event

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"sync"

	"nimbus/appliance/db"
	"nimbus/appliance/id"
)

// Event is one thing that happened.
type Event struct {
	// Type is subject and past participle, e.g. "deployment.updated".
	Type string `json:"type"`
	// ID is the subject's id.
	ID id.ID `json:"id,omitzero"`
	// Tenant owns the subject; zero means the provider level.
	Tenant id.ID `json:"tenant_id,omitzero"`
	// User, when set, is the only one who may see it.
	User id.ID `json:"user_id,omitzero"`
	// Permission is needed to see it, e.g. "deployment:stack:read".
	Permission string `json:"permission,omitempty"`
	// On is what Permission is asked about; nil where grants know no more of it.
	On *On `json:"on,omitempty"`
	// Watched events reach only those who watch the subject, e.g. "deployment".
	Watched string `json:"watched,omitempty"`
	// Data is the JSON that browsers get.
	Data json.RawMessage `json:"data,omitempty"`
}

// On is a subject as grants see it: its compartment counts, and conditions ask
// about the rest.
type On struct {
	Kind        string         `json:"kind"`
	ID          id.ID          `json:"id,omitzero"`
	Compartment id.ID          `json:"compartment_id,omitzero"`
	Attributes  map[string]any `json:"attributes,omitempty"`
}

// MissedEvent is delivered when events of another node may have been lost:
// whoever keeps something until an event says that it is stale forgets it.
const MissedEvent = "events.missed"

// Bus carries events to subscribers in this process and, when a broker is set,
// to those of other nodes. It is safe for concurrent use.
type Bus struct {
	logger *slog.Logger

	mu          sync.RWMutex
	subscribers []*subscriber
	forward     func(Event)
}

type subscriber struct{ fn func(Event) }

// NewBus returns a bus without subscribers.
func NewBus(logger *slog.Logger) *Bus { return &Bus{logger: logger} }

// Publish delivers e after the surrounding commit. data becomes e.Data; it
// must marshal.
func (b *Bus) Publish(ctx context.Context, e Event, data any) error {
	raw, err := json.Marshal(data)
	if err != nil {
		return err
	}
	e.Data = raw
	db.OnCommit(ctx, func() {
		b.Deliver(e)
		b.mu.RLock()
		forward := b.forward
		b.mu.RUnlock()
		if forward != nil {
			forward(e)
		}
	})
	return nil
}

// Deliver hands e to the subscribers of this process, one after the other in
// the order in which they came: a domain that forgets what it kept does so
// before those above it ask anew. Other nodes' events come in here. A
// subscriber that panics is logged and keeps its place.
func (b *Bus) Deliver(e Event) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, s := range b.subscribers {
		b.call(s.fn, e)
	}
}

func (b *Bus) call(fn func(Event), e Event) {
	defer func() {
		if p := recover(); p != nil {
			b.logger.Error("event subscriber panicked", "event", e.Type, "panic", p)
		}
	}()
	fn(e)
}

// Subscribe calls fn for every event until the returned function is called.
// fn runs on the publisher's goroutine: it must be quick and not block.
func (b *Bus) Subscribe(fn func(Event)) (cancel func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	mine := &subscriber{fn}
	b.subscribers = append(b.subscribers, mine)
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.subscribers = slices.DeleteFunc(b.subscribers, func(s *subscriber) bool { return s == mine })
	}
}

// Forward sets what carries events to the other nodes; nil: nothing.
func (b *Bus) Forward(fn func(Event)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forward = fn
}
