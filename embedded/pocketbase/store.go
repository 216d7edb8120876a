package pocketbase

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/pocketbase/dbx"
	"github.com/pocketbase/pocketbase/core"
)

// storeTable is a plain table, not a collection: PocketBase's API knows
// nothing of it.
const storeTable = `create table if not exists nimbus_store (key text primary key, value text not null) strict`

// prepareStore makes the table and keeps the files to their owner.
func prepareStore(app core.App) error {
	if _, err := app.DB().NewQuery(storeTable).Execute(); err != nil {
		return err
	}
	return filepath.WalkDir(app.DataDir(), func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		return os.Chmod(path, 0o600)
	})
}

var errClosed = errors.New("the local store is not open")

// Get reads the value kept under key into v and tells whether there is one.
func (s *Server) Get(ctx context.Context, key string, v any) (bool, error) {
	app := s.store()
	if app == nil {
		return false, errClosed
	}
	return get(ctx, app, key, v)
}

func get(ctx context.Context, app core.App, key string, v any) (bool, error) {
	var text string
	err := app.DB().NewQuery(`select value from nimbus_store where key = {:key}`).WithContext(ctx).
		Bind(dbx.Params{"key": key}).Row(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("local store: %w", err)
	}
	return true, json.Unmarshal([]byte(text), v)
}

// All is everything that is kept, by key.
func (s *Server) All(ctx context.Context) (map[string]json.RawMessage, error) {
	app := s.store()
	if app == nil {
		return nil, errClosed
	}
	var rows []struct {
		Key   string `db:"key"`
		Value string `db:"value"`
	}
	if err := app.DB().NewQuery(`select key, value from nimbus_store`).WithContext(ctx).All(&rows); err != nil {
		return nil, fmt.Errorf("local store: %w", err)
	}
	all := make(map[string]json.RawMessage, len(rows))
	for _, r := range rows {
		all[r.Key] = json.RawMessage(r.Value)
	}
	return all, nil
}

// Put keeps v, as JSON, under key. When it returns nil it is on disk.
func (s *Server) Put(ctx context.Context, key string, v any) error {
	app := s.store()
	if app == nil {
		return errClosed
	}
	return put(ctx, app, key, v)
}

func put(ctx context.Context, app core.App, key string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = app.NonconcurrentDB().NewQuery(`insert into nimbus_store (key, value) values ({:key}, {:value})
		on conflict (key) do update set value = excluded.value`).WithContext(ctx).
		Bind(dbx.Params{"key": key, "value": string(text)}).Execute()
	if err != nil {
		return fmt.Errorf("local store: %w", err)
	}
	return nil
}

// Update reads the value under key into v, lets change alter what v points to,
// and keeps it, in one transaction. An error of change leaves it as it was.
func (s *Server) Update(ctx context.Context, key string, v any, change func() error) error {
	app := s.store()
	if app == nil {
		return errClosed
	}
	return app.RunInTransaction(func(tx core.App) error {
		if _, err := get(ctx, tx, key, v); err != nil {
			return err
		}
		if err := change(); err != nil {
			return err
		}
		return put(ctx, tx, key, v)
	})
}

func (s *Server) store() core.App {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.app == nil {
		return nil
	}
	return s.app
}
