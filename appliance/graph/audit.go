package graph

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"strconv"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// most is the largest page.
const most = 200

// resolver answers the roots.
type resolver struct{ *Service }

// Query implements ResolverRoot.
func (r *resolver) Query() QueryResolver { return r }

// Subscription implements ResolverRoot.
func (r *resolver) Subscription() SubscriptionResolver { return r }

// costs weighs lists by how many entries they may have.
func costs() ComplexityRoot {
	var c ComplexityRoot
	c.Query.AuditRecords = func(child int, _ *AuditFilter, first int, _ *string) int { return child * max(1, min(first, most)) }
	return c
}

// Viewer implements QueryResolver.
func (r *resolver) Viewer(ctx context.Context) (*Viewer, error) {
	a, err := actor.Require(ctx)
	if err != nil {
		return nil, err
	}
	return &Viewer{ID: a.ID.String(), Name: a.Name, Kind: string(a.Kind), TenantID: a.TenantID.String()}, nil
}

// AuditRecords implements QueryResolver.
func (r *resolver) AuditRecords(ctx context.Context, filter *AuditFilter, first int, after *string) (*AuditRecordPage, error) {
	if first < 1 || first > most {
		return nil, fault.New(fault.Invalid, "first is a number from 1 to %d.", most)
	}
	f := filter.of()
	f.Limit = first
	if after != nil {
		before, err := strconv.ParseInt(*after, 10, 64)
		if err != nil || before < 1 {
			return nil, fault.New(fault.Invalid, "after is not one that a page before gave.")
		}
		f.Before = before
	}
	found, err := r.Audit.List(ctx, f)
	if err != nil {
		return nil, err
	}
	page := &AuditRecordPage{Items: presentAll(found)}
	if len(found) == first {
		next := strconv.FormatInt(found[len(found)-1].Sequence, 10)
		page.Next = &next
	}
	return page, nil
}

// AuditRecord implements QueryResolver.
func (r *resolver) AuditRecord(ctx context.Context, sequence int64) (*AuditRecord, error) {
	s, err := r.Audit.Get(ctx, sequence)
	if err != nil {
		return nil, err
	}
	return presentRecord(s), nil
}

// AuditRecorded implements SubscriptionResolver.
func (r *resolver) AuditRecorded(ctx context.Context, filter *AuditFilter) (<-chan *AuditBatch, error) {
	batches, err := r.Audit.Follow(ctx, filter.of())
	if err != nil {
		return nil, err
	}
	out := make(chan *AuditBatch)
	go func() {
		defer close(out)
		for b := range batches {
			select {
			case out <- &AuditBatch{Records: presentAll(b.Records), Lost: int(b.Lost)}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out, nil
}

func (f *AuditFilter) of() audit.Filter {
	var to audit.Filter
	if f == nil {
		return to
	}
	if f.Event != nil {
		to.Events = []string{*f.Event}
	}
	set(&to.Actor, f.Actor)
	set(&to.OnBehalfOf, f.OnBehalfOf)
	set(&to.Target, f.Target)
	set(&to.From, f.From)
	set(&to.To, f.To)
	set(&to.Text, f.Text)
	if f.Outcome != nil {
		to.Outcome = audit.Outcome(*f.Outcome)
	}
	return to
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

func presentAll(all []audit.Sealed) []*AuditRecord {
	out := make([]*AuditRecord, len(all))
	for i, s := range all {
		out[i] = presentRecord(s)
	}
	return out
}

func presentRecord(s audit.Sealed) *AuditRecord {
	r := &AuditRecord{
		Sequence: s.Sequence, ID: s.ID.String(), Time: s.Time, Event: s.Event, Category: audit.Category(s.Event),
		Priority: string(s.Priority), Outcome: AuditOutcome(s.Outcome),
		Actor:   &AuditActor{Name: s.Actor.Name, Kind: string(s.Actor.Kind)},
		Target:  &AuditTarget{Kind: s.Target.Kind, ID: s.Target.ID, Name: s.Target.Name},
		Address: s.Actor.Address, RequestID: s.Actor.RequestID, Reason: s.Reason,
		Before: value(s.Before), After: value(s.After), Details: value(s.Details),
		Leaf: hex.EncodeToString(s.Leaf), Link: hex.EncodeToString(s.Link), SealedAt: s.SealedAt,
	}
	r.Actor.ID = known(s.Actor.ID)
	if other := s.Actor.OnBehalfOf; other != (actor.Principal{}) {
		r.OnBehalfOf = &AuditPrincipal{ID: known(other.ID), Name: other.Name, Kind: string(other.Kind), Claimed: other.Claimed}
	}
	return r
}

// known is nil for who has no id.
func known(who id.ID) *string {
	if who.IsZero() {
		return nil
	}
	text := who.String()
	return &text
}

func value(raw json.RawMessage) JSON { return JSON(raw) }
