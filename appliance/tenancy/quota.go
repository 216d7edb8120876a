package tenancy

import (
	"context"
	"slices"

	"nimbus/appliance/audit"
	"nimbus/appliance/db"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// QuotaKind is what a quota counts.
type QuotaKind string

// The kinds of quotas.
const (
	Users        QuotaKind = "users"
	Compartments QuotaKind = "compartments"
	Stacks       QuotaKind = "stacks"
	VCPU         QuotaKind = "vcpu"
	MemoryMiB    QuotaKind = "memory_mib"
	DiskGiB      QuotaKind = "disk_gib"
	Guests       QuotaKind = "guests"
)

// QuotaKinds are all kinds, in the order in which they are shown.
var QuotaKinds = []QuotaKind{Users, Compartments, Stacks, VCPU, MemoryMiB, DiskGiB, Guests}

// quotaNames is what each kind is called in sentences.
var quotaNames = map[QuotaKind]string{
	Users: "users", Compartments: "compartments", Stacks: "stacks", VCPU: "virtual CPUs",
	MemoryMiB: "MiB of memory", DiskGiB: "GiB of disk", Guests: "guests",
}

// Quota is a tenant's limit of one kind. Passing Soft is told and recorded;
// passing Hard is refused. nil is no limit. What sub-tenants are given is taken
// out of Hard, so that nobody gets around it by making sub-tenants.
type Quota struct {
	Kind QuotaKind `json:"kind" enum:"users,compartments,stacks,vcpu,memory_mib,disk_gib,guests"`
	Soft *int64    `json:"soft" required:"false" minimum:"0"`
	Hard *int64    `json:"hard" required:"false" minimum:"0"`
	// Given is the sum of the hard quotas of sub-tenants.
	Given int64 `json:"given" required:"false" readOnly:"true"`
	Used  int64 `json:"used" required:"false" readOnly:"true"`
}

func (q Quota) validate() error {
	switch {
	case !slices.Contains(QuotaKinds, q.Kind):
		return fault.BadField("body.items", "There is no quota of the kind %q.", q.Kind)
	case q.Soft != nil && *q.Soft < 0 || q.Hard != nil && *q.Hard < 0:
		return fault.BadField("body.items", "The quota of %s cannot be negative.", quotaNames[q.Kind])
	case q.Soft != nil && q.Hard != nil && *q.Soft > *q.Hard:
		return fault.BadField("body.items", "The soft quota of %s is above the hard one, so nobody would be warned.", quotaNames[q.Kind])
	}
	return nil
}

// left is what the tenant may use itself; false when there is no limit.
func (q Quota) left() (int64, bool) {
	if q.Hard == nil {
		return 0, false
	}
	return max(*q.Hard-q.Given, 0), true
}

// Quotas lists every kind with what is used of it now.
func (s *Service) Quotas(ctx context.Context, tenant id.ID) ([]Quota, error) {
	if _, err := s.reach(ctx, ReadQuota, tenant); err != nil {
		return nil, err
	}
	return s.quotas(ctx, tenant)
}

func (s *Service) quotas(ctx context.Context, tenant id.ID) ([]Quota, error) {
	var set map[QuotaKind]Quota
	all := make([]Quota, len(QuotaKinds))
	err := s.DB.Tenant(ctx, tenant, func(ctx context.Context) error {
		err := s.DB.Core(ctx, func(ctx context.Context) (err error) {
			set, err = s.store.quotas(ctx, tenant)
			return err
		})
		for i, kind := range QuotaKinds {
			if err != nil {
				return err
			}
			all[i] = set[kind]
			all[i].Kind = kind
			all[i].Used, err = s.used(ctx, kind)
		}
		return err
	})
	return all, err
}

// used counts in the transaction of a tenant. A kind that no domain counts is
// not in use.
func (s *Service) used(ctx context.Context, kind QuotaKind) (int64, error) {
	count := s.Usage[kind]
	if count == nil {
		return 0, nil
	}
	return count(ctx)
}

// SetQuotas replaces the limits of a tenant below the actor's. A kind that is
// left out has no limit. A limit below what is used stops growth only.
func (s *Service) SetQuotas(ctx context.Context, tenant id.ID, quotas []Quota) ([]Quota, error) {
	t, err := s.reachBelow(ctx, UpdateQuota, tenant)
	if err != nil {
		return nil, err
	}
	if err := validQuotas(quotas); err != nil {
		return nil, err
	}
	var before map[QuotaKind]Quota
	err = s.change(ctx, t, change{
		do: func(ctx context.Context) error {
			if before, err = s.store.quotas(ctx, tenant); err != nil {
				return err
			}
			return s.setQuotas(ctx, t, quotas)
		},
		entry: func() audit.Entry {
			return audit.Entry{Event: "tenancy.quota.updated", Priority: audit.Notice, Before: before, After: quotas}
		},
		event: event.Event{Type: "tenant.quotas_changed", ID: tenant, Tenant: tenant, Permission: ReadQuota},
		above: true,
	})
	if err != nil {
		return nil, err
	}
	return s.quotas(ctx, tenant)
}

func validQuotas(quotas []Quota) error {
	seen := map[QuotaKind]bool{}
	for _, q := range quotas {
		if err := q.validate(); err != nil {
			return err
		}
		if seen[q.Kind] {
			return fault.BadField("body.items", "The quota of %s is there twice.", quotaNames[q.Kind])
		}
		seen[q.Kind] = true
	}
	return nil
}

// setQuotas writes at the provider level, under the lock of the tree.
func (s *Service) setQuotas(ctx context.Context, t Tenant, quotas []Quota) error {
	if err := s.store.lockTree(ctx); err != nil {
		return err
	}
	if err := s.store.setQuotas(ctx, t.ID, quotas); err != nil {
		return err
	}
	if err := s.quotasFit(ctx, t.ParentID); err != nil {
		return err
	}
	return s.quotasFit(ctx, t.ID)
}

// quotasFit refuses a tree in which a tenant with a hard quota has sub-tenants
// without one, or has given away more than it has.
func (s *Service) quotasFit(ctx context.Context, parent id.ID) error {
	over, found, err := s.store.overcommitted(ctx, parent)
	if err != nil || !found {
		return err
	}
	name := quotaNames[over.Kind]
	if over.unlimited != "" {
		return fault.New(fault.Conflict, "%q has a hard quota of %d %s, so its sub-tenant %q needs one too.", over.parent, over.hard, name, over.unlimited)
	}
	return fault.New(fault.Conflict, "%q has a hard quota of %d %s, and its sub-tenants would have %d together.", over.parent, over.hard, name, over.given)
}

// Reserve makes sure, inside the transaction of a tenant that is about to
// create n of a kind, that its hard quota is not passed; else it returns
// fault.Conflict. Reservations of one kind wait for one another until their
// transactions end, so that two cannot both take the last place. Passing the
// soft quota is recorded as a warning and told.
func (s *Service) Reserve(ctx context.Context, kind QuotaKind, n int64) error {
	tenant, ok := db.Scope(ctx)
	if !ok || tenant.IsZero() {
		return fault.New(fault.Internal, "A quota was reserved outside a transaction of a tenant.")
	}
	var q Quota
	var limited bool
	err := s.DB.Core(ctx, func(ctx context.Context) (err error) {
		q, limited, err = s.store.lockQuota(ctx, tenant, kind)
		return err
	})
	if err != nil || !limited || n <= 0 {
		return err
	}
	used, err := s.used(ctx, kind)
	if err != nil {
		return err
	}
	if left, hard := q.left(); hard && used+n > left {
		return refused(q, used, n, left)
	}
	if q.Soft != nil && used <= *q.Soft && used+n > *q.Soft {
		return s.softPassed(ctx, tenant, q, used+n)
	}
	return nil
}

func refused(q Quota, used, n, left int64) error {
	given := ""
	if q.Given > 0 {
		given = " besides what its sub-tenants have"
	}
	return fault.New(fault.Conflict, "This needs %d more %s. The tenant may use %d%s and uses %d. Remove some, or ask for a larger quota.",
		n, quotaNames[q.Kind], left, given, used)
}

func (s *Service) softPassed(ctx context.Context, tenant id.ID, q Quota, used int64) error {
	passed := map[string]any{"kind": q.Kind, "soft": *q.Soft, "used": used}
	err := s.Audit.Record(ctx, audit.Entry{
		Event: "tenancy.quota.soft_passed", Priority: audit.Warning,
		Target: audit.Target{Kind: "tenant", ID: tenant.String()}, Details: passed,
	})
	if err != nil {
		return err
	}
	return s.publish(ctx, event.Event{Type: "tenant.quota_passed", ID: tenant, Tenant: tenant, Permission: ReadQuota}, passed)
}
