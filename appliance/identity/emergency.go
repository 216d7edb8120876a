package identity

import (
	"context"

	"nimbus/appliance/actor"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/permission"
)

// The emergency administrator is the first account. It opens the appliance
// when a provider, a directory or another administrator fails or turns
// against it: nothing but itself and the machine's console can change it.

// guard fails with fault.Forbidden when somebody else than itself or the
// console is about to change the emergency administrator.
func (acc account) guard(ctx context.Context) error {
	a, err := actor.Require(ctx)
	if err != nil || !acc.Emergency || a.Kind == actor.Console || a.Kind == actor.User && a.ID == acc.ID {
		return err
	}
	return errEmergency
}

var errEmergency = fault.New(fault.Forbidden, "This is the emergency administrator: only the account itself and the console of the machine can change it.")

// Emergency tells whether an account is the emergency administrator, which
// directories and providers must leave alone.
func (s *Service) Emergency(ctx context.Context, user id.ID) (bool, error) {
	var acc account
	err := s.DB.Core(ctx, func(ctx context.Context) error {
		var err error
		acc, err = s.store.byID(ctx, user)
		return err
	})
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	return acc.Emergency, err
}

// Keep is permission.Config.Keep: nobody takes the provider's administration
// from the emergency administrator.
func (s *Service) Keep(ctx context.Context, holder permission.Subject, role id.ID) error {
	a, err := actor.Require(ctx)
	if err != nil || !s.Permissions.IsRoot(a.TenantID) || role != permission.SystemRoleID(a.TenantID, permission.ProviderAdministrator) {
		return err
	}
	emergency, err := s.Emergency(ctx, holder.ID)
	if err == nil && emergency {
		err = fault.New(fault.Forbidden, "This is the emergency administrator: it stays %s.", permission.ProviderAdministrator)
	}
	return err
}
