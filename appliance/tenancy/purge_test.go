package tenancy_test

import (
	"context"
	"errors"
	"testing"
	"time"

	sdk "go.temporal.io/sdk/client"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"nimbus/appliance/db"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/tenancy"
)

// engine stands in for Temporal: it keeps what it was asked to start.
type engine struct {
	down    bool
	started []string
}

func (e *engine) ExecuteWorkflow(_ context.Context, o sdk.StartWorkflowOptions, workflow any, args ...any) (sdk.WorkflowRun, error) {
	if e.down {
		return nil, errors.New("the engine is down")
	}
	e.started = append(e.started, workflow.(string)+" "+o.ID)
	return nil, nil
}

// run runs the workflow.
func (b *bench) run(in tenancy.PurgeInput) error {
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	tenancy.Register(env, b.Service)
	env.ExecuteWorkflow(tenancy.TenantPurgeWorkflow, in)
	return env.GetWorkflowError()
}

// step runs one activity by its name.
func (b *bench) step(name string, tenant id.ID) error {
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	tenancy.Register(env, b.Service)
	env.ExecuteWorkflow(func(ctx workflow.Context) error {
		ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute})
		return workflow.ExecuteActivity(ctx, name, tenant).Get(ctx, nil)
	})
	return env.GetWorkflowError()
}

// due lets the retention of a deleted tenant be over.
func (b *bench) due(tenant id.ID) {
	b.exec(`update core.tenant set deleted_at = now() - interval '31 days' where id = $1`, tenant)
}

// leftovers counts what there still is of a tenant.
func (b *bench) leftovers(tenant id.ID) int {
	schema := db.TenantSchema(tenant)
	return b.count(`select count(*) from pg_namespace where nspname = $1`, schema) +
		b.count(`select count(*) from pg_roles where rolname = $1`, schema) +
		b.count(`select count(*) from core.schema_migration where scope = $1`, schema) +
		b.count(`select count(*) from core.tenant where id = $1`, tenant) +
		b.count(`select count(*) from core.tenant_key where tenant_id = $1`, tenant) +
		b.count(`select count(*) from core.membership where tenant_id = $1`, tenant) +
		b.count(`select count(*) from core.session where tenant_id = $1`, tenant) +
		b.count(`select count(*) from core.api_token where tenant_id = $1`, tenant) +
		b.count(`select count(*) from core.tenant_domain where tenant_id = $1`, tenant) +
		b.count(`select count(*) from core.tenant_quota where tenant_id = $1`, tenant) +
		b.count(`select count(*) from core.connection_owner where tenant_id = $1`, tenant) +
		b.count(`select count(*) from core.vmid_reservation where tenant_id = $1`, tenant)
}

// inhabit gives a tenant rows in every core table that can have some.
func (b *bench) inhabit(tenant id.ID) {
	user, connection, request := id.New(), id.New(), id.New()
	b.exec(`insert into core.account (id, email, name, password_hash, status) values ($1, $2, 'Ann', 'canary-hash', 'active')`, user, user.Hex()+"@example.com")
	b.exec(`insert into core.membership (user_id, tenant_id) values ($1, $2)`, user, tenant)
	b.exec(`insert into core.session (id, token_hash, user_id, tenant_id, address, user_agent, expires_at) values ($1, $2, $3, $4, '', '', now())`, id.New(), user[:], user, tenant)
	b.exec(`insert into core.api_token (id, token_hash, user_id, tenant_id, name, expires_at) values ($1, $2, $3, $4, 'ci', now())`, id.New(), user[:], user, tenant)
	b.exec(`insert into core.tenant_key (tenant_id, root, wrapped) values ($1, 'r', 'canary-key')`, tenant)
	b.exec(`insert into core.tenant_domain (tenant_id, domain, token, verified_at) values ($1, $2, 'canary-token', now())`, tenant, user.Hex()+".example.com")
	b.exec(`insert into core.tenant_quota (tenant_id, kind, hard) values ($1, 'guests', 5)`, tenant)
	b.exec(`insert into core.connection_owner (connection_id, tenant_id) values ($1, $2)`, connection, tenant)
	b.exec(`insert into core.vmid_reservation (connection_id, vmid, tenant_id, stack_id, mark, expires_at) values ($1, 100, $2, $1, '', now())`, connection, tenant)
	b.exec(`insert into core.breakglass_request (id, tenant_id, user_id, user_name, requested_by_name, reason, minutes) values ($1, $2, $3, 'Ann', 'Ann', 'fire', 5)`, request, tenant, user)
	b.exec(`insert into core.breakglass_approval (request_id, user_id, user_name, self) values ($1, $2, 'Ann', true)`, request, user)
}

