package provider_test

import (
	"context"
	"encoding/json"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/cmdb"
	"nimbus/appliance/db"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/provider"
	"nimbus/appliance/provider/proxmox/pvesim"
)

func TestAConnectionFillsTheInventory(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	must(t, b.sim.CreateForeignGuest(pvesim.ForeignGuest{VMID: 100, Name: "web", Running: true}))
	c := b.connect()
	if c.Status != provider.StatusUnknown || len(b.trail("provider.connection.created")) != 1 {
		t.Errorf("new connection: %+v", c)
	}
	b.collect(c)
	if now := b.connection(c); now.Status != provider.StatusOK || now.Version != pvesim.Version || now.CollectedAt.IsZero() {
		t.Errorf("after a collection: %+v", now)
	}
	if g := b.guest("web"); g.Status != "running" || g.Stale || g.Managed {
		t.Errorf("guest: %+v", g)
	}
	if n := len(b.published("inventory.updated")); n != 1 {
		t.Errorf("inventory.updated came %d times", n)
	}
}

func TestRobustness15TheSecretIsNowhere(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c := b.connect()
	b.collect(c)
	shown, err := json.Marshal([]any{b.connection(c), b.events})
	must(t, err)
	seen := string(shown) + strings.Join(b.trail("provider.connection.created"), "")
	must(t, b.db.Tenant(b.ann, b.tenant, func(ctx context.Context) error {
		var row string
		err := db.Tx(ctx).QueryRow(ctx, `select encode(secret, 'escape') || c::text from connection c`).Scan(&row)
		seen += row
		return err
	}))
	if strings.Contains(seen, b.secret) {
		t.Error("the secret is shown or stored in clear")
	}
	e, err := b.Endpoint(t.Context(), b.tenant, c.ID)
	if err != nil || e.Secret != b.secret {
		t.Errorf("the secret cannot be opened again: %v", err)
	}
}

