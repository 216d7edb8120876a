package identity_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/actor"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/identity"
	"nimbus/appliance/identity/scim"
	"nimbus/appliance/identity/scim/scimtest"
	"nimbus/appliance/permission"
)

// client is a directory with its token.
type client struct {
	b       *bench
	handler http.Handler
	token   string
}

// directory makes a token for a tenant and a client that uses it.
func (b *bench) directory(tenant id.ID) *client {
	b.t.Helper()
	secret, _, err := b.NewSCIMToken(b.in(tenant), "Directory", 30)
	b.must(err)
	return &client{b: b, token: secret, handler: scim.NewHandler(scim.Config{
		Directory: b.Directory(), Authenticate: b.AuthenticateSCIM, Logger: b.Logger, Rate: 1e6, Burst: 1e6,
		URL: func() string { return scimtest.Base },
	})}
}

// in acts as the appliance itself in a tenant.
func (b *bench) in(tenant id.ID) context.Context {
	return actor.AsSystem(b.t.Context(), "test", tenant)
}

// send expects a status and returns the answer.
func (c *client) send(status int, method, path string, body any) map[string]any {
	c.b.t.Helper()
	text, ok := body.(string)
	if !ok && body != nil {
		raw, err := json.Marshal(body)
		c.b.must(err)
		text = string(raw)
	}
	r := httptest.NewRequest(method, scimtest.Base+scim.Prefix+path, strings.NewReader(text))
	r.Header.Set("Authorization", "Bearer "+c.token)
	w := httptest.NewRecorder()
	c.handler.ServeHTTP(w, r)
	answer := map[string]any{}
	if w.Body.Len() > 0 {
		c.b.must(json.Unmarshal(w.Body.Bytes(), &answer))
	}
	if w.Code != status {
		c.b.t.Errorf("%s %s: %d instead of %d: %s", method, path, w.Code, status, w.Body)
	}
	return answer
}

// startIn begins a session in a tenant.
func (b *bench) startIn(user, tenant id.ID) (string, actor.Actor) {
	b.t.Helper()
	token, _, err := b.StartSession(b.t.Context(), identity.SignedIn{User: user, Tenant: tenant, Method: identity.ByPassword, Address: home})
	b.must(err)
	a, err := b.Authenticate(b.t.Context(), token)
	b.must(err)
	return token, a
}

type object = map[string]any

func (c *client) user(name string, more object) string {
	c.b.t.Helper()
	u := object{"userName": name}
	for k, v := range more {
		u[k] = v
	}
	made, _ := c.send(http.StatusCreated, "POST", "/Users", u)["id"].(string)
	return made
}

func (c *client) group(name string, members ...string) string {
	c.b.t.Helper()
	refs := []object{}
	for _, m := range members {
		refs = append(refs, object{"value": m})
	}
	made, _ := c.send(http.StatusCreated, "POST", "/Groups", object{"displayName": name, "members": refs})["id"].(string)
	return made
}

// patch sends one operation.
func (c *client) patch(status int, path, op, at string, value any) map[string]any {
	c.b.t.Helper()
	o := object{"op": op, "value": value}
	if at != "" {
		o["path"] = at
	}
	return c.send(status, "PATCH", path, object{"schemas": []string{"urn:ietf:params:scim:api:messages:2.0:PatchOp"}, "Operations": []object{o}})
}

// TestSCIMScripts plays what the RFC, Entra ID and Okta send to the real
// directory, each to a tenant of its own.
func TestSCIMScripts(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, script := range []string{"rfc7644", "entra", "okta"} {
		c := b.directory(b.anotherTenant(script))
		scimtest.Run(t, "scim/testdata/"+script+".txt", c.handler, c.token)
	}
}

