package provider

import (
	"context"

	"golang.org/x/sync/errgroup"

	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// Examined is a stored connection with what its token may do.
type Examined struct {
	Connection Connection
	Missing    []Privilege
	Err        error // why the privileges could not be asked for
}

// examineAtOnce is how many clusters are asked at a time.
const examineAtOnce = 8

// Examine asks the clusters of some tenants what our tokens may do. A
// connection that is known not to work is not asked. It authorises nobody.
func (s *Service) Examine(ctx context.Context, tenants []id.ID) ([]Examined, error) {
	var all []Examined
	var owners []id.ID
	for _, tenant := range tenants {
		err := s.cfg.DB.Tenant(ctx, tenant, func(ctx context.Context) error {
			rows, err := s.store.connections(ctx)
			for _, row := range rows {
				all, owners = append(all, Examined{Connection: row.Connection}), append(owners, tenant)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	var g errgroup.Group
	g.SetLimit(examineAtOnce)
	for i := range all {
		g.Go(func() error { s.examine(ctx, owners[i], &all[i]); return nil })
	}
	return all, g.Wait()
}

func (s *Service) examine(ctx context.Context, tenant id.ID, e *Examined) {
	if e.Connection.Status != StatusOK {
		return
	}
	_, p, err := s.connect(ctx, tenant, e.Connection.ID)
	if err != nil {
		e.Err = err
		return
	}
	ctx, cancel := context.WithTimeout(ctx, testTimeout)
	defer cancel()
	result := p.Test(ctx)
	if !result.OK && len(result.Privileges) == 0 {
		e.Err = fault.New(fault.Unavailable, "%s", result.Message)
	}
	for _, privilege := range result.Privileges {
		if !privilege.OK {
			e.Missing = append(e.Missing, privilege)
		}
	}
}
