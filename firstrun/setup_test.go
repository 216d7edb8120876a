package firstrun

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"nimbus/appliance/audit"
	"nimbus/appliance/breakglass/hsm"
	"nimbus/appliance/cmdb"
	"nimbus/appliance/db"
	"nimbus/appliance/db/dbtest"
	"nimbus/appliance/event"
	"nimbus/appliance/id"
	"nimbus/appliance/identity"
	"nimbus/appliance/permission"
	"nimbus/appliance/provider"
	"nimbus/appliance/provider/proxmox"
	"nimbus/appliance/provider/proxmox/pvesim"
	"nimbus/appliance/secret"
	"nimbus/appliance/tenancy"
	"nimbus/appliance/web"
)

// memory is a local store that outlives the wizards of a test.
type memory struct {
	mu     sync.Mutex
	values map[string][]byte
	left   int // writes until it takes no more; below zero: no end
}

// killAfter takes that many writes more and then fails, as if the process had
// been killed.
func (m *memory) killAfter(writes int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.left = writes
}

var errKilled = errors.New("killed")

func (m *memory) Get(_ context.Context, key string, v any) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.get(key, v)
}

func (m *memory) get(key string, v any) (bool, error) {
	raw, ok := m.values[key]
	if !ok {
		return false, nil
	}
	return true, json.Unmarshal(raw, v)
}

func (m *memory) Put(ctx context.Context, key string, v any) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.put(key, v)
}

func (m *memory) put(key string, v any) error {
	if m.left == 0 {
		return errKilled
	}
	m.left--
	raw, err := json.Marshal(v)
	m.values[key] = raw
	return err
}

func (m *memory) Update(_ context.Context, key string, v any, change func() error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.get(key, v); err != nil {
		return err
	}
	if err := change(); err != nil {
		return err
	}
	return m.put(key, v)
}

// bench is what stays when a wizard is killed: data directory, store, database
// and simulated cluster.
type bench struct {
	t        *testing.T
	dir      string
	store    *memory
	clock    *clock
	db       *db.DB
	services Services
	sim      *pvesim.Cluster
	simToken string

	mu           sync.Mutex
	banners      []Banner
	applied      Settings
	completed    int
	databaseErr  error
	certificates int
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newBench has a store only; withServices adds the rest.
func newBench(t *testing.T) *bench {
	t.Helper()
	return &bench{t: t, dir: t.TempDir(), store: &memory{values: map[string][]byte{}, left: -1}, clock: &clock{time.Now()}}
}

func (b *bench) withServices() *bench {
	t, log := b.t, slog.New(slog.DiscardHandler)
	history := b.openDatabase()
	root, err := secret.OpenFileRoot(filepath.Join(b.dir, "keys", "root.key"))
	must(t, err)
	bus := event.NewBus(log)
	v := &b.services
	check := func(ctx context.Context, p string) error { return v.Permissions.Check(ctx, p) }
	isRoot := func(tenant id.ID) bool { return v.Tenants.IsRoot(tenant) }
	v.Keys = tenancy.Keys{DB: b.db}
	v.Keyring = secret.NewKeyring(root, v.Keys, nil)
	v.Audit = audit.New(audit.Config{DB: b.db, Logger: log, Check: check, IsRoot: isRoot})
	v.Tenants = tenancy.New(tenancy.Config{DB: b.db, History: history, Audit: v.Audit, Check: check, Logger: log,
		Seed: func(ctx context.Context, tenant id.ID) error { return v.Permissions.Seed(ctx, tenant) }})
	v.Permissions = permission.New(permission.Config{DB: b.db, Audit: v.Audit, Events: bus, Logger: log, IsRoot: isRoot})
	v.Identity = identity.New(identity.Config{DB: b.db, Audit: v.Audit, Permissions: v.Permissions, Events: bus, Logger: log})
	items := cmdb.New(cmdb.Config{DB: b.db, Audit: v.Audit, Check: check, Events: bus, Logger: log})
	v.Provider = provider.New(provider.Config{DB: b.db, Audit: v.Audit, Check: check, Events: bus, Keyring: v.Keyring, CMDB: items,
		IsRoot: isRoot, Open: map[string]provider.Opener{provider.Proxmox: proxmox.Open}})
	t.Cleanup(func() { must(t, v.Provider.Stop(context.Background())) })
	b.startCluster()
	return b
}

func (b *bench) openDatabase() (history []db.Migration) {
	b.db, history = dbtest.Open(b.t, audit.Migrations, tenancy.Migrations, permission.Migrations, identity.Migrations, cmdb.Migrations, provider.Migrations)
	return history
}

func (b *bench) startCluster() {
	t := b.t
	var err error
	b.sim, err = pvesim.New(pvesim.Config{Speed: 200})
	must(t, err)
	must(t, b.sim.Start(t.Context()))
	t.Cleanup(func() { must(t, b.sim.Stop(context.Background())) })
	b.simToken, err = b.sim.CreateToken("nimbus@pve", "nimbus", false, "Administrator")
	must(t, err)
}

func (b *bench) config() Config {
	return Config{
		Store: b.store, DataDir: b.dir, URL: "https://box:8443", Now: b.clock.now,
		Console: func(banner Banner) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.banners = append(b.banners, banner)
		},
		Fingerprint:    func() string { return "AA:BB" },
		SetCertificate: func(_, _ []byte) error { b.certificates++; return nil },
		Apply:          func(_ context.Context, s Settings) error { b.applied = s; return nil },
		TestDatabase: func(_ context.Context, dsn string) (db.Report, error) {
			return db.Report{OK: dsn == "postgres://good", Message: "tried"}, nil
		},
		StartDatabase: func(_ context.Context, progress func(string, int)) error {
			progress("half", 50)
			return b.databaseErr
		},
		Boot: func(ctx context.Context) (Services, error) { return b.services, b.services.Tenants.Load(ctx) },
		StartSimulated: func(context.Context) (provider.NewConnection, error) {
			return provider.NewConnection{Name: "Simulated cluster", URL: b.sim.URL(), TokenID: "nimbus@pve!nimbus",
				Secret: b.simToken, Fingerprint: b.sim.Fingerprint(), Simulated: true}, nil
		},
		Complete: func(context.Context) error { b.completed++; return nil },
		TestHSM: func(_ context.Context, cfg hsm.Config) (string, error) {
			if pin, _ := cfg.PIN(context.Background()); pin != "123456" {
				return "", &hsm.Error{Kind: hsm.ErrPINIncorrect, Reason: "The PIN is wrong."}
			}
			return "ecdsa-p256", nil
		},
	}
}

