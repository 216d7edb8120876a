package tenancy_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"nimbus/appliance/db"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/tenancy"
)

func number(n int64) *int64 { return &n }

func hard(kind tenancy.QuotaKind, n int64) tenancy.Quota {
	return tenancy.Quota{Kind: kind, Hard: number(n)}
}

// quotaOf finds a kind in a list.
func quotaOf(t *testing.T, all []tenancy.Quota, kind tenancy.QuotaKind) tenancy.Quota {
	t.Helper()
	for _, q := range all {
		if q.Kind == kind {
			return q
		}
	}
	t.Fatalf("no quota of %s", kind)
	return tenancy.Quota{}
}

func TestQuotasAreSetFromAbove(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, err := b.CreateCompartment(b.hal, tenancy.Compartment{Name: "One"})
	must(t, err)
	all, err := b.SetQuotas(b.rita, b.home.ID, []tenancy.Quota{{Kind: tenancy.Compartments, Soft: number(1), Hard: number(2)}})
	must(t, err)
	got := quotaOf(t, all, tenancy.Compartments)
	if len(all) != len(tenancy.QuotaKinds) || *got.Soft != 1 || *got.Hard != 2 || got.Used != 1 {
		t.Errorf("%+v", all)
	}
	if b.recorded("core", "tenancy.quota.updated") != 1 || b.recorded(db.TenantSchema(b.home.ID), "tenancy.quota.updated") != 1 || !b.told("tenant.quotas_changed") {
		t.Error("it was not recorded and told")
	}
	_, err = b.Quotas(b.hal, b.home.ID)
	must(t, err)
	_, err = b.SetQuotas(b.hal, b.home.ID, nil)
	wants(t, err, fault.Forbidden, "one's own quotas")
	for what, bad := range map[string][]tenancy.Quota{
		"an unknown kind": {hard("wishes", 3)},
		"a negative one":  {hard(tenancy.Users, -1)},
		"soft above hard": {{Kind: tenancy.Users, Soft: number(3), Hard: number(2)}},
		"a kind twice":    {hard(tenancy.Users, 1), hard(tenancy.Users, 2)},
	} {
		_, err := b.SetQuotas(b.rita, b.home.ID, bad)
		wants(t, err, fault.Invalid, what)
	}
	all, err = b.SetQuotas(b.rita, b.home.ID, nil)
	must(t, err)
	if q := quotaOf(t, all, tenancy.Compartments); q.Hard != nil || q.Soft != nil {
		t.Errorf("what was left out is still limited: %+v", q)
	}
}

