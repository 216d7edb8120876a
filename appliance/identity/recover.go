package identity

import (
	"context"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/permission"
)

// Recover lets a person in again from the machine's console: it makes a link
// with which they choose a new password, takes their second factors away and
// ends their sessions. Without an address it is the emergency administrator,
// who is also enabled again and gets back the provider's administration; the
// rights of anybody else stay as they are. It returns fault.Forbidden to
// anybody but the console, and fault.NotFound for an address without account.
func (s *Service) Recover(ctx context.Context, root id.ID, email string) (Reset, error) {
	a, err := actor.Require(ctx)
	if err == nil && a.Kind != actor.Console {
		err = fault.New(fault.Forbidden, "Only the console of the machine recovers an account.")
	}
	if err != nil {
		return Reset{}, err
	}
	token := newToken()
	r := Reset{Link: s.link("/reset-password", token)}
	err = s.DB.Tenant(ctx, root, func(ctx context.Context) error {
		acc, err := s.recoverable(ctx, email)
		if err != nil {
			return err
		}
		r.Name, r.Email = acc.Name, acc.Email
		if acc.Emergency {
			if err := s.reinstate(ctx, acc, root); err != nil {
				return err
			}
		}
		return s.DB.Core(ctx, func(ctx context.Context) error {
			r.ExpiresAt, err = s.store.addReset(ctx, acc.ID, hashToken(token), resetLife)
			if err != nil {
				return err
			}
			return s.recovered(ctx, acc)
		})
	})
	return r, err
}

// recoverable finds the account of an address, or the emergency administrator.
func (s *Service) recoverable(ctx context.Context, email string) (acc account, err error) {
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		if email == "" {
			acc, err = s.store.emergency(ctx)
			return err
		}
		acc, err = s.store.byEmail(ctx, email)
		return err
	})
	switch {
	case fault.Is(err, fault.NotFound) && email == "":
		err = fault.New(fault.NotFound, "This appliance has no administrator yet. Start it and open the address it prints.")
	case fault.Is(err, fault.NotFound):
		err = fault.New(fault.NotFound, "Nobody has an account with the address %s. Without an address the emergency administrator is recovered.", email)
	case err == nil && acc.Status != Active && !acc.Emergency:
		err = fault.New(fault.Conflict, "The account %s is disabled. Recover the emergency administrator, sign in, and enable it.", email)
	}
	return acc, err
}

// reinstate enables the emergency administrator and makes it administrator of
// the provider again.
func (s *Service) reinstate(ctx context.Context, acc account, root id.ID) error {
	err := s.DB.Core(ctx, func(ctx context.Context) error {
		if err := s.store.update(ctx, acc.ID, acc.Name, Active); err != nil {
			return err
		}
		if err := s.store.addMember(ctx, acc.ID, root); err != nil {
			return err
		}
		return s.store.setMembership(ctx, acc.ID, root, Active)
	})
	if err != nil {
		return err
	}
	return s.grantFirst(ctx, acc.ID, root, permission.ProviderAdministrator)
}

// recovered ends what the account had and records it.
func (s *Service) recovered(ctx context.Context, acc account) error {
	had, err := s.store.factorsOf(ctx, acc.ID)
	if err != nil {
		return err
	}
	if err := s.reset(ctx, acc, had); err != nil {
		return err
	}
	return s.Audit.Record(ctx, audit.Entry{
		Event: "identity.user.recovered", Priority: audit.Critical,
		Target:  audit.Target{Kind: "user", ID: acc.ID.String(), Name: acc.Name},
		Details: map[string]any{"emergency": acc.Emergency},
	})
}
