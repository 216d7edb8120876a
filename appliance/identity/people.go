package identity

import (
	"context"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/permission"
)

// NewUser is what it takes to make an account.
type NewUser struct {
	Name, Email, Password string
	Roles                 []id.ID
}

// CreateFirst makes the first administrator, who belongs to the root tenant
// and to one more and may do everything in both. It fails with fault.Conflict
// when there is an account already.
func (s *Service) CreateFirst(ctx context.Context, u NewUser, root, tenant id.ID) (User, error) {
	acc, err := newAccount(u, defaultPasswords)
	if err != nil {
		return User{}, err
	}
	acc.Emergency = true
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		n, err := s.store.count(ctx)
		if err == nil && n > 0 {
			err = fault.New(fault.Conflict, "There is an administrator already. Sign in.")
		}
		if err != nil {
			return err
		}
		if err := s.store.insert(ctx, acc); err != nil {
			return err
		}
		if err := s.store.addMember(ctx, acc.ID, root); err != nil {
			return err
		}
		if err := s.store.addMember(ctx, acc.ID, tenant); err != nil {
			return err
		}
		return s.Audit.Record(ctx, created(acc))
	})
	if err != nil {
		return User{}, err
	}
	err = s.grantFirst(ctx, acc.ID, root, permission.ProviderAdministrator)
	if err == nil {
		err = s.grantFirst(ctx, acc.ID, tenant, permission.TenantAdministrator)
	}
	return acc.user(), err
}

func (s *Service) grantFirst(ctx context.Context, user, tenant id.ID, role string) error {
	a, err := actor.Require(ctx)
	if err != nil {
		return err
	}
	a.TenantID = tenant
	return s.Permissions.Assign(actor.With(ctx, a), user, permission.SystemRoleID(tenant, role))
}

// HasUsers tells whether anybody has an account.
func (s *Service) HasUsers(ctx context.Context) (bool, error) {
	var n int
	err := s.DB.Core(ctx, func(ctx context.Context) error {
		var err error
		n, err = s.store.count(ctx)
		return err
	})
	return n > 0, err
}

func newAccount(u NewUser, policy PasswordPolicy) (account, error) {
	name, email, err := validPerson(u.Name, u.Email)
	if err != nil {
		return account{}, err
	}
	if err := policy.check(u.Password, email); err != nil {
		return account{}, err
	}
	return account{ID: id.New(), Name: name, Email: email, Hash: hashPassword(u.Password), Status: Active}, nil
}

func (a account) user() User {
	return User{
		ID: a.ID, Name: a.Name, Email: a.Email, Status: a.Status, Source: Local, Emergency: a.Emergency,
		Roles: []permission.Role{}, CreatedAt: time.Now().UTC(),
	}
}

func created(acc account) audit.Entry {
	return audit.Entry{
		Event: "identity.user.created", Priority: audit.Notice,
		Target: audit.Target{Kind: "user", ID: acc.ID.String(), Name: acc.Name},
		After:  map[string]any{"name": acc.Name, "email": acc.Email, "status": acc.Status},
	}
}

// Users lists all members of the actor's tenant with their roles.
func (s *Service) Users(ctx context.Context) ([]User, error) {
	var all []User
	f := Filter{Limit: maxPageSize}
	for {
		page, err := s.People(ctx, f)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if f.After = page.Next; f.After == "" {
			return all, nil
		}
	}
}

// People lists the members of the actor's tenant by name, with their roles and
// groups, page by page.
func (s *Service) People(ctx context.Context, f Filter) (Page[User], error) {
	a, err := s.authorise(ctx, ReadUser)
	if err != nil {
		return Page[User]{}, err
	}
	f, after, err := f.valid()
	if err != nil {
		return Page[User]{}, err
	}
	var page Page[User]
	err = s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		page, err = s.people(ctx, a.TenantID, f, after)
		return err
	})
	return page, err
}

func (s *Service) people(ctx context.Context, tenant id.ID, f Filter, after place) (Page[User], error) {
	var all []User
	err := s.DB.Core(ctx, func(ctx context.Context) (err error) {
		all, err = s.store.members(ctx, tenant, f, after)
		return err
	})
	if err != nil {
		return Page[User]{}, err
	}
	page := pageOf(all, f.Limit, func(u User) place { return place{u.Name, u.ID} })
	return page, s.complete(ctx, page.Items)
}

// complete fills in what is stored elsewhere: roles, groups, second factors.
func (s *Service) complete(ctx context.Context, users []User) error {
	ids := make([]id.ID, len(users))
	for i, u := range users {
		ids[i] = u.ID
	}
	groups, err := s.store.groupsOfUsers(ctx, ids)
	if err != nil {
		return err
	}
	factors, err := s.withFactors(ctx, ids)
	if err != nil {
		return err
	}
	for i := range users {
		users[i].Groups, users[i].MFA = groups[users[i].ID], factors[users[i].ID]
		if users[i].Roles, err = s.Permissions.RolesOf(ctx, users[i].ID); err != nil {
			return err
		}
	}
	return nil
}

