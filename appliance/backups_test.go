package appliance_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/age"

	"nimbus/appliance"
	"nimbus/appliance/actor"
	"nimbus/appliance/appliancetest"
	"nimbus/appliance/backup"
	"nimbus/appliance/db"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/objectstore"
	"nimbus/appliance/provider/proxmox/pvesim"
	"nimbus/appliance/secret"
)

// protected is an appliance with a recovery kit and a target for its backups.
type protected struct {
	*story
	key    *age.X25519Identity
	target string
	admin  *appliancetest.Client // at provider level
	sim    *pvesim.Cluster       // which outlives the appliance
}

func newProtected(t *testing.T) *protected {
	t.Helper()
	sim, connection := cluster(t, 50)
	p := &protected{story: &story{Appliance: appliancetest.Start(t), t: t}, target: t.TempDir(), sim: sim}
	ctx := actor.With(context.Background(), actor.Actor{Kind: actor.Setup, Name: "setup", TenantID: p.Tenant})
	c, err := p.Core().Provider.Create(ctx, connection)
	if err != nil {
		t.Fatal(err)
	}
	p.connection = c.ID.String()
	p.people()
	if p.key, err = age.GenerateX25519Identity(); err != nil {
		t.Fatal(err)
	}
	err = p.Change(ctx, func(s *appliance.Settings) {
		s.Name, s.TimeZone, s.Recovery, s.Complete = "Lab", "Europe/Vienna", p.key.Recipient().String(), true
	})
	if err != nil {
		t.Fatal(err)
	}
	err = p.Core().Keys.Escrow(ctx, func(tenant id.ID, w secret.WrappedKey) ([]byte, error) {
		plaintext, err := p.Core().Keyring.Reveal(ctx, tenant, w)
		if err != nil {
			return nil, err
		}
		var sealed bytes.Buffer
		to, err := age.Encrypt(&sealed, p.key.Recipient())
		if err == nil {
			_, err = to.Write(plaintext)
			err = errors.Join(err, to.Close())
		}
		return sealed.Bytes(), err
	})
	if err != nil {
		t.Fatal(err)
	}
	p.admin = p.SignIn(t, "ada@example.com", p.Root)
	return p
}

func (p *protected) settings() map[string]any {
	return map[string]any{
		"target": map[string]any{"kind": "directory", "path": p.target}, "schedule": map[string]any{"enabled": true, "at": "02:30"},
		"keep": map[string]any{"daily": 7, "weekly": 4, "monthly": 12}, "wal": map[string]any{"enabled": true},
		"recipients": []string{}, "alarm_after_hours": 36, "verify": true,
	}
}

// backUp makes a backup through the door and waits until it is proven.
func (p *protected) backUp() backup.Backup {
	p.t.Helper()
	var made backup.Backup
	p.admin.Do(http.MethodPost, "/v1/system/backups", nil, http.StatusAccepted, &made)
	b := p.ended(made.ID)
	if b.State != backup.Done || b.VerifiedAt == nil || b.Bytes < 1<<20 {
		p.t.Fatalf("the backup is %+v", b)
	}
	return b
}

// ended waits until nothing works on a backup any more.
func (p *protected) ended(made id.ID) (b backup.Backup) {
	p.t.Helper()
	within(p.t, "a backup ends", func() bool {
		p.admin.Do(http.MethodGet, "/v1/system/backups/"+made.String(), nil, http.StatusOK, &b)
		return b.State == backup.Done || b.State == backup.Failed
	})
	return b
}

// load writes until stopped; each write that is acknowledged is counted.
func (p *protected) load() (stop func() int64) {
	ctx, cancel := context.WithCancel(context.Background())
	var g sync.WaitGroup
	var acknowledged atomic.Int64
	for worker := range 2 {
		client := p.SignIn(p.t, "ada@example.com", p.Tenant)
		g.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				status, _ := client.Try(http.MethodPost, "/v1/groups", map[string]any{"name": fmt.Sprintf("Load %d %d", worker, n)})
				if status == http.StatusCreated {
					acknowledged.Add(1)
				}
			}
		})
	}
	return func() int64 { cancel(); g.Wait(); return acknowledged.Load() }
}

// destroy stops the appliance: what is left are the target and the kit.
func (p *protected) destroy() {
	p.t.Helper()
	if err := p.Stop(context.Background()); err != nil {
		p.t.Fatal(err)
	}
}

