package audit

import (
	"context"
	"encoding/json"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit/siem"
	"nimbus/appliance/db"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/secret"
)

// sinkWork runs fn for an actor with a permission, in one transaction.
func (s *Service) sinkWork(ctx context.Context, permission string, fn func(ctx context.Context, chain id.ID) error) error {
	a, err := s.authorise(ctx, permission)
	if err != nil {
		return err
	}
	chain := s.chainOf(a.TenantID)
	return s.in(ctx, chain, func(ctx context.Context) error { return fn(ctx, chain) })
}

// Sinks lists the tenant's sinks by name.
func (s *Service) Sinks(ctx context.Context) (all []Sink, err error) {
	err = s.sinkWork(ctx, ReadSinks, func(ctx context.Context, _ id.ID) error {
		all, err = s.store.sinks(ctx)
		return err
	})
	return all, err
}

// Sink returns one; fault.NotFound when there is none.
func (s *Service) Sink(ctx context.Context, sink id.ID) (found Sink, err error) {
	err = s.sinkWork(ctx, ReadSinks, func(ctx context.Context, _ id.ID) error {
		row, err := s.store.sink(ctx, sink, false)
		found = row.Sink
		return err
	})
	return found, err
}

// NewSink makes a sink. It gets what is sealed from now on, or from a sequence
// number on.
func (s *Service) NewSink(ctx context.Context, kind siem.Kind, from int64, c SinkChange) (made Sink, err error) {
	err = s.sinkWork(ctx, CreateSink, func(ctx context.Context, chain id.ID) error {
		row := sinkRow{Sink: Sink{ID: id.New(), Kind: kind, Enabled: true}}
		if err := s.changeSink(ctx, chain, &row, c); err != nil {
			return err
		}
		if n, err := s.store.countSinks(ctx); err != nil || n >= maxSinks {
			return first(err, fault.New(fault.Conflict, "There can be at most %d sinks. Delete one first.", maxSinks))
		}
		if err := s.store.addSink(ctx, row, from); err != nil {
			return nameTaken(err)
		}
		if row, err = s.store.sink(ctx, row.ID, false); err != nil {
			return err
		}
		made = row.Sink
		return s.Record(ctx, Entry{Event: "audit.sink.created", Priority: Warning, Target: made.target(), After: made.recorded()})
	})
	return made, err
}

// ChangeSink changes a sink, pauses it or resumes it. fault.NotFound when
// there is none.
func (s *Service) ChangeSink(ctx context.Context, sink id.ID, c SinkChange) (after Sink, err error) {
	err = s.sinkWork(ctx, UpdateSink, func(ctx context.Context, chain id.ID) error {
		row, err := s.store.sink(ctx, sink, true)
		if err != nil {
			return err
		}
		before := row.recorded()
		if err := s.changeSink(ctx, chain, &row, c); err != nil {
			return err
		}
		if err := s.store.updateSink(ctx, row); err != nil {
			return nameTaken(err)
		}
		if row, err = s.store.sink(ctx, sink, false); err != nil {
			return err
		}
		after = row.Sink
		s.wakeSinks(ctx, chain)
		return s.Record(ctx, Entry{Event: "audit.sink.updated", Priority: Warning, Target: after.target(), Before: before, After: after.recorded()})
	})
	return after, err
}

// changeSink applies a change and seals the secrets.
func (s *Service) changeSink(ctx context.Context, chain id.ID, row *sinkRow, c SinkChange) error {
	secrets, err := s.openSink(ctx, chain, *row)
	if err != nil {
		return err
	}
	if err := c.apply(&row.Sink, &secrets); err != nil {
		return err
	}
	row.secrets = []byte{}
	if secrets == (sinkSecrets{}) {
		return nil
	}
	k, err := s.sinkKeyring()
	if err != nil {
		return err
	}
	text, err := json.Marshal(secrets)
	if err != nil {
		return err
	}
	row.secrets, err = k.Seal(ctx, chain, sinkPurpose(row.ID), text)
	return err
}

func (s *Service) openSink(ctx context.Context, chain id.ID, row sinkRow) (secrets sinkSecrets, err error) {
	if len(row.secrets) == 0 {
		return secrets, nil
	}
	k, err := s.sinkKeyring()
	if err != nil {
		return secrets, err
	}
	text, err := k.Open(ctx, chain, sinkPurpose(row.ID), row.secrets)
	if err != nil {
		return secrets, err
	}
	return secrets, json.Unmarshal(text, &secrets)
}

func sinkPurpose(sink id.ID) string { return "audit-sink/" + sink.String() }

func (s *Service) sinkKeyring() (*secret.Keyring, error) {
	if s.Keyring != nil {
		if k := s.Keyring(); k != nil {
			return k, nil
		}
	}
	return nil, fault.New(fault.Unavailable, "The root key is not open, so the secrets of sinks cannot be used now. See System health.")
}

// RemoveSink deletes a sink with its dead letters.
func (s *Service) RemoveSink(ctx context.Context, sink id.ID) error {
	return s.sinkWork(ctx, DeleteSink, func(ctx context.Context, chain id.ID) error {
		row, err := s.store.sink(ctx, sink, true)
		if err != nil {
			return err
		}
		if err := s.store.deleteSink(ctx, sink); err != nil {
			return err
		}
		s.wakeSinks(ctx, chain)
		return s.Record(ctx, Entry{Event: "audit.sink.deleted", Priority: Warning, Target: row.target(), Before: row.recorded()})
	})
}

