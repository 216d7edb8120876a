package backup

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/db"
	"nimbus/appliance/db/dbtest"
	"nimbus/appliance/event"
	"nimbus/appliance/id"
	"nimbus/appliance/objectstore"
	"nimbus/appliance/tenancy"
)

// memory is a local store.
type memory struct {
	mu     sync.Mutex
	values map[string][]byte
}

func (m *memory) Get(_ context.Context, key string, v any) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	raw, ok := m.values[key]
	if !ok {
		return false, nil
	}
	return true, json.Unmarshal(raw, v)
}

func (m *memory) Put(_ context.Context, key string, v any) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	raw, err := json.Marshal(v)
	m.values[key] = raw
	return err
}

func (m *memory) Update(_ context.Context, key string, v any, change func() error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if raw, ok := m.values[key]; ok {
		if err := json.Unmarshal(raw, v); err != nil {
			return err
		}
	}
	if err := change(); err != nil {
		return err
	}
	raw, err := json.Marshal(v)
	m.values[key] = raw
	return err
}

// bench is a service over a data directory and databases that are files.
type bench struct {
	*Service
	t      *testing.T
	kit    *age.X25519Identity
	store  *memory
	target string

	mu      sync.Mutex
	copied  error // what copying the databases ends with
	proven  error // what a proof ends with
	trials  []Trial
	spool   string
	system  string // of the cluster of databases
	open    bool
	turns   int
	inspect func(Trial)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// database is what the copied databases hold.
var database = strings.Repeat("a row of a table ", 4000)

func newBench(t *testing.T) *bench {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	d, _ := dbtest.Open(t, audit.Migrations, tenancy.Migrations)
	trail := audit.New(audit.Config{DB: d, Logger: log, IsRoot: func(id.ID) bool { return false }})
	b := &bench{t: t, kit: newKey(t), store: &memory{values: map[string][]byte{}}, target: t.TempDir(), spool: t.TempDir()}
	data := t.TempDir()
	for name, text := range map[string]string{
		"keys/root.key": "root", "keys/local.key": "local", "local/tls/cert.pem": "cert", "local/pb/data.db": "live", "pulumi/state/.pulumi/stacks/a.json": "{}",
		"pulumi/state/.pulumi/locks/b": "lock", "pulumi/bin/pulumi": "binary", "postgres/password": "secret", "valkey/dump": "cache", "audit/checkpoints/provider": "note",
	} {
		must(t, os.MkdirAll(filepath.Join(data, filepath.Dir(name)), 0o700))
		must(t, os.WriteFile(filepath.Join(data, name), []byte(text), 0o600))
	}
	b.Service = New(Config{
		Store: b.store, Audit: trail, Events: event.NewBus(log), Logger: log, Check: func(context.Context, string) error { return nil },
		DataDir: data, Version: "1.2.3", Reader: thisReader, Recipient: func() string { return b.kit.Recipient().String() },
		Name: func() string { return "Lab" }, Zone: func() *time.Location { return time.UTC }, External: func() bool { return false },
		Seal: func(_ context.Context, purpose string, secret []byte) ([]byte, error) {
			return append([]byte(purpose+":"), bytes.ToUpper(secret)...), nil
		},
		Open: func(_ context.Context, purpose string, sealed []byte) ([]byte, error) {
			return bytes.ToLower(bytes.TrimPrefix(sealed, []byte(purpose+":"))), nil
		},
		Base:     b.base,
		System:   func(context.Context) (string, error) { return b.system, nil },
		Snapshot: func(_ context.Context, path string) error { return os.WriteFile(path, []byte("snapshot"), 0o600) },
		Heads: func(context.Context) ([]Head, error) {
			return []Head{{"provider", 7, "ab"}}, nil
		},
		Prove: b.try,
		Log: Log{
			Archive:  func(on bool) error { b.mu.Lock(); defer b.mu.Unlock(); b.open = on; return nil },
			Archived: func() ([]Segment, error) { return b.files(b.spool) }, Histories: func() ([]Segment, error) { return nil, nil },
			Switch: func(context.Context) error { b.turns++; return nil }, Fault: func(context.Context) error { return nil },
		},
	})
	return b
}

func (b *bench) files(dir string) (all []Segment, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		all = append(all, Segment{e.Name(), filepath.Join(dir, e.Name()), info.Size(), info.ModTime()})
	}
	return all, err
}

func (b *bench) base(_ context.Context, emit Emit) (Base, error) {
	err := emit(int64(len(database)), "base/1", 0, nil)
	if err == nil {
		err = emit(int64(len(database)), "base/1/1259", int64(len(database)), strings.NewReader(database))
	}
	if err == nil {
		err = b.copied
	}
	return Base{Timeline: "1", SystemID: b.system, StartWAL: "000000010000000000000003", EndWAL: "000000010000000000000004", Moment: time.Now().UTC()}, err
}

func (b *bench) try(_ context.Context, t Trial) (Proof, error) {
	b.trials = append(b.trials, t)
	if b.inspect != nil {
		b.inspect(t)
	}
	return Proof{Chains: 1, Records: 7, People: 1, Moment: t.Manifest.Base.Moment}, b.proven
}

func (b *bench) ctx() context.Context {
	return actor.With(b.t.Context(), actor.Actor{Kind: actor.Console, Name: "test"})
}

// configure chooses the directory as target.
func (b *bench) configure() Settings {
	b.t.Helper()
	set := defaults()
	set.Target = Target{Kind: "directory", Path: b.target}
	set, err := b.save(b.ctx(), set)
	must(b.t, err)
	return set
}

func quiet(string, int) {}

// events are the codes that were recorded.
func (b *bench) events() (all []string) {
	b.t.Helper()
	must(b.t, b.Audit.DB.Core(b.ctx(), func(ctx context.Context) error {
		rows, err := db.Tx(ctx).Query(ctx, `select convert_from(body, 'UTF8')::jsonb->>'event' from audit_record order by xid, id`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var code string
			if err := rows.Scan(&code); err != nil {
				return err
			}
			all = append(all, code)
		}
		return rows.Err()
	}))
	return all
}

func (b *bench) inTarget(dir string) (names []string) {
	entries, _ := os.ReadDir(filepath.Join(b.target, dir))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func emptyStore(t *testing.T) objectstore.Store {
	t.Helper()
	store, err := Target{Kind: objectstore.Directory, Path: t.TempDir()}.Open()
	must(t, err)
	return store
}
