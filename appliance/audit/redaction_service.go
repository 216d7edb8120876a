package audit

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"nimbus/appliance/db"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// RedactionEvent tells every node that the rules of a tenant were changed.
const RedactionEvent = "audit.redaction.updated"

// rulesAge is how long rules are kept before they are read again: being told
// of a change is best effort.
const rulesAge = 15 * time.Second

// redactions keeps the compiled rules of each chain.
type redactions struct {
	mu      sync.Mutex
	held    map[id.ID]*heldRules
	changes uint64 // rules that were read before a change are not kept
}

type heldRules struct {
	redactor *redactor
	readAt   time.Time
}

// get returns the rules that are known; stale asks this caller, and nobody
// else, to read them again.
func (r *redactions) get(tenant id.ID) (known *redactor, stale bool, changes uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.held[tenant]
	if h == nil {
		return nil, true, r.changes
	}
	if stale = time.Since(h.readAt) >= rulesAge; stale {
		h.readAt = time.Now()
	}
	return h.redactor, stale, r.changes
}

func (r *redactions) keep(tenant id.ID, fresh *redactor, changes uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if changes != r.changes {
		return
	}
	if r.held == nil {
		r.held = map[id.ID]*heldRules{}
	}
	r.held[tenant] = &heldRules{fresh, time.Now()}
}

func (r *redactions) forget(tenant id.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes++
	delete(r.held, tenant)
}

// forgetAll is forget for every tenant.
func (r *redactions) forgetAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes++
	clear(r.held)
}

// watchRedaction forgets rules as soon as some node changed them.
func (s *Service) watchRedaction() {
	s.Events.Subscribe(func(e event.Event) {
		switch e.Type {
		case RedactionEvent:
			s.redactions.forget(e.Tenant)
		case event.MissedEvent:
			s.redactions.forgetAll()
		}
	})
}

// masksOf are the tenant's for an event. What cannot be redacted is not
// recorded: without the rules it fails, unless they were known a moment ago.
func (s *Service) masksOf(ctx context.Context, tenant id.ID, event string) (*masks, error) {
	known, stale, changes := s.redactions.get(tenant)
	if !stale {
		return known.masks(event), nil
	}
	fresh, err := s.readRules(ctx, tenant)
	if err != nil && known == nil {
		return nil, db.Fault(err)
	}
	if err != nil {
		return known.masks(event), nil
	}
	s.redactions.keep(tenant, fresh, changes)
	return fresh.masks(event), nil
}

func (s *Service) readRules(ctx context.Context, tenant id.ID) (*redactor, error) {
	var rules []RedactionRule
	err := s.in(ctx, tenant, func(ctx context.Context) (err error) {
		rules, err = s.store.redaction(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return compile(rules)
}

// Redaction returns what is hidden in the records of the actor's tenant. It
// returns fault.Forbidden without audit:redaction:read.
func (s *Service) Redaction(ctx context.Context) (Redaction, error) {
	a, err := s.authorise(ctx, ReadRedaction)
	if err != nil {
		return Redaction{}, err
	}
	r := Redaction{Builtin: builtin()}
	err = s.in(ctx, a.TenantID, func(ctx context.Context) (err error) {
		r.Rules, err = s.store.redaction(ctx)
		return err
	})
	return r, err
}

// SetRedaction replaces the rules of the actor's tenant. Records that are made
// from its return on follow them, on every node; those before stay as they
// are. It returns fault.Invalid for rules that cannot be used, fault.Conflict
// for one that is no more, and fault.Forbidden without audit:redaction:update.
func (s *Service) SetRedaction(ctx context.Context, rules []RedactionRule) (Redaction, error) {
	a, err := s.authorise(ctx, UpdateRedaction)
	if err != nil {
		return Redaction{}, err
	}
	if _, err := compile(rules); err != nil {
		return Redaction{}, err
	}
	err = s.in(ctx, a.TenantID, func(ctx context.Context) error {
		before, err := s.store.lockedRedaction(ctx)
		if err != nil {
			return err
		}
		if err := identify(rules, before); err != nil {
			return err
		}
		if err := s.Record(ctx, redactionChanged(before, rules)); err != nil {
			return err
		}
		if err := s.store.replaceRedaction(ctx, rules); err != nil {
			return err
		}
		return s.tellRedaction(ctx, a.TenantID)
	})
	if rules == nil {
		rules = []RedactionRule{}
	}
	return Redaction{Rules: rules, Builtin: builtin()}, err
}

// identify gives new rules their ids.
func identify(rules, before []RedactionRule) error {
	known := map[id.ID]bool{}
	for _, rule := range before {
		known[rule.ID] = true
	}
	for i := range rules {
		switch {
		case rules[i].ID.IsZero():
			rules[i].ID = id.New()
		case !known[rules[i].ID]:
			return fault.New(fault.Conflict, "The rule “%s” is no longer there, or twice in the list. Load the rules again.", rules[i].Name)
		default:
			delete(known, rules[i].ID)
		}
	}
	return nil
}

// redactionChanged is recorded whole: no rule of the tenant's hides that it
// was made.
func redactionChanged(before, after []RedactionRule) Entry {
	state := func(rules []RedactionRule) any { return map[string]any{"rules": rules} }
	return Entry{
		Event: RedactionEvent, Priority: Warning, Target: Target{Kind: "redaction"},
		Before: state(before), After: state(after), whole: true,
	}
}

func (s *Service) tellRedaction(ctx context.Context, tenant id.ID) error {
	if s.IsRoot(tenant) {
		tenant = id.ID{}
	}
	return s.Events.Publish(ctx, event.Event{Type: RedactionEvent, Tenant: tenant, Permission: ReadRedaction}, struct{}{})
}

// TestRedaction shows what is left of a sample, a text or JSON, after the
// built-in rules and those given. With an event only those in its scope are
// tried. Nothing is stored. It returns fault.Invalid for rules that cannot be used
// and samples that are too long, and fault.Forbidden without audit:redaction:update.
func (s *Service) TestRedaction(ctx context.Context, sample any, rules []RedactionRule, event string) (any, error) {
	if _, err := s.authorise(ctx, UpdateRedaction); err != nil {
		return nil, err
	}
	r, err := compile(rules)
	if err != nil {
		return nil, err
	}
	if raw, err := json.Marshal(sample); err != nil || len(raw) > sampleMost {
		return nil, fault.BadField("body.sample", "The sample is longer than %d KB.", sampleMost>>10)
	}
	if event == "" {
		return r.everything().try(sample)
	}
	return r.masks(event).try(sample)
}
