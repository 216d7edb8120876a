package firstrun

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/backup"
	"nimbus/appliance/event"
	"nimbus/appliance/id"
)

var reader = backup.Reader{Postgres: "18", Schema: "20261126T100000"}

// archived makes a backup of an appliance that is lost, and returns where it is
// and the key of its kit.
func (b *bench) archived() (target string, key *age.X25519Identity) {
	t := b.t
	t.Helper()
	key, err := age.GenerateX25519Identity()
	must(t, err)
	target, data, log := t.TempDir(), t.TempDir(), slog.New(slog.DiscardHandler)
	must(t, os.MkdirAll(filepath.Join(data, "keys"), 0o700))
	must(t, os.WriteFile(filepath.Join(data, "keys", "root.key"), []byte("of the lost one"), 0o600))
	store := &memory{values: map[string][]byte{}, left: -1}
	must(t, store.Put(t.Context(), "backup.settings", map[string]any{"settings": map[string]any{
		"target": map[string]any{"kind": "directory", "path": target}, "schedule": map[string]any{"at": "02:30"}, "keep": map[string]any{"daily": 1}, "alarm_after_hours": 1}}))
	lost := backup.New(backup.Config{
		Store: store, Audit: audit.New(audit.Config{DB: b.db, Logger: log, IsRoot: func(id.ID) bool { return false }}),
		Events: event.NewBus(log), Logger: log, Check: func(context.Context, string) error { return nil },
		DataDir: data, Reader: reader, Version: "1.0.0", Recipient: func() string { return key.Recipient().String() }, Name: func() string { return "Lost" },
		Base: func(_ context.Context, emit backup.Emit) (backup.Base, error) {
			return backup.Base{Moment: time.Now().UTC(), EndWAL: "000000010000000000000001"}, emit(1, "PG_VERSION", 3, strings.NewReader("18\n"))
		},
		Snapshot: func(_ context.Context, path string) error { return os.WriteFile(path, nil, 0o600) },
		Heads:    func(context.Context) ([]backup.Head, error) { return nil, nil },
	})
	_, err = lost.Run(actor.With(t.Context(), actor.Actor{Kind: actor.Console, Name: "test"}), backup.Manual, false, func(string, int) {})
	must(t, err)
	return target, key
}

// TestRestoreInTheFirstScreen gives a wrong kit first, and text that is none:
// both are said at once and nothing is touched. With the right one the restore
// runs, and the appliance is told to start anew.
func TestRestoreInTheFirstScreen(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.openDatabase()
	target, key := b.archived()
	other, err := age.GenerateX25519Identity()
	must(t, err)
	restarted, proofs := make(chan struct{}), []error{errors.New("the databases do not start"), nil}
	cfg := b.config()
	cfg.Restart = func() { close(restarted) }
	cfg.Restorer = backup.Restorer{DataDir: b.dir, Reader: reader, Logger: slog.New(slog.DiscardHandler),
		Prove: func(context.Context, backup.Trial) (backup.Proof, error) {
			err := proofs[0]
			proofs = proofs[1:]
			return backup.Proof{People: 3}, err
		}}
	s := New(cfg)
	must(t, s.Start(t.Context()))
	t.Cleanup(func() { must(t, s.Stop(context.Background())) })
	w := b.claimed(s)
	w.want(200, "PUT", "/appliance", goodAppliance)
	request := func(kit string) map[string]any {
		return map[string]any{"target": map[string]any{"kind": "directory", "path": target}, "key": kit}
	}
	for kit, says := range map[string]string{"not a kit": "no key", other.String(): "does not open"} {
		for _, path := range []string{"/restore/inspect", "/restore"} {
			if a := w.want(422, "POST", path, request(kit)); !strings.Contains(a.body["detail"].(string), says) {
				t.Errorf("%s says %v", path, a.body)
			}
		}
	}
	if left, _ := os.ReadDir(filepath.Join(b.dir, "restore")); len(left) > 0 || w.want(200, "GET", "/restore", nil).body["state"] != "idle" {
		t.Errorf("a wrong kit left %v", left)
	}
	kit := kitText(&appliance{Name: "Lost"}, key, time.Now())
	if a := w.want(200, "POST", "/restore/inspect", request(kit)); len(a.body["backups"].([]any)) != 1 {
		t.Errorf("there are %v", a.body)
	}
	w.want(202, "POST", "/restore", request(kit))
	if a := w.untilRestored(); a["state"] != "failed" || !strings.Contains(a["error"].(string), "wrong") {
		t.Errorf("a failed proof leads to %v", a)
	}
	w.want(202, "POST", "/restore", request(kit))
	if a := w.untilRestored(); a["state"] != "done" || a["percent"] != 100.0 {
		t.Errorf("it ended as %v", a)
	}
	w.want(409, "POST", "/restore", request(kit))
	select {
	case <-restarted:
	case <-time.After(10 * time.Second):
		t.Fatal("the appliance is not told to start anew")
	}
	must(t, s.Stop(t.Context()))
	placed, err := backup.Place(b.dir)
	if got, readErr := os.ReadFile(filepath.Join(b.dir, "keys", "root.key")); !placed || err != nil || string(got) != "of the lost one" {
		t.Errorf("placed %v, %v: %q, %v", placed, err, got, readErr)
	}
}

func (w *browser) untilRestored() map[string]any {
	w.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if a := w.want(200, "GET", "/restore", nil).body; a["state"] != "running" {
			return a
		}
	}
	w.t.Fatal("the restore does not end")
	return nil
}

func TestRestoreIsRefusedOverAnOrganisation(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.openDatabase()
	target, key := b.archived()
	must(t, b.store.Put(t.Context(), stateKey, state{Organisation: &organisation{Provider: "P", Tenant: "T"}}))
	w := b.claimed(b.start())
	w.want(409, "POST", "/restore", map[string]any{"target": map[string]any{"kind": "directory", "path": target}, "key": key.String()})
}
