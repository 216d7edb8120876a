package audit

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit/ledger"
	"nimbus/appliance/db"
	"nimbus/appliance/db/dbtest"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// chain is a service with one tenant, and the superuser beside it.
type chain struct {
	*Service
	ctx    context.Context
	tenant id.ID
	root   id.ID
	dsn    string
	signer atomic.Pointer[Signer]
}

func newChain(t testing.TB) *chain {
	t.Helper()
	d, history, dsn := dbtest.OpenDSN(t, Migrations)
	c := &chain{ctx: actor.AsSystem(t.Context(), "test", id.ID{}), tenant: id.New(), root: id.New(), dsn: dsn}
	dir := t.TempDir()
	c.use(NewFileSigner(filepath.Join(dir, "keys", "audit.ed25519")))
	c.Service = New(Config{
		DB: d, Logger: slog.New(slog.DiscardHandler), IsRoot: func(t id.ID) bool { return t == c.root }, Dir: dir,
		Check:  func(context.Context, string) error { return nil },
		Signer: func() Signer { return *c.signer.Load() },
	})
	if err := d.AddTenant(c.ctx, c.tenant, history); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *chain) use(s Signer) { c.signer.Store(&s) }

// user is a person of the tenant.
func (c *chain) user() context.Context {
	return actor.With(c.ctx, actor.Actor{Kind: actor.User, ID: id.New(), Name: "Ada", TenantID: c.tenant})
}

