package audit

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit/ledger"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// TestArchiveOfAnotherStays: what another appliance wrote to the same place, or
// this one before an older backup was restored, is not removed. Its records may
// be nowhere else.
func TestArchiveOfAnotherStays(t *testing.T) {
	t.Parallel()
	c, _ := newLife(t)
	c.old(t, 300, 400)
	store, target := c.place(t)
	theirs := segmentKey(Segment{ID: id.New(), Tenant: c.tenant, First: 1, Last: 256})
	if _, err := store.Put(c.ctx, theirs, strings.NewReader("theirs")); err != nil {
		t.Fatal(err)
	}
	for _, path := range c.objects(t) {
		if err := os.Chtimes(path, time.Now(), time.Now().Add(-2*strayAge)); err != nil {
			t.Fatal(err)
		}
	}
	if more, err := c.archiveNext(c.ctx, c.tenant, target, store); err != nil || !more {
		t.Fatal(more, err)
	}
	if _, err := store.Stat(c.ctx, theirs); err != nil {
		t.Errorf("a segment that somebody else wrote: %v", err)
	}
}

// TestObjectOfAnotherRootStays: a chain that was rewritten and signed again at
// the same size does not replace the object that shows it.
func TestObjectOfAnotherRootStays(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	dir := t.TempDir()
	p := Place{ID: id.New(), Kind: PlaceObject, Enabled: true, Path: dir}
	one := Checkpoint{Size: 7, Root: Hash{1}, Fingerprint: strings.Repeat("a", 64), Note: "one"}
	other := one
	other.Root, other.Note = Hash{2}, "other"
	for _, made := range []Checkpoint{one, other, other} {
		if err := c.storeNote(c.ctx, id.ID{}, made, p); err != nil {
			t.Fatal(err)
		}
	}
	stored, err := filepath.Glob(dir + "/checkpoints/provider/*")
	if err != nil || len(stored) != 2 {
		t.Errorf("%v %v", stored, err)
	}
}

// TestVerifyTellsWhatATileLacks: a record that is taken away before its tile is
// full is named, and the chain goes on.
func TestVerifyTellsWhatATileLacks(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	c.record(t, 100)
	c.superuser(t, "delete from audit_record where id = (select record_id from audit_entry where sequence = 50)",
		"delete from audit_entry where sequence = 50")
	c.record(t, 700)
	v := c.verified(t, VerifyOptions{})
	wantBreakAt(t, v, 50, BreakGap)
	if v.Last != 800 {
		t.Errorf("%+v", v)
	}
	if _, err := c.Checkpoint(c.ctx, c.tenant); !fault.Is(err, fault.Conflict) {
		t.Errorf("it is signed: %v", err)
	}
}

// TestVerifyTellsATileThatWasCut names a tile that is shorter than it was.
func TestVerifyTellsATileThatWasCut(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	c.record(t, 600)
	c.superuser(t, "update audit_tile set hashes = substr(hashes, 1, 100) where level = 0 and number = 1")
	wantBreakAt(t, c.verified(t, VerifyOptions{}), 260, BreakTile)
	if _, err := c.Checkpoint(c.ctx, c.tenant); !fault.Is(err, fault.Conflict) {
		t.Errorf("it is signed: %v", err)
	}
}

// TestVerifyKeepsSomeBreaks: who changes every record does not have the
// verification run out of memory.
func TestVerifyKeepsSomeBreaks(t *testing.T) {
	t.Parallel()
	w := newWalk("provider")
	for n := range int64(mostBreaks + 5) {
		w.add(n+1, BreakHash, "it was changed")
	}
	v := (&verifier{Walk: w, tree: &ledger.Tree{}}).Verification()
	last := v.Breaks[len(v.Breaks)-1]
	if len(v.Breaks) != mostBreaks+1 || last.Kind != BreakMore || !strings.Contains(last.Detail, "5 more") || verified(v).Details["breaks"] != int64(mostBreaks+5) {
		t.Errorf("%d breaks, the last one %+v, recorded %v", len(v.Breaks), last, verified(v).Details)
	}
}