func TestPurgeRemovesEverythingAndIsRecorded(t *testing.T) {
	t.Parallel()
	var parts []id.ID
	b := newBench(t, func(c *tenancy.Config) {
		c.Purge = append(c.Purge, func(_ context.Context, tenant id.ID) error { parts = append(parts, tenant); return nil })
	})
	sub, kept, early := b.create("Sub", b.home), b.create("Kept", b.root), b.create("Early", b.root)
	for _, tenant := range []tenancy.Tenant{b.home, sub, kept, early} {
		b.inhabit(tenant.ID)
	}
	for _, tenant := range []tenancy.Tenant{b.home, early} {
		_, err := b.Delete(b.rita, tenant.ID)
		must(t, err)
	}
	b.due(b.home.ID)
	must(t, b.run(tenancy.PurgeInput{}))
	if n := b.leftovers(b.home.ID) + b.leftovers(sub.ID); n != 0 {
		t.Errorf("%d things are left", n)
	}
	if b.leftovers(kept.ID) < 12 || b.leftovers(early.ID) < 12 {
		t.Error("another tenant lost something")
	}
	if len(parts) != 2 || parts[0] != sub.ID || parts[1] != b.home.ID {
		t.Errorf("the parts of other domains: %v", parts)
	}
	if b.recorded("core", "tenancy.tenant.purged") != 2 || !b.told("tenant.purged") {
		t.Error("the purge was not recorded at the provider level and told")
	}
	if n := b.count(`select count(*) from core.breakglass_request where tenant_id = $1`, b.home.ID); n != 1 {
		t.Error("the evidence of an emergency session is gone")
	}
	must(t, b.run(tenancy.PurgeInput{Tenant: b.home.ID}))
	must(t, b.run(tenancy.PurgeInput{}))
	if b.recorded("core", "tenancy.tenant.purged") != 2 {
		t.Error("a purge that was done is recorded again")
	}
}

// TestPurgeStepsMayRunTwice runs each step of a purge two times, in the order
// of a workflow whose worker dies after every step.
func TestPurgeStepsMayRunTwice(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.inhabit(b.home.ID)
	_, err := b.Delete(b.rita, b.home.ID)
	must(t, err)
	b.due(b.home.ID)
	for _, name := range []string{"tenancy.PurgeBegin", "tenancy.PurgeParts", "tenancy.PurgeSchema", "tenancy.PurgeRows"} {
		must(t, b.step(name, b.home.ID))
		must(t, b.step(name, b.home.ID))
	}
	if b.leftovers(b.home.ID) != 0 || b.recorded("core", "tenancy.tenant.purged") != 1 {
		t.Errorf("%d things are left", b.leftovers(b.home.ID))
	}
}

// TestLatePurgeStepsSpareWhatIsInUse runs the destructive steps for a tenant
// that is not being purged.
func TestLatePurgeStepsSpareWhatIsInUse(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.inhabit(b.home.ID)
	before := b.leftovers(b.home.ID)
	_, err := b.Delete(b.rita, b.home.ID)
	must(t, err)
	must(t, b.run(tenancy.PurgeInput{Tenant: b.home.ID})) // its retention is not over
	for _, name := range []string{"tenancy.PurgeParts", "tenancy.PurgeSchema", "tenancy.PurgeRows"} {
		must(t, b.step(name, b.home.ID))
	}
	if after := b.leftovers(b.home.ID); after != before {
		t.Errorf("%d things of %d are left", after, before)
	}
	_, err = b.Restore(b.rita, b.home.ID)
	must(t, err)
}

