package audit

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit/ledger"
	"nimbus/appliance/db"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// TestProofs proves records and growth to somebody who has the keys only.
func TestProofs(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	if _, err := c.ProveInclusion(c.user(), 1, 0); !fault.Is(err, fault.NotFound) {
		t.Errorf("a record that is not there: %v", err)
	}
	c.record(t, 300)
	if _, err := c.ProveInclusion(c.user(), 1, 0); !fault.Is(err, fault.Conflict) {
		t.Errorf("before the first checkpoint: %v", err)
	}
	early := c.checkpoint(t)
	c.record(t, 300)
	if _, err := c.ProveInclusion(c.user(), 301, 0); !fault.Is(err, fault.Conflict) {
		t.Errorf("a record that is not covered: %v", err)
	}
	late := c.checkpoint(t)
	keys := c.keys(t)
	for _, n := range []int64{1, 256, 257, 300} {
		for _, size := range []int64{0, 300, 600} {
			p, err := c.ProveInclusion(c.user(), n, size)
			if err != nil {
				t.Fatal(err)
			}
			head, err := ledger.OpenCheckpoint(p.Checkpoint, keys)
			if err != nil || p.Leaf != ledger.Leaf(p.Body) {
				t.Fatal(err)
			}
			if err := ledger.VerifyInclusion(p.Leaf, uint64(p.Index), head.Size, p.Hashes, head.Root); err != nil {
				t.Errorf("%d in %d: %v", n, size, err)
			}
		}
	}
	if _, err := c.ProveInclusion(c.user(), 1, 299); !fault.Is(err, fault.NotFound) {
		t.Errorf("a checkpoint that is not there: %v", err)
	}
	hashes, err := c.ProveConsistency(c.user(), 300, 600)
	if err != nil {
		t.Fatal(err)
	}
	if err := ledger.VerifyConsistency(300, early.Root, 600, late.Root, hashes); err != nil {
		t.Error(err)
	}
	for _, bad := range [][2]int64{{2, 1}, {0, 601}, {-1, 2}} {
		if _, err := c.ProveConsistency(c.user(), bad[0], bad[1]); !fault.Is(err, fault.Invalid) {
			t.Errorf("%v: %v", bad, err)
		}
	}
	named, err := c.Keys(c.user())
	if err != nil || len(named) != 1 {
		t.Fatal(err)
	}
	parsed, err := ledger.ParseKey(named[0].Text)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.OpenCheckpoint(late.Note, ledger.Keys{parsed}); err != nil {
		t.Error(err)
	}
	c.record(t, 1)
	if state, err := c.SignerState(c.user()); err != nil || state.State != "ready" || state.Kind != "file" || state.Pending != 1 {
		t.Errorf("%+v %v", state, err)
	}
}

// TestVerificationsRunAndCanBeCancelled starts one that waits and one that does not.
func TestVerificationsRunAndCanBeCancelled(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	c.record(t, 50)
	c.superuser(t, "update audit_entry set actor_name = 'Eve' where sequence = 7")
	states := make(chan string, 100)
	defer c.Events.Subscribe(func(e event.Event) {
		if e.Type == VerificationEvent && e.Tenant == c.tenant {
			states <- string(e.Data)
		}
	})()
	r, err := c.StartVerification(c.user(), false)
	if err != nil || r.State != "done" || r.OK || len(r.Breaks) != 1 || r.Checked != 50 || r.Head == "" {
		t.Fatalf("%+v %v", r, err)
	}
	kept, err := c.Service.Verification(c.user(), r.ID)
	if err != nil || kept.State != "done" || len(kept.Breaks) != 1 || kept.Root != r.Root {
		t.Errorf("%+v %v", kept, err)
	}
	if len(states) == 0 {
		t.Error("nothing was told")
	}
	if err := c.CancelVerification(c.user(), r.ID); !fault.Is(err, fault.Conflict) {
		t.Errorf("one that is over was cancelled: %v", err)
	}
	if _, err := c.Service.Verification(c.user(), id.New()); !fault.Is(err, fault.NotFound) {
		t.Errorf("one that is not there: %v", err)
	}
	running := VerificationRun{ID: id.New(), State: "running", StartedBy: "Ada", StartedAt: time.Now()}
	err = c.DB.Tenant(c.ctx, c.tenant, func(ctx context.Context) error { return c.store.addVerification(ctx, running) })
	if err != nil {
		t.Fatal(err)
	}
	if err := c.CancelVerification(c.user(), running.ID); err != nil {
		t.Fatal(err)
	}
	who, _ := actor.From(c.user())
	if err := c.progress(c.ctx, who, running); !errors.Is(err, errCancelled) {
		t.Errorf("a cancelled one goes on: %v", err)
	}
	c.superuser(t, "update audit_verification set updated_at = now() - interval '1 hour' where result is null")
	if kept, err := c.Service.Verification(c.user(), running.ID); err != nil || kept.State != "failed" {
		t.Errorf("one whose process is gone: %+v %v", kept, err)
	}
}

// TestConsoleResumes keeps the progress of all chains in a file.
func TestConsoleResumes(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	c.record(t, 20)
	path := filepath.Join(t.TempDir(), "progress")
	walk := newWalk(c.tenant.String())
	walk.add(3, BreakHash, "found before")
	if err := writeWalks(path, map[string]*Walk{c.tenant.String(): walk}); err != nil {
		t.Fatal(err)
	}
	all, err := c.VerifyAll(c.ctx, VerifyAllOptions{ResumeFile: path})
	if err != nil || len(all) != 2 || !all[0].OK() || len(all[1].Breaks) != 1 {
		t.Errorf("%+v %v", all, err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the progress of what is done is kept")
	}
	if err := os.WriteFile(path, []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.VerifyAll(c.ctx, VerifyAllOptions{ResumeFile: path}); !fault.Is(err, fault.Invalid) {
		t.Errorf("rubbish was resumed: %v", err)
	}
}

// TestRestoredDatabasesAreAccepted goes back to an older database: nothing is signed
// until somebody says so on the console, which is recorded.
func TestRestoredDatabasesAreAccepted(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	c.record(t, 10)
	undo := c.saved(t)
	c.record(t, 10)
	c.checkpoint(t)
	undo()
	if _, err := c.Checkpoint(c.ctx, c.tenant); !fault.Is(err, fault.Conflict) {
		t.Fatalf("%v", err)
	}
	if err := c.AcceptRestored(c.ctx); err != nil {
		t.Fatal(err)
	}
	c.checkpoint(t)
	if err := c.Checkpoints().Ready(c.ctx); err != nil {
		t.Error(err)
	}
	err := c.DB.Tenant(c.ctx, c.tenant, func(ctx context.Context) error {
		var n int
		err := db.Tx(ctx).QueryRow(ctx, `select count(*) from audit_entry where event = 'audit.checkpoint.set-aside'`).Scan(&n)
		if n != 1 {
			t.Errorf("%d records tell of it", n)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
