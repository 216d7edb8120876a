package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit/ledger"
	"nimbus/appliance/db"
	"nimbus/appliance/id"
)

func (c *chain) verified(t testing.TB, o VerifyOptions) Verification {
	t.Helper()
	v, err := c.verifyWith(c.ctx, c.tenant, o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// fillTiles stores the full tiles that are not stored yet.
func (c *chain) fillTiles(t testing.TB) {
	t.Helper()
	err := c.DB.Tenant(c.ctx, c.tenant, func(ctx context.Context) error {
		last, err := c.store.lastSequence(ctx)
		if err != nil {
			return err
		}
		nodes := c.treeOf(ctx)
		for level := uint(0); last>>(8*(level+1)) > 0; level++ {
			for number := range last >> (8 * (level + 1)) {
				var hashes []byte
				for i := range uint64(ledger.TileWidth) {
					h, err := nodes.Node(8*level, uint64(number)*ledger.TileWidth+i)
					if err != nil {
						return err
					}
					hashes = append(hashes, h[:]...)
				}
				if _, err := db.Tx(ctx).Exec(ctx, `insert into audit_tile (level, number, hashes) values ($1, $2, $3) on conflict do nothing`, int16(level), number, hashes); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// wantBreakAt demands a break of that kind at that sequence number.
func wantBreakAt(t *testing.T, v Verification, sequence int64, kind string) {
	t.Helper()
	if !slices.ContainsFunc(v.Breaks, func(b Break) bool { return b.Sequence == sequence && b.Kind == kind }) {
		t.Errorf("no break %s at %d in %+v", kind, sequence, v.Breaks)
	}
}

// TestVerifyHolds verifies a chain with tiles and checkpoints, and the empty one.
func TestVerifyHolds(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	if v := c.verified(t, VerifyOptions{}); !v.OK() || v.Checked != 0 {
		t.Errorf("%+v", v)
	}
	c.record(t, 700)
	c.checkpoint(t)
	c.record(t, 70)
	last := c.checkpoint(t)
	c.fillTiles(t)
	c.record(t, 5)
	v := c.verified(t, VerifyOptions{Published: []string{last.Note}})
	if !v.OK() || v.Checked != 775 || v.Last != 775 || v.Checkpoints != 4 || v.CheckpointsFailed != 0 {
		t.Errorf("%+v", v)
	}
}

// TestRobustness11 changes, deletes, reorders and repeats records at the
// beginning, in the middle and at the end: each is found and named.
func TestRobustness11(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	c.record(t, 600)
	c.fillTiles(t)
	c.checkpoint(t)
	of := func(n int64) string { return fmt.Sprintf("(select record_id from audit_entry where sequence = %d)", n) }
	for _, n := range []int64{1, 2, 256, 257, 300, 511, 512, 599, 600} {
		other := n%600 + 1
		for _, try := range []struct {
			name string
			sql  []string
			kind string
			at   int64
		}{
			{"a byte of the body", []string{"update audit_record set body = set_byte(body, 40, get_byte(body, 40) # 1) where id = " + of(n)}, BreakHash, n},
			{"a byte of the leaf", []string{fmt.Sprintf("update audit_entry set leaf = set_byte(leaf, 3, get_byte(leaf, 3) # 1) where sequence = %d", n)}, BreakHash, n},
			{"a byte of the link", []string{fmt.Sprintf("update audit_entry set link = set_byte(link, 3, get_byte(link, 3) # 1) where sequence = %d", n)}, BreakHash, n},
			{"a column", []string{fmt.Sprintf("update audit_entry set actor_name = 'Eve' where sequence = %d", n)}, BreakIndex, n},
			{"for whom, with its id", []string{fmt.Sprintf("update audit_entry set behalf_id = '%s' where sequence = %d", c.tenant, n)}, BreakIndex, n},
			{"for whom, with its name", []string{fmt.Sprintf("update audit_entry set behalf_name = 'Eve' where sequence = %d", n)}, BreakIndex, n},
			{"a column of the record", []string{"update audit_record set event = 'x' where id = " + of(n)}, BreakIndex, n},
			{"the record deleted", []string{"delete from audit_record where id = " + of(n)}, BreakMissing, n},
			{"records swapped", []string{
				fmt.Sprintf("create temp table swap as select sequence, record_id from audit_entry where sequence in (%d, %d)", n, other),
				fmt.Sprintf("update audit_entry set record_id = gen_random_uuid() where sequence in (%d, %d)", n, other),
				fmt.Sprintf("update audit_entry e set record_id = s.record_id from swap s where e.sequence + s.sequence = %d and e.sequence in (%d, %d)", n+other, n, other),
			}, BreakHash, n},
		} {
			undo := c.saved(t)
			c.superuser(t, try.sql...)
			v := c.verified(t, VerifyOptions{})
			if len(v.Breaks) == 0 || v.Breaks[0].Sequence > try.at {
				t.Errorf("%s of %d: the first break is %+v", try.name, n, v.Breaks)
			} else {
				wantBreakAt(t, v, try.at, try.kind)
			}
			undo()
		}
		undo := c.saved(t)
		c.superuser(t, "delete from audit_record where id = "+of(n), fmt.Sprintf("delete from audit_entry where sequence = %d", n))
		v := c.verified(t, VerifyOptions{})
		kind := BreakMissing // its leaf is in a tile
		switch {
		case n == 600:
			kind = BreakTruncated
		case n > 512:
			kind = BreakGap
		}
		wantBreakAt(t, v, n, kind)
		undo()
		c.superuser(t, "alter table audit_entry drop constraint audit_entry_pkey, drop constraint audit_entry_record_id_key",
			fmt.Sprintf("insert into audit_entry select * from audit_entry where sequence = %d", n))
		wantBreakAt(t, c.verified(t, VerifyOptions{}), n, BreakOrder)
		undo()
	}
	if v := c.verified(t, VerifyOptions{}); !v.OK() {
		t.Errorf("after everything was put back: %+v", v.Breaks)
	}
}

// saved copies the tables and returns what puts them back.
func (c *chain) saved(t testing.TB) func() {
	t.Helper()
	tables := []string{"audit_record", "audit_entry", "audit_tile", "audit_checkpoint"}
	var copies, back []string
	for _, table := range tables {
		copies = append(copies, "drop table if exists public.saved_"+table, "create table public.saved_"+table+" as table "+table)
		back = append(back, "delete from "+table, "insert into "+table+" select * from public.saved_"+table)
	}
	back = append(back, `do $$ begin if not exists (select from pg_constraint where conname = 'audit_entry_pkey' and conrelid = 'audit_entry'::regclass) then
		alter table audit_entry add primary key (sequence); alter table audit_entry add unique (record_id); end if; end $$`)
	c.superuser(t, copies...)
	return func() { c.superuser(t, back...) }
}

// TestAllBreaksOfAChainAreTold has several at once.
func TestAllBreaksOfAChainAreTold(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	c.record(t, 900)
	c.fillTiles(t)
	c.checkpoint(t)
	c.superuser(t,
		"update audit_record set body = body || ' ' where id = (select record_id from audit_entry where sequence = 10)",
		"delete from audit_record where id in (select record_id from audit_entry where sequence between 20 and 29)",
		"delete from audit_entry where sequence between 25 and 29",
		"update audit_entry set target_id = 'x' where sequence = 400",
		"update audit_tile set hashes = set_byte(hashes, 32 * 7, get_byte(hashes, 32 * 7) # 1) where level = 0 and number = 1",
		"update audit_entry set link = leaf where sequence = 880",
		"update audit_checkpoint set root = note::bytea")
	v := c.verified(t, VerifyOptions{})
	want := []Break{{10, BreakHash, ""}, {20, BreakMissing, ""}, {264, BreakTile, ""}, {400, BreakIndex, ""}, {880, BreakHash, ""}, {881, BreakHash, ""}, {900, BreakCheckpoint, ""}}
	for _, w := range want {
		wantBreakAt(t, v, w.Sequence, w.Kind)
	}
	if len(v.Breaks) != len(want) {
		t.Errorf("%d breaks: %+v", len(v.Breaks), v.Breaks)
	}
}

// TestRobustness12 cuts the tail, with its checkpoints too: the signed head
// outside the database tells.
func TestRobustness12(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	c.record(t, 400)
	c.fillTiles(t)
	published := c.checkpoint(t).Note
	cut := []string{"delete from audit_entry where sequence > 320", "delete from audit_record r where not exists (select from audit_entry e where e.record_id = r.id)", "delete from audit_tile where number > 0"}
	c.superuser(t, cut...)
	wantBreakAt(t, c.verified(t, VerifyOptions{}), 321, BreakTruncated)
	c.superuser(t, "delete from audit_checkpoint")
	wantBreakAt(t, c.verified(t, VerifyOptions{}), 321, BreakTruncated)
	if err := os.Remove(c.anchorPath(c.tenant.String())); err != nil {
		t.Fatal(err)
	}
	if v := c.verified(t, VerifyOptions{}); !v.OK() {
		t.Errorf("without any signed head a cut tail cannot be seen, and yet: %+v", v.Breaks)
	}
	wantBreakAt(t, c.verified(t, VerifyOptions{Published: []string{published}}), 321, BreakTruncated)
}

// TestRobustness13 has the superuser rewrite the whole chain consistently, tiles
// and checkpoints included, remove the copy beside the database, and the appliance
// sign the forgery later: an export and a checkpoint that was published before tell.
func TestRobustness13(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	c.record(t, 300)
	c.fillTiles(t)
	published := c.checkpoint(t)
	c.rewrite(t, "Thing", "Prop")
	v := c.verified(t, VerifyOptions{})
	wantBreakAt(t, v, 300, BreakCheckpoint)
	if _, err := c.Checkpoint(c.ctx, c.tenant); err == nil {
		t.Fatal("a rewritten chain was signed")
	}
	c.superuser(t, "delete from audit_checkpoint")
	if _, err := c.Checkpoint(c.ctx, c.tenant); err == nil {
		t.Fatal("a rewritten chain was signed although the copy outside the database contradicts")
	}
	if err := os.Remove(c.anchorPath(c.tenant.String())); err != nil {
		t.Fatal(err)
	}
	c.rewrite(t, "Thing", "Prop") // the refusals are in it now
	if _, r := c.export(t, StreamOptions{}); !r.OK() {
		t.Fatalf("the forgery is not consistent: %+v", r.Breaks)
	}
	_, r := c.export(t, StreamOptions{}, published.Note)
	if len(r.Breaks) != 1 || r.Breaks[0].Kind != ledger.BreakCheckpoint || r.Breaks[0].Sequence != 300 {
		t.Errorf("the published checkpoint does not tell: %+v", r.Breaks)
	}
	_, r = c.export(t, StreamOptions{From: 299, To: 299}, published.Note)
	if len(r.Breaks) != 1 || r.Breaks[0].Kind != ledger.BreakCheckpoint {
		t.Errorf("the published checkpoint does not tell in a range: %+v", r.Breaks)
	}
}

// rewrite replaces a word in every body and computes everything anew.
func (c *chain) rewrite(t testing.TB, from, to string) {
	t.Helper()
	if err := c.seal(c.ctx, c.tenant); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(c.ctx, c.dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	c.superuser(t, "delete from audit_tile",
		fmt.Sprintf("update audit_record set body = convert_to(replace(convert_from(body, 'UTF8'), '%s', '%s'), 'UTF8')", from, to),
		fmt.Sprintf("update audit_entry set target_name = replace(target_name, '%s', '%s')", from, to))
	schema := pgx.Identifier{db.TenantSchema(c.tenant)}.Sanitize()
	rows, _ := conn.Query(c.ctx, "select e.sequence, r.body from "+schema+".audit_entry e join "+schema+".audit_record r on r.id = e.record_id order by e.sequence")
	type one struct {
		N    int64
		Body []byte
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[one])
	if err != nil {
		t.Fatal(err)
	}
	link := ledger.Genesis(c.tenant.String())
	for _, r := range all {
		leaf := ledger.Leaf(r.Body)
		link = ledger.Link(link, r.N, leaf)
		if _, err := conn.Exec(c.ctx, "update "+schema+".audit_entry set leaf = $1, link = $2 where sequence = $3", leaf[:], link[:], r.N); err != nil {
			t.Fatal(err)
		}
	}
	c.fillTiles(t)
}

// prune deletes records as retention does, with or without saying so.
func (c *chain) prune(t testing.TB, say bool, ranges ...[2]int64) {
	t.Helper()
	for _, r := range ranges {
		c.superuser(t, fmt.Sprintf("delete from audit_record where id in (select record_id from audit_entry where sequence between %d and %d)", r[0], r[1]),
			fmt.Sprintf("delete from audit_entry where sequence between %d and %d", r[0], r[1]))
	}
	if !say {
		return
	}
	seg := id.New().String()
	c.superuser(t, fmt.Sprintf("insert into audit_segment (id, first, last, bytes, plain, key, sha256, target_id) values ('%s', 1, 1024, 1, 1, 'x', 'x', '%s')", seg, seg))
	if err := c.RecordAlone(c.ctx, c.tenant, Entry{Event: PrunedEvent, Target: Target{Kind: "chain"}, Details: map[string]any{"ranges": ranges, "segment": seg, "sha256": "x"}}); err != nil {
		t.Fatal(err)
	}
}

// TestRetentionDoesNotBreakTheProof prunes with a legal hold in the middle. What no
// chained record tells of is a break, wherever it is.
func TestRetentionDoesNotBreakTheProof(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	c.record(t, 1100)
	c.fillTiles(t)
	c.checkpoint(t)
	c.prune(t, true, [2]int64{1, 100}, [2]int64{121, 700}, [2]int64{702, 768})
	c.record(t, 10)
	last := c.checkpoint(t)
	if v := c.verified(t, VerifyOptions{}); !v.OK() || v.Checked != 1100-100-580-67+11 || v.First != 101 || v.Checkpoints != 3 {
		t.Errorf("%+v", v)
	}
	text, r := c.export(t, StreamOptions{}, last.Note)
	if !r.OK() || r.Skipped != 100+580+67 || !bytes.Contains([]byte(text), []byte(ledger.Pruned)) {
		t.Errorf("%d skipped, %+v", r.Skipped, r.Breaks)
	}
	c.prune(t, false, [2]int64{101, 103}, [2]int64{701, 701})
	v := c.verified(t, VerifyOptions{})
	wantBreakAt(t, v, 101, BreakMissing)
	wantBreakAt(t, v, 701, BreakMissing)
	if len(v.Breaks) != 2 {
		t.Errorf("%+v", v.Breaks)
	}
}

// TestDeletedFirstRowsAreNotRetention deletes the first rows, and pretends in a
// record before them, or by a column only, that they were pruned.
func TestDeletedFirstRowsAreNotRetention(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	early := Entry{Event: PrunedEvent, Target: Target{Kind: "chain"}, Details: map[string]any{"ranges": [][2]int64{{1, 600}}}}
	if err := c.RecordAlone(c.ctx, c.tenant, early); err != nil {
		t.Fatal(err)
	}
	c.record(t, 600)
	c.fillTiles(t)
	c.prune(t, false, [2]int64{2, 50})
	c.superuser(t, fmt.Sprintf("update audit_entry set event = '%s' where sequence = 590", PrunedEvent))
	v := c.verified(t, VerifyOptions{})
	wantBreakAt(t, v, 2, BreakMissing)
	wantBreakAt(t, v, 590, BreakIndex)
	// With the tiles gone too there are no leaves.
	c.superuser(t, "delete from audit_tile")
	wantBreakAt(t, c.verified(t, VerifyOptions{}), 2, BreakGap)
}

// TestVerificationResumes interrupts a verification after each save.
func TestVerificationResumes(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	c.bulk(t, 3*verifyBatch+100)
	c.checkpoint(t)
	c.superuser(t, "update audit_entry set actor_name = 'Eve' where sequence in (7, 9000, 20000)")
	want := c.verified(t, VerifyOptions{})
	var walk *Walk
	runs := 0
	for {
		var kept []byte
		stop := fmt.Errorf("stopped")
		v, err := c.verifyNow(t, walk, func(w *Walk) error {
			kept, _ = json.Marshal(w)
			return stop
		})
		runs++
		if err == nil {
			if runs < 3 || v.Checked != want.Checked || v.Head != want.Head || v.Root != want.Root || v.Checkpoints != want.Checkpoints || !slices.Equal(v.Breaks, want.Breaks) {
				t.Errorf("after %d runs %+v, in one %+v", runs, v, want)
			}
			return
		}
		walk = &Walk{}
		if err := json.Unmarshal(kept, walk); err != nil {
			t.Fatal(err)
		}
	}
}

// verifyNow verifies with a save after each stretch.
func (c *chain) verifyNow(t testing.TB, from *Walk, save func(*Walk) error) (Verification, error) {
	t.Helper()
	v, err := c.newVerifier(c.ctx, c.tenant, VerifyOptions{Resume: from, Save: save})
	if err != nil {
		t.Fatal(err)
	}
	v.every = 1
	if err := v.run(c.ctx); err != nil {
		return Verification{}, err
	}
	err = c.in(c.ctx, c.tenant, v.finish)
	return v.Verification(), err
}

// bulk writes many records quickly, past the service.
func (c *chain) bulk(t testing.TB, n int) {
	t.Helper()
	const at = 5000
	for done := 0; done < n; {
		some := min(at, n-done)
		ids, events, bodies := make([]string, some), make([]string, some), make([][]byte, some)
		for i := range some {
			r, err := build(actor.Actor{Kind: actor.User, ID: id.New(), Name: "Ada Lovelace", TenantID: c.tenant, Address: "192.0.2.17", RequestID: id.New().String()}, c.tenant,
				Entry{Event: "identity.session.created", Target: Target{Kind: "session", ID: id.New().String(), Name: "Firefox on Linux"}, Details: map[string]any{"method": "password", "n": i}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			ids[i], events[i] = r.ID.String(), r.Event
			if bodies[i], err = json.Marshal(r); err != nil {
				t.Fatal(err)
			}
		}
		err := c.DB.Tenant(c.ctx, c.tenant, func(ctx context.Context) error {
			_, err := db.Tx(ctx).Exec(ctx, `insert into audit_record (id, event, body) select * from unnest($1::uuid[], $2::text[], $3::bytea[])`, ids, events, bodies)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		done += some
	}
	if err := c.seal(c.ctx, c.tenant); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkVerifyDatabase verifies a chain out of Postgres.
func BenchmarkVerifyDatabase(b *testing.B) {
	const records = 300_000
	c := newChain(b)
	c.bulk(b, records)
	c.fillTiles(b)
	c.checkpoint(b)
	c.superuser(b, "vacuum analyze audit_record", "vacuum analyze audit_entry")
	for b.Loop() {
		if v := c.verified(b, VerifyOptions{}); !v.OK() || v.Checked != records {
			b.Fatalf("%+v", v)
		}
	}
	b.ReportMetric(float64(records)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}
