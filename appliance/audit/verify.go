package audit

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"nimbus/appliance/id"
)

// verify walks a chain from its first record. It goes on after a break from
// the stored link, so that each change is reported once.
func (s *Service) verify(ctx context.Context, tenant id.ID) (Verification, error) {
	if s.IsRoot(tenant) {
		tenant = id.ID{}
	}
	if err := s.seal(ctx, tenant); err != nil {
		return Verification{}, err
	}
	start := time.Now()
	v := walk{Verification: Verification{Tenant: tenant, Head: Genesis(tenant), Breaks: []Break{}}}
	err := s.in(ctx, tenant, func(ctx context.Context) error {
		if err := s.store.chain(ctx, v.row); err != nil {
			return err
		}
		orphans, err := s.store.orphans(ctx)
		for _, o := range orphans {
			v.add(0, BreakUnknown, "record %s has no link", o)
		}
		return err
	})
	v.Duration = time.Since(start)
	return v.Verification, err
}

type walk struct{ Verification }

func (w *walk) add(sequence int64, kind, format string, args ...any) {
	w.Breaks = append(w.Breaks, Break{Sequence: sequence, Kind: kind, Detail: fmt.Sprintf(format, args...)})
}

func (w *walk) row(c chainRow) error {
	if w.First == 0 {
		w.First = c.sequence
	}
	gap := c.sequence != w.Last+1
	if gap {
		w.add(w.Last+1, BreakGap, "records %d to %d are missing", w.Last+1, c.sequence-1)
	}
	w.Last = c.sequence
	w.Checked++
	w.check(c, gap)
	w.Head = Hash{}
	copy(w.Head[:], c.hash)
	return nil
}

// check compares one link with its record. After a gap the predecessor is
// unknown, so that the link itself cannot be computed.
func (w *walk) check(c chainRow, gap bool) {
	if c.body == nil {
		w.add(c.sequence, BreakMissing, "record %s was deleted", c.record)
		return
	}
	want := Link(w.Head, c.sequence, c.body)
	if !gap && !bytes.Equal(want[:], c.hash) {
		w.add(c.sequence, BreakHash, "the link is %s, the record and its predecessor give %s", hex.EncodeToString(c.hash), hex.EncodeToString(want[:]))
		return
	}
	if column := c.differs(); column != "" {
		w.add(c.sequence, BreakIndex, "column %s differs from the record", column)
	}
}

// differs names the first column that does not say what the body says.
func (c chainRow) differs() string {
	var r Record
	if json.Unmarshal(c.body, &r) != nil {
		return "body"
	}
	k := c.columns
	for _, f := range []struct {
		name string
		same bool
	}{
		{"id", r.ID == k.ID}, {"time", r.Time.Equal(k.Time)}, {"event", r.Event == k.Event},
		{"outcome", string(r.Outcome) == k.Outcome}, {"priority", string(r.Priority) == k.Priority},
		{"actor_id", r.Actor.ID == k.ActorID}, {"actor_name", r.Actor.Name == k.ActorName},
		{"target_kind", r.Target.Kind == k.TargetKind}, {"target_id", r.Target.ID == k.TargetID},
	} {
		if !f.same {
			return f.name
		}
	}
	return ""
}