// TestReservationsAtOnceKeepTheQuota lets many create at once what only some
// may: what is being created counts.
func TestReservationsAtOnceKeepTheQuota(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, err := b.SetQuotas(b.rita, b.home.ID, []tenancy.Quota{{Kind: tenancy.Compartments, Soft: number(3), Hard: number(5)}})
	must(t, err)
	var made, refused atomic.Int64
	var g sync.WaitGroup
	for range 16 {
		g.Go(func() {
			_, err := b.CreateCompartment(b.hal, tenancy.Compartment{Name: id.New().String()})
			switch {
			case err == nil:
				made.Add(1)
			case fault.Is(err, fault.Conflict) && strings.Contains(err.Error(), "compartments"):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	g.Wait()
	if made.Load() != 5 || refused.Load() != 11 {
		t.Errorf("%d made, %d refused", made.Load(), refused.Load())
	}
	if n := b.recorded(db.TenantSchema(b.home.ID), "tenancy.quota.soft_passed"); n != 1 || !b.told("tenant.quota_passed") {
		t.Errorf("passing the soft quota was recorded %d times", n)
	}
}

// TestReserveCountsWhatTheHooksCount reserves more than one at a time of a kind
// that another domain counts.
func TestReserveCountsWhatTheHooksCount(t *testing.T) {
	t.Parallel()
	var running int64 = 6
	b := newBench(t, func(c *tenancy.Config) {
		c.Usage = map[tenancy.QuotaKind]func(context.Context) (int64, error){
			tenancy.VCPU: func(context.Context) (int64, error) { return running, nil },
		}
	})
	reserve := func(kind tenancy.QuotaKind, n int64) error {
		return b.db.Tenant(b.hal, b.home.ID, func(ctx context.Context) error { return b.Reserve(ctx, kind, n) })
	}
	must(t, reserve(tenancy.VCPU, 1<<40)) // no limit yet
	_, err := b.SetQuotas(b.rita, b.home.ID, []tenancy.Quota{hard(tenancy.VCPU, 8)})
	must(t, err)
	must(t, reserve(tenancy.VCPU, 2))
	wants(t, reserve(tenancy.VCPU, 3), fault.Conflict, "one too many")
	running = 20 // above a limit that was lowered
	must(t, reserve(tenancy.VCPU, 0))
	wants(t, reserve(tenancy.VCPU, 1), fault.Conflict, "growth above the limit")
	wants(t, b.Reserve(b.hal, tenancy.VCPU, 1), fault.Internal, "outside a transaction")
}

// TestSubTenantsShareTheirParentsQuota keeps a tenant from getting around its
// hard quota by making sub-tenants.
func TestSubTenantsShareTheirParentsQuota(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	old := b.create("Old", b.home)
	_, err := b.SetQuotas(b.rita, b.home.ID, []tenancy.Quota{hard(tenancy.Compartments, 3)})
	wants(t, err, fault.Conflict, "a sub-tenant without a quota")
	_, err = b.SetQuotas(b.rita, old.ID, []tenancy.Quota{hard(tenancy.Compartments, 1)})
	must(t, err)
	_, err = b.SetQuotas(b.rita, b.home.ID, []tenancy.Quota{hard(tenancy.Compartments, 3)})
	must(t, err)

	sub, err := b.Create(b.hal, tenancy.Tenant{Name: "Sub"})
	must(t, err)
	sue := person(t, "Sue", sub.ID)
	_, err = b.CreateCompartment(sue, tenancy.Compartment{Name: "More"})
	wants(t, err, fault.Conflict, "a new sub-tenant has nothing yet")
	_, err = b.SetQuotas(b.hal, sub.ID, []tenancy.Quota{hard(tenancy.Compartments, 3)})
	wants(t, err, fault.Conflict, "giving away more than there is")
	_, err = b.SetQuotas(b.hal, sub.ID, nil)
	wants(t, err, fault.Conflict, "giving away all limits")
	all, err := b.SetQuotas(b.hal, sub.ID, []tenancy.Quota{hard(tenancy.Compartments, 1)})
	must(t, err)
	if q := quotaOf(t, all, tenancy.Compartments); *q.Hard != 1 {
		t.Errorf("%+v", q)
	}
	_, err = b.CreateCompartment(sue, tenancy.Compartment{Name: "More"})
	must(t, err)
	_, err = b.CreateCompartment(b.hal, tenancy.Compartment{Name: "Mine"})
	must(t, err)
	_, err = b.CreateCompartment(b.hal, tenancy.Compartment{Name: "Too many"})
	wants(t, err, fault.Conflict, "what was given away")
	free := b.create("Free", b.root)
	_, err = b.Move(b.rita, b.create("Below", free).ID, b.home.ID)
	wants(t, err, fault.Conflict, "moving a tenant without a quota below one with it")
}

func TestDomainsLeadToTheirTenant(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	records := map[string][]string{}
	b := newBench(t, func(c *tenancy.Config) {
		c.LookupTXT = func(_ context.Context, name string) ([]string, error) {
			mu.Lock()
			defer mu.Unlock()
			return records[name], nil
		}
	})
	other := b.create("Other", b.root)
	leads := func(email string) id.ID {
		t.Helper()
		tenant, _, err := b.TenantForEmail(t.Context(), email)
		must(t, err)
		return tenant
	}
	claimed, err := b.AddDomain(b.hal, b.home.ID, " Example.COM. ")
	must(t, err)
	if claimed.Domain != "example.com" || claimed.Verified || claimed.Record == nil || !leads("ann@example.com").IsZero() {
		t.Errorf("a mere claim: %+v, leads to %s", claimed, leads("ann@example.com"))
	}
	_, err = b.VerifyDomain(b.hal, b.home.ID, "example.com")
	wants(t, err, fault.Conflict, "without the record")
	records[claimed.Record.Name] = []string{"v=spf1 -all", claimed.Record.Value}
	proved, err := b.VerifyDomain(b.hal, b.home.ID, "EXAMPLE.com")
	must(t, err)
	if !proved.Verified || proved.Record != nil || leads("Ann@EXAMPLE.com") != b.home.ID {
		t.Errorf("%+v", proved)
	}
	_, err = b.AddDomain(b.rita, other.ID, "example.com")
	wants(t, err, fault.Conflict, "a domain of another tenant")
	_, err = b.AddDomain(b.hal, b.home.ID, "example.com")
	wants(t, err, fault.Conflict, "a domain twice")
	given, err := b.AddDomain(b.rita, other.ID, "other.example")
	must(t, err)
	if !given.Verified || leads("x@other.example") != other.ID {
		t.Errorf("entered from above: %+v", given)
	}
	_, err = b.AddDomain(b.hal, b.home.ID, "other.example") // a claim tells nothing of who has it
	must(t, err)
	for _, email := range []string{"", "@", "@example.com", "ann", "ann@example.com.evil.example", "ann@sub.example.com", "ann@example.com>", "a@b@nowhere.example"} {
		if to := leads(email); !to.IsZero() {
			t.Errorf("%q leads to %s", email, to)
		}
	}
	below, err := b.Create(b.hal, tenancy.Tenant{Name: "Below"})
	must(t, err)
	foreign, err := b.AddDomain(b.hal, below.ID, "bank.example")
	must(t, err)
	onboarded, err := b.OnboardTenant(b.hal, tenancy.Onboarding{Tenant: tenancy.Tenant{Name: "Beside"}, Domains: []string{"shop.example"}})
	must(t, err)
	if foreign.Verified || !leads("x@bank.example").IsZero() || !leads("x@shop.example").IsZero() {
		t.Errorf("a tenant takes foreign domains through one below it: %+v, %+v", foreign, onboarded)
	}
	_, err = b.Suspend(b.rita, b.home.ID, "x")
	must(t, err)
	if !leads("ann@example.com").IsZero() {
		t.Error("a suspended tenant is found by its domain")
	}
	_, err = b.Resume(b.rita, b.home.ID)
	must(t, err)
	must(t, b.RemoveDomain(b.hal, b.home.ID, "Example.com"))
	wants(t, b.RemoveDomain(b.hal, b.home.ID, "example.com"), fault.NotFound, "removing twice")
	if !leads("ann@example.com").IsZero() || b.recorded(db.TenantSchema(b.home.ID), "tenancy.domain.deleted") != 1 || !b.told("tenant.domains_changed") {
		t.Error("it was not removed, recorded and told")
	}
	for _, bad := range []string{"", "localhost", "exa mple.com", "-a.com", "a..com", "a/b.com", "192.168.0.1", "*.com", "ex\u00e4mple.com", strings.Repeat("a.", 130) + "com"} {
		_, err := b.AddDomain(b.hal, b.home.ID, bad)
		wants(t, err, fault.Invalid, bad)
	}
}