// TestRobustness34TokenOfATenant shows and changes nothing of another tenant:
// each answer is that of an id that does not exist.
func TestRobustness34TokenOfATenant(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ours, theirs := b.directory(b.tenant), b.directory(b.anotherTenant("Other"))
	user := theirs.user("vic@other.example", object{"externalId": "v"})
	group := theirs.group("Victims", user)
	for kind, foreign := range map[string]string{"/Users/": user, "/Groups/": group} {
		for _, try := range []struct{ method, body string }{
			{"GET", ""}, {"DELETE", ""},
			{"PUT", `{"userName": "x@example.com", "displayName": "x"}`},
			{"PATCH", `{"Operations": [{"op": "replace", "path": "displayName", "value": "x"}]}`},
		} {
			is := ours.send(404, try.method, kind+foreign, try.body)
			missing := ours.send(404, try.method, kind+id.New().String(), try.body)
			if fmt.Sprint(is) != fmt.Sprint(missing) {
				t.Errorf("%s %s: %v, and %v for a missing one", try.method, kind, is, missing)
			}
		}
	}
	for _, filter := range []string{`userName%20eq%20%22vic@other.example%22`, `externalId%20eq%20%22v%22`, `id%20eq%20%22` + user + `%22`, `userName%20co%20%22vic%22`} {
		if found := ours.send(200, "GET", "/Users?filter="+filter, nil); found["totalResults"] != 0.0 {
			t.Errorf("%s found %v", filter, found)
		}
	}
	mine := ours.user("me@example.com", object{"externalId": "v"}) // their external ids are theirs
	ours.send(400, "POST", "/Groups", object{"displayName": "Thieves", "members": []object{{"value": user}}})
	ours.send(400, "POST", "/Groups", object{"displayName": "Thieves", "members": []object{{"value": group}}})
	ours.group("Victims", mine)
	theirs.send(200, "GET", "/Users/"+user, nil)
	if g := theirs.send(200, "GET", "/Groups/"+group, nil); len(g["members"].([]any)) != 1 {
		t.Errorf("their group is %v", g)
	}
}

// TestRobustness34Names refuses the names and addresses of others, and keys
// that are not what they seem.
func TestRobustness34Names(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c, other := b.directory(b.tenant), b.directory(b.anotherTenant("Other"))
	bob := b.person("Bob", "bob@example.org", b.tenant, permission.TenantAdministrator)
	other.user("vic@other.example", nil)
	mallory := c.user("mallory@example.org", object{"externalId": "7"})
	for _, name := range []string{"bob@example.org", "BOB@Example.ORG", "ann@example.org", "vic@other.example"} {
		c.patch(409, "/Users/"+mallory, "replace", "userName", name)
		c.send(409, "POST", "/Users", object{"userName": name})
		c.send(409, "POST", "/Users", object{"userName": "x", "emails": []object{{"value": name}}})
	}
	c.send(409, "POST", "/Users", object{"userName": "other@example.org", "externalId": "7"})
	c.send(400, "POST", "/Users", object{"userName": "other@example.org", "externalId": 7})
	c.send(400, "POST", "/Users", object{"userName": "no address"})
	c.send(404, "GET", "/Users/7", nil) // an external id is never an id
	c.send(404, "GET", "/Users/"+strings.ToUpper(mallory), nil)
	for _, attribute := range []string{"roles", "entitlements", "groups", "id"} {
		c.patch(400, "/Users/"+mallory, "add", attribute, []object{{"value": permission.SystemRoleID(b.tenant, permission.TenantAdministrator)}})
		c.patch(400, "/Users/"+mallory, "add", "", object{attribute: []object{{"value": "x"}}})
	}
	c.send(200, "PUT", "/Users/"+mallory, object{
		"userName": "mallory@example.org", "roles": []object{{"value": "Tenant Administrator"}}, "tenant_id": b.root, "emergency": true, "status": "active", "source": "local",
	})
	if n := query[int](b, `select count(*) from `+schema(b.tenant)+`.role_assignment where subject_id = $1`, mallory); n != 0 {
		t.Errorf("mallory has %d roles", n)
	}
	b.TenantForEmail = func(_ context.Context, email string) (id.ID, bool, error) {
		return b.root, strings.HasSuffix(email, "@provider.example") || email == "mallory@example.org", nil
	}
	c.send(409, "POST", "/Users", object{"userName": "nobody@provider.example"})
	c.patch(409, "/Users/"+mallory, "replace", "userName", "nobody@provider.example")
	c.patch(200, "/Users/"+mallory, "replace", "externalId", "8") // who was there before the domain was taken stays
	// Of a person who was made here the address stays, and the password too.
	c.patch(403, "/Users/"+bob.ID.String(), "replace", "userName", "mine@evil.example")
	c.patch(400, "/Users/"+bob.ID.String(), "replace", "password", "a long new password")
	b.signIn("bob@example.org")
}

