package audit

import (
	"context"
	"errors"

	"nimbus/appliance/audit/siem"
	"nimbus/appliance/id"
)

// delivery is one node's turn at one sink.
type delivery struct {
	*Deliverer
	chain, sink, lease id.ID
}

// errLease ends a turn that somebody else has taken over.
var errLease = errors.New("another node delivers to this sink, or it was paused")

func (w delivery) in(ctx context.Context, fn func(ctx context.Context) error) error {
	return w.service.in(ctx, w.chain, fn)
}

// claim takes or keeps the turn and reads what is to be done.
func (w delivery) claim(ctx context.Context) (row sinkRow, target siem.Target, ok bool, err error) {
	err = w.in(ctx, func(ctx context.Context) (err error) {
		if ok, err = w.service.store.claim(ctx, w.sink, w.lease, sinkLease); err != nil || !ok {
			return err
		}
		if row, err = w.service.store.sink(ctx, w.sink, false); err != nil {
			return err
		}
		target, err = w.service.target(ctx, w.chain, row)
		return err
	})
	return row, target, ok, err
}

// batch delivers the next records; more is false when there are none.
func (w delivery) batch(ctx context.Context, row sinkRow, target siem.Target) (more bool, err error) {
	var found []Sealed
	var upTo int64
	err = w.in(ctx, func(ctx context.Context) (err error) {
		found, upTo, err = w.service.store.pending(ctx, row.Sink)
		return err
	})
	if err != nil || upTo == row.Cursor {
		return false, err
	}
	messages := w.messages(found)
	if n := len(messages); n < len(found) {
		upTo = messages[n-1].Sequence
	}
	if len(messages) == 0 {
		return true, w.settle(ctx, row, result{upTo: upTo})
	}
	r := w.attempt(ctx, row, target, messages)
	if r.failure == nil {
		r.upTo = upTo
	}
	if err := w.settle(ctx, row, r); err != nil {
		return false, err
	}
	return r.failure == nil, nil
}

// messages are the first records whose bodies fit one batch; one at least.
func (w delivery) messages(found []Sealed) []siem.Message {
	var all []siem.Message
	size := 0
	for _, s := range found {
		if size += len(s.Body); size > sinkBytes && len(all) > 0 {
			break
		}
		all = append(all, message(w.chain, s))
	}
	return all
}

// result is how a batch ended. upTo 0 leaves the cursor where it is.
type result struct {
	upTo    int64
	sent    int
	letters []DeadLetter
	failure *siem.Error
}

// attempt sends a batch. One that was refused again and again is taken apart.
func (w delivery) attempt(ctx context.Context, row sinkRow, target siem.Target, messages []siem.Message) result {
	failure := deliver(ctx, target, messages)
	switch {
	case failure == nil:
		w.refused(false)
		return result{sent: len(messages)}
	case !failure.Refused || w.refused(true) < sinkPatience:
		return result{failure: failure}
	}
	return w.isolate(ctx, row, target, messages)
}

// refused counts refusals in a row.
func (w delivery) refused(again bool) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !again {
		delete(w.refusal, w.sink)
		return 0
	}
	w.refusal[w.sink]++
	return w.refusal[w.sink]
}

// isolate finds the records that a collector does not take while it takes
// others, in order. When it takes none at all, not even a test message, it is
// the collector that has to be put right, and nothing is given up.
func (w delivery) isolate(ctx context.Context, row sinkRow, target siem.Target, messages []siem.Message) result {
	b := bisection{delivery: w, target: target, attempts: w.refused(true)}
	b.halve(ctx, messages)
	if b.sent == 0 && len(b.suspects) > 0 && b.failure == nil {
		if failure := deliver(ctx, target, []siem.Message{probe(w.chain, row.Sink)}); failure != nil {
			return result{failure: failure}
		}
	}
	if b.sent == 0 && b.failure != nil {
		return result{failure: b.failure}
	}
	b.confirm(ctx)
	if row.Health.Dead+int64(len(b.letters)) > maxDeadLetters {
		return result{failure: &siem.Error{Reason: "There are too many dead letters. Replay or delete them; delivery waits until then."}}
	}
	w.refused(false)
	return b.result
}

// blindly is how many records may be refused one by one before any is taken.
const blindly = 8

// bisection sends halves until the records to blame are alone.
type bisection struct {
	delivery
	result
	target   siem.Target
	attempts int
	suspects []siem.Message
	reason   string // of the first suspect
}

// confirm tries the suspects once more, now that the collector is known to
// take records: it may have recovered in the middle.
func (b *bisection) confirm(ctx context.Context) {
	for _, m := range b.suspects {
		failure := &siem.Error{Reason: b.reason}
		if b.keep(ctx) {
			failure = deliver(ctx, b.target, []siem.Message{m})
		}
		if failure == nil {
			b.sent++
			continue
		}
		b.letters = append(b.letters, DeadLetter{First: m.Sequence, Last: m.Sequence, Reason: failure.Reason, Attempts: b.attempts})
	}
}

