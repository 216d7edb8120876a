package backup

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
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
	"nimbus/appliance/fault"
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
	return Base{Timeline: "1", StartWAL: "000000010000000000000003", EndWAL: "000000010000000000000004", Moment: time.Now().UTC()}, err
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

func TestBackupIsMadeProvenAndRecorded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.configure()
	var scratch string
	b.inspect = func(tr Trial) {
		scratch = tr.Dir
		for name, want := range map[string]string{
			"keys/root.key": "root", "local/pb/data.db": "snapshot", "local/tls/cert.pem": "cert", "postgres/password": "secret",
			"postgres/data/base/1/1259": database, "pulumi/state/.pulumi/stacks/a.json": "{}", "audit/checkpoints/provider": "note",
		} {
			if got, err := os.ReadFile(filepath.Join(tr.Dir, name)); string(got) != want || err != nil {
				t.Errorf("%s comes back as %.20q, %v", name, got, err)
			}
		}
		for _, name := range []string{"pulumi/bin", "pulumi/state/.pulumi/locks", "valkey"} {
			if _, err := os.Stat(filepath.Join(tr.Dir, name)); !os.IsNotExist(err) {
				t.Errorf("%s is in the backup: %v", name, err)
			}
		}
	}
	last := 0
	made, err := b.Run(b.ctx(), Manual, true, func(stage string, percent int) {
		if percent > 100 || stage == "" {
			t.Errorf("progress %q %d", stage, percent)
		}
		last = percent
	})
	must(t, err)
	if made.State != Done || made.VerifiedAt == nil || made.Bytes == 0 || made.WALFrom != "000000010000000000000003" || last == 0 {
		t.Errorf("it is %+v", made)
	}
	if _, err := os.Stat(scratch); scratch == "" || !os.IsNotExist(err) {
		t.Errorf("the scratch directory %q is left: %v", scratch, err)
	}
	if got := b.inTarget("backups"); len(got) != 2 || !strings.HasSuffix(got[0], archiveSuffix) || !strings.HasSuffix(got[1], summarySuffix) {
		t.Errorf("in the target are %v", got)
	}
	want := []string{"backup.archive.started", "backup.archive.verified", "backup.archive.finished"}
	if got := b.events(); !slices.Equal(got, want) {
		t.Errorf("recorded are %v", got)
	}
}

func TestRobustness45SucceedsOnlyWithItsProof(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.configure()
	b.proven = fault.New(fault.Unprocessable, "The audit trail in the backup does not hold.")
	made, err := b.Run(b.ctx(), Manual, true, quiet)
	if !fault.Is(err, fault.Unprocessable) || made.State != Failed || made.VerifyError == "" || len(b.inTarget("backups")) != 2 {
		t.Errorf("got %v, %+v, %v", err, made, b.inTarget("backups"))
	}
	st, err := b.Standing(b.ctx())
	if err != nil || st.Last != nil || !strings.Contains(st.Error, "does not hold") {
		t.Errorf("the standing is %+v, %v", st, err)
	}
}

func TestFailedCopyLeavesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.configure()
	b.copied = fault.Wrap(fault.Unavailable, errors.New("page 3 of pg_class"), "The databases could not be copied.")
	made, err := b.Run(b.ctx(), Manual, true, quiet)
	if !errors.Is(err, b.copied) || made.State != Failed || made.Error != "The databases could not be copied." || len(b.inTarget("backups")) != 0 {
		t.Errorf("got %v, %+v, %v", err, made, b.inTarget("backups"))
	}
	must(t, os.RemoveAll(b.target))
	b.copied = nil
	made, err = b.Run(b.ctx(), Manual, false, quiet)
	if !fault.Is(err, fault.Unavailable) || made.State != Failed || !strings.Contains(made.Error, "mounted") {
		t.Errorf("without its target: %v, %+v", err, made)
	}
}

