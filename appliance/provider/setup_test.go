package provider_test

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	sdk "go.temporal.io/sdk/client"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/cmdb"
	"nimbus/appliance/db"
	"nimbus/appliance/db/dbtest"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/permission"
	"nimbus/appliance/provider"
	"nimbus/appliance/provider/proxmox"
	"nimbus/appliance/provider/proxmox/pvesim"
	"nimbus/appliance/secret"
)

// bench is the service over a database of its own and a simulated cluster.
type bench struct {
	*provider.Service
	t      *testing.T
	db     *db.DB
	cmdb   *cmdb.Service
	rights *permission.Service
	sim    *pvesim.Cluster
	secret string
	tenant id.ID
	ann    context.Context // who may do everything

	mu     sync.Mutex
	events []event.Event
}

// rootTenant is a tenant without a cloud.
var rootTenant = id.Derived("root")

func newBench(t *testing.T) *bench {
	t.Helper()
	return newBenchWith(t, nil)
}

// newBenchWith is newBench with a workflow engine.
func newBenchWith(t *testing.T, engine sdk.Client) *bench {
	t.Helper()
	b := &bench{t: t, tenant: id.New()}
	b.openDatabase()
	b.startCluster()
	bus := event.NewBus(slog.New(slog.DiscardHandler))
	bus.Subscribe(func(e event.Event) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.events = append(b.events, e)
	})
	root, err := secret.OpenFileRoot(filepath.Join(t.TempDir(), "root.key"))
	must(t, err)
	records := audit.New(audit.Config{DB: b.db, Logger: slog.New(slog.DiscardHandler), IsRoot: func(id.ID) bool { return false }})
	b.rights = permission.New(permission.Config{DB: b.db, Audit: records, Events: bus, Logger: slog.New(slog.DiscardHandler),
		IsRoot: func(id.ID) bool { return false }})
	b.cmdb = cmdb.New(cmdb.Config{DB: b.db, Audit: records, Check: check, Events: bus})
	b.Service = provider.New(provider.Config{
		DB: b.db, Audit: records, Check: check, CheckOn: b.checkOn, Events: bus, CMDB: b.cmdb, Poll: 5 * time.Millisecond, Temporal: engine,
		IsRoot:  func(tenant id.ID) bool { return tenant == rootTenant },
		Keyring: secret.NewKeyring(root, &keys{kept: map[id.ID]secret.WrappedKey{}}, nil),
		Open:    map[string]provider.Opener{provider.Proxmox: proxmox.Open},
	})
	t.Cleanup(func() { must(t, b.Stop(context.Background())) })
	b.ann = actor.With(t.Context(), actor.Actor{Kind: actor.User, ID: id.New(), Name: "Ann", TenantID: b.tenant})
	return b
}

func (b *bench) openDatabase() {
	database, history := dbtest.Open(b.t, audit.Migrations, permission.Migrations, cmdb.Migrations, provider.Migrations)
	must(b.t, database.AddTenant(b.t.Context(), b.tenant, history))
	b.db = database
}

func (b *bench) startCluster() {
	t := b.t
	var err error
	b.sim, err = pvesim.New(pvesim.Config{Speed: 200})
	must(t, err)
	must(t, b.sim.Start(t.Context()))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		must(t, b.sim.Stop(ctx))
	})
	b.secret, err = b.sim.CreateToken("nimbus@pve", "nimbus", false, "PVEAdmin")
	must(t, err)
}

// checkOn asks the real engine about Carol, and is check for everybody else.
func (b *bench) checkOn(ctx context.Context, p string, on permission.Resource) error {
	if a, _ := actor.From(ctx); a.Name == "Carol" {
		return b.rights.CheckOn(ctx, p, on)
	}
	return check(ctx, p)
}

// check lets everybody do everything but Nobody.
func check(ctx context.Context, permission string) error {
	if a, _ := actor.From(ctx); a.Name == "Nobody" {
		return fault.New(fault.Forbidden, "You need %s.", permission)
	}
	return nil
}

