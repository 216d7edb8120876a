package identity_test

import (
	"slices"
	"testing"

	"nimbus/appliance/identity"
	"nimbus/appliance/permission"
)

// TestWhoMayIsAnsweredWithPeople asks who may do something that was given to a
// group only: the people and programs of its inner groups are listed with the
// way, those who are disabled or of another tenant are not.
func TestWhoMayIsAnsweredWithPeople(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := b.as(b.ann)
	bob, eve := b.person("Bob", "bob@example.org", b.tenant), b.person("Eve", "eve@example.org", b.tenant)
	b.person("Cleo", "cleo@example.org", b.tenant)
	b.person("Bea", "bea@example.org", b.anotherTenant("Away"), permission.TenantAdministrator)
	robot, err := b.CreateServiceAccount(ctx, "Robot", "")
	b.must(err)
	asleep, err := b.CreateServiceAccount(ctx, "Asleep", "")
	b.must(err)
	night, operators := b.group("Night shift"), b.group("Operators")
	program := func(sa identity.ServiceAccount) permission.Subject {
		return permission.Subject{Kind: permission.ServiceAccountSubject, ID: sa.ID}
	}
	for _, m := range []permission.Subject{user(bob.ID), user(eve.ID), program(robot), program(asleep)} {
		b.must(b.AddMember(ctx, night.ID, m))
	}
	b.must(b.AddMember(ctx, operators.ID, group(night)))
	role, err := b.permissions.CreateRole(ctx, permission.Role{Name: "Watcher", Grants: []permission.Grant{{Permission: "cmdb:ci:read", Effect: permission.Allow}}})
	b.must(err)
	_, err = b.permissions.AssignTo(ctx, permission.Assignment{Subject: group(operators), RoleID: role.ID})
	b.must(err)
	_, err = b.UpdateUser(ctx, eve.ID, nil, &disabled)
	b.must(err)
	_, err = b.UpdateServiceAccount(ctx, asleep.ID, identity.ServiceAccountChange{Status: &disabled})
	b.must(err)

	holders, err := b.permissions.Holders(ctx, "cmdb:ci:read", permission.Resource{})
	b.must(err)
	var got []string
	for _, h := range holders {
		if h.Subject != user(b.ann.ID) { // the administrator may do everything
			got = append(got, string(h.Kind)+" "+h.Name+": "+h.Via)
		}
	}
	want := []string{
		"group Operators: role Watcher",
		"service_account Robot: role Watcher through group Operators",
		"user Bob: role Watcher through group Operators",
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("who may: %q", got)
	}
}