// restoreInto restores onto an empty data directory and starts what is there.
func (p *protected) restoreInto(dir string, q backup.Request) backup.Proof {
	p.t.Helper()
	store, err := objectstore.Open(objectstore.Config{Kind: objectstore.Directory, Path: p.target})
	if err != nil {
		p.t.Fatal(err)
	}
	q.Store, q.Key = store, p.key
	// The new machine's service manager hands over a root key of its own, which
	// opens nothing that is in the backup: the kit does.
	cfg := appliance.Config{DataDir: dir, Listen: "127.0.0.1:0", Version: "test", Logger: appliancetest.Logger(p.t), Unsafe: true,
		RootKey: bytes.Repeat([]byte{7}, secret.KeySize)}
	proof, err := appliance.Restorer(cfg).Prepare(p.t.Context(), q, func(string, int) {})
	if err != nil {
		p.t.Fatal(err)
	}
	if placed, err := backup.Place(dir); !placed || err != nil {
		p.t.Fatalf("place: %v, %v", placed, err)
	}
	a := appliance.New(cfg)
	p.t.Cleanup(func() {
		if err := a.Stop(context.Background()); err != nil {
			p.t.Errorf("stop: %v", err)
		}
	})
	ctx := actor.With(context.Background(), actor.Actor{Kind: actor.Setup, Name: "setup"})
	if err := a.Open(ctx); err != nil {
		p.t.Fatal(err)
	}
	if err := a.Boot(ctx); err != nil {
		p.t.Fatal(err)
	}
	p.Appliance = &appliancetest.Appliance{Appliance: a, Root: p.Root, Tenant: p.Tenant, Admin: p.Admin, URL: "https://" + a.Front().Addr()}
	p.admin = p.SignIn(p.t, "ada@example.com", p.Root)
	p.deployer = p.SignIn(p.t, "dora@example.com", p.Tenant)
	p.approver = p.SignIn(p.t, "abel@example.com", p.Tenant)
	return proof
}

