package firstrun

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/identity"
	"nimbus/appliance/permission"
)

// finish does the steps from the database on.
func (w *browser) finish() string {
	w.t.Helper()
	w.want(200, "PUT", "/appliance", goodAppliance)
	w.want(202, "PUT", "/database", map[string]any{"mode": "embedded"})
	w.untilDatabase()
	w.want(200, "PUT", "/hsm", map[string]any{"mode": "none"})
	w.want(200, "PUT", "/organisation", goodOrganisation)
	if a := w.want(200, "PUT", "/proxmox", map[string]any{"mode": "simulated"}); a.body["ok"] != true {
		w.t.Fatalf("simulated cluster: %v", a.body)
	}
	kit := w.want(200, "POST", "/recovery-kit", nil).body["kit"].(string)
	if a := w.want(200, "POST", "/recovery-kit/verify", map[string]any{"kit": kit}); a.body["ok"] != true {
		w.t.Fatalf("kit: %v", a.body)
	}
	return kit
}

func TestWizardFromTokenToSignIn(t *testing.T) {
	t.Parallel()
	b := newBench(t).withServices()
	s := b.start()
	w := b.claimed(s)
	kit := w.finish()
	w.want(204, "POST", "/complete", nil)
	if b.completed != 1 || !b.applied.Complete || s.Open() {
		t.Errorf("completed %d, applied %+v, open %v", b.completed, b.applied, s.Open())
	}
	token, _, err := b.services.Identity.SignIn(t.Context(), "ann@acme.example", "four words are good", "192.0.2.1", "test")
	must(t, err)
	ann, err := b.services.Identity.Authenticate(t.Context(), token)
	must(t, err)
	if !b.services.Tenants.IsRoot(ann.TenantID) {
		t.Error("the first administrator does not begin in the root tenant")
	}
	if b.applied.TimeZone != "Europe/Vienna" || b.applied.URL != "https://lab.example:8443" || b.applied.Recipient == "" {
		t.Errorf("settings %+v", b.applied)
	}
	for key, raw := range b.store.values {
		if strings.Contains(string(raw), "four words") || strings.Contains(string(raw), "AGE-SECRET") || strings.Contains(kit, "four words") {
			t.Errorf("a secret lies in %s", key)
		}
	}
}

func TestRobustness36NothingWithoutTheToken(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	w := b.browser(b.start())
	overview := w.want(200, "GET", "", nil)
	if overview.body["authenticated"] != false || len(overview.body["steps"].([]any)) != 0 || overview.body["defaults"] != nil {
		t.Errorf("a stranger sees %v", overview.body)
	}
	for _, r := range guardedRoutes {
		for _, body := range []any{nil, map[string]any{}, map[string]any{"mode": "none"}} {
			w.want(401, r.method, r.path, body)
		}
		w.cookie = &http.Cookie{Name: cookieName, Value: "guessed"}
		w.want(401, r.method, r.path, map[string]any{})
		w.cookie = nil
	}
	w.want(401, "POST", "/session", map[string]any{"token": "WRONG-TOKEN"})
}

var guardedRoutes = []struct{ method, path string }{
	{"PUT", "/appliance"}, {"POST", "/database/test"}, {"PUT", "/database"}, {"POST", "/hsm/slots"}, {"POST", "/hsm/test"}, {"PUT", "/hsm"},
	{"PUT", "/organisation"}, {"POST", "/proxmox/test"}, {"PUT", "/proxmox"}, {"GET", "/proxmox/commands"},
	{"POST", "/recovery-kit"}, {"POST", "/recovery-kit/verify"}, {"POST", "/complete"}, {"POST", "/restore"}, {"POST", "/restore/inspect"}, {"GET", "/restore"}, {"POST", "/import"},
}

func TestRobustness36RoutesRefuseWithoutGuard(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, do := range []func(context.Context) error{
		func(ctx context.Context) error { _, err := bare(b.start().MakeKit)(ctx, nil); return err },
		func(ctx context.Context) error {
			_, err := claimed(b.start().SetAppliance)(ctx, &body[Appliance]{})
			return err
		},
	} {
		if err := do(t.Context()); !fault.Is(err, fault.Unauthenticated) {
			t.Error(err)
		}
	}
}

func TestRobustness36EverythingIsGoneAfterCompletion(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	must(t, b.store.Put(t.Context(), stateKey, state{Complete: true, Session: &session{}}))
	for range 2 { // for ever, also after a restart
		w := b.browser(b.start())
		w.want(404, "GET", "", nil)
		w.want(404, "POST", "/session", map[string]any{"token": "x"})
		for _, r := range guardedRoutes {
			w.want(404, r.method, r.path, map[string]any{})
		}
	}
	if len(b.banners) != 0 {
		t.Errorf("a finished appliance prints %v", b.banners)
	}
	if _, err := os.Stat(filepath.Join(b.dir, "setup-token")); !errors.Is(err, os.ErrNotExist) {
		t.Error("there is a token file: ", err)
	}
}