// keys is a store of wrapped keys in memory.
type keys struct {
	mu   sync.Mutex
	kept map[id.ID]secret.WrappedKey
}

func (k *keys) LoadKey(_ context.Context, tenant id.ID) (secret.WrappedKey, bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	w, ok := k.kept[tenant]
	return w, ok, nil
}

func (k *keys) AddKey(_ context.Context, tenant id.ID, w secret.WrappedKey) (secret.WrappedKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if have, ok := k.kept[tenant]; ok {
		return have, nil
	}
	k.kept[tenant] = w
	return w, nil
}

// entry is what a person would enter for the simulated cluster.
func (b *bench) entry(name string) provider.NewConnection {
	return provider.NewConnection{Name: name, URL: b.sim.URL(), TokenID: "nimbus@pve!nimbus", Secret: b.secret, Fingerprint: b.sim.Fingerprint(), Simulated: true}
}

func (b *bench) connect() provider.Connection {
	b.t.Helper()
	c, err := b.Create(b.ann, b.entry("home"))
	must(b.t, err)
	return c
}

func (b *bench) collect(c provider.Connection) {
	b.t.Helper()
	must(b.t, b.Collect(b.t.Context(), b.tenant, c.ID, true))
}

func (b *bench) connection(c provider.Connection) provider.Connection {
	b.t.Helper()
	now, err := b.Connection(b.ann, c.ID)
	must(b.t, err)
	return now
}

func (b *bench) items(f cmdb.Filter) []cmdb.Item {
	b.t.Helper()
	page, err := b.cmdb.List(b.ann, f)
	must(b.t, err)
	return page.Items
}

func (b *bench) guest(name string) cmdb.Item {
	b.t.Helper()
	items := b.items(cmdb.Filter{Text: name})
	if len(items) != 1 {
		b.t.Fatalf("%d items named %s", len(items), name)
	}
	return items[0]
}

// published are the events of a type so far.
func (b *bench) published(kind string) []event.Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	var found []event.Event
	for _, e := range b.events {
		if e.Type == kind {
			found = append(found, e)
		}
	}
	return found
}

// trail are the bodies of the audit records of an event, oldest first.
func (b *bench) trail(name string) []string {
	b.t.Helper()
	var bodies []string
	must(b.t, b.db.Tenant(b.ann, b.tenant, func(ctx context.Context) error {
		rows, _ := db.Tx(ctx).Query(ctx, `select convert_from(body, 'UTF8') from audit_record where event = $1 order by id`, name)
		var err error
		bodies, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	}))
	return bodies
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// createVM makes a machine with the token of the connection, as the Pulumi
// provider does, and waits until it is there.
func (b *bench) createVM(number int) {
	b.t.Helper()
	b.createVMAs(b.token(), number)
}

// token is that of the connection.
func (b *bench) token() string { return "nimbus@pve!nimbus=" + b.secret }

// createVMAs is createVM with another token.
func (b *bench) createVMAs(token string, number int) {
	b.t.Helper()
	b.beginVM(token, number)
	for end := time.Now().Add(20 * time.Second); b.sim.GuestConfig(number)["lock"] != ""; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("machine %d was not made", number)
		}
	}
}

// beginVM begins to make a machine, which is there and locked until that is done.
func (b *bench) beginVM(token string, number int) {
	b.t.Helper()
	b.call(token, http.MethodPost, "/nodes/pve1/qemu", url.Values{"vmid": {strconv.Itoa(number)}, "name": {"made"}})
}

// call asks the cluster for something with a token.
func (b *bench) call(token, method, path string, form url.Values) {
	b.t.Helper()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.sim.URL()+"/api2/json"+path, strings.NewReader(form.Encode()))
	must(b.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Authorization", "PVEAPIToken="+token)
	res, err := client.Do(r)
	must(b.t, err)
	must(b.t, res.Body.Close())
	if res.StatusCode != http.StatusOK {
		b.t.Fatalf("%s %s: %s", method, path, res.Status)
	}
}