func TestSecretsOfTheTargetStayWhereTheyAre(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	set := defaults()
	set.Target = Target{Kind: "s3", Endpoint: "s3.lan:9000", Bucket: "b", AccessKey: "k", Secret: "canary"}
	saved, err := b.save(b.ctx(), set)
	must(t, err)
	public, err := b.Settings(b.ctx())
	must(t, err)
	if saved.Target.Secret != "canary" || public.Target.Secret != "" || !public.Target.HasSecret {
		t.Errorf("saved %+v, shown %+v", saved.Target, public.Target)
	}
	if raw := string(b.store.values[settingsKey]); strings.Contains(raw, "canary") {
		t.Errorf("the store has %s", raw)
	}
	set.Target.Secret, set.Target.Bucket = "", "c"
	if saved, err = b.save(b.ctx(), set); err != nil || saved.Target.Secret != "canary" {
		t.Errorf("a change of the bucket loses the secret: %+v, %v", saved.Target, err)
	}
	set.Target.Endpoint = "evil.example"
	if _, err = b.save(b.ctx(), set); !fault.Is(err, fault.Invalid) {
		t.Errorf("the secret goes to another endpoint: %v", err)
	}
}

func TestSettingsAreChecked(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	seven := 7
	for name, change := range map[string]func(*Settings){
		"time": func(s *Settings) { s.Schedule.At = "25:00" }, "weekday": func(s *Settings) { s.Schedule.Weekday = &seven },
		"nothing kept": func(s *Settings) { s.Keep.Daily = 0 }, "recipient": func(s *Settings) { s.Recipients = []string{"age1nobody"} },
		"alarm": func(s *Settings) { s.AlarmAfter = 0 }, "relative": func(s *Settings) { s.Target = Target{Kind: "directory", Path: "backups"} },
		"kind": func(s *Settings) { s.Target.Kind = "tape" }, "no host key": func(s *Settings) { s.Target = Target{Kind: "sftp", Host: "nas", User: "u", Path: "/b", Secret: "x"} },
	} {
		set := defaults()
		change(&set)
		if _, err := b.save(b.ctx(), set); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func (b *bench) segment(name string) {
	b.t.Helper()
	must(b.t, os.WriteFile(filepath.Join(b.spool, name), bytes.Repeat([]byte("wal "), 1000), 0o600))
}

func TestLogIsSentAndBounded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	set := b.configure()
	b.shipping.since = time.Now()
	b.segment("000000010000000000000005")
	b.segment("00000002.history")
	must(t, b.ship(b.ctx(), set))
	if got := b.inTarget("wal"); !slices.Equal(got, []string{"000000010000000000000005.age", "00000002.history.age"}) || !b.open || b.turns != 1 {
		t.Errorf("in the target are %v; open %v, %d turns", got, b.open, b.turns)
	}
	if left, _ := b.files(b.spool); len(left) > 0 {
		t.Errorf("in the spool are %v", left)
	}
	sealed, err := os.ReadFile(filepath.Join(b.target, "wal", "000000010000000000000005.age"))
	if err != nil || bytes.Contains(sealed, []byte("wal wal")) {
		t.Errorf("a segment is readable without a key: %v", err)
	}

	away := b.target + ".away"
	must(t, os.Rename(b.target, away))
	b.SpoolLimit = 6000
	b.segment("000000010000000000000006")
	if err := b.ship(b.ctx(), set); !fault.Is(err, fault.Unavailable) || !b.open {
		t.Errorf("with the target away: %v, open %v", err, b.open)
	}
	b.segment("000000010000000000000007")
	b.look(b.ctx())
	if err := b.Ready(b.ctx()); b.open || err == nil || !strings.Contains(fault.Message(err), "not kept") {
		t.Errorf("with a full spool: open %v, %v", b.open, err)
	}
	b.look(b.ctx())
	must(t, os.Rename(away, b.target))
	b.look(b.ctx())
	b.look(b.ctx())
	if left, _ := b.files(b.spool); len(left) > 0 || !b.open || b.Ready(b.ctx()) != nil {
		t.Errorf("with the target back: %v is left, open %v, %v", left, b.open, b.Ready(b.ctx()))
	}
	want := []string{"backup.log.interrupted", "backup.alarm.raised", "backup.alarm.cleared"}
	if got := b.events(); !slices.Equal(got, want) {
		t.Errorf("recorded are %v", got)
	}

	set.WAL.Enabled = false
	b.segment("000000010000000000000008")
	must(t, b.ship(b.ctx(), set))
	if left, _ := b.files(b.spool); len(left) > 0 || b.open || len(b.inTarget("wal")) != 4 {
		t.Errorf("switched off: %v, open %v, %v", left, b.open, b.inTarget("wal"))
	}
}

func TestFlushWaitsForTheSegment(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.configure()
	b.Log.Switch = func(context.Context) error {
		time.AfterFunc(200*time.Millisecond, func() { b.segment("000000010000000000000005") })
		return nil
	}
	must(t, b.Flush(b.ctx()))
	if got := b.inTarget("wal"); !slices.Equal(got, []string{"000000010000000000000005.age"}) {
		t.Errorf("in the target are %v", got)
	}
}

func TestAgeAlarm(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	set := b.configure()
	b.shipping.since = time.Now().Add(-37 * time.Hour)
	b.look(b.ctx())
	if err := b.Ready(b.ctx()); err == nil || !strings.Contains(fault.Message(err), "37 hours") {
		t.Errorf("without a backup for 37 hours: %v", err)
	}
	_, err := b.Run(b.ctx(), Manual, false, quiet)
	must(t, err)
	b.look(b.ctx())
	if err := b.Ready(b.ctx()); err != nil {
		t.Errorf("with a new backup: %v", err)
	}
	set.Target = Target{Kind: None}
	_, err = b.save(b.ctx(), set)
	must(t, err)
	b.look(b.ctx())
	if err := b.Ready(b.ctx()); err != nil {
		t.Errorf("without a target: %v", err)
	}
}

func TestPruneAdoptsAndDeletes(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	set := b.configure()
	set.Keep = Keep{Daily: 1}
	_, err := b.save(b.ctx(), set)
	must(t, err)
	var all []Backup
	for range 3 {
		made, err := b.Run(b.ctx(), Scheduled, false, quiet)
		must(t, err)
		all = append(all, made)
		time.Sleep(1100 * time.Millisecond) // names have seconds
	}
	must(t, b.forgetOne(b.ctx(), all[1].ID))
	other := New(b.Config)
	other.Store = &memory{values: map[string][]byte{settingsKey: b.store.values[settingsKey]}}
	foreign, err := other.Run(b.ctx(), Scheduled, false, quiet)
	must(t, err)
	gone, err := b.Prune(b.ctx())
	must(t, err)
	if len(gone) != 2 || len(b.inTarget("backups")) != 4 {
		t.Errorf("gone are %v; in the target %v", gone, b.inTarget("backups"))
	}
	if _, err := b.find(b.ctx(), foreign.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("another appliance's backup is taken for one's own: %v", err)
	}
	must(t, b.Remove(b.ctx(), all[2].ID))
	if err := b.Remove(b.ctx(), all[2].ID); !fault.Is(err, fault.Gone) {
		t.Errorf("a second time: %v", err)
	}
	if got := b.inTarget("backups"); len(got) != 2 || !strings.Contains(got[0], foreign.ID.Hex()) {
		t.Errorf("in the target are %v", got)
	}
}

// TestRestoredFromIsInTheCatalogue: what the appliance came back from is known again,
// and proven, although the catalogue in it saw it being made.
func TestRestoredFromIsInTheCatalogue(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	set := b.configure()
	made, err := b.begin(b.ctx(), id.New(), Manual, "backup-1")
	must(t, err)
	_, err = b.make(b.ctx(), made.ID, quiet)
	must(t, err)
	raw, err := json.Marshal(restored{Backup: made.ID, At: time.Now().UTC()})
	must(t, err)
	must(t, os.WriteFile(filepath.Join(b.DataDir, restoredMark), raw, 0o600))
	must(t, b.Settle(b.ctx()))
	if all, err := b.catalogue(b.ctx()); err != nil || len(all) != 0 {
		t.Fatalf("at the start there are %+v, %v", all, err)
	}
	for range 2 {
		must(t, b.takeUp(b.ctx(), set))
		if now, err := b.find(b.ctx(), made.ID); err != nil || now.State != Done || now.VerifiedAt == nil {
			t.Errorf("it is %+v, %v", now, err)
		}
	}
}

// TestStoppedBackups: one that was stopped while it was made is gone, however far it
// came; one whose proof was stopped is there.
func TestStoppedBackups(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.configure()
	for _, c := range []struct {
		stopping bool
		state    State
		left     int
	}{{true, Failed, 0}, {false, Done, 2}} {
		made, err := b.begin(b.ctx(), id.New(), Manual, "backup-1")
		must(t, err)
		_, err = b.change(b.ctx(), made.ID, func(x *Backup) { x.Stopping = c.stopping })
		must(t, err)
		_, err = b.make(b.ctx(), made.ID, quiet)
		must(t, err)
		ended, err := b.conclude(b.ctx(), made.ID, stopped)
		if err != nil || ended.State != c.state || len(b.inTarget("backups")) != c.left || (ended.Bytes > 0) != (c.left > 0) {
			t.Errorf("%+v: it is %+v and there are %v, %v", c, ended, b.inTarget("backups"), err)
		}
	}
}

func TestOneBackupAtATime(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if _, err := b.begin(b.ctx(), id.New(), Manual, ""); !fault.Is(err, fault.Conflict) {
		t.Errorf("without a target: %v", err)
	}
	b.configure()
	first, err := b.begin(b.ctx(), id.New(), Manual, "backup-1")
	must(t, err)
	if _, err := b.begin(b.ctx(), id.New(), Manual, ""); !fault.Is(err, fault.Conflict) {
		t.Errorf("a second one: %v", err)
	}
	_, err = b.conclude(b.ctx(), first.ID, "It was stopped.")
	must(t, err)
	if _, err := b.make(b.ctx(), first.ID, quiet); !fault.Is(err, fault.Conflict) {
		t.Errorf("one that is over is made: %v", err)
	}
	b.External = func() bool { return true }
	if _, err := b.begin(b.ctx(), id.New(), Manual, ""); !fault.Is(err, fault.Conflict) || !strings.Contains(fault.Message(err), "your own server") {
		t.Errorf("with an external database: %v", err)
	}
}

// restorer restores into an own data directory.
func (b *bench) restorer() Restorer {
	return Restorer{DataDir: b.t.TempDir(), Reader: thisReader, Prove: b.try, Logger: b.Logger}
}

// TestAKilledConsoleDoesNotStopBackups: what it was making is ended by the next one,
// or when somebody stops it.
func TestAKilledConsoleDoesNotStopBackups(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.configure()
	left := func() Backup {
		lock, err := b.lockConsole()
		must(t, err)
		made, err := b.begin(b.ctx(), id.New(), Manual, "")
		must(t, err)
		if err := b.Remove(b.ctx(), made.ID); !fault.Is(err, fault.Conflict) {
			t.Errorf("one that a console makes is stopped: %v", err)
		}
		if _, err := b.begin(b.ctx(), id.New(), Scheduled, "backup-x"); !fault.Is(err, fault.Conflict) {
			t.Errorf("two at a time: %v", err)
		}
		must(t, lock.Close()) // as the kernel does it when the console is killed
		return made
	}
	first := left()
	if made, err := b.Run(b.ctx(), Manual, true, quiet); err != nil || made.State != Done {
		t.Errorf("the next: %+v %v", made, err)
	}
	second := left()
	must(t, b.Remove(b.ctx(), second.ID))
	for _, made := range []Backup{first, second} {
		if now, err := b.find(b.ctx(), made.ID); err != nil || now.State != Failed || now.Error == "" {
			t.Errorf("what was left is %+v %v", now, err)
		}
	}
}

func TestRestoreTouchesNothingBeforeAllIsChecked(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	set := b.configure()
	made, err := b.Run(b.ctx(), Manual, false, quiet)
	must(t, err)
	store, err := set.Target.Open()
	must(t, err)
	r := b.restorer()
	must(t, os.MkdirAll(filepath.Join(r.DataDir, "keys"), 0o700))
	must(t, os.MkdirAll(filepath.Join(r.DataDir, "valkey"), 0o700))
	must(t, os.WriteFile(filepath.Join(r.DataDir, "keys", "old"), nil, 0o600))
	must(t, os.WriteFile(filepath.Join(r.DataDir, "lock"), nil, 0o600))
	untouched := func(when string) {
		t.Helper()
		entries, _ := os.ReadDir(r.DataDir)
		if _, err := os.Stat(filepath.Join(r.DataDir, "keys", "old")); err != nil || len(entries) != 3 {
			t.Errorf("%s: there are %v, %v", when, entries, err)
		}
	}
	_, err = r.Prepare(b.ctx(), Request{Store: store, Backup: made.ID, Key: newKey(t)}, quiet)
	if !fault.Is(err, fault.Unprocessable) || !strings.Contains(fault.Message(err), "recovery kit") {
		t.Errorf("a wrong key gives %v", err)
	}
	untouched("after a wrong key")
	b.proven = errors.New("does not start")
	if _, err = r.Prepare(b.ctx(), Request{Store: store, Key: b.kit}, quiet); !errors.Is(err, b.proven) {
		t.Errorf("a failed proof gives %v", err)
	}
	untouched("after a failed proof")
	if placed, err := Place(r.DataDir); placed || err != nil {
		t.Errorf("placing nothing: %v, %v", placed, err)
	}
	b.proven = nil
	_, err = r.Prepare(b.ctx(), Request{Store: store, Key: b.kit}, quiet)
	must(t, err)
	if _, err := r.Prepare(b.ctx(), Request{Store: store, Key: b.kit}, quiet); !fault.Is(err, fault.Conflict) {
		t.Errorf("a second one: %v", err)
	}
	placed, err := Place(r.DataDir)
	if got, readErr := os.ReadFile(filepath.Join(r.DataDir, "keys", "root.key")); !placed || err != nil || readErr != nil || string(got) != "root" {
		t.Errorf("placed %v, %v; the key is %q, %v", placed, err, got, readErr)
	}
	for _, name := range []string{"keys/old", "valkey"} {
		kept, _ := filepath.Glob(filepath.Join(r.DataDir, "before-restore-*", name))
		if _, err := os.Stat(filepath.Join(r.DataDir, name)); len(kept) != 1 || !os.IsNotExist(err) {
			t.Errorf("%s is kept as %v, and there: %v", name, kept, err)
		}
	}
	if placed, err := Place(r.DataDir); placed || err != nil {
		t.Errorf("a second time: %v, %v", placed, err)
	}
}

// TestPlacingGoesOnAfterAKill takes away the effect of the last steps, one more
// each time, as a kill does, and places again.
func TestPlacingGoesOnAfterAKill(t *testing.T) {
	t.Parallel()
	for done := range 5 {
		dir := t.TempDir()
		st, err := newStage(dir)
		must(t, err)
		for _, name := range []string{"keys", "local", "hsm", "valkey"} {
			must(t, os.MkdirAll(filepath.Join(dir, name), 0o700))
			must(t, os.WriteFile(filepath.Join(dir, name, "old"), nil, 0o600))
		}
		for _, name := range []string{"keys", "local", "postgres"} {
			must(t, os.MkdirAll(filepath.Join(st.fresh(), name), 0o700))
			must(t, os.WriteFile(filepath.Join(st.fresh(), name, "new"), nil, 0o600))
		}
		r := restored{At: time.Now().UTC()}
		must(t, st.ready(r))
		before := filepath.Join(dir, "before-restore-"+r.At.Format("20060102T150405Z"))
		must(t, os.MkdirAll(before, 0o700))
		for i, step := range [][2]string{
			{filepath.Join(dir, "hsm"), filepath.Join(before, "hsm")},
			{filepath.Join(dir, "keys"), filepath.Join(before, "keys")}, {filepath.Join(st.fresh(), "keys"), filepath.Join(dir, "keys")},
			{filepath.Join(dir, "local"), filepath.Join(before, "local")},
		} {
			if i < done {
				must(t, os.Rename(step[0], step[1]))
			}
		}
		placed, err := Place(dir)
		if !placed || err != nil {
			t.Fatalf("after %d steps: %v, %v", done, placed, err)
		}
		for _, name := range []string{"keys/new", "local/new", "postgres/new"} {
			if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
				t.Errorf("after %d steps: %v", done, err)
			}
		}
		for _, name := range []string{"keys/old", "local/old", "hsm/old", "valkey/old"} {
			if _, err := os.Stat(filepath.Join(before, name)); err != nil {
				t.Errorf("after %d steps: %v", done, err)
			}
		}
	}
}