func TestRobustness36ConcurrentSubmitsMakeOneAdministrator(t *testing.T) {
	t.Parallel()
	b := newBench(t).withServices()
	s := b.start()
	w := b.claimed(s)
	w.want(200, "PUT", "/appliance", goodAppliance)
	w.want(202, "PUT", "/database", map[string]any{"mode": "embedded"})
	w.untilDatabase()
	w.want(200, "PUT", "/hsm", map[string]any{"mode": "none"})
	var wait sync.WaitGroup
	statuses := make([]int, 4)
	for i := range statuses {
		other := *w
		wait.Go(func() {
			in := map[string]any{}
			for k, v := range goodOrganisation {
				in[k] = v
			}
			in["admin_email"] = string(rune('a'+i)) + "@acme.example"
			statuses[i] = other.send("PUT", "/organisation", in).status
		})
	}
	wait.Wait()
	made := 0
	for _, status := range statuses {
		if status == 200 {
			made++
		} else if status != 409 {
			t.Errorf("a losing submit: %d", status)
		}
	}
	users, err := b.services.Identity.Users(as(t.Context(), b.services.Tenants.Root()))
	must(t, err)
	if made != 1 || len(users) != 1 {
		t.Errorf("%d succeeded, %d administrators", made, len(users))
	}
	all, err := b.services.Tenants.List(as(t.Context(), b.services.Tenants.Root()))
	must(t, err)
	if len(all) != 2 {
		t.Errorf("%d tenants", len(all))
	}
}

func TestASecondBrowserCannotClaim(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.start()
	token := b.lastBanner().Token
	first, second := b.browser(s), b.browser(s)
	first.claim(token)
	if a := second.want(401, "POST", "/session", map[string]any{"token": token}); !strings.Contains(a.body["detail"].(string), "used already") {
		t.Errorf("%v", a.body)
	}
	if _, err := os.Stat(s.tokenFile()); !errors.Is(err, os.ErrNotExist) {
		t.Error("the token file outlives the claim: ", err)
	}
	c := first.cookie
	if !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" {
		t.Errorf("cookie %+v", c)
	}
	must(t, s.Stop(t.Context()))

	again := b.start() // a restart: the first browser stays claimed, and a new token can take over
	first.handler, second.handler = b.browser(again).handler, b.browser(again).handler
	first.want(200, "PUT", "/appliance", goodAppliance)
	if b.lastBanner().Token == token {
		t.Error("the token is the same after a restart")
	}
	second.claim(b.lastBanner().Token)
	first.want(401, "PUT", "/appliance", goodAppliance)
	if got := b.lastBanner(); !strings.Contains(got.Warning, "192.0.2.1") || got.Token != "" {
		t.Errorf("the takeover was not loud: %+v", got)
	}
	b.clock.at = b.clock.at.Add(sessionLife)
	second.want(401, "PUT", "/appliance", goodAppliance)
}

func TestTokenFileIsPrivate(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.start()
	text, err := os.ReadFile(s.tokenFile())
	must(t, err)
	info, err := os.Stat(s.tokenFile())
	must(t, err)
	if strings.TrimSpace(string(text)) != b.lastBanner().Token || info.Mode().Perm() != 0o600 {
		t.Errorf("%q %v", text, info.Mode())
	}
	must(t, s.Stop(t.Context()))
	must(t, s.Stop(t.Context()))
	if _, err := os.Stat(s.tokenFile()); !errors.Is(err, os.ErrNotExist) {
		t.Error("the token file outlives the process: ", err)
	}
}

func TestOtherSitesAreRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	w := b.claimed(b.start())
	w.handler = crossSite(w.handler)
	w.want(403, "PUT", "/appliance", goodAppliance)
}

func crossSite(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Origin", "https://evil.example")
		next.ServeHTTP(w, r)
	})
}

