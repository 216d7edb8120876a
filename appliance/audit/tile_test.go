package audit

import (
	"context"
	"log/slog"
	"testing"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit/ledger"
	"nimbus/appliance/db"
	"nimbus/appliance/db/dbtest"
	"nimbus/appliance/id"
)

// TestTilesHoldTheTree seals more records than a tile of level 1 spans, and
// compares the root over tiles with the one over all leaves, before and after
// the tiles of an old chain are made again.
func TestTilesHoldTheTree(t *testing.T) {
	t.Parallel()
	d, _, dsn := dbtest.OpenDSN(t, Migrations)
	s := New(Config{DB: d, Logger: slog.New(slog.DiscardHandler), IsRoot: func(id.ID) bool { return false }})
	ctx := actor.AsSystem(t.Context(), "test", id.ID{})
	const records = 256*256 + 300
	for n := 0; n < records; n += 4096 {
		recordMany(t, s, ctx, min(4096, records-n))
	}
	if err := s.seal(ctx, id.ID{}); err != nil {
		t.Fatal(err)
	}
	want := rootOfLeaves(t, s, ctx, records)
	check := func(when string) {
		t.Helper()
		err := d.Core(ctx, func(ctx context.Context) error {
			for level, n := range []int64{257, 1, 0} {
				if have, err := s.store.tileCount(ctx, level); err != nil || have != n {
					t.Errorf("%s: %d tiles of level %d, want %d (%v)", when, have, level, n, err)
				}
			}
			got, err := s.treeOf(ctx).root(records)
			if got != want {
				t.Errorf("%s: the root over tiles is %x, over leaves %x", when, got, want)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	check("sealed")
	dropTiles(t, dsn)
	older := New(s.Config)
	if err := older.seal(ctx, id.ID{}); err != nil {
		t.Fatal(err)
	}
	check("healed")
}

// recordMany writes records in one transaction.
func recordMany(t testing.TB, s *Service, ctx context.Context, n int) {
	t.Helper()
	lines := make([]line, n)
	for i := range lines {
		var err error
		if lines[i], err = s.prepare(ctx, id.ID{}, Entry{Event: "test.thing.done", Target: Target{Kind: "thing"}}); err != nil {
			t.Fatal(err)
		}
	}
	err := s.in(ctx, id.ID{}, func(ctx context.Context) error { return s.insert(ctx, id.ID{}, nil, lines...) })
	if err != nil {
		t.Fatal(err)
	}
}

func rootOfLeaves(t *testing.T, s *Service, ctx context.Context, n int64) Hash {
	t.Helper()
	var tree ledger.Tree
	err := s.in(ctx, id.ID{}, func(ctx context.Context) error {
		rows, err := db.Tx(ctx).Query(ctx, `select leaf from audit_entry order by sequence`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var leaf []byte
			if err := rows.Scan(&leaf); err != nil {
				return err
			}
			tree.Append(Hash(leaf))
		}
		return rows.Err()
	})
	if err != nil || int64(tree.Size()) != n {
		t.Fatalf("%d leaves, want %d (%v)", tree.Size(), n, err)
	}
	return tree.Root()
}
