package identity

import (
	"context"

	"nimbus/appliance/id"
	"nimbus/appliance/permission"
)

// GroupsOf lists all groups of a subject, those in groups too, in the
// transaction of the tenant. It is permission.Config.Groups.
func (s *Service) GroupsOf(ctx context.Context, tenant id.ID, subject permission.Subject) ([]id.ID, error) {
	var all []id.ID
	err := s.DB.Tenant(ctx, tenant, func(ctx context.Context) error {
		var err error
		all, err = s.store.groupsOf(ctx, subject)
		return err
	})
	return all, err
}
