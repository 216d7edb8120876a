package audit

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"nimbus/appliance/audit/ledger"
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
	v := walk{Verification: Verification{Tenant: tenant, Head: ledger.Genesis(chainName(tenant)), Breaks: []Break{}}}
	err := s.in(ctx, tenant, func(ctx context.Context) error {
		if err := s.store.chain(ctx, v.row); err != nil {
			return err
		}
		orphans, err := s.store.orphans(ctx)
		for _, o := range orphans {
			v.add(0, BreakUnknown, "record %s has no entry", o)
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
	copy(w.Head[:], c.link)
	return nil
}

// check compares one link with its record. After a gap the predecessor is
// unknown, so that the link itself cannot be computed.
func (w *walk) check(c chainRow, gap bool) {
	if c.body == nil {
		w.add(c.sequence, BreakMissing, "record %s was deleted", c.record)
		return
	}
	if leaf := ledger.Leaf(c.body); !bytes.Equal(leaf[:], c.leaf) {
		w.add(c.sequence, BreakHash, "the leaf is %s, the record gives %s", hex.EncodeToString(c.leaf), hex.EncodeToString(leaf[:]))
		return
	}
	want := ledger.Link(w.Head, c.sequence, Hash(c.leaf))
	if !gap && !bytes.Equal(want[:], c.link) {
		w.add(c.sequence, BreakHash, "the link is %s, the record and its predecessor give %s", hex.EncodeToString(c.link), hex.EncodeToString(want[:]))
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
		{"actor_id", r.Actor.ID == k.ActorID}, {"actor_kind", string(r.Actor.Kind) == k.ActorKind}, {"actor_name", r.Actor.Name == k.ActorName},
		{"target_kind", r.Target.Kind == k.TargetKind}, {"target_id", r.Target.ID == k.TargetID}, {"target_name", r.Target.Name == k.Name},
		{"address", r.Actor.Address == k.Address}, {"request_id", r.Actor.RequestID == k.RequestID},
	} {
		if !f.same {
			return f.name
		}
	}
	return ""
}