// record writes and seals n records, in transactions of a hundred.
func (c *chain) record(t testing.TB, n int) {
	t.Helper()
	for done := 0; done < n; {
		err := c.DB.Tenant(c.ctx, c.tenant, func(ctx context.Context) error {
			for range min(100, n-done) {
				done++
				e := Entry{Event: "test.thing.done", Target: Target{Kind: "thing", ID: fmt.Sprint(done), Name: "Thing \"" + fmt.Sprint(done) + "\""}, Details: map[string]any{"n": done}}
				if err := c.Record(ctx, e); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := c.seal(c.ctx, c.tenant); err != nil {
		t.Fatal(err)
	}
}

// superuser runs statements past every protection, in the tenant's schema.
func (c *chain) superuser(t testing.TB, statements ...string) {
	t.Helper()
	conn, err := pgx.Connect(c.ctx, c.dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for _, sql := range append([]string{"set search_path = " + db.TenantSchema(c.tenant)}, statements...) {
		if _, err := conn.Exec(c.ctx, sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

func (c *chain) checkpoint(t testing.TB) Checkpoint {
	t.Helper()
	made, err := c.Checkpoint(c.ctx, c.tenant)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func (c *chain) keys(t testing.TB) ledger.Keys {
	t.Helper()
	keys, err := c.trusted(c.ctx)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// export writes a stream and verifies it alone.
func (c *chain) export(t testing.TB, o StreamOptions, checkpoints ...string) (string, ledger.Report) {
	t.Helper()
	var out bytes.Buffer
	o.Tenant = c.tenant
	if _, err := c.WriteStream(c.ctx, &out, o); err != nil {
		t.Fatal(err)
	}
	r, err := ledger.VerifyStream(bytes.NewReader(out.Bytes()), c.keys(t), ledger.Options{Checkpoints: checkpoints})
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), r
}

// events are the codes of a chain's newest records.
func (c *chain) events(t testing.TB, tenant id.ID) string {
	t.Helper()
	var all []string
	if err := c.seal(c.ctx, tenant); err != nil {
		t.Fatal(err)
	}
	err := c.in(c.ctx, tenant, func(ctx context.Context) error {
		found, err := c.store.list(ctx, Filter{Limit: 50})
		for _, r := range found {
			all = append(all, r.Event)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, " ")
}

// TestCheckpointsAreSigned signs heads as the chain grows, each once.
func TestCheckpointsAreSigned(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	c.record(t, 300)
	first := c.checkpoint(t)
	if again := c.checkpoint(t); again.ID != first.ID || first.Size != 300 || first.KeyKind != "file" {
		t.Errorf("%+v, then %+v", first, again)
	}
	c.record(t, 700)
	second := c.checkpoint(t)
	for _, made := range []Checkpoint{first, second} {
		read, err := ledger.OpenCheckpoint(made.Note, c.keys(t))
		if err != nil || int64(read.Size) != made.Size || read.Root != made.Root {
			t.Errorf("%+v %v", read, err)
		}
		if !strings.HasPrefix(read.Origin, "nimbus/") || !strings.HasSuffix(read.Origin, "/"+c.tenant.String()) {
			t.Errorf("the origin is %q", read.Origin)
		}
	}
	err := c.DB.Tenant(c.ctx, c.tenant, func(ctx context.Context) error {
		proof, err := ledger.Consistency(c.treeOf(ctx), 300, 1000)
		if err != nil {
			return err
		}
		return ledger.VerifyConsistency(300, first.Root, 1000, second.Root, proof)
	})
	if err != nil {
		t.Error(err)
	}
	if anchor, err := c.anchor(c.tenant.String()); err != nil || anchor != second.Note {
		t.Errorf("beside the database is %q %v", anchor, err)
	}
	if got := c.events(t, id.ID{}); strings.Count(got, "audit.key.introduced") != 1 {
		t.Errorf("the provider's chain has %s", got)
	}
}

// TestStreamsOfAChain writes everything, a range and a selection.
func TestStreamsOfAChain(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	c.record(t, 130)
	early := c.checkpoint(t)
	c.record(t, 5000)
	odd := func(r Sealed) bool { return r.Sequence%2 == 1 }
	for name, try := range map[string]struct {
		o       StreamOptions
		records int64
	}{
		"everything":  {StreamOptions{}, 5130},
		"a range":     {StreamOptions{From: 100, To: 2500}, 2401},
		"a selection": {StreamOptions{Keep: odd, Filter: map[string]string{"event": "test"}}, 2565},
		"none":        {StreamOptions{Keep: func(Sealed) bool { return false }, Filter: "none"}, 0},
		"the last":    {StreamOptions{From: 5130}, 1},
		"leaves":      {StreamOptions{LeavesOnly: true}, 5130},
		"found": {StreamOptions{Next: func(ctx context.Context, after, last int64, limit int) ([]Sealed, int64, error) {
			all, err := c.store.stretch(ctx, after+1, last, limit)
			return all[:min(len(all), 1)], last, err
		}, Filter: "the first", From: 5000}, 1},
	} {
		_, r := c.export(t, try.o, early.Note)
		if !r.OK() || r.Records != try.records || r.Records+r.Skipped != 5130 || r.Compared != 1 {
			t.Errorf("%s: %d records, %d skipped, %d compared: %v", name, r.Records, r.Skipped, r.Compared, r.Breaks)
		}
	}
	if _, err := c.WriteStream(c.ctx, &bytes.Buffer{}, StreamOptions{Tenant: c.tenant, To: 6000}); !fault.Is(err, fault.Invalid) {
		t.Errorf("a range that is not there: %v", err)
	}
}

// TestContradictionsAreNotSigned cuts and changes the chain after a checkpoint: no
// new one is signed, which is recorded, and health is red.
func TestContradictionsAreNotSigned(t *testing.T) {
	t.Parallel()
	for name, sql := range map[string][]string{
		"cut":     {"delete from audit_entry where sequence > 150"},
		"changed": {"update audit_entry set leaf = sha256('x') where sequence = 77"},
		"both checkpoints cut": {"delete from audit_checkpoint", "delete from audit_entry where sequence > 150",
			"delete from audit_record r where not exists (select from audit_entry e where e.record_id = r.id)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newChain(t)
			c.record(t, 200)
			c.checkpoint(t)
			c.superuser(t, sql...)
			if name == "cut" {
				c.superuser(t, "delete from audit_record r where not exists (select from audit_entry e where e.record_id = r.id)")
			}
			for range 2 {
				if _, err := c.Checkpoint(c.ctx, c.tenant); !fault.Is(err, fault.Conflict) {
					t.Fatalf("a contradiction was signed: %v", err)
				}
			}
			if got := c.events(t, c.tenant); strings.Count(got, "audit.checkpoint.refused") != 1 {
				t.Errorf("recorded: %s", got)
			}
			if c.Checkpoints().Ready(c.ctx) == nil {
				t.Error("health is green")
			}
		})
	}
}

// TestKeyFilesAreKept refuses a damaged key, says so once and goes on when it is back.
func TestKeyFilesAreKept(t *testing.T) {
	t.Parallel()
	c := newChain(t)
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
	for range 2 {
		if _, err := c.Checkpoint(c.ctx, c.tenant); !fault.Is(err, fault.Unavailable) {
			t.Fatalf("signed with a damaged key: %v", err)
		}
	}
	if c.Checkpoints().Ready(c.ctx) == nil {
		t.Error("health is green")
	}
	if err := os.WriteFile(path, seed, 0o600); err != nil {
		t.Fatal(err)
	}
	if made := c.checkpoint(t); made.Size != 6 {
		t.Errorf("%+v", made)
	}
	if err := c.Checkpoints().Ready(c.ctx); err != nil {
		t.Error(err)
	}
	got := c.events(t, id.ID{})
	if strings.Count(got, "audit.signer.failed") != 1 || strings.Count(got, "audit.signer.recovered") != 1 {
		t.Errorf("recorded: %s", got)
	}
}
