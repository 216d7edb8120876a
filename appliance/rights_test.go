package appliance_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"nimbus/appliance/appliancetest"
)

// TestRobustness27ThroughTheDoor gives somebody the right to see stacks through
// a group in a group, and a second one by a grant that ends by itself. Who may
// read stacks is answered with the person; when the grant ends and the group is
// left, the open sockets lose their stack within a second.
func TestRobustness27ThroughTheDoor(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	s.createStack("1024")
	admin := s.SignIn(t, "ada@example.com", s.Tenant)
	nora, member := s.member(admin, "Nora Night", "nora@example.com")
	tim, timed := s.member(admin, "Tim Timed", "tim@example.com")

	inner, outer := s.group(admin, "Night shift"), s.group(admin, "Operations")
	membership := "/v1/groups/" + inner + "/members/user/" + nora
	admin.Do(http.MethodPut, membership, nil, http.StatusNoContent, nil)
	admin.Do(http.MethodPut, "/v1/groups/"+outer+"/members/group/"+inner, nil, http.StatusNoContent, nil)
	s.grant(admin, "group", outer, "deployment:stack:read", time.Time{})
	s.grant(admin, "user", nora, "cmdb:ci:read", time.Time{})
	if via := s.holder(admin, nora); via != "direct grant through group Operations" {
		t.Errorf("Nora may read stacks by %q", via)
	}

	end := time.Now().Add(3 * time.Second)
	s.grant(admin, "user", tim, "deployment:stack:read", end)
	s.grant(admin, "user", tim, "cmdb:ci:read", time.Time{})
	hers, his := connectSocket(t, member), connectSocket(t, timed)
	for _, one := range []*socket{hers, his} {
		if answer := one.watch("stack", s.stack); !strings.Contains(answer, `"ok":true`) {
			t.Fatalf("watching: %s", answer)
		}
	}
	began := time.Now()
	admin.Do(http.MethodDelete, membership, nil, http.StatusNoContent, nil)
	hers.loses(s.stack, began)
	member.Do(http.MethodGet, "/v1/stacks/"+s.stack, nil, http.StatusForbidden, nil)
	his.loses(s.stack, end)
	timed.Do(http.MethodGet, "/v1/stacks/"+s.stack, nil, http.StatusForbidden, nil)
	if via := s.holder(admin, nora); via != "" {
		t.Errorf("afterwards Nora may read stacks by %q", via)
	}
}

// TestWhoMadeATokenDoesNotApproveWhatItAskedFor has a program ask for a deployment,
// and who made its token approve it, who may approve everything else.
func TestWhoMadeATokenDoesNotApproveWhatItAskedFor(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	s.createStack("1024")
	admin := s.SignIn(t, "ada@example.com", s.Tenant)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/v1/deployments", strings.NewReader(`{"stack_id": "`+s.stack+`", "operation": "up", "refresh": false}`))
	must(t, err)
	r.Header.Set("Authorization", "Bearer "+s.programToken(admin, "deployment:*:*"))
	r.Header.Set("Content-Type", "application/json")
	answer, err := insecure(time.Minute).Do(r)
	must(t, err)
	defer answer.Body.Close()
	var d deploymentRow
	must(t, json.NewDecoder(answer.Body).Decode(&d))
	if answer.StatusCode != http.StatusAccepted {
		t.Fatalf("the program is answered with %d", answer.StatusCode)
	}
	d = s.wait(d.ID, "awaiting_approval")
	status, said := admin.Try(http.MethodPost, "/v1/deployments/"+d.ID+"/approve", map[string]any{"digest": d.Plan.Digest})
	if status != http.StatusForbidden || !strings.Contains(string(said), "You asked for this yourself") {
		t.Errorf("who made the token approves: %d %s", status, said)
	}
	s.approve(d)
}

// member makes a person without roles and signs them in.
func (s *story) member(admin *appliancetest.Client, name, email string) (string, *appliancetest.Client) {
	s.t.Helper()
	var made struct{ ID string }
	admin.Do(http.MethodPost, "/v1/users", map[string]any{
		"name": name, "email": email, "password": appliancetest.Password, "role_ids": []string{},
	}, http.StatusCreated, &made)
	return made.ID, s.SignIn(s.t, email, s.Tenant)
}

func (s *story) group(admin *appliancetest.Client, name string) string {
	s.t.Helper()
	var made struct{ ID string }
	admin.Do(http.MethodPost, "/v1/groups", map[string]any{"name": name, "description": ""}, http.StatusCreated, &made)
	return made.ID
}