func TestStepsGoBackUntilTheyHoldData(t *testing.T) {
	t.Parallel()
	b := newBench(t).withServices()
	w := b.claimed(b.start())
	w.want(409, "PUT", "/organisation", goodOrganisation)
	w.want(409, "PUT", "/proxmox", map[string]any{"mode": "later"})
	w.want(409, "POST", "/complete", nil)
	w.want(400, "PUT", "/database", map[string]any{"mode": "external", "dsn": "postgres://bad"})
	w.want(202, "PUT", "/database", map[string]any{"mode": "external", "dsn": "postgres://good"})
	w.untilDatabase()
	w.want(202, "PUT", "/database", map[string]any{"mode": "embedded"})
	w.finish()
	for path, body := range map[string]any{
		"/database": map[string]any{"mode": "external", "dsn": "postgres://good"}, "/hsm": map[string]any{"mode": "none"},
		"/organisation": goodOrganisation, "/proxmox": map[string]any{"mode": "real", "url": "https://other"},
	} {
		if a := w.want(409, "PUT", path, body); len(a.body["detail"].(string)) < 20 {
			t.Errorf("%s: %v", path, a.body)
		}
	}
	w.want(200, "PUT", "/proxmox", map[string]any{"mode": "simulated"})
	w.want(200, "PUT", "/appliance", goodAppliance)
	for _, name := range []string{stepAppliance, stepDatabase, stepHSM, stepOrganisation, stepProxmox, stepKit} {
		if w.step(name)["done"] != true {
			t.Errorf("%s is not done", name)
		}
	}
}

func TestDatabaseFailureIsToldAndTriedAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.databaseErr = fault.New(fault.Unavailable, "The disk is full.")
	w := b.claimed(b.start())
	w.want(202, "PUT", "/database", map[string]any{"mode": "embedded"})
	step := w.untilDatabase()
	progress := step["answers"].(map[string]any)["progress"].(map[string]any)
	if step["done"] == true || progress["error"] != "The disk is full." || progress["stage"] != "half" {
		t.Errorf("%v", step)
	}
	b.databaseErr = nil
	w.want(202, "PUT", "/database", map[string]any{"mode": "embedded"})
	if w.untilDatabase()["done"] != true {
		t.Error("not tried again")
	}
}

func TestSecretsAreSealedInTheStore(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.start()
	w := b.claimed(s)
	w.want(202, "PUT", "/database", map[string]any{"mode": "external", "dsn": "postgres://good"})
	w.untilDatabase()
	if a := w.want(200, "PUT", "/hsm", map[string]any{"mode": "pkcs11", "module": "/m.so", "slot": 3, "pin": "wrong"}); a.body["ok"] != false {
		t.Errorf("wrong PIN: %v", a.body)
	}
	if w.step(stepHSM)["done"] == true {
		t.Error("a token that does not sign was kept")
	}
	if a := w.want(200, "PUT", "/hsm", map[string]any{"mode": "pkcs11", "module": "/m.so", "slot": 3, "pin": "123456"}); a.body["key_type"] != "ecdsa-p256" {
		t.Errorf("%v", a.body)
	}
	for _, canary := range []string{"postgres://good", "123456"} {
		if strings.Contains(string(b.store.values[stateKey]), canary) {
			t.Errorf("%q lies open in the store", canary)
		}
	}
	dsn, err := s.unseal(t.Context(), PurposeDSN, b.applied.DSN)
	must(t, err)
	pin, err := s.unseal(t.Context(), PurposePIN, b.applied.PIN)
	must(t, err)
	if dsn != "postgres://good" || pin != "123456" || *b.applied.HSMSlot != 3 || !b.applied.External {
		t.Errorf("%q %q %+v", dsn, pin, b.applied)
	}
}

func TestANewKitVoidsTheOldOne(t *testing.T) {
	t.Parallel()
	b := newBench(t).withServices()
	s := b.start()
	w := b.claimed(s)
	old := w.finish()
	w.want(200, "POST", "/recovery-kit", nil)
	if a := w.want(200, "POST", "/recovery-kit/verify", map[string]any{"kit": old}); a.body["ok"] != false {
		t.Error("the old kit is still good")
	}
	w.want(409, "POST", "/complete", nil)
	kit, err := s.MakeKit(t.Context())
	must(t, err)
	if a := w.want(200, "POST", "/recovery-kit/verify", map[string]any{"kit": kit.Kit}); a.body["ok"] != true {
		t.Errorf("%v", a.body)
	}
	identity, err := readKit(kit.Kit)
	must(t, err)
	must(t, b.services.escrow(as(t.Context(), id.ID{}), identity.Recipient()))
	if proven, err := b.services.prove(t.Context(), identity); !proven || err != nil {
		t.Errorf("%v %v", proven, err)
	}
}

