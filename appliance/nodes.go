package appliance

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	valkeygo "github.com/valkey-io/valkey-go"

	"nimbus/appliance/event"
	"nimbus/appliance/id"
	"nimbus/embedded/valkey"
)

// channel carries events between the nodes of one appliance.
const channel = "nimbus:events"

// publishTimeout bounds how long an event waits for Valkey.
const publishTimeout = 2 * time.Second

// node tells our own events from those of other nodes.
var node = id.New()

// envelope is an event on its way to other nodes.
type envelope struct {
	Node  id.ID       `json:"node"`
	Event event.Event `json:"event"`
}

// forward publishes an event to the other nodes without holding its publisher up.
func forward(cache *valkey.Server, log *slog.Logger) func(event.Event) {
	return func(e event.Event) {
		raw, err := json.Marshal(envelope{Node: node, Event: e})
		if err != nil {
			log.Error("an event could not be sent to other nodes", "event", e.Type, "error", err)
			return
		}
		client := cache.Client()
		if client == nil {
			log.Debug("an event was not sent to other nodes, because this one stops", "event", e.Type)
			return
		}
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), publishTimeout)
			defer cancel()
			err := client.Do(ctx, client.B().Publish().Channel(channel).Message(valkeygo.BinaryString(raw)).Build()).Error()
			if err != nil {
				log.Warn("an event did not reach other nodes", "event", e.Type, "error", err)
			}
		}()
	}
}

// listener delivers the events of other nodes to this one's bus.
type listener struct {
	cache *valkey.Server
	bus   *event.Bus
	log   *slog.Logger

	mu     sync.Mutex
	cancel context.CancelFunc
	done   chan struct{}
	failed error
}

func newListener(cache *valkey.Server, bus *event.Bus, log *slog.Logger) *listener {
	return &listener{cache: cache, bus: bus, log: log}
}

// Start subscribes, and again whenever the subscription breaks.
func (l *listener) Start(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cancel != nil {
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel, l.done = cancel, make(chan struct{})
	go l.run(ctx)
	return nil
}

func (l *listener) run(ctx context.Context) {
	defer close(l.done)
	for ctx.Err() == nil {
		client := l.cache.Client()
		err := client.Receive(ctx, client.B().Subscribe().Channel(channel).Build(), l.receive)
		l.note(err)
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
			l.note(nil)
		}
	}
}

func (l *listener) receive(m valkeygo.PubSubMessage) {
	var e envelope
	if err := json.Unmarshal([]byte(m.Message), &e); err != nil {
		l.log.Warn("an event of another node could not be read", "error", err)
		return
	}
	if e.Node != node {
		l.bus.Deliver(e.Event)
	}
}

func (l *listener) note(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = err
}

// Ready is nil while the events of other nodes are heard.
func (l *listener) Ready(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}

// Stop ends the subscription.
func (l *listener) Stop(context.Context) error {
	l.mu.Lock()
	cancel, done := l.cancel, l.done
	l.cancel = nil
	l.mu.Unlock()
	if cancel != nil {
		cancel()
		<-done
	}
	return nil
}
