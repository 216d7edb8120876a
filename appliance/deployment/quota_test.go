package deployment

import (
	"context"
	"strings"
	"testing"

	"nimbus/appliance/actor"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/tenancy"
)

// TestQuotasHoldStacksAndGuests gives room for one stack and one guest.
func TestQuotasHoldStacksAndGuests(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	room := map[tenancy.QuotaKind]int64{tenancy.Stacks: 1, tenancy.Guests: 0, tenancy.VCPU: 9, tenancy.MemoryMiB: 9999, tenancy.DiskGiB: 99}
	asked := map[tenancy.QuotaKind]int64{}
	b.Quota = func(_ context.Context, kind tenancy.QuotaKind, n int64) error {
		asked[kind] += n
		if asked[kind] > room[kind] {
			return fault.New(fault.Conflict, "No room for %d more %s.", n, kind)
		}
		return nil
	}
	s := b.stack(oneVM)
	_, err := b.CreateStack(b.alice, Stack{Name: "second", ConnectionID: s.ConnectionID, Program: oneVM})
	if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "stacks") {
		t.Errorf("a second stack: %v", err)
	}
	d := b.up(s)
	wantStatus(t, d, Failed)
	if d.Error == nil || !strings.Contains(*d.Error, "guests") || len(b.cluster.vmids()) != 0 || b.engine.ups != 0 {
		t.Errorf("a guest too many: %v, guests %v", d.Error, b.cluster.vmids())
	}
	room[tenancy.Guests] = 2
	wantStatus(t, b.up(s), Succeeded)
	if asked[tenancy.Guests] != 2 || asked[tenancy.VCPU] == 0 {
		t.Errorf("asked for %v", asked)
	}
}

// TestWhatIsBeingCreatedCounts leaves a run in the middle of its execution.
func TestWhatIsBeingCreatedCounts(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	d := b.up(b.stack(oneVM))
	count := func() (n int64) {
		t.Helper()
		must(t, b.DB.Tenant(b.alice, tenantOf(b.alice), func(ctx context.Context) (err error) {
			n, err = b.BeingCreated(ctx, tenancy.Guests)
			return err
		}))
		return n
	}
	if n := count(); n != 0 {
		t.Errorf("%d guests are being created after the run", n)
	}
	b.set(d.ID, Applying)
	if n := count(); n != 1 {
		t.Errorf("%d guests are being created during the run", n)
	}
}

// set forces the status of a run.
func (b *bench) set(deployment id.ID, status Status) {
	must(b.t, b.DB.Tenant(b.alice, tenantOf(b.alice), func(ctx context.Context) error {
		d, err := b.store.deployment(ctx, deployment, true)
		if err != nil {
			return err
		}
		d.Status = status
		return b.store.updateDeployment(ctx, d)
	}))
}

func tenantOf(ctx context.Context) id.ID {
	a, _ := actor.From(ctx)
	return a.TenantID
}