// TestRobustness34EmergencyAdministrator cannot be changed by any way.
func TestRobustness34EmergencyAdministrator(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, tenant := range []id.ID{b.root, b.tenant} {
		c := b.directory(tenant)
		ann := "/Users/" + b.ann.ID.String()
		if u := c.send(200, "GET", ann, nil); u["userName"] != "ann@example.org" || u["active"] != true {
			t.Errorf("ann is %v", u)
		}
		c.patch(403, ann, "replace", "active", false)
		c.patch(403, ann, "replace", "displayName", "Nobody")
		c.patch(403, ann, "add", "externalId", "mine")
		c.patch(403, ann, "replace", "userName", "evil@example.com")
		c.send(403, "PUT", ann, object{"userName": "ann@example.org", "active": false})
		c.send(403, "DELETE", ann, nil)
		c.send(403, "POST", "/Groups", object{"displayName": "Traps", "members": []object{{"value": b.ann.ID}}})
		answer := c.send(200, "POST", "/Bulk", object{"Operations": []object{{"method": "DELETE", "path": ann}}})
		if !strings.Contains(fmt.Sprint(answer), "403") {
			t.Errorf("bulk: %v", answer)
		}
	}
	b.signIn("ann@example.org")
}

// TestRobustness34Tokens: they are stored as hashes, shown once, and end when they are ended,
// expire or their tenant closes.
func TestRobustness34Tokens(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c := b.directory(b.tenant)
	c.send(200, "GET", "/Users", nil)
	all, err := b.SCIMTokens(b.in(b.tenant))
	b.must(err)
	if len(all) != 1 || all[0].LastUsedAt == nil || all[0].Name != "Directory" {
		t.Fatalf("%+v", all)
	}
	if shown, _ := json.Marshal(all); strings.Contains(string(shown), strings.TrimPrefix(c.token, identity.SCIMTokenPrefix)) {
		t.Error("the list shows the secret")
	}
	if stored := query[bool](b, `select exists (select from core.scim_token t where t::text like '%' || $1 || '%')`, strings.TrimPrefix(c.token, identity.SCIMTokenPrefix)); stored {
		t.Error("the secret is stored")
	}
	if others, _ := b.SCIMTokens(b.in(b.root)); len(others) != 0 {
		t.Errorf("the root tenant sees %v", others)
	}
	b.refused("ending another tenant's token", b.EndSCIMToken(b.in(b.root), all[0].ID), fault.NotFound)
	_, err = b.AuthenticateToken(t.Context(), c.token)
	b.refused("a SCIM token as API token", err, fault.Unauthenticated)
	b.exec(`update core.tenant set status = 'creating' where id = $1`, b.tenant)
	c.send(401, "GET", "/Users", nil)
	b.exec(`update core.tenant set status = 'active' where id = $1`, b.tenant)
	c.send(200, "GET", "/Users", nil)
	b.exec(`update core.scim_token set expires_at = now()`)
	c.send(401, "GET", "/Users", nil)
	b.exec(`update core.scim_token set expires_at = now() + interval '1 day'`)
	b.must(b.EndSCIMToken(b.in(b.tenant), all[0].ID))
	c.send(401, "GET", "/Users", nil)
	reader := b.person("Rita", "rita@example.org", b.tenant, "Reader")
	_, _, err = b.NewSCIMToken(b.as(reader), "Mine", 30)
	b.refused("a reader's token", err, fault.Forbidden)
	for _, days := range []int{0, 731} {
		_, _, err = b.NewSCIMToken(b.in(b.tenant), "Long", days)
		b.refused("an impossible time", err, fault.Invalid)
	}
}

// TestSCIMTokensGiveNothingThatTheirMakerLacks: with a token one fills the groups
// of directories.
func TestSCIMTokensGiveNothingThatTheirMakerLacks(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	dan := b.holding("Dan", "dan@example.org", identity.CreateSCIMToken)
	_, _, err := b.NewSCIMToken(b.as(dan), "First", 1)
	b.must(err)
	group := id.MustParse(b.directory(b.tenant).group("Admins"))
	b.assign(permission.Subject{Kind: permission.GroupSubject, ID: group}, permission.TenantAdministrator)
	_, _, err = b.NewSCIMToken(b.as(dan), "Mine", 1)
	b.refused("who could become an administrator", err, fault.Forbidden)
	_, _, err = b.NewSCIMToken(b.as(b.ann), "Ours", 1)
	b.must(err)
}