func TestMomentsThatCanBeRestored(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	set := b.configure()
	made, err := b.Run(b.ctx(), Manual, false, quiet)
	must(t, err)
	for _, name := range []string{"000000010000000000000005", "000000010000000000000006", "000000010000000000000008", "00000002.history"} {
		b.segment(name)
	}
	must(t, b.ship(b.ctx(), set))
	store, err := set.Target.Open()
	must(t, err)
	r := b.restorer()
	in, err := r.Inspect(b.ctx(), store, b.kit)
	must(t, err)
	second, err := store.Stat(b.ctx(), "wal/000000010000000000000006.age")
	must(t, err)
	if len(in.Backups) != 1 || !in.Backups[0].Latest.Equal(second.Modified) || !in.Points.To.Equal(second.Modified) {
		t.Errorf("found %+v; the log goes without a gap to %v", in, second.Modified)
	}
	for name, c := range map[string]struct {
		q    Request
		says string
	}{
		"too late":          {Request{Backup: made.ID, Until: time.Now().Add(time.Hour)}, "ends at"},
		"before the backup": {Request{Backup: made.ID, Until: made.StartedAt.Add(-time.Hour)}, "older one"},
		"before all":        {Request{Until: made.StartedAt.Add(-time.Hour)}, "oldest backup"},
		"unknown":           {Request{Backup: id.New()}, "no such backup"},
	} {
		c.q.Store, c.q.Key = store, b.kit
		if _, err := r.Prepare(b.ctx(), c.q, quiet); !strings.Contains(fault.Message(err), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	b.inspect = func(tr Trial) {
		var names []string
		logs, _ := b.files(tr.Log)
		for _, s := range logs {
			names = append(names, s.Name)
		}
		if !slices.Equal(names, []string{"000000010000000000000005", "000000010000000000000006", "00000002.history"}) {
			t.Errorf("the log is %v", names)
		}
		if got, err := os.ReadFile(filepath.Join(tr.Log, "000000010000000000000005")); len(got) != 4000 || err != nil {
			t.Errorf("a segment comes back with %d bytes, %v", len(got), err)
		}
	}
	_, err = r.Prepare(b.ctx(), Request{Store: store, Key: b.kit, Latest: true}, quiet)
	must(t, err)
	if _, err := r.Inspect(b.ctx(), emptyStore(t), b.kit); !fault.Is(err, fault.NotFound) {
		t.Errorf("an empty target: %v", err)
	}
}

func TestSingleFileIsRestored(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.configure()
	_, err := b.Run(b.ctx(), Manual, false, quiet)
	must(t, err)
	file := filepath.Join(b.target, "backups", b.inTarget("backups")[0])
	r := b.restorer()
	if _, err := r.Prepare(b.ctx(), Request{File: file, Key: newKey(t)}, quiet); !fault.Is(err, fault.Unprocessable) {
		t.Errorf("a wrong key: %v", err)
	}
	_, err = r.Prepare(b.ctx(), Request{File: file, Key: b.kit}, quiet)
	must(t, err)
}

func emptyStore(t *testing.T) objectstore.Store {
	t.Helper()
	store, err := Target{Kind: objectstore.Directory, Path: t.TempDir()}.Open()
	must(t, err)
	return store
}
