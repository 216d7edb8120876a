package permission_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"nimbus/appliance/id"
	"nimbus/appliance/permission"
	"nimbus/appliance/permission/api"
	"nimbus/appliance/web"
)

// door is the HTTP side of a world.
type door struct {
	*world
	routes *web.API
}

func (w *world) door() door {
	routes := web.New("test", slog.New(slog.DiscardHandler))
	api.Register(routes, w.Service, routes.Routes)
	return door{w, routes}
}

func (d door) do(as permission.Subject, want int, method, path string, body any) map[string]any {
	d.t.Helper()
	raw, err := json.Marshal(body)
	must(d.t, err)
	r := httptest.NewRequest(method, path, strings.NewReader(string(raw))).WithContext(d.as(as))
	r.Header.Set("Content-Type", "application/json")
	answer := httptest.NewRecorder()
	d.routes.ServeHTTP(answer, r)
	if answer.Code != want {
		d.t.Fatalf("%s %s: %d %s", method, path, answer.Code, answer.Body)
	}
	got := map[string]any{}
	if answer.Body.Len() > 0 {
		must(d.t, json.Unmarshal(answer.Body.Bytes(), &got))
	}
	return got
}

type object = map[string]any

// TestRolesAndGrantsThroughTheDoor makes, changes, gives and takes over HTTP.
func TestRolesAndGrantsThroughTheDoor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.door()
	admin := w.subject(permission.UserSubject, "Ada")
	bob := w.subject(permission.UserSubject, "Bob")
	shop := w.compartment(id.ID{})
	must(t, w.Assign(w.system(), admin.ID, permission.SystemRoleID(w.tenant, permission.TenantAdministrator)))
	role := object{"name": "Shop", "grants": []object{{"permission": "deployment:*:*", "effect": "allow", "condition": "actor.mfa", "compartment_id": shop, "not_before": nil}}}
	made := d.do(admin, http.StatusCreated, "POST", "/v1/roles", role)
	one := "/v1/roles/" + made["id"].(string)
	d.do(admin, http.StatusConflict, "POST", "/v1/roles", role)
	d.do(bob, http.StatusForbidden, "POST", "/v1/roles", object{"name": "x", "grants": role["grants"]})
	d.do(admin, http.StatusBadRequest, "POST", "/v1/roles", object{"name": "Bad", "grants": []object{{"permission": "a:b:c", "effect": "allow", "condition": "actor.nothing"}}})
	role["inherits"] = []string{permission.SystemRoleID(w.tenant, "Reader").String()}
	changed := d.do(admin, http.StatusOK, "PUT", one, role)
	if len(changed["inherits"].([]any)) != 1 || changed["grants"].([]any)[0].(object)["compartment_id"] != shop.String() {
		t.Errorf("%v", changed)
	}
	end := time.Now().Add(time.Hour).UTC()
	gift := object{"subject_kind": "user", "subject_id": bob.ID, "role_id": made["id"], "expires_at": end}
	n := d.do(admin, http.StatusCreated, "POST", "/v1/assignments", gift)
	d.do(admin, http.StatusConflict, "POST", "/v1/assignments", gift)
	d.do(admin, http.StatusBadRequest, "POST", "/v1/assignments", object{"subject_kind": "user", "subject_id": id.New(), "role_id": made["id"]})
	d.do(admin, http.StatusConflict, "DELETE", one, nil)
	list := d.do(admin, http.StatusOK, "GET", "/v1/assignments?subject_kind=user&subject_id="+bob.ID.String(), nil)["items"].([]any)
	if len(list) != 1 || list[0].(object)["subject_name"] != "Bob" || list[0].(object)["role_name"] != "Shop" || list[0].(object)["id"] != n["id"] {
		t.Errorf("%v", list)
	}
	if got := d.do(admin, http.StatusOK, "GET", one, nil); got["holders"] != 1.0 {
		t.Errorf("%v", got)
	}
	g := d.do(admin, http.StatusCreated, "POST", "/v1/grants", object{"subject_kind": "user", "subject_id": bob.ID, "permission": "audit:*:*", "effect": "deny", "hard": true})
	if items := d.do(admin, http.StatusOK, "GET", "/v1/grants", nil)["items"].([]any); len(items) != 1 || items[0].(object)["subject_name"] != "Bob" {
		t.Errorf("%v", items)
	}
	d.do(admin, http.StatusNoContent, "DELETE", "/v1/grants/"+g["id"].(string), nil)
	d.do(admin, http.StatusNotFound, "DELETE", "/v1/grants/"+g["id"].(string), nil)
	d.do(admin, http.StatusNoContent, "DELETE", "/v1/assignments/"+n["id"].(string), nil)
	d.do(admin, http.StatusNoContent, "DELETE", one, nil)
	d.do(admin, http.StatusNotFound, "GET", one, nil)
	for what, want := range map[string]int{"permission.role.created": 1, "permission.role.updated": 1, "permission.role.deleted": 1,
		"permission.role.unassigned": 1, "permission.grant.created": 1, "permission.grant.deleted": 1, "permission.check.denied": 1} {
		if got := w.recorded(w.tenant, what); got != want {
			t.Errorf("%d records of %s", got, what)
		}
	}
}