// TestSCIMDisable ends everything in this tenant at once, and nothing in another.
func TestSCIMDisable(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c := b.directory(b.tenant)
	user := c.user("carl@example.org", object{"password": password, "displayName": "Carl"})
	carl := id.MustParse(user)
	other := b.anotherTenant("Other")
	b.exec(`insert into core.membership (user_id, tenant_id) values ($1, $2)`, user, other)
	here, a := b.startIn(carl, b.tenant)
	there, elsewhere := b.startIn(carl, other)
	secret, _, err := b.CreateToken(b.as(a), identity.NewToken{Name: "Mine", Days: 1})
	b.must(err)
	c.patch(200, "/Users/"+user, "Replace", "active", "False")
	for what, token := range map[string]string{"session": here, "token": secret} {
		_, err1 := b.Authenticate(t.Context(), token)
		_, err2 := b.AuthenticateToken(t.Context(), token)
		b.refused(what, err1, fault.Unauthenticated)
		b.refused(what, err2, fault.Unauthenticated)
	}
	if !b.cut(carl, a.Session) {
		t.Error("the session's sockets stay")
	}
	if _, err := b.Authenticate(t.Context(), there); err != nil || b.cut(carl, elsewhere.Session) {
		t.Error("the session in the other tenant ended: ", err)
	}
	_, err = b.UseTenant(b.as(elsewhere), b.tenant)
	b.refused("coming back", err, fault.NotFound)
	if u := c.patch(200, "/Users/"+user, "replace", "", object{"active": true}); u["active"] != true {
		t.Errorf("after enabling: %v", u)
	}
	_, err = b.UseTenant(b.as(elsewhere), b.tenant)
	b.must(err)
	_, err = b.Authenticate(t.Context(), here)
	b.refused("the old session after enabling", err, fault.Unauthenticated)
	// The person belongs to another tenant too: the account is not the directory's any more.
	c.patch(403, "/Users/"+user, "replace", "userName", "new@example.org")
	c.patch(200, "/Users/"+user, "replace", "displayName", "Karl")
	if name := query[string](b, `select name from core.account where id = $1`, user); name != "Carl" {
		t.Errorf("the other tenant sees %s", name)
	}
	c.send(204, "DELETE", "/Users/"+user, nil)
	if n := query[int](b, `select count(*) from core.account where id = $1`, user); n != 1 {
		t.Error("the account went, though another tenant has the person")
	}
}

// TestSCIMOwnUser changes the account of a person whom the directory made.
func TestSCIMOwnUser(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c := b.directory(b.tenant)
	user := c.user("dora@example.org", object{"password": password, "name": object{"givenName": "Dora", "familyName": "Day"}})
	b.signIn("dora@example.org")
	c.patch(200, "/Users/"+user, "replace", "userName", "dora.day@example.org")
	c.patch(200, "/Users/"+user, "replace", "name.familyName", "Night")
	_, a := b.signIn("dora.day@example.org")
	if a.Name != "Dora Night" {
		t.Errorf("she is %q", a.Name)
	}
	_, _, err := b.SignIn(t.Context(), "dora@example.org", password, home, "")
	b.refused("the old address", err, fault.Unauthenticated)
	// Not an address: she signs in with the one she is written to.
	c.send(200, "PUT", "/Users/"+user, object{"userName": "dday", "emails": []object{{"value": "second@example.org"}, {"value": "dora@example.org", "type": "work"}}})
	b.signIn("dora@example.org")
	c.send(400, "PUT", "/Users/"+user, object{"userName": "dday"})
	c.send(204, "DELETE", "/Users/"+user, nil)
	if n := query[int](b, `select count(*) from core.account where id = $1`, user); n != 0 {
		t.Error("the account stays without a tenant")
	}
	for _, table := range []string{"scim_user where user_id", "group_member where member_id"} {
		if n := query[int](b, `select count(*) from `+schema(b.tenant)+`.`+table+` = $1`, user); n != 0 {
			t.Errorf("%d rows stay in %s", n, table)
		}
	}
	c.user("dday", object{"emails": []object{{"value": "dora@example.org"}}})
}