// user reads one member as lists show them, in the tenant's transaction.
func (s *Service) user(ctx context.Context, tenant, user id.ID) (User, error) {
	page, err := s.people(ctx, tenant, Filter{ID: user, Limit: 1}, place{})
	if err == nil && len(page.Items) == 0 {
		err = fault.New(fault.NotFound, "It does not exist, or it is not yours.")
	}
	if err != nil {
		return User{}, err
	}
	return page.Items[0], nil
}

// CreateUser makes an account as a member of the actor's tenant. An address
// that is taken is fault.Invalid.
func (s *Service) CreateUser(ctx context.Context, u NewUser) (User, error) {
	a, err := s.authorise(ctx, CreateUser)
	if err != nil {
		return User{}, err
	}
	acc, err := s.newMember(ctx, u, a.TenantID)
	if err != nil {
		return User{}, err
	}
	var made User
	err = s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		if err := s.reserve(ctx, a.TenantID); err != nil {
			return err
		}
		if err := s.join(ctx, acc, a.TenantID); err != nil {
			return err
		}
		for _, role := range u.Roles {
			if err := s.Permissions.Assign(ctx, acc.ID, role); err != nil {
				return err
			}
		}
		if err := s.Audit.Record(ctx, created(acc)); err != nil {
			return err
		}
		made, err = s.user(ctx, a.TenantID, acc.ID)
		return err
	})
	return made, err
}

// newMember is newAccount by the password policy of a tenant.
func (s *Service) newMember(ctx context.Context, u NewUser, tenant id.ID) (account, error) {
	var policy PasswordPolicy
	err := s.DB.Core(ctx, func(ctx context.Context) (err error) {
		policy, err = s.passwordPolicy(ctx, tenant)
		return err
	})
	if err != nil {
		return account{}, err
	}
	return newAccount(u, policy)
}

func (s *Service) reserve(ctx context.Context, tenant id.ID) error {
	if s.Reserve == nil {
		return nil
	}
	return s.Reserve(ctx, tenant, 1)
}

// join inserts an account with its membership at the provider level.
func (s *Service) join(ctx context.Context, acc account, tenant id.ID) error {
	err := s.DB.Core(ctx, func(ctx context.Context) error {
		if err := s.store.insert(ctx, acc); err != nil {
			return err
		}
		return s.store.addMember(ctx, acc.ID, tenant)
	})
	if fault.Is(err, fault.Conflict) {
		return fault.BadField("body.email", "This e-mail address cannot be used. Invite the person instead, or choose another address.")
	}
	return err
}

// UpdateUser changes a member's name or status. A tenant disables a person for
// itself; the provider disables its people altogether. Either ends the
// sessions, API tokens and sockets that it concerns at once. Nobody can
// disable themselves, and nobody else changes the emergency administrator.
func (s *Service) UpdateUser(ctx context.Context, user id.ID, name *string, status *Status) (User, error) {
	a, err := s.authorise(ctx, UpdateUser)
	if err != nil {
		return User{}, err
	}
	if status != nil && *status == Disabled && user == a.ID {
		return User{}, fault.New(fault.Conflict, "You cannot disable yourself. Ask another administrator.")
	}
	var after User
	err = s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		before, err := s.user(ctx, a.TenantID, user)
		if err != nil {
			return err
		}
		err = s.DB.Core(ctx, func(ctx context.Context) error { return s.change(ctx, a.TenantID, user, name, status) })
		if err != nil {
			return err
		}
		if after, err = s.user(ctx, a.TenantID, user); err != nil {
			return err
		}
		return s.Audit.Record(ctx, audit.Entry{
			Event: "identity.user.updated", Priority: audit.Notice,
			Target: audit.Target{Kind: "user", ID: user.String(), Name: after.Name},
			Before: map[string]any{"name": before.Name, "status": before.Status},
			After:  map[string]any{"name": after.Name, "status": after.Status},
		})
	})
	return after, err
}

// change changes the account or the membership, whichever it concerns.
func (s *Service) change(ctx context.Context, tenant, user id.ID, name *string, status *Status) error {
	acc, err := s.store.lock(ctx, user)
	if err != nil {
		return err
	}
	if err := acc.guard(ctx); err != nil {
		return err
	}
	if name != nil && *name != acc.Name {
		if _, err := s.mayChange(ctx, tenant, user); err != nil {
			return err
		}
		if acc.Name, _, err = validPerson(*name, acc.Email); err != nil {
			return err
		}
	}
	if status == nil {
		return s.store.update(ctx, user, acc.Name, acc.Status)
	}
	if err := s.setStatus(ctx, tenant, &acc, *status); err != nil {
		return err
	}
	return s.store.update(ctx, user, acc.Name, acc.Status)
}

