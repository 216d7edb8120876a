package tenancy_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/db"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/tenancy"
)

// parts stands in for the other domains of an onboarding: each leaves a row,
// and the one that is named fails after it has.
func parts(b **bench, failing *string, seen *[]actor.Actor) tenancy.Onboard {
	part := func(ctx context.Context, name string, tenant id.ID) (any, error) {
		a, _ := actor.From(ctx)
		*seen = append(*seen, a)
		user := id.New()
		(*b).exec(`insert into core.account (id, email, name, password_hash, status) values ($1, $2, 'A', '', 'active')`, user, user.Hex())
		(*b).exec(`insert into core.membership (user_id, tenant_id) values ($1, $2)`, user, tenant)
		if *failing == name {
			return nil, fault.New(fault.Invalid, "%s cannot be made.", name)
		}
		return map[string]any{"made": name}, nil
	}
	return tenancy.Onboard{
		Administrator: func(ctx context.Context, tenant id.ID, _ tenancy.Administrator) (any, any, error) {
			made, err := part(ctx, "administrator", tenant)
			return made, nil, err
		},
		SignIn: func(ctx context.Context, tenant id.ID, _ json.RawMessage) (any, error) {
			return part(ctx, "sign_in", tenant)
		},
		SCIMToken: func(ctx context.Context, tenant id.ID, _ tenancy.SCIMToken) (any, error) {
			return part(ctx, "scim_token", tenant)
		},
	}
}

func onboarding(parent id.ID) tenancy.Onboarding {
	return tenancy.Onboarding{
		Tenant: tenancy.Tenant{Name: "New", ParentID: parent}, Domains: []string{"New.example"}, Quotas: []tenancy.Quota{hard(tenancy.Guests, 5)},
		Administrator: &tenancy.Administrator{Name: "Nina", Email: "nina@new.example", Invite: true},
		SignIn:        json.RawMessage(`{"kind":"oidc"}`), SCIMToken: &tenancy.SCIMToken{Name: "Entra", ExpiresInDays: 90},
	}
}

func TestOnboardingMakesAllOrNothing(t *testing.T) {
	t.Parallel()
	var b *bench
	var failing string
	var seen []actor.Actor
	b = newBench(t, func(c *tenancy.Config) { c.Onboard = parts(&b, &failing, &seen) })
	for _, failing = range []string{"administrator", "sign_in", "scim_token"} {
		_, err := b.OnboardTenant(b.rita, onboarding(b.root.ID))
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), failing) {
			t.Errorf("%s fails with %v", failing, err)
		}
		if n := b.leftovers(seen[len(seen)-1].TenantID); n != 0 {
			t.Errorf("%d things are left after %s failed", n, failing)
		}
	}
	if n := b.recorded("core", "tenancy.tenant.created"); n != 2 {
		t.Errorf("%d creations are recorded", n)
	}
	failing = ""
	made, err := b.OnboardTenant(b.rita, onboarding(b.root.ID))
	must(t, err)
	if made.Tenant.Status != tenancy.Active || made.Administrator == nil || made.Provider == nil || made.SCIMToken == nil {
		t.Errorf("%+v", made)
	}
	rita, _ := actor.From(b.rita)
	if by := seen[len(seen)-1]; by.Kind != actor.System || by.ID != rita.ID || by.Name != "Rita" || by.TenantID != made.Tenant.ID {
		t.Errorf("the parts were made by %+v", by)
	}
	if to, _, err := b.TenantForEmail(t.Context(), "x@new.example"); err != nil || to != made.Tenant.ID {
		t.Errorf("the domain leads to %s, %v", to, err)
	}
	quotas, err := b.Quotas(b.rita, made.Tenant.ID)
	must(t, err)
	if q := quotaOf(t, quotas, tenancy.Guests); q.Hard == nil || *q.Hard != 5 {
		t.Errorf("%+v", q)
	}
}