func TestAdministratorInterruptedBeforeTheRoles(t *testing.T) {
	t.Parallel()
	b := newBench(t).withServices()
	v, ctx := b.services, t.Context()
	in := Organisation{TenantName: "Acme", AdminName: "Ann", AdminEmail: "ann@acme.example", AdminPassword: "four words are good"}
	root, err := v.Tenants.CreateRoot(as(ctx, id.ID{}))
	must(t, err)
	tenant, err := v.firstTenant(as(ctx, root.ID), "Acme")
	must(t, err)
	_, err = v.Identity.CreateFirst(as(ctx, root.ID), identity.NewUser{Name: "Ann", Email: in.AdminEmail, Password: in.AdminPassword}, root.ID, tenant.ID)
	must(t, err)
	users, err := v.Identity.Users(as(ctx, root.ID))
	must(t, err)
	tenantAdmin := permission.SystemRoleID(tenant.ID, permission.TenantAdministrator)
	must(t, v.Permissions.Unassign(as(ctx, tenant.ID), users[0].ID, tenantAdmin)) // as if killed before it
	wrong := in
	wrong.AdminPassword = "another four words"
	if _, err := v.organise(ctx, wrong); !fault.Is(err, fault.Conflict) {
		t.Errorf("another password: %v", err)
	}
	stranger := in
	stranger.AdminEmail = "eve@acme.example"
	if _, err := v.organise(ctx, stranger); !fault.Is(err, fault.Conflict) {
		t.Errorf("another person: %v", err)
	}
	if got, err := v.organise(ctx, in); err != nil || got != tenant.ID {
		t.Errorf("the same again: %v", err)
	}
	var roles []permission.Role
	must(t, b.db.Tenant(ctx, tenant.ID, func(ctx context.Context) error {
		roles, err = v.Permissions.RolesOf(as(ctx, tenant.ID), users[0].ID)
		return err
	}))
	if len(roles) != 1 || roles[0].ID != tenantAdmin {
		t.Errorf("roles %+v", roles)
	}
}

// TestRobustness36KillAndResume kills the wizard after each write of the store
// and goes on with a new one, with the same answers.
func TestRobustness36KillAndResume(t *testing.T) {
	t.Parallel()
	b := newBench(t).withServices()
	kit := filepath.Join(t.TempDir(), "kit.txt")
	kills := 0
	for finished := false; !finished; {
		b.store.killAfter(kills)
		s := New(b.config())
		must(t, s.Start(t.Context()))
		err := Answer(t.Context(), s, goodAnswers(kit), nil)
		must(t, s.Stop(context.Background()))
		if finished = err == nil; finished {
			break
		}
		if kills++; !strings.Contains(err.Error(), errKilled.Error()) && !fault.Is(err, fault.Unavailable) || kills > 50 {
			t.Fatalf("after %d kills: %v", kills, err)
		}
	}
	b.store.killAfter(-1)
	if kills < 8 {
		t.Errorf("only %d kills: not every write was met", kills)
	}
	root := b.services.Tenants.Root()
	users, err := b.services.Identity.Users(as(t.Context(), root))
	must(t, err)
	tenants, err := b.services.Tenants.List(as(t.Context(), root))
	must(t, err)
	connections, err := b.services.Provider.Connections(as(t.Context(), tenants[1].ID))
	must(t, err)
	if len(users) != 1 || len(tenants) != 2 || len(connections) != 1 || len(users[0].Roles) != 1 {
		t.Errorf("%d users, %d tenants, %d connections", len(users), len(tenants), len(connections))
	}
}

func goodAnswers(kit string) Answers {
	var a Answers
	a.Appliance.Appliance = Appliance{Name: "Lab", URL: "https://lab.example", TimeZone: "UTC", Certificate: Certificate{Mode: modeSelfSigned}}
	a.Database.Mode, a.HSM.Mode, a.Proxmox.Mode = modeEmbedded, modeNone, modeSimulated
	a.Organisation.Organisation = Organisation{TenantName: "Acme", AdminName: "Ann", AdminEmail: "ann@acme.example", AdminPassword: "four words are good"}
	a.RecoveryKit.Path = kit
	return a
}

func TestAnswersDoTheWholeWizard(t *testing.T) {
	t.Parallel()
	b := newBench(t).withServices()
	s := b.start()
	kit := filepath.Join(t.TempDir(), "kit.txt")
	must(t, os.WriteFile(kit, []byte("precious"), 0o600))
	begun := time.Now()
	if err := Answer(t.Context(), s, goodAnswers(kit), nil); !fault.Is(err, fault.Conflict) || !s.Open() {
		t.Errorf("a file was there: %v", err)
	}
	if text, _ := os.ReadFile(kit); string(text) != "precious" {
		t.Error("a file was overwritten")
	}
	must(t, os.Remove(kit))
	must(t, Answer(t.Context(), s, goodAnswers(kit), nil))
	t.Log("took ", time.Since(begun))
	info, err := os.Stat(kit)
	must(t, err)
	if info.Mode().Perm() != 0o600 || s.Open() || b.completed != 1 {
		t.Errorf("%v open=%v", info.Mode(), s.Open())
	}
	if err := Answer(t.Context(), s, goodAnswers(kit), nil); !fault.Is(err, fault.Conflict) {
		t.Errorf("a second time: %v", err)
	}
}
