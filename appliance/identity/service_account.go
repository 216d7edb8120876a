package identity

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/permission"
)

// ServiceAccount is a program that acts in one tenant, by API tokens. It holds
// roles and is in groups as people are; it never approves anything.
type ServiceAccount struct {
	ID          id.ID      `json:"id"`
	Name        string     `json:"name"`
	Description string     `json:"description"`
	Status      Status     `json:"status" enum:"active,disabled"`
	CreatedAt   time.Time  `json:"created_at"`
	LastUsedAt  *time.Time `json:"last_used_at"`
	Tokens      int        `json:"tokens" doc:"How many of its API tokens are good."`
}

func (sa ServiceAccount) valid() (ServiceAccount, error) {
	var err error
	if sa.Name, sa.Description, err = validTexts("service account", sa.Name, sa.Description); err != nil {
		return sa, err
	}
	if sa.Status != Active && sa.Status != Disabled {
		return sa, fault.BadField("body.status", "The status is active or disabled.")
	}
	return sa, nil
}

func validTexts(what, name, description string) (string, string, error) {
	name, description = strings.TrimSpace(name), strings.TrimSpace(description)
	if name == "" || utf8.RuneCountInString(name) > 100 {
		return "", "", fault.BadField("body.name", "Give the %s a name of at most 100 characters.", what)
	}
	if utf8.RuneCountInString(description) > 1000 {
		return "", "", fault.BadField("body.description", "A description has at most 1000 characters.")
	}
	return name, description, nil
}

func (sa ServiceAccount) subject() permission.Subject {
	return permission.Subject{Kind: permission.ServiceAccountSubject, ID: sa.ID}
}

func (sa ServiceAccount) entry(what string, before, after any) audit.Entry {
	return audit.Entry{
		Event: what, Priority: audit.Notice, Before: before, After: after,
		Target: audit.Target{Kind: "service_account", ID: sa.ID.String(), Name: sa.Name},
	}
}

// ServiceAccounts lists those of the actor's tenant by name.
func (s *Service) ServiceAccounts(ctx context.Context, f Filter) (Page[ServiceAccount], error) {
	a, err := s.authorise(ctx, ReadServiceAccount)
	if err != nil {
		return Page[ServiceAccount]{}, err
	}
	f, after, err := f.valid()
	if err != nil {
		return Page[ServiceAccount]{}, err
	}
	var all []ServiceAccount
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		all, err = s.store.serviceAccounts(ctx, a.TenantID, f, after)
		return err
	})
	return pageOf(all, f.Limit, func(sa ServiceAccount) place { return place{sa.Name, sa.ID} }), err
}

// CreateServiceAccount makes one in the actor's tenant, without rights.
func (s *Service) CreateServiceAccount(ctx context.Context, name, description string) (ServiceAccount, error) {
	a, err := s.authorise(ctx, CreateServiceAccount)
	if err != nil {
		return ServiceAccount{}, err
	}
	sa := ServiceAccount{ID: id.New(), Name: name, Description: description, Status: Active, CreatedAt: time.Now().UTC()}
	if sa, err = sa.valid(); err != nil {
		return sa, err
	}
	return sa, s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		err := s.DB.Core(ctx, func(ctx context.Context) error { return s.store.addServiceAccount(ctx, a.TenantID, sa) })
		if err != nil {
			return nameTaken(err, "service account")
		}
		return s.Audit.Record(ctx, sa.entry("identity.service-account.created", nil, sa))
	})
}

func nameTaken(err error, what string) error {
	if fault.Is(err, fault.Conflict) {
		return fault.Wrap(fault.Conflict, err, "There is a %s of this name already. Choose another.", what)
	}
	return err
}

// ServiceAccountChange is what changes of a service account; nil stays.
type ServiceAccountChange struct {
	Name, Description *string
	Status            *Status
}

// UpdateServiceAccount changes one. Disabling makes its tokens worthless and
// cuts its sockets at once.
func (s *Service) UpdateServiceAccount(ctx context.Context, account id.ID, c ServiceAccountChange) (ServiceAccount, error) {
	a, err := s.authorise(ctx, UpdateServiceAccount)
	if err != nil {
		return ServiceAccount{}, err
	}
	var after ServiceAccount
	err = s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		before, err := s.serviceAccount(ctx, a.TenantID, account)
		if err != nil {
			return err
		}
		if after, err = before.with(c); err != nil {
			return err
		}
		err = s.DB.Core(ctx, func(ctx context.Context) error {
			if err := s.store.updateServiceAccount(ctx, a.TenantID, after); err != nil || after.Status == Active {
				return err
			}
			return s.sessionEnded(ctx, account, id.ID{})
		})
		if err != nil {
			return nameTaken(err, "service account")
		}
		return s.Audit.Record(ctx, after.entry("identity.service-account.updated", before, after))
	})
	return after, err
}