func TestCreateRefuses(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect()
	bad := map[string]struct {
		change func(*provider.NewConnection)
		kind   fault.Kind
	}{
		"a name that is taken": {func(*provider.NewConnection) {}, fault.Conflict},
		"no name":              {func(n *provider.NewConnection) { n.Name = "" }, fault.Invalid},
		"two lines":            {func(n *provider.NewConnection) { n.Name = "a\nb" }, fault.Invalid},
		"plain http":           {func(n *provider.NewConnection) { n.Name, n.URL = "x", "http://pve:8006" }, fault.Invalid},
		"no fingerprint":       {func(n *provider.NewConnection) { n.Name, n.Fingerprint = "x", "AB:CD" }, fault.Invalid},
		"no certificate":       {func(n *provider.NewConnection) { n.Name, n.CAPEM = "x", "hello" }, fault.Invalid},
	}
	for name, c := range bad {
		n := b.entry("home")
		c.change(&n)
		if _, err := b.Create(b.ann, n); !fault.Is(err, c.kind) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx := actor.With(t.Context(), actor.Actor{Kind: actor.Setup, Name: "wizard"})
	if _, err := b.Create(ctx, b.entry("x")); !fault.Is(err, fault.Invalid) {
		t.Errorf("without a tenant: %v", err)
	}
	ctx = actor.With(t.Context(), actor.Actor{Kind: actor.User, Name: "Ann", TenantID: rootTenant})
	if _, err := b.Create(ctx, b.entry("x")); !fault.Is(err, fault.Invalid) {
		t.Errorf("in the root tenant: %v", err)
	}
}

func TestEverythingNeedsItsPermission(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	must(t, b.sim.CreateForeignGuest(pvesim.ForeignGuest{VMID: 100, Name: "web"}))
	c := b.connect()
	b.collect(c)
	web, before := b.guest("web").ID, len(b.sim.Requests())
	ctx := actor.With(t.Context(), actor.Actor{Kind: actor.User, Name: "Nobody", TenantID: b.tenant})
	for name, call := range map[string]func() error{
		"list":    func() error { _, err := b.Connections(ctx); return err },
		"read":    func() error { _, err := b.Connection(ctx, c.ID); return err },
		"create":  func() error { _, err := b.Create(ctx, b.entry("x")); return err },
		"test":    func() error { _, err := b.Test(ctx, b.entry("x")); return err },
		"delete":  func() error { return b.Delete(ctx, c.ID) },
		"accept":  func() error { _, err := b.AcceptFingerprint(ctx, c.ID, c.Fingerprint); return err },
		"collect": func() error { return b.CollectNow(ctx, c.ID) },
		"power":   func() error { _, err := b.Power(ctx, web, provider.PowerStop); return err },
		"tasks":   func() error { _, err := b.Tasks(ctx, id.ID{}, "", 0); return err },
		"task":    func() error { _, err := b.Task(ctx, id.New()); return err },
		"log":     func() error { _, err := b.TaskLog(ctx, id.New()); return err },
	} {
		if err := call(); !fault.Is(err, fault.Forbidden) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(b.sim.Requests()) != before {
		t.Error("somebody without a permission reached the cluster")
	}
}

func TestDeleteLeavesTheClusterAlone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	must(t, b.sim.CreateForeignGuest(pvesim.ForeignGuest{VMID: 100, Name: "web"}))
	c := b.connect()
	b.collect(c)
	before := len(b.sim.Requests())
	must(t, b.Delete(b.ann, c.ID))
	if len(b.sim.Requests()) != before || len(b.items(cmdb.Filter{})) != 0 {
		t.Error("the cluster was asked, or items are left")
	}
	if err := b.Delete(b.ann, c.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("a second time: %v", err)
	}
	must(t, b.Collect(t.Context(), b.tenant, c.ID, true)) // a schedule that is late
}

func TestRobustness47FingerprintChangeNeedsApproval(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	must(t, b.sim.CreateForeignGuest(pvesim.ForeignGuest{VMID: 100, Name: "web"}))
	c := b.connect()
	b.collect(c)
	web := b.guest("web")
	must(t, b.sim.RotateCertificate())
	must(t, b.Stop(t.Context())) // open connections were verified before
	b.collect(c)
	now := b.connection(c)
	if now.Status != provider.StatusFingerprintChanged || now.OfferedFingerprint != b.sim.Fingerprint() || now.StatusDetail == "" {
		t.Fatalf("connection: %+v", now)
	}
	if !b.guest("web").Stale {
		t.Error("the inventory is not called stale")
	}
	before := len(b.sim.Requests())
	b.collect(c)
	if _, err := b.Power(b.ann, web.ID, provider.PowerStart); !fault.Is(err, fault.Conflict) {
		t.Errorf("power: %v", err)
	}
	if _, err := b.Endpoint(t.Context(), b.tenant, c.ID); !fault.Is(err, fault.Conflict) {
		t.Errorf("deployment: %v", err)
	}
	if len(b.sim.Requests()) != before {
		t.Error("something was sent before the certificate was accepted")
	}
	if _, err := b.AcceptFingerprint(b.ann, c.ID, strings.Repeat("AA:", 31)+"AA"); !fault.Is(err, fault.Conflict) {
		t.Errorf("accepting another fingerprint: %v", err)
	}
	_, err := b.AcceptFingerprint(b.ann, c.ID, now.OfferedFingerprint)
	must(t, err)
	b.collect(c)
	if now := b.connection(c); now.Status != provider.StatusOK || b.guest("web").Stale || b.guest("web").ID != web.ID {
		t.Errorf("after it was accepted: %+v", now)
	}
	if n := len(b.trail("provider.connection.fingerprint-accepted")); n != 1 {
		t.Errorf("%d records of the acceptance", n)
	}
}

func TestRobustness47DownIsSaidOnceAndBackedOff(t *testing.T) {
	b := newBench(t)
	must(t, b.sim.CreateForeignGuest(pvesim.ForeignGuest{VMID: 100, Name: "web"}))
	c := b.connect()
	b.collect(c)
	must(t, b.sim.Stop(t.Context()))
	b.collect(c)
	goroutines := runtime.NumGoroutine()
	for range 20 {
		b.collect(c)
	}
	if n := runtime.NumGoroutine(); n > goroutines+4 {
		t.Errorf("goroutines grew from %d to %d", goroutines, n)
	}
	now := b.connection(c)
	if now.Status != provider.StatusUnreachable || !strings.Contains(now.StatusDetail, "cannot be reached") {
		t.Errorf("connection: %+v", now)
	}
	if web := b.guest("web"); !web.Stale || web.Name != "web" {
		t.Errorf("what was collected: %+v", web)
	}
	if n := len(b.trail("provider.connection.lost")); n != 1 {
		t.Errorf("the loss was recorded %d times", n)
	}
	start := time.Now()
	must(t, b.Collect(t.Context(), b.tenant, c.ID, false))
	if since := b.connection(c); since.StatusSince != now.StatusSince || time.Since(start) > 200*time.Millisecond {
		t.Error("a scheduled collection did not wait for the end of the back-off")
	}
}

func TestRobustness47WrongTokenIsSaid(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	n := b.entry("home")
	n.Secret = "00000000-0000-0000-0000-000000000000"
	c, err := b.Create(b.ann, n)
	must(t, err)
	b.collect(c)
	if now := b.connection(c); now.Status != provider.StatusUnauthorised || !strings.Contains(now.StatusDetail, "token") {
		t.Errorf("connection: %+v", now)
	}
}

func TestTestSaysWhatIsOffered(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	n := b.entry("")
	n.Fingerprint = ""
	r, err := b.Test(b.ann, n)
	must(t, err)
	if r.OK || r.Fingerprint != b.sim.Fingerprint() || !strings.Contains(r.Message, "not trusted") {
		t.Errorf("without a fingerprint: %+v", r)
	}
	n.Fingerprint = r.Fingerprint
	if r, err = b.Test(b.ann, n); err != nil || r.Version != pvesim.Version || len(r.Privileges) == 0 {
		t.Errorf("with it: %+v, %v", r, err)
	}
}

func TestAnInterruptedCollectionWritesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c := b.connect()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Collect(ctx, b.tenant, c.ID, true); !errors.Is(err, context.Canceled) && !fault.Is(err, fault.Unavailable) {
		t.Errorf("got %v", err)
	}
	if now := b.connection(c); now.Status != provider.StatusUnknown {
		t.Errorf("connection: %+v", now)
	}
}

