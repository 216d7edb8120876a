package audit

import (
	"context"
	"errors"
	"slices"

	"nimbus/appliance/audit/ledger"
)

// readAnchor opens this machine's copy of the last checkpoint and the
// published ones that were given.
func (v *verifier) readAnchor() error {
	note, err := v.anchor(v.Chain)
	if err != nil {
		return err
	}
	if note != "" {
		v.publishedNote(note, "the copy outside the database", true)
	}
	for _, note := range v.options.Published {
		v.publishedNote(note, "a published checkpoint", false)
	}
	slices.SortStableFunc(v.published, func(a, b ledger.Checkpoint) int { return int(int64(a.Size) - int64(b.Size)) })
	for v.next < len(v.published) && int64(v.published[v.next].Size) <= v.Last && v.Last > 0 {
		v.next++ // compared before the verification was interrupted
	}
	return nil
}

func (v *verifier) publishedNote(note, what string, ours bool) {
	c, err := ledger.OpenCheckpoint(note, v.keys)
	switch {
	case err == nil && c.Origin == v.origin:
		v.published = append(v.published, c)
	case c.Origin != v.origin && !ours:
	case err != nil:
		v.add(int64(c.Size), BreakCheckpoint, "%s: %v", what, err)
		v.HeadsWrong++
	default:
		v.add(int64(c.Size), BreakCheckpoint, "%s is of another chain, %s", what, c.Origin)
		v.HeadsWrong++
	}
}

// compare compares the stored and published checkpoints of the present size.
func (v *verifier) compare(stored *[]Checkpoint) {
	for len(*stored) > 0 && (*stored)[0].Size <= v.Last {
		c := (*stored)[0]
		*stored = (*stored)[1:]
		v.Heads++
		if reason := v.judge(c); reason != "" {
			v.HeadsWrong++
			v.add(c.Size, BreakCheckpoint, "the checkpoint of %d records %s", c.Size, reason)
		}
	}
	for v.next < len(v.published) && int64(v.published[v.next].Size) <= v.Last {
		p := v.published[v.next]
		v.next++
		v.Heads++
		if !v.fits(int64(p.Size), p.Root) {
			v.HeadsWrong++
			v.add(int64(p.Size), BreakCheckpoint, "a checkpoint that was published of %d records does not fit: they were changed after it was signed", p.Size)
		}
	}
}

// judge says what is wrong with a stored checkpoint of the present size.
func (v *verifier) judge(c Checkpoint) string {
	read, err := ledger.OpenCheckpoint(c.Note, v.keys)
	switch {
	case errors.Is(err, ledger.ErrForeign):
		return "is signed by a key that is not trusted"
	case err != nil:
		return "does not hold: " + err.Error()
	case read.Origin != v.origin || int64(read.Size) != c.Size || read.Root != c.Root:
		return "does not say what is stored beside it"
	case v.Lost:
		return "cannot be compared, because records before it are missing"
	case !v.fits(c.Size, c.Root):
		return "does not fit: they were changed after it was signed"
	}
	return ""
}

// fits is true when the tree of that size, which is the present one, has the root.
func (v *verifier) fits(size int64, root Hash) bool {
	return !v.Lost && int64(v.tree.Size()) == size && v.tree.Root() == root
}

// beyond tells the signed heads of more records than there are, and when this
// machine's copy is not stored.
func (v *verifier) beyond(ctx context.Context) error {
	stored, err := v.store.checkpointsBetween(ctx, v.Last, 1<<62)
	if err != nil {
		return err
	}
	for _, c := range stored {
		if c.Size <= v.Total {
			continue // signed meanwhile
		}
		last, err := v.store.lastSequence(ctx)
		if err != nil {
			return err
		}
		if c.Size > last {
			v.truncated(c.Size)
		}
	}
	for ; v.next < len(v.published); v.next++ {
		if size := int64(v.published[v.next].Size); size > v.Total {
			v.truncated(size)
		}
	}
	return nil
}

func (v *verifier) truncated(size int64) {
	v.HeadsWrong++
	v.Heads++
	if !slices.ContainsFunc(v.Breaks, func(b Break) bool { return b.Kind == BreakTruncated }) {
		v.add(v.Last+1, BreakTruncated, "the chain ends at record %d, and a checkpoint of %d records was signed", v.Last, size)
	}
}
