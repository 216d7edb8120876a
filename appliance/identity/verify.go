package identity

import (
	"context"
	"strings"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// VerifyCredentials tells who an address and a password belong to, without a
// session, and acts in the person's first tenant, the root tenant before the
// others. Its faults and its throttle are those of SignIn.
func (s *Service) VerifyCredentials(ctx context.Context, email, password, address string) (actor.Actor, error) {
	email = strings.ToLower(strings.TrimSpace(email))
	if err := s.throttle.allow(email, address); err != nil {
		return actor.Actor{}, err
	}
	acc, err := s.prove(ctx, email, password)
	if err != nil {
		return actor.Actor{}, s.refuse(ctx, acc, email, address, err)
	}
	s.throttle.succeeded(email, address)
	var tenants []id.ID
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		var err error
		tenants, err = s.store.tenantsOf(ctx, acc.ID)
		return err
	})
	if err == nil && len(tenants) == 0 {
		err = fault.New(fault.Forbidden, "This account belongs to no tenant. Ask an administrator to add it to one.")
	}
	if err != nil {
		return actor.Actor{}, err
	}
	who := person(acc, Session{Address: address})
	who.TenantID, who.AuthenticatedAt = tenants[0], time.Now()
	return who, nil
}
