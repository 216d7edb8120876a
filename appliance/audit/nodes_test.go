package audit

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// TestNodesSignOnce has two nodes sign one chain at the same time, again and
// again: each step has one checkpoint, which both have.
func TestNodesSignOnce(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	other := New(c.Config)
	const steps = 5
	for step := range steps {
		c.record(t, 10)
		made := make([]Checkpoint, 8)
		errs := make([]error, len(made))
		var all sync.WaitGroup
		for i := range made {
			node := []*Service{c.Service, other}[i%2]
			all.Go(func() { made[i], errs[i] = node.Checkpoint(c.ctx, c.tenant) })
		}
		all.Wait()
		for i, m := range made {
			if errs[i] != nil || m.ID != made[0].ID || m.Note != made[0].Note || m.Size != int64(10*step+10) {
				t.Fatalf("step %d: %v, %s of %d records beside %s", step, errs[i], m.ID, m.Size, made[0].ID)
			}
		}
	}
	var stored []Checkpoint
	if err := c.in(c.ctx, c.tenant, func(ctx context.Context) (err error) {
		stored, err = c.store.checkpoints(ctx, 0, 100)
		return err
	}); err != nil || len(stored) != steps {
		t.Errorf("%d checkpoints of %d steps: %v", len(stored), steps, err)
	}
}

// TestHealthIsOfAllNodes damages the key at one node, which then signs nothing
// because another does: it finds out by itself that it could.
func TestHealthIsOfAllNodes(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	other := New(c.Config)
	c.record(t, 3)
	c.checkpoint(t)
	path := filepath.Join(c.Dir, "keys", "audit.ed25519")
	seed, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, seed[:7], 0o600); err != nil {
		t.Fatal(err)
	}
	c.record(t, 3)
	if _, err := c.Checkpoint(c.ctx, c.tenant); err == nil {
		t.Fatal("signed with a damaged key")
	}
	if err := os.WriteFile(path, seed, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Checkpoint(c.ctx, c.tenant); err != nil {
		t.Fatal(err)
	}
	if c.Checkpoints().Ready(c.ctx) == nil {
		t.Error("a key that failed is tried again at once")
	}
	c.signing.tried = time.Now().Add(-2 * tryAgain)
	if err := c.Checkpoints().Ready(c.ctx); err != nil {
		t.Error(err)
	}
}

// TestABrokenChainHeals restores what one node found missing.
func TestABrokenChainHeals(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	c.record(t, 3)
	c.checkpoint(t)
	c.superuser(t, "create table kept as select * from audit_entry where sequence = 3",
		"create table kept_record as select r.* from audit_record r join kept on r.id = kept.record_id",
		"delete from audit_entry where sequence = 3", "delete from audit_record where id in (select id from kept_record)")
	if _, err := c.Checkpoint(c.ctx, c.tenant); err == nil || c.Checkpoints().Ready(c.ctx) == nil {
		t.Fatalf("signed without its end: %v", err)
	}
	c.superuser(t, "insert into audit_record select * from kept_record", "insert into audit_entry select * from kept")
	c.signing.tried = time.Now().Add(-2 * tryAgain)
	if err := c.Checkpoints().Ready(c.ctx); err != nil {
		t.Error(err)
	}
}
