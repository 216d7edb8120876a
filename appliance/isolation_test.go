package appliance_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance"
	"nimbus/appliance/actor"
	"nimbus/appliance/appliancetest"
	"nimbus/appliance/db"
	"nimbus/appliance/db/dbtest"
	"nimbus/appliance/id"
	"nimbus/appliance/identity"
	"nimbus/appliance/permission"
	"nimbus/appliance/tenancy"
	"nimbus/appliance/web"
)

// TestRobustness07TwoAppliances refuses a second appliance on a directory at once.
func TestRobustness07TwoAppliances(t *testing.T) {
	t.Parallel()
	a := appliancetest.Start(t)
	began := time.Now()
	second := appliance.New(appliance.Config{DataDir: a.DataDir(), Listen: "127.0.0.1:0"})
	err := second.Open(t.Context())
	if !errors.Is(err, appliance.ErrInUse) || time.Since(began) > 2*time.Second {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
	if err := second.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	a.Client(t).Do(http.MethodGet, "/healthz", nil, http.StatusOK, nil)
}

// TestRobustness17EveryTableIsProtected looks at the schemas of a running
// appliance, with its real roles, through every rule of the lint.
func TestRobustness17EveryTableIsProtected(t *testing.T) {
	t.Parallel()
	a := appliancetest.Start(t)
	conn := a.Connect(t, "nimbus_owner")
	found, err := dbtest.Lint(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range found {
		t.Errorf("%s breaks the rule: %s", v.Object, v.Rule)
	}
	var tables, foreign int
	err = conn.QueryRow(t.Context(), `select count(*), count(*) filter (where pg_get_userbyid(c.relowner) <> 'nimbus_owner')
		from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname like 'tenant\_%' and c.relkind in ('r', 'p', 'v', 'm')`).Scan(&tables, &foreign)
	if err != nil || tables < 20 || foreign > 0 {
		t.Errorf("%d tables, %d of another owner, %v", tables, foreign, err)
	}
	app := a.Connect(t, "nimbus_app")
	for _, sql := range []string{"create temp table role (id uuid)", "create table public.planted (id uuid)", "create schema planted",
		"set role nimbus_owner", "set session authorization nimbus_owner", "truncate core.tenant", "select * from core.tenant"} {
		if _, err := app.Exec(t.Context(), sql); err == nil {
			t.Errorf("the application's login may %s", sql)
		}
	}
}

// TestRobustness18NothingStaysOnTheConnection leaves transactions in every bad
// way and looks what the next user of the connection sees.
func TestRobustness18NothingStaysOnTheConnection(t *testing.T) {
	t.Parallel()
	a := appliancetest.Start(t)
	conn := a.Connect(t, "nimbus_app")
	schema := db.TenantSchema(a.Tenant)
	for _, leave := range []string{"rollback", "commit"} {
		appliancetest.Exec(t, conn, "begin; set local role "+schema+"; set local search_path = "+schema, pgx.QueryExecModeSimpleProtocol)
		appliancetest.Exec(t, conn, "select count(*) from role")
		appliancetest.Exec(t, conn, leave)
		for _, sql := range []string{"select count(*) from role", "select count(*) from " + schema + ".role", "select count(*) from core.account"} {
			if _, err := conn.Exec(t.Context(), sql); err == nil {
				t.Errorf("after %s: %s works without a tenant", leave, sql)
			}
		}
	}
	d := a.Core().DB
	boom := errors.New("boom")
	if err := d.Tenant(t.Context(), a.Tenant, func(context.Context) error { return boom }); !errors.Is(err, boom) {
		t.Errorf("the error became %v", err)
	}
	if _, err := db.Tx(t.Context()).Exec(t.Context(), "select 1"); err == nil {
		t.Error("a query outside a transaction works")
	}
	err := d.Tenant(t.Context(), a.Tenant, func(ctx context.Context) error {
		return d.Tenant(ctx, a.Root, func(context.Context) error { return nil })
	})
	if err == nil {
		t.Error("a transaction of one tenant could change to another")
	}
}

// second makes another tenant with an administrator of its own.
func second(t *testing.T, a *appliancetest.Appliance) (id.ID, *appliancetest.Client) {
	t.Helper()
	ctx := actor.With(t.Context(), actor.Actor{Kind: actor.Setup, Name: "setup", TenantID: a.Root})
	tenant, err := a.Core().Tenants.Create(ctx, tenancy.Tenant{Name: "Beta", ParentID: a.Root})
	if err != nil {
		t.Fatal(err)
	}
	ctx = actor.With(t.Context(), actor.Actor{Kind: actor.Setup, Name: "setup", TenantID: tenant.ID})
	_, err = a.Core().Identity.CreateUser(ctx, identity.NewUser{
		Name: "Bea Beta", Email: "bea@example.com", Password: appliancetest.Password,
		Roles: []id.ID{permission.SystemRoleID(tenant.ID, permission.TenantAdministrator)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return tenant.ID, a.SignIn(t, "bea@example.com", tenant.ID)
}

// parameter is a part of a path that a request fills in.
var parameter = regexp.MustCompile(`\{[a-z_]+\}`)

// own are routes whose parameter names nothing that another tenant could have.
var own = map[string]string{
	"/v1/system/backups/{id}":               "the provider's; a tenant is refused before anything is looked for",
	"/v1/system/backups/{id}/verify":        "the provider's; a tenant is refused before anything is looked for",
	"/v1/audit/records/{sequence}":          "a place in the chain of one's own tenant",
	"/v1/audit/compliance/reports/{report}": "a kind of report about one's own tenant",
	"/v1/audit/activity/{user}":             "what the own chain says of somebody; nothing of whom it does not know",
	"/v1/audit/history/{kind}/{id}":         "what the own chain says of something; nothing of what it does not know",
	"/v1/system/workflows/{id}":             "the provider's; nobody else asks at all",
	"/v1/system/schedules/{id}/pause":       "the provider's; nobody else asks at all",
	"/v1/system/schedules/{id}/resume":      "the provider's; nobody else asks at all",
	"/v1/system/schedules/{id}/trigger":     "the provider's; nobody else asks at all",
}

// foreign makes, for each collection, something that belongs to the story's
// tenant, as its administrator, and returns its id. A route below a collection
// that is not here fails the test: add how to make one.
func (s *story) foreign(admin *appliancetest.Client) map[string]string {
	s.t.Helper()
	made := func(path string, body map[string]any) func() string {
		return func() string {
			var got struct{ ID string }
			admin.Do(http.MethodPost, path, body, http.StatusCreated, &got)
			return got.ID
		}
	}
	first := func(path string) func() string {
		return func() string {
			var page struct{ Items []struct{ ID string } }
			admin.Do(http.MethodGet, path, nil, http.StatusOK, &page)
			if len(page.Items) == 0 {
				s.t.Fatalf("%s is empty", path)
			}
			return page.Items[0].ID
		}
	}
	is := func(id string) func() string { return func() string { return id } }
	all := map[string]func() string{
		"/v1/tenants/":                is(s.Tenant.String()),
		"/v1/stacks/":                 is(s.stack),
		"/v1/audit/sinks/":            made("/v1/audit/sinks", map[string]any{"kind": "syslog", "name": "Theirs", "address": "logs.example.com:514", "transport": "udp", "enabled": false}),
		"/v1/connections/":            is(s.connection),
		"/v1/deployments/":            is(s.wait(s.deploy("up", false).ID, "awaiting_approval").ID),
		"/v1/users/":                  is(s.Admin.ID.String()),
		"/v1/roles/":                  is(permission.SystemRoleID(s.Tenant, "Reader").String()),
		"/v1/inventory/":              first("/v1/inventory"),
		"/v1/sessions/":               first("/v1/sessions"),
		"/v1/tasks/":                  s.task,
		"/v1/mfa/passkeys/":           s.passkey,
		"/v1/audit/anomalies/":        s.anomaly,
		"/v1/audit/holds/":            made("/v1/audit/holds", map[string]any{"name": "Case 7", "reason": "the lawyers ask"}),
		"/v1/audit/archive/segments/": s.segment,
		"/v1/audit/queries/":          made("/v1/audit/queries", map[string]any{"name": "mine", "filter": map[string]any{}}),
		"/v1/audit/verify/": func() string {
			var got struct{ ID string }
			admin.Do(http.MethodPost, "/v1/audit/verify", nil, http.StatusOK, &got)
			return got.ID
		},
		"/v1/audit/publication/places/": func() string {
			var got struct{ Places []struct{ ID string } }
			admin.Do(http.MethodPut, "/v1/audit/publication", map[string]any{
				"interval_minutes": 60, "places": []map[string]any{{"kind": "email", "enabled": true, "to": []string{"ada@example.com"}}},
			}, http.StatusOK, &got)
			return got.Places[0].ID
		},
		"/v1/audit/exports/": func() string {
			var got struct{ ID string }
			admin.Do(http.MethodPost, "/v1/audit/exports", map[string]any{"format": "jsonl"}, http.StatusAccepted, &got)
			return got.ID
		},
		"/v1/breakglass/requests/": made("/v1/breakglass/requests", map[string]any{"reason": "the cluster burns", "minutes": 5}),
		"/v1/tokens/":              made("/v1/tokens", map[string]any{"name": "ci", "expires_in_days": 1}),
		"/v1/compartments/":        made("/v1/compartments", map[string]any{"name": "Production"}),
		"/v1/groups/":              made("/v1/groups", map[string]any{"name": "Crew", "description": ""}),
		"/v1/service-accounts/":    made("/v1/service-accounts", map[string]any{"name": "bot", "description": ""}),
		"/v1/invitations/":         made("/v1/invitations", map[string]any{"name": "Ina", "email": "ina@example.com", "role_ids": []string{}, "group_ids": []string{}}),
		"/v1/scim-tokens/":         made("/v1/scim-tokens", map[string]any{"name": "entra", "expires_in_days": 1}),
		"/v1/identity-providers/":  made("/v1/identity-providers", map[string]any{"kind": "oidc", "name": "IdP", "enabled": false, "oidc": map[string]any{"issuer": "https://idp.example.com", "client_id": "x", "client_secret": "y"}}),
		"/v1/grants/":              made("/v1/grants", map[string]any{"subject_kind": "user", "subject_id": s.Admin.ID, "permission": "cmdb:ci:read", "effect": "allow"}),
		"/v1/assignments/":         made("/v1/assignments", map[string]any{"subject_kind": "user", "subject_id": s.Admin.ID, "role_id": permission.SystemRoleID(s.Tenant, "Reader")}),
	}
	ids := map[string]string{}
	for _, r := range s.Routes() {
		prefix, _, _ := strings.Cut(r.Path, "{")
		if make := all[prefix]; make != nil && prefix != r.Path && ids[prefix] == "" {
			ids[prefix] = make()
		}
	}
	return ids
}

// task puts a task of the cluster into the story's tenant and returns its id.
func (s *story) task() string {
	s.t.Helper()
	task := id.New()
	appliancetest.Exec(s.t, s.Connect(s.t, "nimbus_owner"), `insert into `+db.TenantSchema(s.Tenant)+`.provider_task
		(id, connection_id, node, type, guest_kind, guest_key, action, status, actor_kind, actor_name, ended_at)
		values ($1, $2, 'pve1', 'qmstart', 'vm', 'qemu/100', 'start', 'ok', 'user', 'Ada', now())`, task, s.connection)
	return task.String()
}

// anomaly puts a finding into the story's tenant and returns its id.
func (s *story) anomaly() string {
	s.t.Helper()
	finding := id.New()
	appliancetest.Exec(s.t, s.Connect(s.t, "nimbus_owner"), `insert into `+db.TenantSchema(s.Tenant)+`.audit_anomaly
		(id, kind, pattern, severity, state, subject_kind, subject_id, subject_name, summary, chain, evidence, last, first_at, last_at, count)
		values ($1, 'brute_force', 'x', 'low', 'open', 'user', 'x', 'x', 'x', 'own', '{}', 0, now(), now(), 1)`, finding)
	return finding.String()
}

// segment puts a segment of the archive into the story's tenant and returns its id.
func (s *story) segment() string {
	s.t.Helper()
	segment, target := id.New(), id.New()
	owner, schema := s.Connect(s.t, "nimbus_owner"), db.TenantSchema(s.Tenant)
	appliancetest.Exec(s.t, owner, `insert into `+schema+`.audit_archive_target (id, kind, settings, current) values ($1, 'directory', '{"kind":"directory"}', true)`, target)
	appliancetest.Exec(s.t, owner, `insert into `+schema+`.audit_segment (id, first, last, bytes, plain, key, sha256, target_id)
		values ($1, 1, 256, 1, 1, 'x', 'x', $2)`, segment, target)
	return segment.String()
}

// passkey gives the story's administrator a passkey and returns its id.
func (s *story) passkey() string {
	s.t.Helper()
	key := id.New()
	appliancetest.Exec(s.t, s.Connect(s.t, "nimbus_owner"), `insert into core.passkey (id, user_id, credential_id, credential, name)
		values ($1, $2, $3, '{}', 'key')`, key, s.Admin.ID, key[:])
	return key.String()
}

// TestRobustness16ForeignIDsLookMissing asks, for every route with a parameter,
// as an administrator of one tenant for what belongs to another, and for what
// does not exist: the answers are the same. The routes come from the route
// table, and one for which there is nothing foreign to ask for fails the test.
func TestRobustness16ForeignIDsLookMissing(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	s.createStack("1024")
	admin := s.SignIn(t, "ada@example.com", s.Tenant)
	foreign := s.foreign(admin)
	_, bea := second(t, s.Appliance)
	tried := 0
	for _, r := range s.Routes() {
		prefix, rest, found := strings.Cut(r.Path, "{")
		if !found || r.Permission == web.Public || own[r.Path] != "" {
			continue
		}
		existing := foreign[prefix]
		if existing == "" {
			t.Errorf("%s %s: say in foreign() how to make something of another tenant's to ask for", r.Method, r.Path)
			continue
		}
		tried++
		_, rest, _ = strings.Cut(rest, "}")
		rest = parameter.ReplaceAllString(rest, id.New().String())
		for _, body := range bodies(r, s.Tenant) {
			statusMissing, bodyMissing := bea.Try(r.Method, prefix+id.New().String()+rest, body)
			statusOther, bodyOther := bea.Try(r.Method, prefix+existing+rest, body)
			if statusMissing != statusOther || plain(bodyMissing) != plain(bodyOther) || statusOther < 400 {
				t.Errorf("%s %s %v: %d %s for what is missing, %d %s for another tenant's", r.Method, r.Path, body, statusMissing, bodyMissing, statusOther, bodyOther)
			}
		}
	}
	if tried < 40 {
		t.Errorf("only %d routes were tried", tried)
	}
	s.untouched(admin, foreign)
}

// bodies are what is sent: nothing that fits, and what the route wants, so that
// the question about the id is reached.
func bodies(r web.Route, tenant id.ID) []map[string]any {
	if r.Method == http.MethodGet || r.Method == http.MethodDelete {
		return []map[string]any{nil}
	}
	wanted := map[string]map[string]any{
		"PATCH /v1/tenants/{id}":                {"name": "Stolen"},
		"POST /v1/tenants/{id}/move":            {"parent_id": tenant},
		"POST /v1/tenants/{id}/suspend":         {"reason": "because"},
		"POST /v1/tenants/{id}/purge":           {"name": "Acme"},
		"PUT /v1/tenants/{id}/quotas":           {"items": []any{}},
		"POST /v1/tenants/{id}/domains":         {"domain": "stolen.example"},
		"PATCH /v1/compartments/{id}":           {"name": "Stolen"},
		"POST /v1/compartments/{id}/move":       {"parent_id": nil},
		"PATCH /v1/users/{id}":                  {"name": "Stolen"},
		"POST /v1/users/{id}/roles":             {"role_id": permission.SystemRoleID(tenant, "Reader")},
		"PATCH /v1/groups/{id}":                 {"name": "Stolen"},
		"PATCH /v1/service-accounts/{id}":       {"name": "Stolen"},
		"POST /v1/service-accounts/{id}/tokens": {"name": "stolen", "expires_in_days": 1, "scopes": []string{}},
		"PATCH /v1/identity-providers/{id}":     {"name": "Stolen"},
		"PUT /v1/roles/{id}":                    {"name": "Stolen", "description": "", "grants": []any{}},
		"POST /v1/deployments/{id}/approve":     {"digest": "x"},
	}
	if body := wanted[r.Method+" "+r.Path]; body != nil {
		return []map[string]any{{}, body}
	}
	return []map[string]any{{}}
}

// untouched looks that all the asking has changed nothing.
func (s *story) untouched(admin *appliancetest.Client, foreign map[string]string) {
	s.t.Helper()
	var now struct{ Name, Status string }
	admin.Do(http.MethodGet, "/v1/tenants/"+foreign["/v1/tenants/"], nil, http.StatusOK, &now)
	if now.Name != "Acme" || now.Status != "active" {
		s.t.Errorf("the tenant is %+v", now)
	}
	admin.Do(http.MethodGet, "/v1/compartments/"+foreign["/v1/compartments/"], nil, http.StatusOK, &now)
	if now.Name != "Production" {
		s.t.Errorf("the compartment is %+v", now)
	}
	admin.Do(http.MethodGet, "/v1/stacks/"+foreign["/v1/stacks/"], nil, http.StatusOK, nil)
	admin.Do(http.MethodGet, "/v1/session", nil, http.StatusOK, nil)
}

// socket is a Socket.IO connection of a client over its polling transport.
type socket struct {
	t      *testing.T
	client *appliancetest.Client
	path   string
	heard  strings.Builder // everything that came
}

func connectSocket(t *testing.T, c *appliancetest.Client) *socket {
	t.Helper()
	s := &socket{t: t, client: c, path: "/socket.io/?EIO=4&transport=polling"}
	_, hello := c.Text(http.MethodGet, s.path, "")
	var open struct{ Sid string }
	if err := json.Unmarshal([]byte(strings.TrimPrefix(hello, "0")), &open); err != nil || open.Sid == "" {
		t.Fatalf("no session in %q: %v", hello, err)
	}
	s.path += "&sid=" + open.Sid
	s.send("40")
	if joined := s.poll(); !strings.Contains(joined, "40") {
		t.Fatalf("not connected: %q", joined)
	}
	return s
}

func (s *socket) send(packet string) {
	s.t.Helper()
	if status, answer := s.client.Text(http.MethodPost, s.path, packet); status != http.StatusOK {
		s.t.Fatalf("%s: %d %s", packet, status, answer)
	}
}

func (s *socket) poll() string {
	_, packets := s.client.Text(http.MethodGet, s.path, "")
	s.heard.WriteString(packets)
	return packets
}

// watch asks for a room and returns the answer.
func (s *socket) watch(kind, subject string) string {
	s.t.Helper()
	ask, err := json.Marshal([]any{"watch", map[string]string{"kind": kind, "id": subject}})
	if err != nil {
		s.t.Fatal(err)
	}
	s.send("420" + string(ask))
	for range 20 {
		for _, packet := range strings.Split(s.poll(), "\x1e") {
			if answer, ok := strings.CutPrefix(packet, "430"); ok {
				return answer
			}
		}
	}
	s.t.Fatalf("no answer to %s", ask)
	return ""
}

// TestRobustness23RoomsAreTheTenants asks for rooms of another tenant, for
// wildcards and for names that could be taken for other ones; then things happen
// in the other tenant, and nothing of it is heard.
func TestRobustness23RoomsAreTheTenants(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	s.createStack("1024")
	admin := s.SignIn(t, "ada@example.com", s.Tenant)
	beta, bea := second(t, s.Appliance)
	hers := connectSocket(t, bea)
	missing := hers.watch("stack", id.New().String())
	if foreign := hers.watch("stack", s.stack); foreign != missing || strings.Contains(foreign, `"ok":true`) {
		t.Errorf("another tenant's stack: %s, a missing one: %s", foreign, missing)
	}
	for _, kind := range []string{"stack", "deployment", "task", "*", "", "stack:*", "watch:stack", "tenant"} {
		for _, subject := range []string{"*", "", "%", s.stack + ":*", "*:" + s.stack, s.stack + "\n", strings.ToUpper(s.stack) + " ", "\u0660" + s.stack[1:], s.Tenant.String()} {
			if answer := hers.watch(kind, subject); strings.Contains(answer, `"ok":true`) {
				t.Errorf("%q %q: %s", kind, subject, answer)
			}
		}
	}
	mine := connectSocket(t, admin)
	if answer := mine.watch("stack", s.stack); !strings.Contains(answer, `"ok":true`) {
		t.Errorf("one's own stack: %s", answer)
	}
	admin.Do(http.MethodPatch, "/v1/tenants/"+s.Tenant.String(), map[string]any{"description": "canary"}, http.StatusOK, nil)
	admin.Do(http.MethodPost, "/v1/compartments", map[string]any{"name": "canary"}, http.StatusCreated, nil)
	for !strings.Contains(mine.heard.String(), "compartment.created") {
		mine.poll()
	}
	bea.Do(http.MethodPatch, "/v1/tenants/"+beta.String(), map[string]any{"description": "own"}, http.StatusOK, nil)
	for !strings.Contains(hers.heard.String(), "tenant.updated") {
		hers.poll()
	}
	for _, foreign := range []string{"canary", s.Tenant.String(), s.stack} {
		if strings.Contains(hers.heard.String(), foreign) {
			t.Errorf("%s was heard in another tenant: %s", foreign, hers.heard.String())
		}
	}
}

// plain is a problem document without what differs between any two requests.
func plain(body []byte) string {
	var p map[string]any
	if json.Unmarshal(body, &p) != nil {
		return string(body)
	}
	delete(p, "request_id")
	rest, _ := json.Marshal(p)
	return string(rest)
}

// TestRobustness04RecordOrNothing makes the audit trail refuse records: then
// changes fail and leave nothing, and reading goes on.
func TestRobustness04RecordOrNothing(t *testing.T) {
	t.Parallel()
	a := appliancetest.Start(t)
	admin := a.SignIn(t, "ada@example.com", a.Tenant)
	owner := a.Connect(t, "nimbus_owner")
	schema := db.TenantSchema(a.Tenant)
	appliancetest.Exec(t, owner, "revoke insert on "+schema+".audit_record from "+schema)
	before := a.Core().Audit.Stats().AppendFailures
	role := map[string]any{"name": "Unrecorded", "grants": []map[string]any{{"permission": "cmdb:ci:read", "effect": "allow"}}}
	if status, body := admin.Try(http.MethodPost, "/v1/roles", role); status < 500 {
		t.Errorf("a change without a record: %d %s", status, body)
	}
	if after := a.Core().Audit.Stats().AppendFailures; after <= before {
		t.Errorf("audit_append_failures was %d and is %d", before, after)
	}
	var roles struct{ Items []struct{ Name string } }
	admin.Do(http.MethodGet, "/v1/roles", nil, http.StatusOK, &roles)
	for _, r := range roles.Items {
		if r.Name == "Unrecorded" {
			t.Error("the change happened without its record")
		}
	}
	appliancetest.Exec(t, owner, "grant insert on "+schema+".audit_record to "+schema)
	admin.Do(http.MethodPost, "/v1/roles", role, http.StatusCreated, nil)
}

// TestRobustness11TamperingIsNamed changes the trail in each way with the
// owner's rights, and expects the first bad sequence to be named.
func TestRobustness11TamperingIsNamed(t *testing.T) {
	t.Parallel()
	a := appliancetest.Start(t)
	admin := a.SignIn(t, "ada@example.com", a.Tenant)
	for _, name := range []string{"one", "two", "three", "four"} {
		admin.Do(http.MethodPost, "/v1/roles", map[string]any{
			"name": name, "grants": []map[string]any{{"permission": "cmdb:ci:read", "effect": "allow"}},
		}, http.StatusCreated, nil)
	}
	var v struct {
		OK     bool
		Breaks []struct {
			Sequence int64
			Kind     string
		}
	}
	admin.Do(http.MethodPost, "/v1/audit/verify", nil, http.StatusOK, &v)
	if !v.OK {
		t.Fatalf("before: %+v", v)
	}
	owner := a.Connect(t, "nimbus_owner")
	schema := db.TenantSchema(a.Tenant)
	for _, c := range []struct {
		name, tamper, undo, kind string
		sequence                 int64
	}{
		{"a byte of a record", "update %.audit_record set body = set_byte(body, 40, get_byte(body, 40) # 1) where id = (select record_id from %.audit_entry where sequence = 2)", "", "hash", 2},
		{"a column of a record", "update %.audit_entry set event = 'nothing.happened' where sequence = 3", "update %.audit_entry set event = 'permission.role.created' where sequence = 3", "index", 3},
		{"a record deleted", "create table keep as select * from %.audit_record where id = (select record_id from %.audit_entry where sequence = 4); delete from %.audit_record where id in (select id from keep)", "insert into %.audit_record select * from keep", "missing", 4},
		{"an entry deleted", "create table kept as select * from %.audit_entry where sequence = 3; delete from %.audit_entry where sequence = 3", "insert into %.audit_entry select * from kept", "gap", 3},
	} {
		set := func(sql string) {
			appliancetest.Exec(t, owner, "set search_path = "+schema+";"+strings.ReplaceAll(sql, "%", schema), pgx.QueryExecModeSimpleProtocol)
		}
		set(c.tamper)
		admin.Do(http.MethodPost, "/v1/audit/verify", nil, http.StatusOK, &v)
		if v.OK || len(v.Breaks) == 0 || v.Breaks[0].Sequence != c.sequence || v.Breaks[0].Kind != c.kind {
			t.Errorf("%s: %+v", c.name, v)
		}
		if c.undo == "" {
			c.undo = c.tamper // flipping the bit again
		}
		set(c.undo)
	}
	admin.Do(http.MethodPost, "/v1/audit/verify", nil, http.StatusOK, &v)
	if !v.OK {
		t.Errorf("after undoing everything: %+v", v)
	}
}