// start starts a wizard over what the bench has.
func (b *bench) start() *Setup {
	b.t.Helper()
	s := New(b.config())
	must(b.t, s.Start(b.t.Context()))
	b.t.Cleanup(func() { must(b.t, s.Stop(context.Background())) })
	return s
}

func (b *bench) lastBanner() Banner {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.banners[len(b.banners)-1]
}

// browser sends requests to a wizard and keeps its cookie.
type browser struct {
	t       *testing.T
	handler http.Handler
	cookie  *http.Cookie
	address string
}

func (b *bench) browser(s *Setup) *browser {
	api := web.New("test", slog.New(slog.DiscardHandler))
	s.Routes(api)
	return &browser{t: b.t, handler: web.Chain(api, web.Identify, s.Guard), address: "192.0.2.1:1"}
}

type answer struct {
	status int
	body   map[string]any
	header http.Header
}

func (w *browser) send(method, path string, body any) answer {
	w.t.Helper()
	var raw []byte
	if body != nil {
		var err error
		raw, err = json.Marshal(body)
		must(w.t, err)
	}
	r := httptest.NewRequestWithContext(w.t.Context(), method, "https://box:8443/v1/setup"+path, bytes.NewReader(raw))
	r.RemoteAddr = w.address
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if w.cookie != nil {
		r.AddCookie(w.cookie)
	}
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	res := rec.Result()
	for _, c := range res.Cookies() {
		w.cookie = c
	}
	a := answer{status: res.StatusCode, header: res.Header}
	if rec.Body.Len() > 0 {
		must(w.t, json.Unmarshal(rec.Body.Bytes(), &a.body))
	}
	return a
}

// want sends and fails the test on another status.
func (w *browser) want(status int, method, path string, body any) answer {
	w.t.Helper()
	a := w.send(method, path, body)
	if a.status != status {
		w.t.Fatalf("%s %s: %d %v, want %d", method, path, a.status, a.body, status)
	}
	return a
}

func (w *browser) claim(token string) {
	w.t.Helper()
	w.want(http.StatusNoContent, "POST", "/session", map[string]string{"token": token})
}

// claimed is a browser that has claimed a fresh wizard.
func (b *bench) claimed(s *Setup) *browser {
	w := b.browser(s)
	w.claim(b.lastBanner().Token)
	return w
}

var (
	goodAppliance    = map[string]any{"name": "Lab", "url": "https://lab.example:8443", "time_zone": "Europe/Vienna", "certificate": map[string]any{"mode": "self_signed"}}
	goodOrganisation = map[string]any{"tenant_name": "Acme", "admin_name": "Ann", "admin_email": "ann@acme.example", "admin_password": "four words are good"}
)

// untilDatabase waits until the database step is done or has failed.
func (w *browser) untilDatabase() map[string]any {
	w.t.Helper()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		step := w.step("database")
		progress, _ := step["answers"].(map[string]any)["progress"].(map[string]any)
		if step["done"] == true || progress["error"] != nil {
			return step
		}
	}
	w.t.Fatal("the database did not come")
	return nil
}

func (w *browser) step(name string) map[string]any {
	w.t.Helper()
	for _, s := range w.want(http.StatusOK, "GET", "", nil).body["steps"].([]any) {
		if step := s.(map[string]any); step["name"] == name {
			return step
		}
	}
	w.t.Fatalf("there is no step %s", name)
	return nil
}