// TestSink sends one message that is no record. fault.Unavailable says why it
// did not arrive.
func (s *Service) TestSink(ctx context.Context, sink id.ID) error {
	var row sinkRow
	var target siem.Target
	var chain id.ID
	err := s.sinkWork(ctx, UpdateSink, func(ctx context.Context, of id.ID) (err error) {
		if row, err = s.store.sink(ctx, sink, false); err != nil {
			return err
		}
		chain = of
		target, err = s.target(ctx, of, row)
		return err
	})
	if err != nil {
		return err
	}
	e := Entry{Event: "audit.sink.tested", Target: row.target()}
	sent := deliver(ctx, target, []siem.Message{probe(chain, row.Sink)})
	if sent != nil {
		e.Outcome, e.Reason = Failure, sent.Reason
	}
	if err := s.RecordAlone(ctx, chain, e); err != nil || sent == nil {
		return err
	}
	return fault.New(fault.Unavailable, "%s", sent.Reason)
}

// probe is a message that is no record: sequence 0.
func probe(chain id.ID, s Sink) siem.Message {
	now := time.Now().UTC().Truncate(time.Microsecond)
	m := siem.Message{
		ID: id.New().String(), Time: now, Chain: chainName(chain), Event: "audit.sink.probe", Category: "audit", Priority: string(Info),
		Outcome: string(Success), Actor: siem.Party{Kind: string(actor.System), Name: "audit sinks"}, Target: siem.Party{Kind: "sink", ID: s.ID.String(), Name: s.Name},
	}
	m.Body, _ = json.Marshal(map[string]any{"id": m.ID, "time": now, "event": m.Event, "reason": "This message tests the connection. It is no record."})
	return m
}

// ReplaySink delivers again from a sequence number on.
func (s *Service) ReplaySink(ctx context.Context, sink id.ID, from int64) error {
	return s.sinkWork(ctx, UpdateSink, func(ctx context.Context, chain id.ID) error {
		row, err := s.store.sink(ctx, sink, true)
		if err != nil {
			return err
		}
		if from < 1 || from > row.Cursor+1 {
			return fault.BadField("body.from_sequence", "Give a sequence number from 1 to %d, which comes next.", row.Cursor+1)
		}
		if err := s.store.rewind(ctx, sink, from-1); err != nil {
			return err
		}
		s.wakeSinks(ctx, chain)
		return s.Record(ctx, Entry{Event: "audit.sink.replayed", Priority: Notice, Target: row.target(), Details: map[string]any{"from": from, "was_at": row.Cursor}})
	})
}

// DeadLetters lists those of a sink, oldest first, after one.
func (s *Service) DeadLetters(ctx context.Context, sink, after id.ID, limit int) (all []DeadLetter, err error) {
	err = s.sinkWork(ctx, ReadSinks, func(ctx context.Context, _ id.ID) error {
		if _, err := s.store.sink(ctx, sink, false); err != nil {
			return err
		}
		all, err = s.store.deadLetters(ctx, sink, after, limit)
		return err
	})
	return all, err
}

// ReplayDeadLetters sends one dead letter of a sink again, or all with the zero id. It
// happens soon after; what is refused again stays.
func (s *Service) ReplayDeadLetters(ctx context.Context, sink, letter id.ID) error {
	return s.sinkWork(ctx, UpdateSink, func(ctx context.Context, chain id.ID) error {
		row, err := s.store.sink(ctx, sink, true)
		if err != nil {
			return err
		}
		n, err := s.store.markDue(ctx, sink, letter)
		if err != nil {
			return err
		}
		if n == 0 && !letter.IsZero() {
			return fault.New(fault.NotFound, "It does not exist, or it is not yours.")
		}
		s.wakeSinks(ctx, chain)
		return s.Record(ctx, Entry{Event: "audit.dead_letter.replayed", Priority: Notice, Target: row.target(), Details: map[string]any{"count": n}})
	})
}

// RemoveDeadLetter gives a dead letter up. The record itself stays in the trail.
func (s *Service) RemoveDeadLetter(ctx context.Context, sink, letter id.ID) error {
	return s.sinkWork(ctx, UpdateSink, func(ctx context.Context, _ id.ID) error {
		row, err := s.store.sink(ctx, sink, true)
		if err != nil {
			return err
		}
		l, err := s.store.removeLetter(ctx, sink, letter)
		if err != nil {
			return err
		}
		return s.Record(ctx, Entry{Event: "audit.dead_letter.deleted", Priority: Warning, Target: row.target(),
			Details: map[string]any{"first": l.First, "last": l.Last, "reason": l.Reason}})
	})
}

// wakeSinks lets delivery look at a chain's sinks after the commit.
func (s *Service) wakeSinks(ctx context.Context, chain id.ID) {
	db.OnCommit(ctx, func() { s.deliverer.wake(chain) })
}

func (s Sink) target() Target { return Target{Kind: "sink", ID: s.ID.String(), Name: s.Name} }

// first is the first of two errors that is one.
func first(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// nameTaken says that a name is taken.
func nameTaken(err error) error {
	if fault.Is(db.Fault(err), fault.Conflict) {
		return fault.BadField("body.name", "There is a sink of that name already.")
	}
	return err
}
