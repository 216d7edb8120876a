package deployment

import (
	"context"
	"strings"
	"sync"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/event"
	"nimbus/appliance/id"
)

const (
	maxMessage = 4 << 10 // bytes of one message
	maxEvents  = 10_000  // of one run
	flushEvery = 50 * time.Millisecond
)

// recorder stores and publishes the events of a run in groups, so that the
// engine never waits for the database.
type recorder struct {
	j    *job
	run  id.ID           // the job's run changes while it works
	on   *event.On       // likewise
	ctx  context.Context // of the step, without its end
	wake chan struct{}
	done chan struct{}

	mu      sync.Mutex
	waiting []Event
	closed  bool
}

func newRecorder(ctx context.Context, j *job) *recorder {
	r := &recorder{j: j, run: j.d.ID, on: running(j.stack.resource(), j.d.Operation, j.d.Plan).On(),
		ctx: context.WithoutCancel(ctx), wake: make(chan struct{}, 1), done: make(chan struct{})}
	go r.loop()
	return r
}

// add takes one event of the engine, redacted. The stack itself and the
// provider's settings are not resources in a person's eyes.
func (r *recorder) add(e EngineEvent) {
	if e.Kind == "resource" && strings.HasPrefix(e.Type, "pulumi:") {
		return
	}
	text := r.j.secrets.text
	r.put(Event{
		Time: e.Time.UTC(), Kind: e.Kind, Status: e.Status, URN: text(e.URN), Type: e.Type, Name: text(e.Name), Op: e.Op,
		Message: cut(text(e.Message), maxMessage),
	})
}

// say tells what became of something that was interrupted.
func (r *recorder) say(p Pending, adopted string) {
	message := "An earlier attempt was interrupted before it made this; it is made anew."
	if adopted != "" {
		message = "An earlier attempt was interrupted after it made this; it is taken over."
	}
	r.put(Event{Kind: "diagnostic", Status: "info", URN: p.URN, Type: p.Type, Name: p.Name, Op: p.Op, Message: message})
}

func (r *recorder) put(e Event) {
	if e.Time.IsZero() {
		e.Time = r.j.now()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	r.waiting = append(r.waiting, e)
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *recorder) loop() {
	defer close(r.done)
	for range r.wake {
		r.flush()
		time.Sleep(flushEvery)
	}
	r.flush()
}

// close stores what is left. A second close does nothing.
func (r *recorder) close() {
	r.mu.Lock()
	if !r.closed {
		r.closed = true
		close(r.wake)
	}
	r.mu.Unlock()
	<-r.done
}

// flush loses events rather than a run when the database is away.
func (r *recorder) flush() {
	r.mu.Lock()
	batch := r.waiting
	r.waiting = nil
	r.mu.Unlock()
	for len(batch) > 0 {
		n := min(len(batch), 500)
		if err := r.store(batch[:n]); err != nil {
			r.j.Logger.Warn("events of a deployment were not stored", "deployment", r.run, "events", n, "error", err)
		}
		batch = batch[n:]
	}
}

func (r *recorder) store(batch []Event) error {
	ctx, cancel := context.WithTimeout(r.ctx, 10*time.Second)
	defer cancel()
	a, _ := actor.From(ctx)
	return r.j.DB.Tenant(ctx, r.j.tenant, func(ctx context.Context) error {
		stored, err := r.j.store.addEvents(ctx, r.run, batch, maxEvents)
		if err != nil {
			return err
		}
		for _, e := range stored {
			err := r.j.Events.Publish(ctx, event.Event{
				Type: "deployment.event", ID: r.run, Tenant: a.TenantID, Permission: ReadStack, On: r.on, Watched: Subject,
			}, e)
			if err != nil {
				return err
			}
		}
		return nil
	})
}
