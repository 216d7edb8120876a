package audit

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"time"

	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// Permissions of retention.
const (
	ReadRetention   = "audit:retention:read"
	UpdateRetention = "audit:retention:update"
)

// Retention says how long records of a tenant are kept. Nil days are for ever.
type Retention struct {
	DefaultDays *int            `json:"default_days" required:"false" minimum:"1" maximum:"36500" doc:"Null: for ever."`
	Rules       []RetentionRule `json:"rules" maxItems:"100"`
	// ArchiveAfterDays is when records are copied to the archive.
	ArchiveAfterDays int  `json:"archive_after_days" minimum:"1" maximum:"36500"`
	PruneEnabled     bool `json:"prune_enabled" doc:"Whether records go when their time is over and their copy was read back."`
}

// RetentionRule keeps some events for another time. The longest that covers an event counts.
type RetentionRule struct {
	Event string `json:"event" maxLength:"200" doc:"A code, or the beginning of codes up to a dot."`
	Days  *int   `json:"days" required:"false" minimum:"1" maximum:"36500" doc:"Null: for ever."`
}

const (
	longestRetention = 36500
	defaultArchive   = 30 // days
)

var eventPrefix = regexp.MustCompile(`^[a-z0-9_-]+(\.[a-z0-9_-]+)*$`)

func (r Retention) validate() error {
	days := func(field string, n *int) error {
		if n != nil && (*n < 1 || *n > longestRetention) {
			return fault.BadField("body."+field, "Choose 1 to %d days, or none to keep them for ever.", longestRetention)
		}
		return nil
	}
	if err := days("default_days", r.DefaultDays); err != nil {
		return err
	}
	if err := days("archive_after_days", &r.ArchiveAfterDays); err != nil {
		return err
	}
	for i, rule := range r.Rules {
		switch {
		case len(r.Rules) > 100:
			return fault.BadField("body.rules", "There are 100 rules at most.")
		case !eventPrefix.MatchString(rule.Event):
			return fault.BadField("body.rules", "%q is no event code and no beginning of one up to a dot, such as identity.session.", rule.Event)
		case slices.ContainsFunc(r.Rules[:i], func(o RetentionRule) bool { return o.Event == rule.Event }):
			return fault.BadField("body.rules", "There are two rules for %s.", rule.Event)
		}
		if err := days("rules", rule.Days); err != nil {
			return err
		}
	}
	return nil
}

// shortest is the least number of days that any record is kept; false when all
// are kept for ever.
func (r Retention) shortest() (int, bool) {
	least, any := 0, false
	for _, rule := range append([]RetentionRule{{Days: r.DefaultDays}}, r.Rules...) {
		if rule.Days != nil && (!any || *rule.Days < least) {
			least, any = *rule.Days, true
		}
	}
	return least, any
}

// Retention returns how long records of the actor's tenant are kept.
func (s *Service) Retention(ctx context.Context) (Retention, error) {
	a, err := s.authorise(ctx, ReadRetention)
	if err != nil {
		return Retention{}, err
	}
	return s.retention(ctx, a.TenantID)
}

func (s *Service) retention(ctx context.Context, tenant id.ID) (r Retention, err error) {
	err = s.in(ctx, tenant, func(ctx context.Context) error {
		r, err = s.store.retention(ctx)
		return err
	})
	return r, err
}

// SetRetention replaces how long records are kept; the next run of the archive
// goes by it. It returns fault.Invalid for what cannot be.
func (s *Service) SetRetention(ctx context.Context, r Retention) (Retention, error) {
	a, err := s.authorise(ctx, UpdateRetention)
	if err != nil {
		return r, err
	}
	if err := r.validate(); err != nil {
		return r, err
	}
	err = s.in(ctx, a.TenantID, func(ctx context.Context) error {
		if err := s.store.lockLife(ctx); err != nil {
			return err
		}
		before, err := s.store.retention(ctx)
		if err != nil {
			return err
		}
		if err := s.store.setRetention(ctx, r); err != nil {
			return err
		}
		return s.Record(ctx, Entry{Event: "audit.retention.updated", Priority: Warning, Target: s.chainTarget(a.TenantID), Before: before, After: r})
	})
	if err != nil {
		return r, err
	}
	return s.retention(ctx, a.TenantID)
}

// chainTarget names the chain of a tenant in a record.
func (s *Service) chainTarget(tenant id.ID) Target {
	return Target{Kind: "chain", ID: chainName(s.chainOf(tenant))}
}

// daysAgo is a time some days before now.
func daysAgo(days int) time.Time { return time.Now().Add(-time.Duration(days) * 24 * time.Hour) }

// said tells it in a sentence.
func (r Retention) said() string {
	days := func(n *int) string {
		if n == nil {
			return "for ever"
		}
		return fmt.Sprintf("%d days", *n)
	}
	text := "everything " + days(r.DefaultDays)
	for _, rule := range r.Rules {
		text += ", " + rule.Event + " " + days(rule.Days)
	}
	if !r.PruneEnabled {
		text += "; nothing is deleted yet"
	}
	return text
}