// TestRobustness45 makes a backup under load while a deployment waits for its
// approval. The machine is destroyed and what was in the backup restored on
// another, from the target and the recovery kit alone: rows, the audit trail and
// a sign-in are as they were, and the deployment goes on when it is approved. A
// later backup and the log between bring back a chosen moment.
func TestRobustness45(t *testing.T) {
	t.Parallel()
	p := newProtected(t)
	p.admin.Do(http.MethodPost, "/v1/system/backups/settings/test", p.settings(), http.StatusNoContent, nil)
	p.admin.Do(http.MethodPut, "/v1/system/backups/settings", p.settings(), http.StatusOK, nil)
	p.createStack("1024")
	waiting := p.wait(p.deploy("up", false).ID, "awaiting_approval")

	stop := p.load()
	time.Sleep(300 * time.Millisecond)
	held, err := p.Core().Audit.ChainHeads(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	before := len(p.allGroups())
	first := p.backUp()
	acknowledged := stop()
	second := p.backUp()
	moment := p.afterAMistake()
	var all struct{ Items []backup.Backup }
	p.admin.Do(http.MethodGet, "/v1/system/backups", nil, http.StatusOK, &all)
	if len(all.Items) != 2 || all.Items[0].ID != second.ID {
		t.Errorf("the list is %+v", all.Items)
	}
	p.stoppedOne()
	later, err := p.Core().Audit.ChainHeads(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	p.destroy()

	p.momentComesBack(moment)
	dir := appliancetest.Dir(t)
	proof := p.restoreInto(dir, backup.Request{Backup: first.ID})
	if proof.People != 3 || proof.Chains != 2 || proof.Records < 10 {
		t.Errorf("the proof is %+v", proof)
	}
	restored := len(p.allGroups())
	t.Logf("%d groups before the backup, %d acknowledged in the end, %d restored", before, acknowledged, restored)
	if restored < before || int64(restored) > acknowledged {
		t.Errorf("%d groups came back; %d were there when it began and %d in the end", restored, before, acknowledged)
	}
	ctx := context.Background()
	if err := p.Core().Audit.Includes(ctx, held); err != nil {
		t.Errorf("the trail does not go as far as when the backup began: %v", err)
	}
	if p.Core().Audit.Includes(ctx, later) == nil {
		t.Error("the trail has records from after the backup")
	}
	p.approve(p.wait(waiting.ID, "awaiting_approval"))
	p.wait(waiting.ID, "succeeded")
	if n := len(p.sim.Guests()); n != 1 {
		t.Errorf("%d guests instead of one", n)
	}
	p.verifyChain()
	p.recorded("backup.appliance.restored")
	third := p.backUp() // adopts what the catalogue of the first one does not know
	p.admin.Do(http.MethodPost, "/v1/system/backups/prune", nil, http.StatusOK, nil)
	p.admin.Do(http.MethodGet, "/v1/system/backups", nil, http.StatusOK, &all)
	for _, b := range []id.ID{first.ID, third.ID} {
		if !slices.ContainsFunc(all.Items, func(x backup.Backup) bool { return x.ID == b }) {
			t.Errorf("%s is not in the catalogue: %+v", b, all.Items)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".verify-*")); len(left) > 0 {
		t.Errorf("a trial left %v", left)
	}
}

// stoppedOne begins a backup and stops it: it ends soon, and leaves nothing.
func (p *protected) stoppedOne() {
	p.t.Helper()
	var made backup.Backup
	p.admin.Do(http.MethodPost, "/v1/system/backups", nil, http.StatusAccepted, &made)
	p.admin.Do(http.MethodDelete, "/v1/system/backups/"+made.ID.String(), nil, http.StatusNoContent, nil)
	began := time.Now()
	if b := p.ended(made.ID); b.State != backup.Failed || b.Error != "It was stopped." || time.Since(began) > 20*time.Second {
		p.t.Errorf("after %v the backup is %+v", time.Since(began), b)
	}
	if left, _ := filepath.Glob(filepath.Join(p.target, "backups", "*"+made.ID.Hex()+"*")); len(left) > 0 {
		p.t.Errorf("a stopped backup left %v", left)
	}
}

// afterAMistake makes a group, lets a moment pass, and deletes the group; the
// log of both is sent. It returns the moment between.
func (p *protected) afterAMistake() time.Time {
	p.t.Helper()
	client := p.SignIn(p.t, "ada@example.com", p.Tenant)
	var made struct{ ID string }
	client.Do(http.MethodPost, "/v1/groups", map[string]any{"name": "Kept"}, http.StatusCreated, &made)
	time.Sleep(50 * time.Millisecond)
	moment := time.Now()
	time.Sleep(50 * time.Millisecond)
	client.Do(http.MethodDelete, "/v1/groups/"+made.ID, nil, http.StatusNoContent, nil)
	if err := p.Core().Backups.Flush(context.Background()); err != nil {
		p.t.Fatal(err)
	}
	return moment
}

// momentComesBack restores a moment, up to where it would be put into place: the
// databases there have what was deleted afterwards.
func (p *protected) momentComesBack(moment time.Time) {
	p.t.Helper()
	dir := appliancetest.Dir(p.t)
	cfg := appliance.Config{DataDir: dir, Logger: appliancetest.Logger(p.t), Unsafe: true}
	store, err := objectstore.Open(objectstore.Config{Kind: objectstore.Directory, Path: p.target})
	if err != nil {
		p.t.Fatal(err)
	}
	other, err := age.GenerateX25519Identity()
	must(p.t, err)
	if _, err := appliance.Restore(p.t.Context(), cfg, backup.Request{Store: store, Key: other, Until: moment}, false, func(string, int) {}); !fault.Is(err, fault.Unprocessable) {
		p.t.Errorf("another kit opens it: %v", err)
	}
	// The right one is tried next, at the same place.
	if _, err := appliance.Restore(p.t.Context(), cfg, backup.Request{Store: store, Key: p.key, Until: moment}, false, func(string, int) {}); err != nil {
		p.t.Fatal(err)
	}
	ctx := actor.With(p.t.Context(), actor.Actor{Kind: actor.Console, Name: "test", TenantID: p.Tenant})
	core, done, err := appliance.Console(ctx, cfg)
	if err != nil {
		p.t.Fatal(err)
	}
	defer done()
	var found int
	err = core.DB.Tenant(ctx, p.Tenant, func(ctx context.Context) error {
		return db.Tx(ctx).QueryRow(ctx, `select count(*) from user_group where name = 'Kept'`).Scan(&found)
	})
	if err != nil || found != 1 {
		p.t.Errorf("%d groups of that name came back, %v", found, err)
	}
	if _, err := appliance.Restore(p.t.Context(), cfg, backup.Request{Store: store, Key: p.key}, false, func(string, int) {}); !fault.Is(err, fault.Conflict) && !errors.Is(err, appliance.ErrInUse) {
		p.t.Errorf("a restore over data is not refused: %v", err)
	}
}

func (p *protected) recorded(event string) {
	p.t.Helper()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		var page struct{ Items []struct{ Event string } }
		p.admin.Do(http.MethodGet, "/v1/audit/records?event="+event, nil, http.StatusOK, &page)
		if len(page.Items) > 0 {
			return
		}
	}
	p.t.Errorf("%s was not recorded", event)
}