// TestQuestionsThroughTheDoor asks every kind of question over HTTP.
func TestQuestionsThroughTheDoor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.door()
	shop := w.compartment(id.ID{})
	ann := w.subject(permission.UserSubject, "Ann")
	eve := w.subject(permission.UserSubject, "Eve")
	w.grant(ann, permission.Grant{Permission: "deployment:*:*", Effect: permission.Allow, Compartment: shop, Condition: `cidr("10.0.0.0/8").containsIP(address)`})
	w.grant(ann, allow(permission.ExplainAny))
	q := object{"permission": "deployment:stack:read", "resource": object{"compartment_id": shop}, "address": "10.1.2.3"}
	if got := d.do(ann, http.StatusOK, "POST", "/v1/permissions/explain", q); got["allowed"] != true || got["decided_by"].(object)["via"] != "direct grant" {
		t.Errorf("%v", got)
	}
	answers := d.do(ann, http.StatusOK, "POST", "/v1/permissions/check", object{"questions": []object{
		{"permission": permission.ExplainAny}, {"permission": "deployment:stack:read", "resource": q["resource"]}}})["answers"].([]any)
	if answers[0] != true || answers[1] != false { // this request comes from another address
		t.Errorf("%v", answers)
	}
	d.do(eve, http.StatusForbidden, "POST", "/v1/permissions/explain", object{"user_id": ann.ID, "permission": "a:b:c"})
	d.do(eve, http.StatusForbidden, "GET", "/v1/permissions/effective?subject_kind=user&subject_id="+ann.ID.String(), nil)
	d.do(eve, http.StatusBadRequest, "POST", "/v1/permissions/explain", object{"permission": "a:b:*"})
	if items := d.do(ann, http.StatusOK, "GET", "/v1/permissions/effective", nil)["items"].([]any); len(items) != 2 {
		t.Errorf("%v", items)
	}
	if items := d.do(ann, http.StatusOK, "POST", "/v1/permissions/holders", object{"permission": permission.ExplainAny})["items"].([]any); len(items) != 1 || items[0].(object)["name"] != "Ann" {
		t.Errorf("%v", items)
	}
	results := d.do(ann, http.StatusOK, "POST", "/v1/permissions/simulate", object{
		"change":    object{"grants_add": []object{{"subject_kind": "user", "subject_id": eve.ID, "permission": "a:b:*", "effect": "allow"}}},
		"questions": []object{{"subject_kind": "user", "subject_id": eve.ID, "permission": "a:b:c"}}})["results"].([]any)
	if r := results[0].(object); r["before"].(object)["allowed"] != false || r["after"].(object)["allowed"] != true {
		t.Errorf("%v", results)
	}
	catalogue := d.do(eve, http.StatusOK, "GET", "/v1/permissions/catalogue", nil)["items"].([]any)
	if len(catalogue) != 9 || catalogue[0].(object)["domain"] != "permission" || catalogue[0].(object)["summary"] == "" {
		t.Errorf("%v", catalogue)
	}
}

// TestConditionsThroughTheDoor tries conditions as the editor does.
func TestConditionsThroughTheDoor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.door()
	eve := w.subject(permission.UserSubject, "Eve")
	try := func(condition string) object {
		return d.do(eve, http.StatusOK, "POST", "/v1/permissions/condition/test", object{"condition": condition,
			"sample": object{"actor": object{"mfa": true}, "resource": object{"attributes": object{"cores": 4}}}})
	}
	if got := try(`actor.mfa && resource.attributes.cores <= 4`); got["result"] != true || got["error"] != "" || got["cost"] == 0.0 {
		t.Errorf("%v", got)
	}
	if got := try(`resource.attributes.missing == 4`); got["result"] != nil || !strings.Contains(got["error"].(string), "no such key") {
		t.Errorf("%v", got)
	}
	if got := try(`actor.nothing`); got["result"] != nil || !strings.Contains(got["error"].(string), "line 1") {
		t.Errorf("%v", got)
	}
	v := d.do(eve, http.StatusOK, "GET", "/v1/permissions/condition/vocabulary", nil)
	if len(v["names"].([]any)) < 10 || len(v["functions"].([]any)) < 5 {
		t.Errorf("%v", v)
	}
}
