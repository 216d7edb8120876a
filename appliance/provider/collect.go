package provider

import (
	"context"
	"errors"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/cmdb"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// collectTimeout bounds one collection.
const collectTimeout = 2 * time.Minute

// Collect reads everything behind a connection into the cmdb. A cluster that
// does not answer is no error: the connection's status says so, the items turn
// stale, and unless force is set the next attempts wait longer and longer. A
// connection that is gone or whose certificate is not accepted is left alone.
func (s *Service) Collect(ctx context.Context, tenant, connection id.ID, force bool) error {
	ctx = actor.AsSystem(ctx, "collector", tenant)
	row, known, err := s.before(ctx, tenant, connection)
	if fault.Is(err, fault.NotFound) {
		s.unschedule(ctx, connection)
		return nil
	}
	if err != nil {
		return err
	}
	if row.Status == StatusFingerprintChanged || !force && time.Now().Before(row.nextAttempt) {
		return nil
	}
	began := time.Now()
	c, err := s.ask(ctx, tenant, row, known)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return s.collectFailed(ctx, tenant, row, err)
	}
	return s.collected(ctx, tenant, row, began, c)
}

func (s *Service) before(ctx context.Context, tenant, connection id.ID) (row stored, known map[string]cmdb.Known, err error) {
	err = s.cfg.DB.Tenant(ctx, tenant, func(ctx context.Context) error {
		if row, err = s.store.connection(ctx, connection); err != nil {
			return err
		}
		known, err = s.cfg.CMDB.Known(ctx, connection)
		return err
	})
	return row, known, err
}

func (s *Service) ask(ctx context.Context, tenant id.ID, row stored, known map[string]cmdb.Known) (Collection, error) {
	p, err := s.client(ctx, tenant, row)
	if err != nil {
		return Collection{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, collectTimeout)
	defer cancel()
	return p.Collect(ctx, CollectRequest{Known: known, Position: row.position})
}

func (s *Service) collected(ctx context.Context, tenant id.ID, row stored, began time.Time, c Collection) error {
	return s.cfg.DB.Tenant(ctx, tenant, func(ctx context.Context) error {
		after, err := s.store.collected(ctx, row, began, c)
		if errors.Is(err, errChanged) {
			return nil
		}
		if err != nil {
			return err
		}
		_, err = s.cfg.CMDB.Merge(ctx, tenant, cmdb.Snapshot{
			ConnectionID: row.ID, Connection: row.Name, TakenAt: began, Items: c.Items, Partial: c.Partial, Gone: c.Gone,
		})
		if err != nil || row.Status == after.Status && row.Version == after.Version {
			return err
		}
		return s.tell(ctx, tenant, after, audit.Entry{Event: "provider.connection.reached", Before: row.Connection, After: after})
	})
}

// collectFailed keeps what went wrong. Only a change of it is recorded and told.
func (s *Service) collectFailed(ctx context.Context, tenant id.ID, row stored, cause error) error {
	f, ok := AsFailure(cause)
	if !ok {
		f = &Failure{Status: StatusUnreachable, Detail: Sentence(cause), Cause: cause}
	}
	s.cfg.Logger.Warn("collection failed", "connection", row.ID, "failures", row.failures+1, "error", cause)
	return s.cfg.DB.Tenant(ctx, tenant, func(ctx context.Context) error {
		after, err := s.store.failed(ctx, row, *f, time.Now().Add(backOff(row.failures+1)))
		if errors.Is(err, errChanged) {
			return nil
		}
		if err != nil || row.Status == after.Status && row.OfferedFingerprint == after.OfferedFingerprint {
			return err
		}
		if err := s.cfg.CMDB.MarkStale(ctx, tenant, row.ID); err != nil {
			return err
		}
		return s.tell(ctx, tenant, after, audit.Entry{
			Event: "provider.connection.lost", Outcome: audit.Failure, Priority: audit.Warning,
			Reason: f.Detail, Before: row.Connection, After: after,
		})
	})
}
