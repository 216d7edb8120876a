package deployment

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"nimbus/appliance/actor"
	"nimbus/appliance/approval"
	"nimbus/appliance/audit"
	"nimbus/appliance/db"
	"nimbus/appliance/db/dbtest"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/permission"
	"nimbus/appliance/secret"
	"nimbus/appliance/tenancy"
)

// bench is the service over a database of its own, a fake engine and a fake
// cluster, with its workflows in Temporal's test environment.
type bench struct {
	*Service
	t       *testing.T
	tenant  id.ID
	cluster *cluster
	engine  *engine
	rights  *permission.Service
	policy  approval.Policy
	alice   context.Context // writes and asks
	bob     context.Context // approves
	reader  context.Context

	mu      sync.Mutex
	later   time.Duration // added to the clock
	down    bool          // Temporal
	events  []event.Event
	history []string // what steps gave to the workflow
	env     *testsuite.TestWorkflowEnvironment
}

const apiToken = "nimbus@pve!nimbus=token-canary-7c1e"

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, tenant: id.New(), cluster: newCluster(), policy: approval.SecondPerson}
	b.engine = newEngine(b.cluster)
	b.alice, b.bob, b.reader = b.person("Alice"), b.person("Bob"), b.person("Reader")
	database := b.openDatabase()
	bus := event.NewBus(slog.New(slog.DiscardHandler))
	bus.Subscribe(func(e event.Event) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.events = append(b.events, e)
	})
	root, err := secret.OpenFileRoot(filepath.Join(t.TempDir(), "root.key"))
	must(t, err)
	b.rights = permission.New(permission.Config{DB: database, Events: bus, Logger: slog.New(slog.DiscardHandler),
		Audit:  audit.New(audit.Config{DB: database, Logger: slog.New(slog.DiscardHandler), IsRoot: func(id.ID) bool { return false }}),
		IsRoot: func(id.ID) bool { return false }})
	records := audit.New(audit.Config{DB: database, Logger: slog.New(slog.DiscardHandler), IsRoot: func(id.ID) bool { return false }})
	allowed := func(ctx context.Context, p string, on permission.Resource) bool { return b.checkOn(ctx, p, on) == nil }
	b.Service, err = New(Config{
		DB: database, Audit: records, Check: check, CheckOn: b.checkOn, AllowedOn: allowed, CheckSomewhere: b.checkSomewhere, Events: bus, Now: b.clock,
		Keyring:    secret.NewKeyring(root, &keys{kept: map[id.ID]secret.WrappedKey{}}, nil),
		Approvals:  approval.New(approval.Config{DB: database, Audit: records, CheckOn: b.checkOn, AllowedOn: allowed, Events: bus, Now: b.clock}),
		Policy:     func(context.Context, id.ID) (approval.Policy, error) { return b.policy, nil },
		Connection: func(context.Context, id.ID) error { return nil },
		Environment: func(context.Context, id.ID, id.ID) (map[string]string, error) {
			return map[string]string{"PROXMOX_VE_ENDPOINT": "https://pve", "PROXMOX_VE_API_TOKEN": apiToken}, nil
		},
		Engine: b.engine, Guests: b.cluster, Workflows: b,
	})
	must(t, err)
	return b
}

func (b *bench) openDatabase() *db.DB {
	database, history := dbtest.Open(b.t, audit.Migrations, tenancy.Migrations, permission.Migrations, approval.Migrations, Migrations)
	must(b.t, database.AddTenant(b.t.Context(), b.tenant, history))
	return database
}

func (b *bench) person(name string) context.Context {
	return actor.With(b.t.Context(), actor.Actor{
		Kind: actor.User, ID: id.New(), Name: name, TenantID: b.tenant, AuthenticatedAt: time.Now().Add(-time.Hour),
	})
}

func (b *bench) clock() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Now().Add(b.later)
}

// check lets the reader read and everybody else do everything.
func check(ctx context.Context, permission string) error {
	if a, _ := actor.From(ctx); a.Name == "Reader" && permission != ReadStack {
		return fault.New(fault.Forbidden, "You need %s.", permission)
	}
	return nil
}

// checkOn asks the real engine about Carol, and is check for everybody else.
func (b *bench) checkOn(ctx context.Context, p string, on permission.Resource) error {
	if a, _ := actor.From(ctx); a.Name == "Carol" {
		return b.rights.CheckOn(ctx, p, on)
	}
	return check(ctx, p)
}

// checkSomewhere asks the real engine about Carol, and is check for everybody else.
func (b *bench) checkSomewhere(ctx context.Context, p string) error {
	if a, _ := actor.From(ctx); a.Name == "Carol" {
		return b.rights.CheckSomewhere(ctx, p)
	}
	return check(ctx, p)
}

