package audit

import (
	"context"
	"strings"
	"time"

	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// Permissions of legal holds.
const (
	ReadHolds   = "audit:hold:read"
	CreateHold  = "audit:hold:create"
	ReleaseHold = "audit:hold:delete"
)

// Hold keeps records although their retention is over. What is empty does not
// narrow: a hold of a name and a reason alone holds everything.
type Hold struct {
	ID           id.ID      `json:"id"`
	Name         string     `json:"name"`
	Reason       string     `json:"reason"`
	FromSequence *int64     `json:"from_sequence"`
	ToSequence   *int64     `json:"to_sequence"`
	From         *time.Time `json:"from"`
	To           *time.Time `json:"to" doc:"Not included."`
	Filter       HoldFilter `json:"filter"`

	CreatedBy     Somebody   `json:"created_by"`
	CreatedAt     time.Time  `json:"created_at"`
	ReleasedBy    *Somebody  `json:"released_by"`
	ReleasedAt    *time.Time `json:"released_at"`
	ReleaseReason string     `json:"release_reason"`
}

// HoldFilter narrows a hold to some records of its range.
type HoldFilter struct {
	Actor  string `json:"actor,omitempty" maxLength:"200" doc:"Who acted, or on whose behalf: an id, or part of a name."`
	Target string `json:"target,omitempty" maxLength:"200" doc:"An id."`
	Event  string `json:"event,omitempty" maxLength:"200" doc:"A code, or the beginning of codes up to a dot."`
}

// Somebody is who did something, by the name of that time.
type Somebody struct {
	ID   id.ID  `json:"id"`
	Name string `json:"name"`
}

// NewHold is what somebody asks to hold.
type NewHold struct {
	Name         string     `json:"name" minLength:"1" maxLength:"100"`
	Reason       string     `json:"reason" minLength:"1" maxLength:"1000"`
	FromSequence *int64     `json:"from_sequence,omitempty" minimum:"1"`
	ToSequence   *int64     `json:"to_sequence,omitempty" minimum:"1"`
	From         *time.Time `json:"from,omitempty"`
	To           *time.Time `json:"to,omitempty"`
	Filter       HoldFilter `json:"filter,omitempty"`
}

func (n *NewHold) validate() error {
	n.Name, n.Reason = strings.TrimSpace(n.Name), strings.TrimSpace(n.Reason)
	switch {
	case n.Name == "" || len(n.Name) > 400:
		return fault.BadField("body.name", "Give the hold a name of at most 100 characters.")
	case n.Reason == "" || len(n.Reason) > 4000:
		return fault.BadField("body.reason", "Say why, such as the number of the case.")
	case n.FromSequence != nil && n.ToSequence != nil && *n.FromSequence > *n.ToSequence:
		return fault.BadField("body.to_sequence", "The range ends before it begins.")
	case n.From != nil && n.To != nil && !n.From.Before(*n.To):
		return fault.BadField("body.to", "The time ends before it begins.")
	case n.Filter.Event != "" && !eventPrefix.MatchString(n.Filter.Event):
		return fault.BadField("body.filter.event", "%q is no event code and no beginning of one up to a dot, such as identity.session.", n.Filter.Event)
	}
	return nil
}

// Holds lists the legal holds of the actor's tenant, those that hold first, the
// newest first.
func (s *Service) Holds(ctx context.Context) (all []Hold, err error) {
	a, err := s.authorise(ctx, ReadHolds)
	if err != nil {
		return nil, err
	}
	err = s.in(ctx, a.TenantID, func(ctx context.Context) error {
		all, err = s.store.holds(ctx)
		return err
	})
	return all, err
}

// AddHold holds records from now on. When it returns, no record that it covers
// and that is there can be pruned.
func (s *Service) AddHold(ctx context.Context, n NewHold) (Hold, error) {
	a, err := s.authorise(ctx, CreateHold)
	if err != nil {
		return Hold{}, err
	}
	if err := n.validate(); err != nil {
		return Hold{}, err
	}
	h := Hold{ID: id.New(), Name: n.Name, Reason: n.Reason, FromSequence: n.FromSequence, ToSequence: n.ToSequence, From: n.From, To: n.To,
		Filter: n.Filter, CreatedBy: Somebody{a.ID, a.Name}}
	err = s.in(ctx, a.TenantID, func(ctx context.Context) error {
		if err := s.store.lockLife(ctx); err != nil {
			return err
		}
		if h.CreatedAt, err = s.store.addHold(ctx, h); err != nil {
			return err
		}
		return s.Record(ctx, Entry{Event: "audit.hold.created", Priority: Warning, Target: h.target(), Reason: h.Reason, After: n})
	})
	return h, err
}

func (h Hold) target() Target { return Target{Kind: "audit-hold", ID: h.ID.String(), Name: h.Name} }

// ReleaseHold ends a hold, for a reason; it stays in the list. It returns
// fault.NotFound for one that is not there and fault.Conflict for one that is
// released.
func (s *Service) ReleaseHold(ctx context.Context, hold id.ID, why string) error {
	a, err := s.authorise(ctx, ReleaseHold)
	if err != nil {
		return err
	}
	return s.in(ctx, a.TenantID, func(ctx context.Context) error {
		h, err := s.store.hold(ctx, hold)
		if err != nil {
			return err
		}
		if h.ReleasedAt != nil {
			return fault.New(fault.Conflict, "The hold was released already.")
		}
		if why = strings.TrimSpace(why); why == "" || len(why) > 4000 {
			return fault.BadField("query.reason", "Say why the records need not be held any longer.")
		}
		if err := s.store.releaseHold(ctx, hold, a.ID, a.Name, why); err != nil {
			return err
		}
		return s.Record(ctx, Entry{Event: "audit.hold.released", Priority: Warning, Target: h.target(), Reason: why})
	})
}
