package identity_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/identity"
	"nimbus/appliance/permission"
)

func user(u id.ID) permission.Subject {
	return permission.Subject{Kind: permission.UserSubject, ID: u}
}

func group(g identity.Group) permission.Subject {
	return permission.Subject{Kind: permission.GroupSubject, ID: g.ID}
}

func (b *bench) group(name string) identity.Group {
	b.t.Helper()
	g, err := b.CreateGroup(b.as(b.ann), name, "")
	b.must(err)
	return g
}

func TestGroupsInGroups(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	bob := b.person("Bob", "bob@example.org", b.tenant)
	ctx := b.as(b.ann)
	night, operators, staff := b.group("Night shift"), b.group("Operators"), b.group("Staff")
	b.must(b.AddMember(ctx, night.ID, user(bob.ID)))
	b.must(b.AddMember(ctx, operators.ID, group(night)))
	b.must(b.AddMember(ctx, staff.ID, group(operators)))
	b.must(b.AddMember(ctx, staff.ID, group(operators))) // again

	all, err := b.GroupsOf(ctx, b.tenant, user(bob.ID))
	b.must(err)
	if len(all) != 3 || !slices.Contains(all, staff.ID) {
		t.Errorf("Bob is in %v", all)
	}
	err = b.AddMember(ctx, night.ID, group(staff))
	b.refused("a cycle", err, fault.Conflict)
	if text := fault.Message(err); !strings.Contains(text, "Night shift is in Operators, which is in Staff") {
		t.Errorf("the path is not told: %s", text)
	}
	b.refused("itself", b.AddMember(ctx, night.ID, group(night)), fault.Conflict)

	members, err := b.Members(ctx, operators.ID)
	b.must(err)
	if len(members) != 1 || members[0].Name != "Night shift" || members[0].Kind != permission.GroupSubject {
		t.Errorf("members: %+v", members)
	}
	b.must(b.DeleteGroup(ctx, operators.ID))
	if all, err = b.GroupsOf(ctx, b.tenant, user(bob.ID)); err != nil || len(all) != 1 {
		t.Errorf("after the group between is gone: %v, %v", all, err)
	}
	b.must(b.AddMember(ctx, night.ID, group(staff)))
	b.must(b.RemoveMember(ctx, night.ID, user(bob.ID)))
	if all, err = b.GroupsOf(ctx, b.tenant, user(bob.ID)); err != nil || len(all) != 0 {
		t.Errorf("after leaving: %v, %v", all, err)
	}
}

// TestNoCycleAtTheSameMoment closes a ring of groups from all sides at once.
func TestNoCycleAtTheSameMoment(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const n = 6
	var groups []identity.Group
	for i := range n {
		groups = append(groups, b.group(fmt.Sprint("Group ", i)))
	}
	var wg sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		wg.Go(func() { errs[i] = b.AddMember(b.as(b.ann), groups[(i+1)%n].ID, group(groups[i])) })
	}
	wg.Wait()
	refused := 0
	for _, err := range errs {
		if fault.Is(err, fault.Conflict) {
			refused++
		} else {
			b.must(err)
		}
	}
	if refused != 1 {
		t.Errorf("%d of %d were refused: %v", refused, n, errs)
	}
	for _, g := range groups {
		in, err := b.GroupsOf(t.Context(), b.tenant, group(g))
		b.must(err)
		if slices.Contains(in, g.ID) {
			t.Errorf("%s contains itself", g.Name)
		}
	}
}