// TestSCIMWaitsForWhoJoinsAnotherTenant: an address is changed only while the
// person is of this tenant alone, also when they join another one just now.
func TestSCIMWaitsForWhoJoinsAnotherTenant(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c := b.directory(b.tenant)
	user := c.user("flo@example.org", nil)
	away := b.anotherTenant("Away")
	conn, err := pgx.Connect(t.Context(), b.dsn)
	b.must(err)
	defer conn.Close(context.Background())
	joining, err := conn.Begin(t.Context())
	b.must(err)
	_, err = joining.Exec(t.Context(), `insert into core.membership (user_id, tenant_id) values ($1, $2)`, user, away)
	b.must(err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.patch(403, "/Users/"+user, "replace", "userName", "mine@example.org")
	}()
	select {
	case <-done:
	case <-time.After(300 * time.Millisecond):
	}
	b.must(joining.Commit(t.Context()))
	<-done
}

// TestSCIMLinksMembers finds people who were made here and writes what the
// directory knows of them.
func TestSCIMLinksMembers(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c := b.directory(b.tenant)
	eve := b.person("Eve", "Eve@example.org", b.tenant).ID.String()
	found := c.send(200, "GET", `/Users?filter=userName%20eq%20%22eve@EXAMPLE.org%22%20and%20displayName%20eq%20%22eve%22`, nil)
	if found["totalResults"] != 1.0 {
		t.Fatalf("%v", found)
	}
	c.send(409, "POST", "/Users", object{"userName": "eve@example.org"})
	linked := c.send(200, "PUT", "/Users/"+eve, object{"userName": "eve@example.org", "externalId": "e1", "displayName": "Eve Ning", "title": "Boss"})
	if linked["externalId"] != "e1" || linked["title"] != "Boss" {
		t.Errorf("%v", linked)
	}
	if found := c.send(200, "GET", `/Users?filter=externalId%20eq%20%22e1%22`, nil); found["totalResults"] != 1.0 {
		t.Errorf("%v", found)
	}
	if name := query[string](b, `select name from core.account where id = $1`, eve); name != "Eve Ning" {
		t.Errorf("she is %s", name)
	}
	c.send(200, "PUT", "/Users/"+eve, object{"userName": "eve@example.org", "externalId": "e1"})
	if name := query[string](b, `select name from core.account where id = $1`, eve); name != "Eve Ning" {
		t.Errorf("without a name she is %s", name)
	}
	// When she is removed here, nothing of her stays in the way of the next.
	b.must(b.DeleteUser(b.in(b.tenant), id.MustParse(eve)))
	c.user("eve@example.org", object{"externalId": "e1"})
}

// TestSCIMGroups gives rights through groups of the directory, and leaves what
// was made here alone.
func TestSCIMGroups(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c := b.directory(b.tenant)
	finn, gail := c.user("finn@example.org", nil), c.user("gail@example.org", nil)
	b.exec(`insert into ` + schema(b.tenant) + `.user_group (id, name) values ('0190c1d2-0000-7000-8000-000000000001', 'Local')`)
	const local = "0190c1d2-0000-7000-8000-000000000001"
	c.send(404, "GET", "/Groups/"+local, nil)
	c.send(404, "DELETE", "/Groups/"+local, nil)
	c.patch(404, "/Groups/"+local, "add", "members", []object{{"value": finn}})
	c.send(409, "POST", "/Groups", object{"displayName": "LOCAL"})
	inner := c.group("Inner", finn)
	outer := c.group("Outer", inner, gail)
	c.send(400, "POST", "/Groups", object{"displayName": "Bad", "members": []object{{"value": local}}})
	if n := c.send(200, "GET", "/Groups", nil)["totalResults"]; n != 2.0 {
		t.Errorf("%v groups, a failed one stayed", n)
	}
	c.patch(409, "/Groups/"+inner, "add", "members", []object{{"value": outer}})
	c.patch(409, "/Groups/"+inner, "add", "members", []object{{"value": inner}})
	groups, err := b.GroupsOf(t.Context(), b.tenant, permission.Subject{Kind: permission.UserSubject, ID: id.MustParse(finn)})
	b.must(err)
	if len(groups) != 2 {
		t.Errorf("finn is in %v", groups)
	}
	// A service account and a local group that somebody put in here stay.
	robot := id.New().String()
	b.exec(`insert into `+schema(b.tenant)+`.group_member (group_id, member_kind, member_id) values ($1, 'service_account', $2), ($1, 'group', $3)`, outer, robot, local)
	c.patch(204, "/Groups/"+outer, "replace", "members", []object{{"value": finn}})
	if n := query[int](b, `select count(*) from `+schema(b.tenant)+`.group_member where group_id = $1`, outer); n != 3 {
		t.Errorf("%d members", n)
	}
	before := c.send(200, "GET", "/Groups/"+outer, nil)
	c.patch(204, "/Groups/"+outer, "replace", "members", []object{{"value": finn}})
	if after := c.send(200, "GET", "/Groups/"+outer, nil); fmt.Sprint(after["meta"]) != fmt.Sprint(before["meta"]) {
		t.Errorf("a change that changes nothing: %v, then %v", before["meta"], after["meta"])
	}
	c.send(204, "DELETE", "/Users/"+finn, nil)
	if left := c.send(200, "GET", "/Groups/"+outer, nil); left["members"] != nil {
		t.Errorf("%v", left)
	}
	c.send(204, "DELETE", "/Groups/"+outer, nil)
}

