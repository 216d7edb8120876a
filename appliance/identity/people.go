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
	acc, err := newAccount(u)
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

func newAccount(u NewUser) (account, error) {
	name, email, err := validPerson(u.Name, u.Email)
	if err != nil {
		return account{}, err
	}
	if err := ValidPassword(u.Password, email); err != nil {
		return account{}, err
	}
	return account{ID: id.New(), Name: name, Email: email, Hash: hashPassword(u.Password), Status: Active}, nil
}

func (a account) user() User {
	return User{ID: a.ID, Name: a.Name, Email: a.Email, Status: a.Status, Roles: []permission.Role{}, CreatedAt: time.Now().UTC()}
}

func created(acc account) audit.Entry {
	return audit.Entry{
		Event: "identity.user.created", Priority: audit.Notice,
		Target: audit.Target{Kind: "user", ID: acc.ID.String(), Name: acc.Name},
		After:  map[string]any{"name": acc.Name, "email": acc.Email, "status": acc.Status},
	}
}

// Users lists the members of the actor's tenant with their roles.
func (s *Service) Users(ctx context.Context) ([]User, error) {
	a, err := s.authorise(ctx, ReadUser)
	if err != nil {
		return nil, err
	}
	var all []User
	err = s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		err := s.DB.Core(ctx, func(ctx context.Context) error {
			var err error
			all, err = s.store.members(ctx, a.TenantID)
			return err
		})
		for i := range all {
			if err != nil {
				return err
			}
			all[i].Roles, err = s.Permissions.RolesOf(ctx, all[i].ID)
		}
		return err
	})
	return all, err
}

// CreateUser makes an account as a member of the actor's tenant. An address
// that is taken is fault.Invalid.
func (s *Service) CreateUser(ctx context.Context, u NewUser) (User, error) {
	a, err := s.authorise(ctx, CreateUser)
	if err != nil {
		return User{}, err
	}
	acc, err := newAccount(u)
	if err != nil {
		return User{}, err
	}
	made := acc.user()
	err = s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		if err := s.join(ctx, acc, a.TenantID); err != nil {
			return err
		}
		for _, role := range u.Roles {
			if err := s.Permissions.Assign(ctx, acc.ID, role); err != nil {
				return err
			}
		}
		if made.Roles, err = s.Permissions.RolesOf(ctx, acc.ID); err != nil {
			return err
		}
		return s.Audit.Record(ctx, created(acc))
	})
	return made, err
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
		return fault.BadField("body.email", "This e-mail address cannot be used. Choose another.")
	}
	return err
}

// UpdateUser changes a member's name or status. Disabling ends all sessions at
// once; nobody can disable themselves.
func (s *Service) UpdateUser(ctx context.Context, user id.ID, name *string, status *Status) (User, error) {
	a, err := s.authorise(ctx, UpdateUser)
	if err != nil {
		return User{}, err
	}
	if status != nil && *status == Disabled && user == a.ID {
		return User{}, fault.New(fault.Conflict, "You cannot disable yourself. Ask another administrator.")
	}
	var after account
	err = s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		before, err := s.change(ctx, a.TenantID, user, name, status, &after)
		if err != nil {
			return err
		}
		return s.Audit.Record(ctx, audit.Entry{
			Event: "identity.user.updated", Priority: audit.Notice,
			Target: audit.Target{Kind: "user", ID: user.String(), Name: after.Name},
			Before: map[string]any{"name": before.Name, "status": before.Status},
			After:  map[string]any{"name": after.Name, "status": after.Status},
		})
	})
	return after.user(), err
}