func TestGroupRules(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := b.as(b.ann)
	staff := b.group("Staff")
	_, err := b.CreateGroup(ctx, "STAFF", "")
	b.refused("a name that is taken", err, fault.Conflict)
	_, err = b.CreateGroup(ctx, " ", "")
	b.refused("no name", err, fault.Invalid)
	b.refused("the emergency administrator", b.AddMember(ctx, staff.ID, user(b.ann.ID)), fault.Conflict)
	b.refused("nobody", b.AddMember(ctx, staff.ID, user(id.New())), fault.NotFound)
	b.refused("a group as a user", b.AddMember(ctx, staff.ID, user(staff.ID)), fault.NotFound)

	other := b.anotherTenant("Away")
	bea := b.person("Bea", "bea@example.org", other, permission.TenantAdministrator)
	b.refused("somebody of another tenant", b.AddMember(ctx, staff.ID, user(bea.ID)), fault.NotFound)
	b.refused("another tenant's group", b.AddMember(b.as(bea), staff.ID, user(bea.ID)), fault.NotFound)
	_, err = b.Group(b.as(bea), staff.ID)
	b.refused("another tenant's group", err, fault.NotFound)

	eve := b.person("Eve", "eve@example.org", b.tenant, "Reader")
	b.refused("without the permission", b.AddMember(b.as(eve), staff.ID, user(eve.ID)), fault.Forbidden)
	b.exec(`update `+schema(b.tenant)+`.user_group set source = 'scim' where id = $1`, staff.ID)
	b.refused("a directory's group", b.AddMember(ctx, staff.ID, user(eve.ID)), fault.Conflict)
	name := "Mine"
	_, err = b.UpdateGroup(ctx, staff.ID, &name, nil)
	b.refused("renaming a directory's group", err, fault.Conflict)
	b.must(b.DeleteGroup(ctx, staff.ID))
}

// TestAddingGivesNoMoreThanOneHas keeps whoever may change groups from
// entering one that may do more.
func TestAddingGivesNoMoreThanOneHas(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	helper := b.holding("Hal", "hal@example.org", "identity:group:update", "identity:service-account:*", "identity:user:update", "identity:invitation:create", "permission:role:assign")
	strong := b.group("Administrators")
	b.assign(permission.Subject{Kind: permission.GroupSubject, ID: strong.ID}, permission.TenantAdministrator)
	b.refused("himself into the administrators", b.AddMember(b.as(helper), strong.ID, user(helper.ID)), fault.Forbidden)
	b.must(b.AddMember(b.as(helper), b.group("Visitors").ID, user(helper.ID)))
	_, _, err := b.Invite(b.as(helper), identity.NewInvitation{Name: "X", Email: "x@example.org", Groups: []id.ID{strong.ID}})
	b.refused("inviting into the administrators", err, fault.Forbidden)
	_, _, err = b.Invite(b.as(helper), identity.NewInvitation{Name: "X", Email: "x@example.org", Roles: []id.ID{permission.SystemRoleID(b.tenant, permission.TenantAdministrator)}})
	b.refused("inviting an administrator", err, fault.Forbidden)
	boss := b.person("Boss", "boss@example.org", b.tenant, permission.TenantAdministrator)
	_, err = b.ResetPassword(b.as(helper), boss.ID)
	b.refused("resetting an administrator's password", err, fault.Forbidden)
	sa, err := b.CreateServiceAccount(b.as(helper), "robot", "")
	b.must(err)
	b.assign(permission.Subject{Kind: permission.ServiceAccountSubject, ID: sa.ID}, permission.TenantAdministrator)
	_, _, err = b.CreateServiceAccountToken(b.as(helper), sa.ID, identity.NewToken{Name: "x", Days: 1})
	b.refused("a token of a stronger service account", err, fault.Forbidden)
}

// TestLeavingAGroupGivesBackNothingThatOneMayNotDo: a group denies too, and who
// keeps groups would take that from themselves.
func TestLeavingAGroupGivesBackNothingThatOneMayNotDo(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	g := b.group("Restricted")
	_, err := b.permissions.CreateGrant(b.as(b.ann), permission.DirectGrant{
		Subject: permission.Subject{Kind: permission.GroupSubject, ID: g.ID}, Grant: permission.Grant{Permission: "cmdb:ci:delete", Effect: permission.Deny},
	})
	b.must(err)
	kim := b.holding("Kim", "kim@example.org", identity.UpdateGroup, identity.DeleteGroup, "cmdb:ci:delete")
	b.must(b.AddMember(b.as(b.ann), g.ID, user(kim.ID)))
	b.refused("taking oneself out", b.RemoveMember(b.as(kim), g.ID, user(kim.ID)), fault.Forbidden)
	b.refused("removing the group", b.DeleteGroup(b.as(kim), g.ID), fault.Forbidden)
	b.refused("what was denied", b.permissions.Check(b.as(kim), "cmdb:ci:delete"), fault.Forbidden)
	b.must(b.RemoveMember(b.as(b.ann), g.ID, user(kim.ID)))
	b.must(b.permissions.Check(b.as(kim), "cmdb:ci:delete"))
	b.must(b.DeleteGroup(b.as(b.ann), g.ID))
}
