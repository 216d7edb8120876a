package identity

import (
	"context"

	"nimbus/appliance/id"
)

// CountPeople counts who belongs to a tenant.
func (s *Service) CountPeople(ctx context.Context, tenant id.ID) (n int64, err error) {
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		n, err = s.store.countPeople(ctx, tenant)
		return err
	})
	return n, err
}

// PurgeTenant removes everybody from a tenant that is being removed, and the
// accounts of those who belong to no other. It may run twice.
func (s *Service) PurgeTenant(ctx context.Context, tenant id.ID) error {
	return s.DB.Core(ctx, func(ctx context.Context) error { return s.store.purgeTenant(ctx, tenant) })
}