func TestOnboardingRefusesBeforeAnythingIsMade(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	before := b.count(`select count(*) from pg_namespace where nspname like 'tenant\_%'`)
	for field, change := range map[string]func(*tenancy.Onboarding){
		"body.name":    func(o *tenancy.Onboarding) { o.Tenant.Name = "Home" },
		"body.domains": func(o *tenancy.Onboarding) { o.Domains = []string{"not a domain"} },
		"body.administrator.email": func(o *tenancy.Onboarding) {
			o.Administrator = &tenancy.Administrator{Name: "N", Email: "N <n@x.example>", Invite: true}
		},
		"body.administrator.password": func(o *tenancy.Onboarding) {
			o.Administrator = &tenancy.Administrator{Name: "N", Email: "n@x.example", Password: "x", Invite: true}
		},
		"body.administrator": func(o *tenancy.Onboarding) {
			o.Administrator = &tenancy.Administrator{Name: "N", Email: "n@x.example", Invite: true}
		},
		"body.sign_in":    func(o *tenancy.Onboarding) { o.SignIn = json.RawMessage(`{}`) },
		"body.scim_token": func(o *tenancy.Onboarding) { o.SCIMToken = &tenancy.SCIMToken{Name: "x", ExpiresInDays: 1} },
		"body.items":      func(o *tenancy.Onboarding) { o.Quotas = []tenancy.Quota{hard("wishes", 1)} },
	} {
		o := tenancy.Onboarding{Tenant: tenancy.Tenant{Name: "New", ParentID: b.root.ID}}
		change(&o)
		_, err := b.OnboardTenant(b.rita, o)
		if !fault.Is(err, fault.Invalid) || fieldOf(err) != field {
			t.Errorf("%s: %v at %s", field, err, fieldOf(err))
		}
	}
	_, err := b.OnboardTenant(b.rita, tenancy.Onboarding{Tenant: tenancy.Tenant{Name: "New", ParentID: b.root.ID}, Domains: []string{"a.example", "a.example"}})
	wants(t, err, fault.Conflict, "a domain twice")
	if after := b.count(`select count(*) from pg_namespace where nspname like 'tenant\_%'`); after != before {
		t.Errorf("%d schemas are left", after-before)
	}
}

func TestChecklist(t *testing.T) {
	t.Parallel()
	done := map[string]bool{}
	b := newBench(t, func(c *tenancy.Config) {
		c.Checklist = map[string]func(context.Context, id.ID) (bool, error){
			tenancy.CheckAdministrator: func(context.Context, id.ID) (bool, error) { return done["administrator"], nil },
		}
	})
	list := func() map[string]bool {
		t.Helper()
		all, err := b.Checklist(b.hal, b.home.ID)
		must(t, err)
		found := map[string]bool{}
		for _, p := range all {
			found[p.Key] = p.Done
			if p.Title == "" || !strings.HasPrefix(p.Link, "/") || strings.Contains(p.Link, "{") {
				t.Errorf("%+v", p)
			}
		}
		if len(found) != 7 {
			t.Errorf("%d points", len(found))
		}
		return found
	}
	for key, is := range list() {
		if is {
			t.Errorf("%s is done from the beginning", key)
		}
	}
	done["administrator"] = true
	_, err := b.AddDomain(b.hal, b.home.ID, "example.com")
	must(t, err)
	_, err = b.SetQuotas(b.rita, b.home.ID, []tenancy.Quota{hard(tenancy.Guests, 5)})
	must(t, err)
	set := tenancy.DefaultSettings()
	set.MFA.RequiredFor = tenancy.MFAAdministrators
	must(t, b.SetSettings(b.hal, b.home.ID, set))
	now := list()
	if !now["administrator"] || !now["domain"] || !now["quotas"] || !now["mfa"] || now["sign_in"] {
		t.Errorf("%v", now)
	}
}

// export returns the files of an export of Home.
func (b *bench) export() map[string]string {
	b.t.Helper()
	_, write, err := b.Export(b.hal, b.home.ID)
	must(b.t, err)
	var out bytes.Buffer
	must(b.t, write(b.hal, &out))
	archive, err := zip.NewReader(bytes.NewReader(out.Bytes()), int64(out.Len()))
	must(b.t, err)
	files := map[string]string{}
	for _, f := range archive.File {
		r, err := f.Open()
		must(b.t, err)
		raw, err := io.ReadAll(r)
		must(b.t, err)
		files[f.Name] = string(raw)
	}
	return files
}