// grant gives a permission, until a time or (zero) for ever.
func (s *story) grant(admin *appliancetest.Client, kind, subject, permission string, until time.Time) {
	s.t.Helper()
	g := map[string]any{"subject_kind": kind, "subject_id": subject, "permission": permission, "effect": "allow"}
	if !until.IsZero() {
		g["expires_at"] = until.UTC().Format(time.RFC3339Nano)
	}
	admin.Do(http.MethodPost, "/v1/grants", g, http.StatusCreated, nil)
}

// holder is how a person may read stacks; empty when they may not.
func (s *story) holder(admin *appliancetest.Client, person string) string {
	s.t.Helper()
	var holders struct {
		Items []struct {
			SubjectID string `json:"subject_id"`
			Via       string
		}
	}
	admin.Do(http.MethodPost, "/v1/permissions/holders", map[string]any{"permission": "deployment:stack:read"}, http.StatusOK, &holders)
	for _, h := range holders.Items {
		if h.SubjectID == person {
			return h.Via
		}
	}
	return ""
}

// loses waits until the socket is told that it watches a subject no more.
func (s *socket) loses(subject string, since time.Time) {
	s.t.Helper()
	for range 20 {
		if packets := s.poll(); strings.Contains(packets, "watch.ended") && strings.Contains(packets, subject) {
			if took := time.Since(since); took < 0 || took > time.Second {
				s.t.Errorf("the watch ended after %v", took)
			} else {
				s.t.Logf("the watch ended after %v", took)
			}
			return
		}
	}
	s.t.Error("the watch never ended")
}

// TestCompartmentsBoundRights gives somebody the stacks of one compartment and
// of those in it: they read, list and change these, and everything else is
// refused to them as what does not exist is.
func TestCompartmentsBoundRights(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	admin := s.SignIn(t, "ada@example.com", s.Tenant)
	person, member := s.member(admin, "Lea Lab", "lea@example.com")
	lab := s.compartment(admin, "Lab", "")
	rack, office := s.compartment(admin, "Rack", lab), s.compartment(admin, "Office", "")
	g := map[string]any{"subject_kind": "user", "subject_id": person, "permission": "deployment:stack:*", "effect": "allow", "compartment_id": lab}
	admin.Do(http.MethodPost, "/v1/grants", g, http.StatusCreated, nil)
	member.Do(http.MethodGet, "/v1/stacks", nil, http.StatusOK, nil)

	inside := s.stackIn(admin, "inside", rack, http.StatusCreated)
	outside := s.stackIn(admin, "outside", office, http.StatusCreated)
	nowhere := s.stackIn(admin, "nowhere", "", http.StatusCreated)
	if names := s.stackNames(member); len(names) != 1 || names[0] != "inside" {
		t.Errorf("the list shows %q", names)
	}
	member.Do(http.MethodGet, "/v1/stacks/"+inside, nil, http.StatusOK, nil)
	for _, stack := range []string{outside, nowhere} {
		member.Do(http.MethodGet, "/v1/stacks/"+stack, nil, http.StatusForbidden, nil)
		member.Do(http.MethodDelete, "/v1/stacks/"+stack, nil, http.StatusForbidden, nil)
	}
	moved := map[string]any{"name": "inside", "connection_id": s.connection, "program": program("1024"), "config": map[string]any{}, "version": 1, "compartment_id": office}
	member.Do(http.MethodPut, "/v1/stacks/"+inside, moved, http.StatusForbidden, nil)
	admin.Do(http.MethodDelete, "/v1/compartments/"+rack, nil, http.StatusConflict, nil)
	s.stackIn(admin, "lost", "01a21611-7bc2-72aa-bc20-ed75c81f6ccc", http.StatusBadRequest)
	s.stackIn(member, "theirs", office, http.StatusForbidden)
}

func (s *story) compartment(admin *appliancetest.Client, name, parent string) string {
	s.t.Helper()
	in := map[string]any{"name": name, "description": ""}
	if parent != "" {
		in["parent_id"] = parent
	}
	var made struct{ ID string }
	admin.Do(http.MethodPost, "/v1/compartments", in, http.StatusCreated, &made)
	return made.ID
}

func (s *story) stackIn(c *appliancetest.Client, name, compartment string, status int) string {
	s.t.Helper()
	in := map[string]any{"name": name, "connection_id": s.connection, "program": program("1024"), "config": map[string]any{}}
	if compartment != "" {
		in["compartment_id"] = compartment
	}
	var made struct{ ID string }
	c.Do(http.MethodPost, "/v1/stacks", in, status, &made)
	return made.ID
}

func (s *story) stackNames(c *appliancetest.Client) (names []string) {
	s.t.Helper()
	var all struct{ Items []struct{ Name string } }
	c.Do(http.MethodGet, "/v1/stacks", nil, http.StatusOK, &all)
	for _, st := range all.Items {
		names = append(names, st.Name)
	}
	return names
}
