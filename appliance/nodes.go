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

	"nimbus/appliance/breakglass"
	"nimbus/appliance/event"
	"nimbus/appliance/id"
	"nimbus/appliance/identity"
	"nimbus/appliance/permission"
	"nimbus/embedded/valkey"
)

// channel carries events between the nodes of one appliance.
const channel = "nimbus:events"

// publishTimeout bounds how long an event waits for Valkey.
const publishTimeout = 2 * time.Second

// waiting bounds the events that wait for Valkey; what comes on top is lost,
// and the other nodes are told that something was.
const waiting = 4096

const (
	// alive is how often a node says that it lives.
	alive = time.Second
	// silence is how long a node may say nothing. Then it is taken for dead, and
	// what it had not sent for lost.
	silence = 10 * time.Second
)

// sign is what a node says of itself.
type sign string

const (
	lives  sign = "lives"
	leaves sign = "leaves" // and has sent everything
)

// envelope is an event, or a sign, on its way to other nodes.
type envelope struct {
	Node  id.ID       `json:"node"`
	Event event.Event `json:"event"`
	Sign  sign        `json:"sign,omitempty"`
}

// waiter is an event that waits for Valkey; sent, if any, is closed when it is there.
type waiter struct {
	event.Event
	sent chan struct{}
}

// urgent take something away from somebody. Who asked for that gets the answer
// when the other nodes can know, so that a node that dies then keeps nothing back.
var urgent = map[string]bool{permission.ChangedEvent: true, identity.SessionEnded: true, breakglass.EventEnded: true}

// nodes carries the events of this node to the others and theirs to this
// one's bus, each node's in their order. Delivery is at most once: who may
// have missed something, because the cache was away or a node died, gets
// event.MissedEvent.
type nodes struct {
	self  id.ID // tells our own events from those of other nodes
	cache *valkey.Server
	bus   *event.Bus
	log   *slog.Logger
	queue chan waiter
	lost  atomic.Bool // the other nodes miss something and do not know it yet

	mu     sync.Mutex
	ended  <-chan struct{}     // nil before Start
	others map[id.ID]time.Time // when each was heard last
	cancel context.CancelFunc
	done   sync.WaitGroup
	failed error
}

func newNodes(cache *valkey.Server, bus *event.Bus, log *slog.Logger) *nodes {
	return &nodes{self: id.New(), cache: cache, bus: bus, log: log, queue: make(chan waiter, waiting), others: map[id.ID]time.Time{}}
}

// send queues an event for the other nodes. It holds its publisher up only when
// the event is urgent and the cache is there.
func (n *nodes) send(e event.Event) {
	w := waiter{Event: e}
	if urgent[e.Type] && !n.lost.Load() {
		w.sent = make(chan struct{})
	}
	select {
	case n.queue <- w:
	default:
		n.lose("too many events wait for other nodes", nil)
		return
	}
	if w.sent != nil {
		n.await(w.sent)
	}
}

// await is over when the event is sent, and at the latest after a while.
func (n *nodes) await(sent <-chan struct{}) {
	n.mu.Lock()
	ended := n.ended
	n.mu.Unlock()
	late := time.NewTimer(publishTimeout)
	defer late.Stop()
	select {
	case <-sent:
	case <-ended:
	case <-late.C:
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
	n.cancel, n.ended = cancel, ctx.Done()
	n.done.Go(func() { n.publishAll(ctx) })
	n.done.Go(func() { n.listen(ctx) })
	return nil
}

// publishAll sends what is queued until ctx ends, and then what still waits.
func (n *nodes) publishAll(ctx context.Context) {
	beat := time.NewTicker(alive)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			n.leave()
			return
		case w := <-n.queue:
			n.forward(ctx, w)
		case <-beat.C:
			n.confess(ctx)
			_ = n.publish(ctx, envelope{Sign: lives}) // the next one is soon
			n.mourn()
		}
	}
}

func (n *nodes) forward(ctx context.Context, w waiter) {
	n.confess(ctx)
	if err := n.publish(ctx, envelope{Event: w.Event}); err != nil && ctx.Err() == nil {
		n.lose("the cache does not take them", err)
	}
	if w.sent != nil {
		close(w.sent)
	}
}

// leave sends what waits and says that nothing was lost.
func (n *nodes) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), publishTimeout)
	defer cancel()
	for len(n.queue) > 0 {
		n.forward(ctx, <-n.queue)
	}
	n.confess(ctx)
	if !n.lost.Load() {
		_ = n.publish(ctx, envelope{Sign: leaves}) // else they find out themselves
	}
}

// mourn tells this node that a silent one may have died with events unsent.
// While this one hears nobody it says nothing: it asks anew when it hears again.
func (n *nodes) mourn() {
	n.mu.Lock()
	died := false
	for other, at := range n.others {
		if n.failed == nil && time.Since(at) > silence {
			delete(n.others, other)
			died = true
		}
	}
	n.mu.Unlock()
	if died {
		n.log.Warn("another node is silent; what it had not told yet is asked for anew")
		n.bus.Deliver(event.Event{Type: event.MissedEvent})
	}
}

// confess tells the other nodes that they missed something.
func (n *nodes) confess(ctx context.Context) {
	if n.lost.Load() && n.publish(ctx, envelope{Event: event.Event{Type: event.MissedEvent}}) == nil {
		n.lost.Store(false)
	}
}

func (n *nodes) publish(ctx context.Context, e envelope) error {
	e.Node = n.self
	raw, err := json.Marshal(e)
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
		n.forgetOthers()
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
	if e.Node == n.self {
		return
	}
	n.mu.Lock()
	n.others[e.Node] = time.Now()
	if e.Sign == leaves {
		delete(n.others, e.Node)
	}
	n.mu.Unlock()
	if e.Sign == "" {
		n.bus.Deliver(e.Event)
	}
}

// forgetOthers begins to listen for who lives: what was missed is told anyway.
func (n *nodes) forgetOthers() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.others)
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

// Stop sends what still waits and ends publishing and the subscription.
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