func TestExportHoldsAllAndNoSecrets(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	other := b.create("Other", b.root)
	b.inhabit(b.home.ID)
	b.inhabit(other.ID)
	b.compartment("Web", b.compartment("Production", tenancy.Compartment{}))
	schema := db.TenantSchema(b.home.ID)
	b.exec(`insert into `+schema+`.connection (id, provider, name, url, token_id, secret, fingerprint, ca_pem, simulated)
		values ($1, 'proxmox', 'lab', 'https://pve', 'nimbus@pve!t', 'canary-secret', '', '', false)`, id.New())
	files := b.export()
	var m tenancy.Manifest
	must(t, json.Unmarshal([]byte(files["manifest.json"]), &m))
	if m.Format != "nimbus tenant export" || m.Version != 1 || m.Tenant.ID != b.home.ID || len(m.Tables) != len(files)-1 {
		t.Errorf("%d tables, %d files: %+v", len(m.Tables), len(files), m.Tenant)
	}
	omitted := map[string]string{}
	for _, table := range m.Tables {
		body, there := files[table.File]
		sum := sha256.Sum256([]byte(body))
		if !there || hex.EncodeToString(sum[:]) != table.SHA256 || int64(strings.Count(body, "\n")) != table.Rows {
			t.Errorf("%+v does not fit its file", table)
		}
		omitted[table.File] = strings.Join(table.Omitted, " ")
		for line := range strings.Lines(body) {
			if !json.Valid([]byte(line)) {
				t.Errorf("%s: %s", table.File, line)
			}
		}
	}
	tables := b.count(`select count(*) from pg_class where relnamespace = '` + schema + `'::regnamespace and relkind = 'r'`)
	inArchive := 0
	for name, body := range files {
		if strings.HasPrefix(name, "tenant/") {
			inArchive++
		}
		for _, secret := range []string{"canary", hex.EncodeToString([]byte("canary"))} {
			if strings.Contains(body, secret) {
				t.Errorf("%s holds a secret", name)
			}
		}
		if strings.Contains(body, other.ID.String()) {
			t.Errorf("%s tells of another tenant", name)
		}
	}
	if inArchive != tables {
		t.Errorf("%d of %d tables are there", inArchive, tables)
	}
	for file, want := range map[string]string{
		"tenant/compartment.jsonl": "Production", "tenant/connection.jsonl": "nimbus@pve!t", "tenant/audit_record.jsonl": "tenancy.tenant.created",
		"core/account.jsonl": `"name": "Ann"`, "core/membership.jsonl": b.home.ID.String(), "core/tenant.jsonl": `"Home"`, "core/tenant_domain.jsonl": "example.com",
	} {
		if !strings.Contains(files[file], want) {
			t.Errorf("%s lacks %s: %s", file, want, files[file])
		}
	}
	for file, want := range map[string]string{
		"tenant/connection.jsonl": "secret", "tenant/stack.jsonl": "secrets passphrase", "core/account.jsonl": "password_hash",
		"core/session.jsonl": "token_hash", "core/tenant_key.jsonl": "wrapped escrow", "core/tenant_domain.jsonl": "token",
	} {
		if omitted[file] != want {
			t.Errorf("%s: omitted %q instead of %q", file, omitted[file], want)
		}
	}
	if b.recorded(schema, "tenancy.tenant.exported") != 1 || b.recorded("core", "tenancy.tenant.exported") != 1 {
		t.Error("it was not recorded")
	}
}

// brokenWriter takes some bytes and then no more.
type brokenWriter struct{ left int }

func (w *brokenWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, errors.New("the reader went away")
	}
	return len(p), nil
}

func TestExportNeedsAFreshSignInAndALimit(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a, _ := actor.From(b.hal)
	a.AuthenticatedAt = time.Now().Add(-time.Hour)
	_, _, err := b.Export(actor.With(t.Context(), a), b.home.ID)
	wants(t, err, fault.StepUp, "an old sign-in")
	if b.recorded("core", "tenancy.tenant.exported") != 0 {
		t.Error("a refused export is recorded as one")
	}
	var writes []func(context.Context, io.Writer) error
	for range 2 {
		_, write, err := b.Export(b.hal, b.home.ID)
		must(t, err)
		writes = append(writes, write)
	}
	_, _, err = b.Export(b.hal, b.home.ID)
	wants(t, err, fault.TooMany, "a third export")
	for _, write := range writes {
		if err := write(b.hal, &brokenWriter{left: 10}); err == nil {
			t.Error("an export to nobody succeeded")
		}
	}
	if len(b.export()) < 10 {
		t.Error("nothing comes after exports that broke off")
	}
}