func (b *bisection) halve(ctx context.Context, messages []siem.Message) {
	if b.failure != nil || len(messages) == 0 {
		return
	}
	if b.sent == 0 && len(b.suspects) >= blindly {
		b.failure = &siem.Error{Reason: b.reason}
		return
	}
	if !b.keep(ctx) {
		b.failure = &siem.Error{Reason: "Delivery was broken off.", Cause: errLease}
		return
	}
	failure := deliver(ctx, b.target, messages)
	switch {
	case failure == nil:
		b.sent += len(messages)
		b.upTo = messages[len(messages)-1].Sequence
	case !failure.Refused:
		b.failure = failure
	case len(messages) == 1:
		if b.reason == "" {
			b.reason = failure.Reason
		}
		b.suspects, b.upTo = append(b.suspects, messages[0]), messages[0].Sequence
	default:
		half := len(messages) / 2
		b.halve(ctx, messages[:half])
		b.halve(ctx, messages[half:])
	}
}

// keep extends the turn: taking a batch apart can be long.
func (w delivery) keep(ctx context.Context) (ok bool) {
	err := w.in(ctx, func(ctx context.Context) (err error) {
		ok, err = w.service.store.claim(ctx, w.sink, w.lease, sinkLease)
		return err
	})
	return err == nil && ok
}

// settle writes what came of a batch, in one transaction with what the trail
// says about it.
func (w delivery) settle(ctx context.Context, row sinkRow, r result) error {
	err := w.in(ctx, func(ctx context.Context) error {
		if r.upTo > 0 {
			// Replayed meanwhile: the new place counts, what was sent is sent again.
			if moved, err := w.service.store.settled(ctx, row.Sink, w.lease, r.upTo, r.sent); err != nil || !moved {
				return err
			}
		}
		if err := w.bury(ctx, row, r.letters); err != nil {
			return err
		}
		if r.failure != nil {
			return w.fail(ctx, row, r.failure)
		}
		if r.sent > 0 || len(r.letters) > 0 {
			return w.succeed(ctx, row)
		}
		return nil
	})
	if err == nil && (r.failure != nil || r.sent > 0) {
		w.health(row, r.failure)
	}
	return err
}

func (w delivery) bury(ctx context.Context, row sinkRow, letters []DeadLetter) error {
	for _, l := range letters {
		if err := w.service.store.addLetter(ctx, w.sink, l); err != nil {
			return err
		}
	}
	if len(letters) == 0 {
		return nil
	}
	return w.service.Record(ctx, Entry{Event: "audit.sink.dead_lettered", Priority: Warning, Outcome: Failure, Target: row.target(), Reason: letters[0].Reason,
		Details: map[string]any{"count": len(letters), "first": letters[0].First, "last": letters[len(letters)-1].Last}})
}

// fail plans the next attempt. The trail tells the moment when patience ended.
func (w delivery) fail(ctx context.Context, row sinkRow, e *siem.Error) error {
	failures, err := w.service.store.failed(ctx, w.sink, e.Reason, w.wait(row.failures, e.RetryAfter))
	if err != nil || failures != sinkPatience {
		return err
	}
	return w.service.Record(ctx, Entry{Event: "audit.sink.failed", Priority: Warning, Outcome: Failure, Target: row.target(), Reason: e.Reason})
}

func (w delivery) succeed(ctx context.Context, row sinkRow) error {
	if err := w.service.store.succeeded(ctx, w.sink); err != nil || row.failures < sinkPatience {
		return err
	}
	return w.service.Record(ctx, Entry{Event: "audit.sink.recovered", Priority: Notice, Target: row.target()})
}

// health remembers dead sinks for Ready.
func (w delivery) health(row sinkRow, failure *siem.Error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if failure != nil && row.Health.State == SinkDead {
		w.dead[w.sink] = w.chain
		return
	}
	delete(w.dead, w.sink)
}

// letter sends one dead letter again. What is refused stays; when the
// collector is away it is tried again like everything else.
func (w delivery) letter(ctx context.Context, row sinkRow, target siem.Target) error {
	var l DeadLetter
	var found []Sealed
	err := w.in(ctx, func(ctx context.Context) (err error) {
		if l, err = w.service.store.dueLetter(ctx, w.sink); err != nil {
			return err
		}
		found, err = selected(ctx, SinkFilter{}, l.First, l.Last, int(l.Last-l.First+1))
		return err
	})
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return w.in(ctx, func(ctx context.Context) error {
			return w.service.store.returned(ctx, l.ID, "The record is not in the database any more. Look for it in the archive.")
		})
	}
	failure := deliver(ctx, target, w.messages(found))
	return w.in(ctx, func(ctx context.Context) error {
		switch {
		case failure == nil:
			return errors.Join(w.service.store.letterSent(ctx, w.sink, l.ID), w.succeed(ctx, row))
		case failure.Refused:
			return w.service.store.returned(ctx, l.ID, failure.Reason)
		}
		return w.fail(ctx, row, failure)
	})
}
