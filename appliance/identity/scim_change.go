package identity

import (
	"context"
	"reflect"
	"slices"
	"strings"

	"nimbus/appliance/audit"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/identity/scim"
	"nimbus/appliance/permission"
)

// ChangeUser implements scim.Directory.
func (d *directory) ChangeUser(ctx context.Context, user string, change func(scim.User) (scim.User, error)) (scim.User, error) {
	var result scim.User
	err := d.in(ctx, func(ctx context.Context, tenant id.ID) error {
		m, before, err := d.lock(ctx, tenant, user)
		if err != nil {
			return err
		}
		after, err := change(before)
		if err != nil {
			return err
		}
		result = before
		if reflect.DeepEqual(before, after) {
			return nil
		}
		if err := d.apply(ctx, tenant, m, before, after); err != nil {
			return err
		}
		result, err = d.read(ctx, tenant, m.ID)
		return err
	})
	return result, err
}

// apply writes a change with all that follows from it.
func (d *directory) apply(ctx context.Context, tenant id.ID, m member, before, after scim.User) error {
	if err := m.guard(ctx); err != nil {
		return err
	}
	acc, err := d.follow(ctx, m, before, after)
	if err != nil {
		return err
	}
	if before.UserName != after.UserName || before.ExternalID != after.ExternalID || acc.Email != m.Email {
		if err := d.free(ctx, tenant, m.account, after, acc.Email); err != nil {
			return err
		}
	}
	err = d.DB.Core(ctx, func(ctx context.Context) error {
		if acc != m.account {
			if err := d.scim.changeAccount(ctx, m.ID, acc.Name, acc.Email); err != nil {
				return err
			}
		}
		status := m.MemberStatus
		if before.Active != after.Active {
			status = statusOf(after.Active)
		}
		return d.scim.changeMember(ctx, m.ID, tenant, status, after.ExternalID)
	})
	if err != nil {
		return err
	}
	if err := d.save(ctx, m.ID, after); err != nil {
		return err
	}
	details := map[string]any{"attributes": differing(before.Attributes, after.Attributes)}
	if before.Active && !after.Active {
		if err := d.lockOut(ctx, tenant, m.ID, details); err != nil {
			return err
		}
	}
	return d.Audit.Record(ctx, audit.Entry{
		Event: "identity.user.updated", Priority: audit.Notice, Target: audit.Target{Kind: "user", ID: m.ID.String(), Name: acc.Name},
		Before: facts(before, m.account), After: facts(after, acc), Details: details,
	})
}

// follow is the account after a change. Only that of a person who belongs to
// this directory alone gets another address.
func (d *directory) follow(ctx context.Context, m member, before, after scim.User) (account, error) {
	acc := m.account
	memberships := 0
	err := d.DB.Core(ctx, func(ctx context.Context) error {
		var err error
		memberships, err = d.store.memberships(ctx, m.ID)
		return err
	})
	if err != nil {
		return acc, err
	}
	alone := memberships == 1
	if named := after.Name() != after.UserName; alone && named && nameOf(after) != nameOf(before) {
		acc.Name = nameOf(after)
	}
	if alone && m.Source == FromSCIM {
		return acc.at(after)
	}
	if !strings.EqualFold(before.UserName, after.UserName) && !strings.EqualFold(after.UserName, acc.Email) {
		return acc, fault.New(fault.Forbidden, "This person was not made by the directory, or belongs to other tenants too: the user name stays %s.", before.UserName)
	}
	return acc, nil
}

// at is the account with the address that the directory says.
func (acc account) at(u scim.User) (account, error) {
	email, err := addressOf(u)
	if err == nil && !strings.EqualFold(email, acc.Email) {
		acc.Email = email
	}
	return acc, err
}

// differing names the attributes that changed.
func differing(before, after map[string]any) []string {
	names := []string{}
	for _, all := range []map[string]any{before, after} {
		for name := range all {
			if !slices.Contains(names, name) && !reflect.DeepEqual(before[name], after[name]) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// lockOut ends what a person has open in this tenant: sessions, API tokens and
// their sockets.
func (d *directory) lockOut(ctx context.Context, tenant, user id.ID, details map[string]any) error {
	ended, err := d.endIn(ctx, user, tenant)
	if err != nil {
		return err
	}
	var tokens []id.ID
	err = d.DB.Core(ctx, func(ctx context.Context) error {
		if tokens, err = d.scim.endTokens(ctx, user, tenant); err != nil {
			return err
		}
		return d.cut(ctx, user, tokens)
	})
	details["sessions_ended"], details["tokens_ended"] = len(ended), len(tokens)
	return err
}

// DeleteUser implements scim.Directory: the person leaves the tenant, and the
// account goes when it was the last one.
func (d *directory) DeleteUser(ctx context.Context, user string, check func(scim.User) error) error {
	return d.in(ctx, func(ctx context.Context, tenant id.ID) error {
		m, u, err := d.lock(ctx, tenant, user)
		if err != nil {
			return err
		}
		if err := check(u); err != nil {
			return err
		}
		if err := m.guard(ctx); err != nil {
			return err
		}
		details := map[string]any{}
		if err := d.lockOut(ctx, tenant, m.ID, details); err != nil {
			return err
		}
		if details["account_deleted"], err = d.take(ctx, tenant, m.ID); err != nil {
			return err
		}
		return d.Audit.Record(ctx, audit.Entry{
			Event: "identity.user.deleted", Priority: audit.Warning, Target: audit.Target{Kind: "user", ID: m.ID.String(), Name: m.Name},
			Before: facts(u, m.account), Details: details,
		})
	})
}

// take removes a person from the tenant; gone tells whether the account went
// with it.
func (d *directory) take(ctx context.Context, tenant, user id.ID) (gone bool, err error) {
	if err := d.forget(ctx, tenant, permission.Subject{Kind: permission.UserSubject, ID: user}); err != nil {
		return false, err
	}
	err = d.DB.Core(ctx, func(ctx context.Context) error {
		gone, err = d.store.leave(ctx, user, tenant)
		return err
	})
	return gone, err
}
