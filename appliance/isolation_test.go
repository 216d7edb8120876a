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
	"nimbus/appliance/id"
	"nimbus/appliance/identity"
	"nimbus/appliance/permission"
	"nimbus/appliance/tenancy"
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

// TestRobustness17EveryTableIsProtected asks the catalog about every table of
// every tenant.
func TestRobustness17EveryTableIsProtected(t *testing.T) {
	t.Parallel()
	a := appliancetest.Start(t)
	conn := a.Connect(t, "nimbus_owner")
	rows, _ := conn.Query(t.Context(), `select c.oid::regclass::text, c.relrowsecurity and c.relforcerowsecurity,
			exists (select from pg_policy p where p.polrelid = c.oid),
			pg_get_userbyid(c.relowner),
			exists (select from aclexplode(c.relacl) g where g.privilege_type in ('TRUNCATE', 'REFERENCES', 'TRIGGER') and g.grantee <> c.relowner)
		from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where n.nspname like 'tenant\_%' and c.relkind in ('r', 'p', 'v', 'm')`)
	type table struct {
		Name             string
		Forced, Policied bool
		Owner            string
		TooMuch          bool
	}
	tables, err := pgx.CollectRows(rows, pgx.RowToStructByPos[table])
	if err != nil || len(tables) < 20 {
		t.Fatalf("%d tables, %v", len(tables), err)
	}
	for _, table := range tables {
		if !table.Forced || !table.Policied || table.Owner != "nimbus_owner" || table.TooMuch {
			t.Errorf("%+v", table)
		}
	}
	var unsafe int
	err = conn.QueryRow(t.Context(), `select count(*) from pg_roles where (rolname in ('nimbus_app', 'nimbus_core', 'nimbus_owner') or rolname like 'tenant\_%')
		and (rolsuper or rolbypassrls or (rolname <> 'nimbus_owner' and (rolcreaterole or rolcreatedb)))`).Scan(&unsafe)
	if err != nil || unsafe > 0 {
		t.Errorf("%d roles may too much, %v", unsafe, err)
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

var parameter = regexp.MustCompile(`\{[a-z_]+\}`)

// TestRobustness16ForeignIDsLookMissing asks, for every route with an id, as an
// administrator of one tenant for what belongs to another, and for what does
// not exist: the answers are the same. The routes come from the route table.
func TestRobustness16ForeignIDsLookMissing(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	s.createStack("1024")
	d := s.wait(s.deploy("up", false).ID, "awaiting_approval")
	var inventory struct{ Items []struct{ ID string } }
	s.deployer.Do(http.MethodGet, "/v1/inventory", nil, http.StatusOK, &inventory)
	foreign := map[string]string{
		"/v1/stacks/": s.stack, "/v1/deployments/": d.ID, "/v1/connections/": s.connection, "/v1/tenants/": s.Tenant.String(),
		"/v1/users/": s.Admin.ID.String(), "/v1/roles/": permission.SystemRoleID(s.Tenant, "Reader").String(),
	}
	if len(inventory.Items) > 0 {
		foreign["/v1/inventory/"] = inventory.Items[0].ID
	}
	_, bea := second(t, s.Appliance)
	tried := 0
	for _, r := range s.Routes() {
		if r.Method == http.MethodDelete && strings.HasPrefix(r.Path, "/v1/sessions") || !strings.Contains(r.Path, "{id}") {
			continue
		}
		for prefix, existing := range foreign {
			if !strings.HasPrefix(r.Path, prefix) {
				continue
			}
			tried++
			missing := parameter.ReplaceAllString(r.Path, id.New().String())
			other := parameter.ReplaceAllString(r.Path, existing)
			statusMissing, bodyMissing := bea.Try(r.Method, missing, map[string]any{})
			statusOther, bodyOther := bea.Try(r.Method, other, map[string]any{})
			if statusMissing != statusOther || plain(bodyMissing) != plain(bodyOther) || statusOther < 400 {
				t.Errorf("%s %s: %d %s for what is missing, %d %s for another tenant's", r.Method, r.Path, statusMissing, bodyMissing, statusOther, bodyOther)
			}
		}
	}
	if tried < 15 {
		t.Errorf("only %d routes were tried", tried)
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
	role := map[string]any{"name": "Unrecorded", "grants": []map[string]any{{"permission": "cmdb:ci:read", "effect": "allow"}}}
	if status, body := admin.Try(http.MethodPost, "/v1/roles", role); status < 500 {
		t.Errorf("a change without a record: %d %s", status, body)
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
		{"a byte of a record", "update %.audit_record set body = set_byte(body, 40, get_byte(body, 40) # 1) where id = (select record_id from %.audit_link where sequence = 2)", "", "hash", 2},
		{"a column of a record", "update %.audit_record set event = 'nothing.happened' where id = (select record_id from %.audit_link where sequence = 3)", "update %.audit_record set event = 'permission.role.created' where id = (select record_id from %.audit_link where sequence = 3)", "index", 3},
		{"a record deleted", "create table keep as select * from %.audit_record where id = (select record_id from %.audit_link where sequence = 4); delete from %.audit_record where id in (select id from keep)", "insert into %.audit_record select * from keep", "missing", 4},
		{"a link deleted", "create table kept as select * from %.audit_link where sequence = 3; delete from %.audit_link where sequence = 3", "insert into %.audit_link select * from kept", "gap", 3},
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
