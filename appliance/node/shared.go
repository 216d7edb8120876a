// Package node makes several processes one appliance: what they must know the
// same of lies in the database, and what must not lie there goes to a new node
// in a file that only that node can open.
package node

import (
	"context"
	"encoding/json"

	"nimbus/appliance/db"
	"nimbus/appliance/event"
)

// ChangedEvent tells every node that a shared value is another one.
const ChangedEvent = "node.shared.updated"

// Shared keeps JSON values by key in the database, as the local store does on a
// machine. A write joins the transaction of its context, if there is one.
type Shared struct {
	db     *db.DB
	events *event.Bus
	store  store
}

// NewShared returns the values of a database.
func NewShared(d *db.DB, events *event.Bus) *Shared { return &Shared{db: d, events: events} }

// Get reads the value kept under key into v and tells whether there is one.
func (s *Shared) Get(ctx context.Context, key string, v any) (found bool, err error) {
	err = s.db.Core(ctx, func(ctx context.Context) error {
		found, err = s.read(ctx, key, v)
		return err
	})
	return found, err
}

func (s *Shared) read(ctx context.Context, key string, v any) (bool, error) {
	value, found, err := s.store.get(ctx, key)
	if err != nil || !found {
		return false, err
	}
	return true, json.Unmarshal(value, v)
}

// Put keeps v under key and tells every node.
func (s *Shared) Put(ctx context.Context, key string, v any) error {
	return s.db.Core(ctx, func(ctx context.Context) error { return s.write(ctx, key, v) })
}

func (s *Shared) write(ctx context.Context, key string, v any) error {
	value, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := s.store.put(ctx, key, value); err != nil {
		return err
	}
	return s.events.Publish(ctx, event.Event{Type: ChangedEvent, Watched: "nobody"}, key)
}

// Update reads the value under key into v, lets change alter what v points to,
// and keeps it, with no other node between. An error of change leaves it as it was.
func (s *Shared) Update(ctx context.Context, key string, v any, change func() error) error {
	return s.db.Core(ctx, func(ctx context.Context) error {
		if err := s.store.lock(ctx, key); err != nil {
			return err
		}
		if _, err := s.read(ctx, key, v); err != nil {
			return err
		}
		if err := change(); err != nil {
			return err
		}
		return s.write(ctx, key, v)
	})
}