// TestSCIMAudit records who did what, without the password.
func TestSCIMAudit(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c := b.directory(b.tenant)
	user := c.user("hal@example.org", object{"password": "canary sings at every dawn"})
	group := c.group("Crew", user)
	c.patch(200, "/Users/"+user, "replace", "title", "Captain")
	c.patch(200, "/Users/"+user, "replace", "title", "Captain") // changes nothing, so no record
	c.patch(204, "/Groups/"+group, "replace", "displayName", "Staff")
	c.send(204, "DELETE", "/Groups/"+group, nil)
	c.send(204, "DELETE", "/Users/"+user, nil)
	trail := query[[]string](b, `select array_agg(convert_from(body, 'UTF8') order by id) from `+schema(b.tenant)+`.audit_record`)
	var events []string
	for _, text := range trail {
		var r struct {
			Event string
			Actor actor.Actor
		}
		b.must(json.Unmarshal([]byte(text), &r))
		if r.Actor.Name == "SCIM: Directory" && r.Actor.Kind == actor.ServiceAccount && r.Actor.TenantID == b.tenant {
			events = append(events, strings.TrimPrefix(r.Event, "identity."))
		}
	}
	want := "[user.created group.created user.updated group.updated group.deleted user.deleted]"
	if fmt.Sprint(events) != want || strings.Contains(strings.Join(trail, ""), "canary") {
		t.Errorf("%v, not %s", events, want)
	}
}

// TestSCIMAtOnce creates the same user and nests groups from many requests at
// the same time: one wins, no circle comes about.
func TestSCIMAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c := b.directory(b.tenant)
	one, two := c.group("One"), c.group("Two")
	var mu sync.Mutex
	codes := map[int]int{}
	var wait sync.WaitGroup
	do := func(method, path, body string) {
		wait.Go(func() {
			r := httptest.NewRequest(method, scimtest.Base+scim.Prefix+path, strings.NewReader(body))
			r.Header.Set("Authorization", "Bearer "+c.token)
			w := httptest.NewRecorder()
			c.handler.ServeHTTP(w, r)
			mu.Lock()
			defer mu.Unlock()
			codes[w.Code]++
		})
	}
	for range 6 {
		do("POST", "/Users", `{"userName": "same@example.org", "externalId": "same"}`)
	}
	wait.Wait()
	if codes[201] != 1 || codes[409] != 5 {
		t.Errorf("users: %v", codes)
	}
	clear(codes)
	nest := `{"Operations": [{"op": "add", "path": "members", "value": [{"value": "%s"}]}]}`
	do("PATCH", "/Groups/"+one, fmt.Sprintf(nest, two))
	do("PATCH", "/Groups/"+two, fmt.Sprintf(nest, one))
	wait.Wait()
	if codes[204] != 1 || codes[409] != 1 {
		t.Errorf("groups: %v", codes)
	}
}