func (sa ServiceAccount) with(c ServiceAccountChange) (ServiceAccount, error) {
	if c.Name != nil {
		sa.Name = *c.Name
	}
	if c.Description != nil {
		sa.Description = *c.Description
	}
	if c.Status != nil {
		sa.Status = *c.Status
	}
	return sa.valid()
}

func (s *Service) serviceAccount(ctx context.Context, tenant, account id.ID) (sa ServiceAccount, err error) {
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		sa, err = s.store.serviceAccount(ctx, tenant, account)
		return err
	})
	return sa, err
}

// DeleteServiceAccount removes one with its tokens, roles and memberships.
func (s *Service) DeleteServiceAccount(ctx context.Context, account id.ID) error {
	a, err := s.authorise(ctx, DeleteServiceAccount)
	if err != nil {
		return err
	}
	return s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		sa, err := s.serviceAccount(ctx, a.TenantID, account)
		if err != nil {
			return err
		}
		if err := s.forget(ctx, a.TenantID, sa.subject()); err != nil {
			return err
		}
		err = s.DB.Core(ctx, func(ctx context.Context) error {
			if err := s.store.removeServiceAccount(ctx, a.TenantID, account); err != nil {
				return err
			}
			return s.sessionEnded(ctx, account, id.ID{})
		})
		if err != nil {
			return err
		}
		return s.Audit.Record(ctx, sa.entry("identity.service-account.deleted", sa, nil))
	})
}

// forget takes everything in a tenant from a subject that goes, the invitations
// that they made too, so that nothing waits for whoever comes back.
func (s *Service) forget(ctx context.Context, tenant id.ID, gone permission.Subject) error {
	if err := s.store.leaveGroups(ctx, gone); err != nil {
		return err
	}
	if err := (scimStore{}).removeProfile(ctx, gone.ID); err != nil {
		return err
	}
	err := s.DB.Core(ctx, func(ctx context.Context) error { return s.store.dropInvitationsOf(ctx, tenant, gone.ID) })
	if err != nil {
		return err
	}
	return s.Permissions.Removed(ctx, tenant, gone)
}

// ServiceAccountTokens lists the API tokens of a service account.
func (s *Service) ServiceAccountTokens(ctx context.Context, account id.ID) ([]Token, error) {
	a, err := s.authorise(ctx, ReadServiceAccount)
	if err != nil {
		return nil, err
	}
	var all []Token
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		if _, err := s.store.serviceAccount(ctx, a.TenantID, account); err != nil {
			return err
		}
		all, err = s.store.serviceTokens(ctx, account)
		return err
	})
	return all, err
}

// CreateServiceAccountToken makes an API token that acts as a service account.
// The secret is returned once and stored as a hash. Whoever may do less than
// the account gets fault.Forbidden: the token would give them its rights.
func (s *Service) CreateServiceAccountToken(ctx context.Context, account id.ID, n NewToken) (string, Token, error) {
	a, sa, err := s.tokenOwner(ctx, account)
	if err != nil {
		return "", Token{}, err
	}
	if n, err = n.valid(); err != nil {
		return "", Token{}, err
	}
	if err := s.Permissions.Covers(ctx, sa.subject()); err != nil {
		return "", Token{}, err
	}
	secret, t := n.make()
	err = s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		err := s.DB.Core(ctx, func(ctx context.Context) error {
			return s.store.addToken(ctx, id.ID{}, account, a.Person(), a.TenantID, t, hashToken(secret))
		})
		if err != nil {
			return err
		}
		return s.Audit.Record(ctx, tokenEntry("identity.api-token.created", t, map[string]any{
			"expires_at": t.ExpiresAt, "scopes": t.Scopes, "service_account": sa.Name, "service_account_id": sa.ID,
		}))
	})
	return secret, t, err
}

func (s *Service) tokenOwner(ctx context.Context, account id.ID) (actor.Actor, ServiceAccount, error) {
	a, err := s.authorise(ctx, UpdateServiceAccount)
	if err != nil {
		return a, ServiceAccount{}, err
	}
	sa, err := s.serviceAccount(ctx, a.TenantID, account)
	return a, sa, err
}

// DeleteServiceAccountToken ends an API token of a service account at once.
func (s *Service) DeleteServiceAccountToken(ctx context.Context, account, token id.ID) error {
	a, sa, err := s.tokenOwner(ctx, account)
	if err != nil {
		return err
	}
	return s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		err := s.DB.Core(ctx, func(ctx context.Context) error {
			ended, err := s.store.endServiceToken(ctx, account, token)
			if err != nil {
				return err
			}
			if !ended {
				return fault.New(fault.NotFound, "It does not exist, or it is not yours.")
			}
			return s.sessionEnded(ctx, account, token)
		})
		if err != nil {
			return err
		}
		return s.Audit.Record(ctx, tokenEntry("identity.api-token.deleted", Token{ID: token}, map[string]any{
			"service_account": sa.Name, "service_account_id": sa.ID,
		}))
	})
}
