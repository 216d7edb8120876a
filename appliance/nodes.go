package appliance

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
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

// waiting bounds the events that wait for Valkey; what comes on top is lost,
// and the other nodes are told that something was.
const waiting = 4096

// envelope is an event on its way to other nodes.
type envelope struct {
	Node  id.ID       `json:"node"`
	Event event.Event `json:"event"`
}

// nodes carries the events of this node to the others and theirs to this
// one's bus, each node's in their order. Delivery is at most once: who may
// have missed something gets event.MissedEvent.
type nodes struct {
	self  id.ID // tells our own events from those of other nodes
	cache *valkey.Server
	bus   *event.Bus
	log   *slog.Logger
	queue chan event.Event
	lost  atomic.Bool // the other nodes miss something and do not know it yet

	mu     sync.Mutex
	cancel context.CancelFunc
	done   sync.WaitGroup
	failed error
}

func newNodes(cache *valkey.Server, bus *event.Bus, log *slog.Logger) *nodes {
	return &nodes{self: id.New(), cache: cache, bus: bus, log: log, queue: make(chan event.Event, waiting)}
}

// send queues an event for the other nodes without holding its publisher up.
func (n *nodes) send(e event.Event) {
	select {
	case n.queue <- e:
	default:
		n.lose("too many events wait for other nodes", nil)
	}
}

// lose remembers that the other nodes miss something, and logs the first.
func (n *nodes) lose(why string, err error) {
	if !n.lost.Swap(true) {
		n.log.Warn("events do not reach other nodes; they are told as soon as they can be", "why", why, "error", err)
	}
}

// Start begins to publish and to listen.
func (n *nodes) Start(context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cancel != nil {
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	n.done.Go(func() { n.publishAll(ctx) })
	n.done.Go(func() { n.listen(ctx) })
	return nil
}

// publishAll sends what is queued until ctx ends.
func (n *nodes) publishAll(ctx context.Context) {
	again := time.NewTicker(time.Second)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-n.queue:
			n.confess(ctx)
			if err := n.publish(ctx, e); err != nil && ctx.Err() == nil {
				n.lose("the cache does not take them", err)
			}
		case <-again.C:
			n.confess(ctx)
		}
	}
}

// confess tells the other nodes that they missed something.
func (n *nodes) confess(ctx context.Context) {
	if n.lost.Load() && n.publish(ctx, event.Event{Type: event.MissedEvent}) == nil {
		n.lost.Store(false)
	}
}

func (n *nodes) publish(ctx context.Context, e event.Event) error {
	raw, err := json.Marshal(envelope{Node: n.self, Event: e})
	if err != nil {
		return err
	}
	client := n.cache.Client()
	if client == nil {
		return errNoCache
	}
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	return client.Do(ctx, client.B().Publish().Channel(channel).Message(valkeygo.BinaryString(raw)).Build()).Error()
}

var errNoCache = errors.New("the cache is not started")

// listen subscribes, and again whenever the subscription breaks.
func (n *nodes) listen(ctx context.Context) {
	for ctx.Err() == nil {
		n.note(n.subscribe(ctx))
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// subscribe hears the other nodes until the subscription breaks. What they
// published before it began was missed.
func (n *nodes) subscribe(ctx context.Context) error {
	client := n.cache.Client()
	if client == nil {
		return errNoCache
	}
	ctx = valkeygo.WithOnSubscriptionHook(ctx, func(s valkeygo.PubSubSubscription) {
		if s.Kind != "subscribe" {
			return
		}
		n.note(nil)
		n.bus.Deliver(event.Event{Type: event.MissedEvent})
	})
	return client.Receive(ctx, client.B().Subscribe().Channel(channel).Build(), n.receive)
}

func (n *nodes) receive(m valkeygo.PubSubMessage) {
	var e envelope
	if err := json.Unmarshal([]byte(m.Message), &e); err != nil {
		n.log.Warn("an event of another node could not be read", "error", err)
		return
	}
	if e.Node != n.self {
		n.bus.Deliver(e.Event)
	}
}

func (n *nodes) note(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.failed = err
}

// Ready is nil while the events of other nodes are heard.
func (n *nodes) Ready(context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.failed
}

// Stop ends publishing and the subscription. What still waits is lost; other
// nodes read what they keep again within a minute.
func (n *nodes) Stop(context.Context) error {
	n.mu.Lock()
	cancel := n.cancel
	n.cancel = nil
	n.mu.Unlock()
	if cancel != nil {
		cancel()
		n.done.Wait()
	}
	return nil
}
