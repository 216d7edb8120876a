package cmdb

import (
	"context"
	"log/slog"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/db"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// Config is what the service needs. All but Logger is required.
type Config struct {
	DB     *db.DB
	Audit  *audit.Service
	Check  actor.Check
	Events *event.Bus
	Logger *slog.Logger
}

// Service is the configuration management database.
type Service struct {
	cfg   Config
	store store
}

// New returns the service.
func New(cfg Config) *Service {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Service{cfg: cfg}
}

// List returns a page of the items of the actor's tenant. It reads what was
// collected and never asks a cluster. Faults: Forbidden, Invalid.
func (s *Service) List(ctx context.Context, f Filter) (ItemPage, error) {
	f, after, err := f.normal()
	if err != nil {
		return ItemPage{}, err
	}
	var page ItemPage
	err = s.reading(ctx, func(ctx context.Context) error {
		var err error
		if page.Items, err = s.store.list(ctx, f, after); err != nil {
			return err
		}
		page.CollectedAt, page.Stale, err = s.store.age(ctx, f.ConnectionID)
		return err
	})
	if len(page.Items) > f.Limit {
		page.Items = page.Items[:f.Limit]
		page.Next = cursorAfter(page.Items[f.Limit-1])
	}
	return page, err
}

// Get returns one item. Faults: Forbidden, NotFound, and Gone with the
// evidence when it was there and is not any more.
func (s *Service) Get(ctx context.Context, item id.ID) (Item, error) {
	var found Item
	err := s.reading(ctx, func(ctx context.Context) (err error) {
		found, err = s.Lookup(ctx, item)
		return err
	})
	return found, err
}

func (s *Service) reading(ctx context.Context, fn func(ctx context.Context) error) error {
	if err := s.cfg.Check(ctx, ReadItems); err != nil {
		return err
	}
	a, err := actor.Require(ctx)
	if err != nil {
		return err
	}
	return s.cfg.DB.Tenant(ctx, a.TenantID, fn)
}

// Lookup is Get for other services: it authorises nobody and runs in their
// tenant's transaction.
func (s *Service) Lookup(ctx context.Context, item id.ID) (Item, error) {
	found, gone, because, err := s.store.get(ctx, item)
	if err != nil {
		return Item{}, db.Fault(err)
	}
	if gone != nil {
		return Item{}, fault.New(fault.Gone, "%s is gone since %s. %s", found.Name, gone.UTC().Format(time.RFC3339), because)
	}
	return found, nil
}

// ByKey finds the item that has the key now. Like Lookup it is for other
// services. Fault: NotFound.
func (s *Service) ByKey(ctx context.Context, connection id.ID, key string) (Item, error) {
	found, err := s.store.byKey(ctx, connection, key)
	return found, db.Fault(err)
}

// Known tells a collector what is known of the guests behind a connection, by
// key. It runs in the tenant's transaction.
func (s *Service) Known(ctx context.Context, connection id.ID) (map[string]Known, error) {
	known, err := s.store.known(ctx, connection)
	return known, db.Fault(err)
}

// Merge writes a collection in one transaction of the tenant (it joins a
// surrounding one), records what appeared and what is gone as one audit
// record, and publishes one event inventory.updated. A collection that began
// before the newest one is dropped: Changes.Outdated.
func (s *Service) Merge(ctx context.Context, tenant id.ID, snap Snapshot) (Changes, error) {
	var changes Changes
	err := s.cfg.DB.Tenant(ctx, tenant, func(ctx context.Context) error {
		newest, err := s.store.lock(ctx, snap.ConnectionID)
		if err != nil {
			return err
		}
		if !snap.TakenAt.After(newest) {
			changes.Outdated = true
			return nil
		}
		before, err := s.store.present(ctx, snap.ConnectionID)
		if err != nil {
			return err
		}
		p := compare(before, snap)
		changes = p.changes()
		if err := s.store.write(ctx, p, snap); err != nil {
			return err
		}
		if err := s.store.collected(ctx, snap.ConnectionID, snap.TakenAt); err != nil {
			return err
		}
		return s.tell(ctx, tenant, snap, p)
	})
	return changes, err
}

// tell records and publishes what a collection changed.
func (s *Service) tell(ctx context.Context, tenant id.ID, snap Snapshot, p plan) error {
	changes := p.changes()
	if len(changes.Appeared)+len(changes.Gone) > 0 {
		if err := s.cfg.Audit.Record(ctx, changeRecord(snap, changes)); err != nil {
			return err
		}
	}
	return s.publish(ctx, tenant, Updated{
		ConnectionID: snap.ConnectionID, CollectedAt: snap.TakenAt.UTC(),
		Appeared: len(changes.Appeared), Gone: len(changes.Gone), Updated: changes.Updated, Stale: changes.Stale > 0,
	})
}

// maxListed bounds how many ids one audit record carries.
const maxListed = 1000

func changeRecord(snap Snapshot, c Changes) audit.Entry {
	return audit.Entry{
		Event:  "cmdb.inventory.changed",
		Target: audit.Target{Kind: "connection", ID: snap.ConnectionID.String(), Name: snap.Connection},
		Details: map[string]any{
			"appeared": len(c.Appeared), "appeared_ids": first(c.Appeared, maxListed),
			"gone": len(c.Gone), "gone_ids": first(c.Gone, maxListed),
		},
	}
}

func first(ids []id.ID, n int) []id.ID { return ids[:min(len(ids), n)] }

// Updated is the data of the event inventory.updated.
type Updated struct {
	ConnectionID id.ID     `json:"connection_id"`
	CollectedAt  time.Time `json:"collected_at,omitzero"`
	Appeared     int       `json:"appeared"`
	Gone         int       `json:"gone"`
	Updated      int       `json:"updated"`
	Stale        bool      `json:"stale"`
}

func (s *Service) publish(ctx context.Context, tenant id.ID, u Updated) error {
	return s.cfg.Events.Publish(ctx, event.Event{
		Type: "inventory.updated", ID: u.ConnectionID, Tenant: tenant, Permission: ReadItems,
	}, u)
}

// MarkStale says that a connection's items can no longer be trusted to be
// current; the next Merge takes it back. It runs in the tenant's transaction.
func (s *Service) MarkStale(ctx context.Context, tenant, connection id.ID) error {
	if err := s.store.stale(ctx, connection); err != nil {
		return db.Fault(err)
	}
	return s.publish(ctx, tenant, Updated{ConnectionID: connection, Stale: true})
}

// GuestUsage adds up what the guests have that the transaction's tenant made
// itself: how many, their cores, and bytes of memory and disk.
func (s *Service) GuestUsage(ctx context.Context) (guests, cores, memory, disk int64, err error) {
	return s.store.guestUsage(ctx)
}

// Forget calls everything behind a connection gone, for the reason given. It
// runs in the tenant's transaction and leaves the audit record to its caller.
func (s *Service) Forget(ctx context.Context, tenant, connection id.ID, because string) (int, error) {
	gone, err := s.store.forget(ctx, connection, because)
	if err != nil {
		return 0, db.Fault(err)
	}
	return len(gone), s.publish(ctx, tenant, Updated{ConnectionID: connection, Gone: len(gone)})
}
