package audit

import (
	"bytes"
	"context"
	"encoding/json"

	"nimbus/appliance/audit/ledger"
)

// step writes the next records: from the archive where some of them are there
// only, and from the database up to there.
func (st *streamer) step(ctx context.Context) error {
	if !st.WithArchive {
		return st.in(ctx, st.Tenant, func(ctx context.Context) error { return st.batch(ctx, st.To) })
	}
	var seg archived
	elsewhere := false
	err := st.in(ctx, st.Tenant, func(ctx context.Context) error {
		if err := snapshot(ctx); err != nil { // what is pruned meanwhile must not be missed here and there
			return err
		}
		var found bool
		var err error
		if seg, found, err = st.store.prunedSegment(ctx, st.out.Next()); err != nil {
			return err
		}
		to := st.To
		if found {
			to = min(to, seg.First-1)
		}
		if elsewhere = to < st.out.Next(); elsewhere {
			return nil
		}
		return st.batch(ctx, to)
	})
	if err != nil || !elsewhere {
		return err
	}
	return st.fromArchive(ctx, seg)
}

// fromArchive writes the rest of a segment's range as the segment has it. That
// it is what the chain had shows by the root, without which no stream is closed.
func (st *streamer) fromArchive(ctx context.Context, seg archived) error {
	seg.Tenant = st.Tenant
	store, err := st.openArchive(ctx, seg.Tenant, seg.place)
	if err != nil {
		return err
	}
	var found []Sealed
	bytesFound := 0
	write := func(upTo int64) error {
		return st.in(ctx, st.Tenant, func(ctx context.Context) error {
			nodes := st.treeOf(ctx)
			for _, r := range found {
				if err := st.record(nodes, r, ledger.Filtered); err != nil {
					return err
				}
			}
			found, bytesFound = found[:0], 0
			return st.skip(nodes, upTo, ledger.Filtered)
		})
	}
	first, last := st.out.Next(), min(seg.Last, st.To)
	err = st.VerifySegment(ctx, store, seg.Segment, func(n int64, body []byte) error {
		if n < first || n > last || !st.matches(body) {
			return nil
		}
		leaf := ledger.Leaf(body)
		found = append(found, Sealed{Sequence: n, Body: bytes.Clone(body), Leaf: leaf[:]})
		if bytesFound += len(body); len(found) < streamBatch && bytesFound < streamBytes {
			return nil
		}
		return write(n)
	})
	if err != nil {
		return err
	}
	return write(last)
}

func (st *streamer) matches(body []byte) bool {
	if st.Match == nil {
		return true
	}
	var r Record
	return json.Unmarshal(body, &r) == nil && st.Match(r, body)
}