type keys struct {
	mu   sync.Mutex
	kept map[id.ID]secret.WrappedKey
}

func (k *keys) LoadKey(_ context.Context, tenant id.ID) (secret.WrappedKey, bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key, ok := k.kept[tenant]
	return key, ok, nil
}

func (k *keys) AddKey(_ context.Context, tenant id.ID, w secret.WrappedKey) (secret.WrappedKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if old, ok := k.kept[tenant]; ok {
		return old, nil
	}
	k.kept[tenant] = w
	return w, nil
}

var errDown = errors.New("temporal is down")

// ExecuteWorkflow only notes whether Temporal is there: run does the rest.
func (b *bench) ExecuteWorkflow(context.Context, client.StartWorkflowOptions, any, ...any) (client.WorkflowRun, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down {
		return nil, errDown
	}
	return nil, nil
}

func (b *bench) SignalWorkflow(_ context.Context, _, _, signal string, arg any) error {
	if b.env == nil {
		return errDown
	}
	b.env.SignalWorkflow(signal, arg)
	return nil
}

func (b *bench) CancelWorkflow(context.Context, string, string) error {
	if b.env == nil {
		return errDown
	}
	b.env.CancelWorkflow()
	return nil
}

// run runs a deployment's workflow to its end as the requester; at, when it is
// given, happens while the workflow waits for a decision.
func (b *bench) run(d Deployment, at func()) Deployment {
	b.t.Helper()
	suite := testsuite.WorkflowTestSuite{}
	suite.SetLogger(discard{})
	dc := converter.GetDefaultDataConverter()
	suite.SetContextPropagators([]workflow.ContextPropagator{actor.Propagator(dc)})
	a, _ := actor.From(b.alice)
	payload, err := dc.ToPayload(a)
	must(b.t, err)
	suite.SetHeader(&commonpb.Header{Fields: map[string]*commonpb.Payload{"nimbus-actor": payload}})
	b.env = suite.NewTestWorkflowEnvironment()
	b.env.SetTestTimeout(30 * time.Second)
	b.env.SetOnActivityCompletedListener(func(_ *activity.Info, result converter.EncodedValue, err error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		var value any
		if result != nil && result.HasValue() {
			must(b.t, result.Get(&value))
		}
		b.history = append(b.history, fmt.Sprint(value, err))
	})
	Register(b.env, b.Service)
	if at != nil {
		b.env.RegisterDelayedCallback(at, time.Minute)
	}
	b.env.ExecuteWorkflow(deployWorkflow, Input{Tenant: b.tenant, Deployment: d.ID})
	must(b.t, b.env.GetWorkflowError())
	got, err := b.Deployment(b.alice, d.ID)
	must(b.t, err)
	return got
}

type discard struct{}

func (discard) Debug(string, ...any) {}
func (discard) Info(string, ...any)  {}
func (discard) Warn(string, ...any)  {}
func (discard) Error(string, ...any) {}

const oneVM = `
resources:
  web:
    type: proxmoxve:VmLegacy
    properties: {nodeName: pve1, memory: {dedicated: 1024}}
`

func (b *bench) stack(program string) Stack {
	b.t.Helper()
	s, err := b.CreateStack(b.alice, Stack{Name: "web " + id.New().String(), ConnectionID: id.New(), Program: program})
	must(b.t, err)
	return s
}

func (b *bench) deploy(s Stack, o Operation) Deployment {
	b.t.Helper()
	d, err := b.Deploy(b.alice, s.ID, o, false)
	must(b.t, err)
	return d
}

// approve is Bob's approval of what is shown.
func (b *bench) approve(d Deployment) func() {
	return func() {
		shown, err := b.Deployment(b.bob, d.ID)
		if err == nil {
			_, err = b.Decide(b.bob, d.ID, approval.Approve, shown.Plan.Digest, "fine")
		}
		if err != nil {
			b.t.Error(err)
		}
	}
}

func (b *bench) up(s Stack) Deployment {
	b.t.Helper()
	d := b.deploy(s, Up)
	return b.run(d, b.approve(d))
}

// query runs SQL in the tenant and returns the first column as text.
func (b *bench) query(sql string) (texts []string) {
	b.t.Helper()
	must(b.t, b.DB.Tenant(b.alice, b.tenant, func(ctx context.Context) error {
		rows, err := db.Tx(ctx).Query(ctx, sql)
		if err != nil {
			return err
		}
		texts, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	}))
	return texts
}