func TestLifecycleWithoutStart(t *testing.T) {
	t.Parallel()
	s := provider.New(provider.Config{})
	for range 2 {
		must(t, s.Stop(t.Context()))
	}
	must(t, s.Start(t.Context()))
	must(t, s.Ready(t.Context()))
}

func TestIdentityThroughRenamesAndReuse(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	foreign := func(name, uuid string) {
		must(t, b.sim.CreateForeignGuest(pvesim.ForeignGuest{VMID: 100, Name: name, Config: map[string]string{"smbios1": "uuid=" + uuid, "meta": ""}}))
	}
	foreign("web", "11111111-1111-1111-1111-111111111111")
	c := b.connect()
	b.collect(c)
	first := b.guest("web").ID
	must(t, b.sim.SetGuestConfig(100, "name", "shop"))
	b.collect(c)
	if b.guest("shop").ID != first {
		t.Error("a renamed machine lost its identity")
	}
	must(t, b.sim.DeleteGuest(100))
	foreign("shop", "22222222-2222-2222-2222-222222222222")
	b.collect(c)
	if b.guest("shop").ID == first {
		t.Error("a number that was used again kept its identity")
	}
	if _, err := b.cmdb.Get(b.ann, first); !fault.Is(err, fault.Gone) {
		t.Errorf("the former machine: %v", err)
	}
	must(t, b.sim.DeleteGuest(100))
	b.collect(c)
	if n := len(b.items(cmdb.Filter{Kind: cmdb.VM})); n != 0 {
		t.Errorf("%d machines are left", n)
	}
}

func TestLostNodesKeepTheirMachines(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	must(t, b.sim.CreateForeignGuest(pvesim.ForeignGuest{VMID: 100, Name: "web", Node: "pve2", Running: true}))
	c := b.connect()
	b.collect(c)
	before := b.guest("web")
	must(t, b.sim.SetNodeOffline("pve2", true))
	b.collect(c)
	if now := b.guest("web"); now.ID != before.ID || !now.Stale || now.Status != cmdb.StatusUnknown {
		t.Errorf("while its node is away: %+v", now)
	}
	must(t, b.sim.SetNodeOffline("pve2", false))
	b.collect(c)
	if now := b.guest("web"); now.ID != before.ID || now.Stale || now.Status != "running" {
		t.Errorf("after it is back: %+v", now)
	}
}