// TestOnePurgeThatFailsKeepsNoOther lets a part fail for one tenant.
func TestOnePurgeThatFailsKeepsNoOther(t *testing.T) {
	t.Parallel()
	var broken id.ID
	b := newBench(t, func(c *tenancy.Config) {
		c.Purge = append(c.Purge, func(_ context.Context, tenant id.ID) error {
			if tenant == broken {
				return fault.New(fault.Unavailable, "The schedule cannot be removed.")
			}
			return nil
		})
	})
	broken = b.home.ID
	other := b.create("Other", b.root)
	for _, tenant := range []id.ID{b.home.ID, other.ID} {
		_, err := b.Delete(b.rita, tenant)
		must(t, err)
		b.due(tenant)
	}
	if err := b.run(tenancy.PurgeInput{}); err == nil {
		t.Error("the workflow did not fail")
	}
	if b.leftovers(other.ID) != 0 || b.leftovers(b.home.ID) == 0 {
		t.Error("the other tenant was not purged, or the broken one was")
	}
	_, err := b.Restore(b.rita, b.home.ID)
	wants(t, err, fault.Gone, "restoring what is half purged")
	broken = id.ID{}
	must(t, b.run(tenancy.PurgeInput{}))
	if b.leftovers(b.home.ID) != 0 {
		t.Error("the next run did not finish")
	}
}

func TestAskingForAPurge(t *testing.T) {
	t.Parallel()
	e := &engine{}
	b := newBench(t, func(c *tenancy.Config) { c.Workflows = func() tenancy.Workflows { return e } })
	_, err := b.Purge(b.rita, b.home.ID, "Home")
	wants(t, err, fault.Conflict, "what is not deleted")
	_, err = b.Delete(b.rita, b.home.ID)
	must(t, err)
	_, err = b.Purge(b.rita, b.home.ID, "home")
	wants(t, err, fault.Invalid, "another name")
	_, err = b.Purge(b.hal, b.home.ID, "Home")
	wants(t, err, fault.Forbidden, "oneself")
	e.down = true // what was accepted is done by the daily run
	after, err := b.Purge(b.rita, b.home.ID, "Home")
	must(t, err)
	if after.Status != tenancy.Purging || b.recorded("core", "tenancy.tenant.purge_requested") != 1 {
		t.Errorf("%+v", after)
	}
	_, err = b.Restore(b.rita, b.home.ID)
	wants(t, err, fault.Gone, "restoring afterwards")
	must(t, b.run(tenancy.PurgeInput{}))
	if b.leftovers(b.home.ID) != 0 {
		t.Error("the daily run did not purge what was asked for")
	}
	e.down = false
	other := b.create("Other", b.root)
	_, err = b.Delete(b.rita, other.ID)
	must(t, err)
	_, err = b.Purge(b.rita, other.ID, "Other")
	must(t, err)
	if len(e.started) != 1 || e.started[0] != "TenantPurgeWorkflow tenant-purge-"+other.ID.String() {
		t.Errorf("started: %v", e.started)
	}
}

// TestRobustness22TheSameIDsAgain purges a tenant and makes another one, and
// things in it, with the same ids: nothing old shows.
func TestRobustness22TheSameIDsAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c, err := b.CreateCompartment(b.hal, tenancy.Compartment{Name: "Old"})
	must(t, err)
	b.inhabit(b.home.ID)
	_, err = b.Delete(b.rita, b.home.ID)
	must(t, err)
	b.due(b.home.ID)
	must(t, b.run(tenancy.PurgeInput{}))

	other := b.create("Other", b.root)
	b.exec(`insert into core.tenant (id, name, parent_id, status) values ($1, 'Again', $2, 'creating')`, b.home.ID, b.root.ID)
	must(t, b.Load(t.Context()))
	again := person(t, "Anna", b.home.ID)
	all, err := b.Compartments(again)
	must(t, err)
	if len(all) != 0 || b.count(`select count(*) from core.membership where tenant_id = $1`, b.home.ID) != 0 {
		t.Errorf("old rows show: %+v", all)
	}
	olga := person(t, "Olga", other.ID)
	b.exec(`insert into `+db.TenantSchema(other.ID)+`.compartment (id, name) values ($1, 'New')`, c.ID)
	got, err := b.Compartment(olga, c.ID)
	must(t, err)
	if got.Name != "New" {
		t.Errorf("%+v", got)
	}
	_, err = b.Compartment(again, c.ID)
	wants(t, err, fault.NotFound, "the id of another tenant's compartment")
	if n := b.count(`select count(*) from ` + db.TenantSchema(b.home.ID) + `.audit_record where event <> 'tenancy.tenant.created'`); n != 0 {
		t.Errorf("%d records of the old tenant are in the chain of the new one", n)
	}
}