func (s *Service) change(ctx context.Context, tenant, user id.ID, name *string, status *Status, after *account) (before account, err error) {
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		member, err := s.store.isMember(ctx, user, tenant)
		if err != nil {
			return err
		}
		if !member {
			return fault.New(fault.NotFound, "It does not exist, or it is not yours.")
		}
		if before, err = s.mayChange(ctx, tenant, user); err != nil {
			return err
		}
		if *after, err = before.with(name, status); err != nil {
			return err
		}
		if err := s.store.update(ctx, user, after.Name, after.Status); err != nil || after.Status == Active {
			return err
		}
		if _, err := s.store.endIn(ctx, user, id.ID{}); err != nil {
			return err
		}
		return s.sessionEnded(ctx, user, id.ID{})
	})
	return before, err
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

// mayChange returns an account that the given tenant may change: all of its
// own, and those of other tenants too when it is the root tenant.
func (s *Service) mayChange(ctx context.Context, tenant, user id.ID) (account, error) {
	tenants, err := s.store.tenantsOf(ctx, user)
	if err != nil {
		return account{}, err
	}
	if len(tenants) > 1 && !s.Permissions.IsRoot(tenant) {
		return account{}, fault.New(fault.Forbidden, "This person belongs to other tenants too. Only the provider can change the account.")
	}
	return s.store.byID(ctx, user)
}

func (a account) with(name *string, status *Status) (account, error) {
	if name != nil {
		a.Name = *name
	}
	if status != nil {
		a.Status = *status
	}
	var err error
	if a.Name, _, err = validPerson(a.Name, a.Email); err != nil {
		return a, err
	}
	if a.Status != Active && a.Status != Disabled {
		return a, fault.BadField("body.status", "The status is active or disabled.")
	}
	return a, nil
}

// Tokens lists the actor's API tokens.
func (s *Service) Tokens(ctx context.Context) ([]Token, error) {
	a, err := actor.Require(ctx)
	if err != nil {
		return nil, err
	}
	var all []Token
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		var err error
		all, err = s.store.tokensOf(ctx, a.ID)
		return err
	})
	return all, err
}

// CreateToken makes an API token that acts as the actor in its active tenant.
// The secret is returned once and stored as a hash.
func (s *Service) CreateToken(ctx context.Context, name string, days int) (string, Token, error) {
	a, err := actor.Require(ctx)
	if err != nil {
		return "", Token{}, err
	}
	if name == "" || len(name) > 100 {
		return "", Token{}, fault.BadField("body.name", "Give the token a name of at most 100 characters.")
	}
	if days < 1 || days > maxTokenDays {
		return "", Token{}, fault.BadField("body.expires_in_days", "A token lives 1 to %d days.", maxTokenDays)
	}
	secret := TokenPrefix + newToken()
	t := Token{ID: id.New(), Name: name, CreatedAt: time.Now().UTC(), ExpiresAt: time.Now().UTC().AddDate(0, 0, days)}
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		if err := s.store.addToken(ctx, a.ID, a.TenantID, t, hashToken(secret)); err != nil {
			return err
		}
		return s.Audit.Record(ctx, audit.Entry{
			Event: "identity.api-token.created", Priority: audit.Notice,
			Target: audit.Target{Kind: "api_token", ID: t.ID.String(), Name: t.Name}, Details: map[string]any{"expires_at": t.ExpiresAt},
		})
	})
	return secret, t, err
}

// DeleteToken ends one of the actor's API tokens at once.
func (s *Service) DeleteToken(ctx context.Context, token id.ID) error {
	a, err := actor.Require(ctx)
	if err != nil {
		return err
	}
	return s.DB.Core(ctx, func(ctx context.Context) error {
		ended, err := s.store.endToken(ctx, a.ID, token)
		if err != nil {
			return err
		}
		if !ended {
			return fault.New(fault.NotFound, "This token does not exist.")
		}
		return s.Audit.Record(ctx, audit.Entry{
			Event: "identity.api-token.deleted", Priority: audit.Notice, Target: audit.Target{Kind: "api_token", ID: token.String()},
		})
	})
}

func (s *Service) authorise(ctx context.Context, permission string) (actor.Actor, error) {
	a, err := actor.Require(ctx)
	if err != nil {
		return a, err
	}
	return a, s.Permissions.Check(ctx, permission)
}