// TestResumeComparesWhatIsGiven: a verification that was interrupted is begun
// again when it goes on with other published checkpoints.
func TestResumeComparesWhatIsGiven(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	c.record(t, 10)
	published := c.checkpoint(t)
	c.record(t, 10)
	c.superuser(t, "delete from audit_checkpoint")
	if err := os.Remove(c.anchorPath(c.tenant.String())); err != nil {
		t.Fatal(err)
	}
	c.rewrite(t, `"n":5`, `"n":6`)
	var kept *Walk
	v, err := c.newVerifier(c.ctx, c.tenant, VerifyOptions{})
	if err == nil {
		err = v.toEnd(c.ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	v.close()
	text, err := json.Marshal(v.Walk)
	if err == nil {
		err = json.Unmarshal(text, &kept)
	}
	if err != nil || len(kept.Breaks) != 0 {
		t.Fatalf("%v %+v", err, kept)
	}
	wantBreakAt(t, c.verified(t, VerifyOptions{Resume: kept, Published: []string{published.Note}}), 10, BreakCheckpoint)
}

// TestAnchorDoesNotGoBack: of two signatures at once the later head is kept.
func TestAnchorDoesNotGoBack(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	c.record(t, 3)
	before := c.checkpoint(t)
	c.record(t, 3)
	after := c.checkpoint(t)
	if err := c.setAnchor(c.tenant.String(), before.Note); err != nil {
		t.Fatal(err)
	}
	if note, err := c.anchor(c.tenant.String()); err != nil || note != after.Note {
		t.Errorf("%q %v", note, err)
	}
}

// TestRecordsThatCannotBeReadBack: whatever somebody hands over, the chain is
// sealed and later records are found by their words.
func TestRecordsThatCannotBeReadBack(t *testing.T) {
	t.Parallel()
	for name, raw := range map[string]string{
		"deep":        strings.Repeat("[", 9_999) + strings.Repeat("]", 9_999),
		"deep object": strings.Repeat(`{"a":`, 5_000) + "1" + strings.Repeat("}", 5_000),
		"large":       "1e400000",
		"small":       "1e-400000",
		"long":        strings.Repeat("1", 100_000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, ctx := shelf(t)
			a, _ := actor.From(ctx)
			for _, details := range []map[string]any{{"x": json.RawMessage(raw)}, {"y": "needle"}} {
				if err := s.RecordAlone(ctx, a.TenantID, Entry{Event: "test.thing.done", Target: Target{Kind: "thing"}, Details: details}); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.seal(ctx, a.TenantID); err != nil {
				t.Fatal(err)
			}
			s.indexAll(ctx, a.TenantID)
			if found, err := s.List(ctx, Filter{Text: "needle"}); err != nil || len(found) != 1 {
				t.Errorf("%d found, %v", len(found), err)
			}
		})
	}
}

// TestLargeRecordsAreNotKept: records of the largest size are hashed while they
// are read, and what is wrong with one is found all the same.
func TestLargeRecordsAreNotKept(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	text := strings.Repeat("large ", 600)
	texts := make([]string, 30)
	for i := range texts {
		texts[i] = text
	}
	for range 40 {
		if err := c.RecordAlone(c.ctx, c.tenant, Entry{Event: "test.thing.done", Target: Target{Kind: "thing", Name: text}, Details: map[string]any{"texts": texts}}); err != nil {
			t.Fatal(err)
		}
	}
	if v := c.verified(t, VerifyOptions{}); !v.OK() || v.Checked != 40 {
		t.Fatalf("%+v", v)
	}
	st := &stretch{first: 1, last: 40}
	err := c.DB.Tenant(c.ctx, c.tenant, func(ctx context.Context) error { return c.store.entries(ctx, 1, 40, st.add) })
	if err != nil || len(st.rows) != 40 || len(st.bytes) > 40*largeRow {
		t.Errorf("%d bytes of %d records are kept, %v", len(st.bytes), len(st.rows), err)
	}
	c.superuser(t, "update audit_record set body = set_byte(body, 40000, get_byte(body, 40000) # 1) where id = (select record_id from audit_entry where sequence = 7)",
		"update audit_entry set target_name = 'Eve' where sequence = 9")
	v := c.verified(t, VerifyOptions{})
	wantBreakAt(t, v, 7, BreakHash)
	wantBreakAt(t, v, 9, BreakIndex)
}

// TestPortionsFitTheMemory: large records are read a few at a time, and none is
// left out for it.
func TestPortionsFitTheMemory(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	c.record(t, 20)
	err := c.DB.Tenant(c.ctx, c.tenant, func(ctx context.Context) error {
		var got []int64
		for after, most := int64(0), 1; after < 20; most += 400 {
			found, upTo, err := c.store.portion(ctx, after+1, 20, 8, most)
			if err != nil || len(found) == 0 || len(found) > 8 || upTo < found[len(found)-1].Sequence {
				t.Fatalf("after %d: %d found up to %d, %v", after, len(found), upTo, err)
			}
			bytes := 0
			for _, r := range found {
				got, bytes = append(got, r.Sequence), bytes+len(r.Body)
			}
			if len(found) > 1 && bytes > most {
				t.Errorf("%d records have %d bytes, not %d", len(found), bytes, most)
			}
			after = upTo
		}
		if len(got) != 20 {
			t.Errorf("read are %v", got)
		}
		found, upTo, err := c.store.portion(ctx, 21, 30, 8, 1)
		if len(found) != 0 || upTo != 30 {
			t.Errorf("of nothing %d are found up to %d", len(found), upTo)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