func (s *Service) setStatus(ctx context.Context, tenant id.ID, acc *account, status Status) error {
	root := s.Permissions.IsRoot(tenant)
	switch {
	case status != Active && status != Disabled:
		return fault.BadField("body.status", "The status is active or disabled.")
	case status == Disabled && acc.Emergency:
		return errEmergency
	case status == Active && acc.Status == Disabled && !root:
		return fault.New(fault.Conflict, "The provider has disabled this account. Only the provider can enable it.")
	}
	if root {
		acc.Status = status
	}
	if err := s.store.setMembership(ctx, acc.ID, tenant, status); err != nil || status == Active {
		return err
	}
	return s.shutOut(ctx, acc.ID, s.reach(tenant))
}

// shutOut ends a person's sessions in a tenant (zero: in all), and cuts their
// sockets, those of API tokens too.
func (s *Service) shutOut(ctx context.Context, user, tenant id.ID) error {
	if _, err := s.store.endIn(ctx, user, tenant); err != nil {
		return err
	}
	// Sockets are cut by their session; those in other tenants come back.
	return s.sessionEnded(ctx, user, id.ID{})
}

// DeleteUser takes a member out of the actor's tenant, with their roles,
// groups, sessions and API tokens there; the account goes when this was its
// last tenant.
func (s *Service) DeleteUser(ctx context.Context, user id.ID) error {
	a, err := s.authorise(ctx, DeleteUser)
	if err != nil {
		return err
	}
	if user == a.ID {
		return fault.New(fault.Conflict, "You cannot remove yourself. Ask another administrator.")
	}
	return s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		return s.remove(ctx, a.TenantID, user)
	})
}

// remove is DeleteUser in the tenant's transaction, without asking.
func (s *Service) remove(ctx context.Context, tenant, user id.ID) error {
	before, err := s.user(ctx, tenant, user)
	if err != nil {
		return err
	}
	if before.Emergency {
		return errEmergency
	}
	if err := s.forget(ctx, tenant, permission.Subject{Kind: permission.UserSubject, ID: user}); err != nil {
		return err
	}
	var gone bool
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		if err := s.shutOut(ctx, user, tenant); err != nil {
			return err
		}
		gone, err = s.store.leave(ctx, user, tenant)
		return err
	})
	if err != nil {
		return err
	}
	return s.Audit.Record(ctx, audit.Entry{
		Event: "identity.user.deleted", Priority: audit.Warning,
		Target:  audit.Target{Kind: "user", ID: user.String(), Name: before.Name},
		Before:  map[string]any{"name": before.Name, "email": before.Email, "status": before.Status, "source": before.Source},
		Details: map[string]any{"account_deleted": gone},
	})
}

// member returns the account of a member of a tenant; anybody else is
// fault.NotFound.
func (s *Service) member(ctx context.Context, tenant, user id.ID) (acc account, err error) {
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		acc, err = s.store.memberAccount(ctx, user, tenant)
		return err
	})
	return acc, err
}

// coversPerson fails with fault.Forbidden unless the actor may do all that a
// member may: in the actor's tenant and, of people whom the provider can change
// although they belong to other tenants too, everything.
func (s *Service) coversPerson(ctx context.Context, tenant, user id.ID) error {
	if err := s.Permissions.Covers(ctx, permission.Subject{Kind: permission.UserSubject, ID: user}); err != nil {
		return err
	}
	var n int
	err := s.DB.Core(ctx, func(ctx context.Context) (err error) {
		n, err = s.store.memberships(ctx, user)
		return err
	})
	if err != nil || n < 2 || !s.Permissions.IsRoot(tenant) {
		return err
	}
	return s.Permissions.CoversEverybody(ctx)
}

// mayChange returns an account that the given tenant may change: one that
// belongs to it only, and those of other tenants too when it is the root tenant.
func (s *Service) mayChange(ctx context.Context, tenant, user id.ID) (account, error) {
	n, err := s.store.memberships(ctx, user)
	if err != nil {
		return account{}, err
	}
	if n > 1 && !s.Permissions.IsRoot(tenant) {
		return account{}, fault.New(fault.Forbidden, "This person belongs to other tenants too. Only the provider can change the account.")
	}
	return s.store.byID(ctx, user)
}

func (s *Service) authorise(ctx context.Context, permission string) (actor.Actor, error) {
	a, err := actor.Require(ctx)
	if err != nil {
		return a, err
	}
	return a, s.Permissions.Check(ctx, permission)
}
