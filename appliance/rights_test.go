package appliance_test

import (
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
