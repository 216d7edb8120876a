package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
)

// PrunedEvent is the code of the record that tells of records whose retention
// was over. Its details have the ranges.
const PrunedEvent = "audit.records.pruned"

// prunedMark begins with a byte that is rare in records, unlike a quote: every
// record is searched for it.
var prunedMark = []byte(PrunedEvent[len("audit"):] + `"`)

// Range is a range of sequence numbers.
type Range struct{ From, To int64 }

// Pruning compares the records that are gone with what records of the chain say
// of them. Only what comes before a record is told by it; so whoever deletes
// records cannot have a record say it that was there before.
type Pruning struct {
	Gone []Range `json:"gone"` // records that are missing, their leaves are not
	Told []Range `json:"told"`
}

// Miss notes records that are gone, in ascending order.
func (p *Pruning) Miss(from, to int64) {
	if n := len(p.Gone); n > 0 && p.Gone[n-1].To == from-1 {
		p.Gone[n-1].To = to
		return
	}
	p.Gone = append(p.Gone, Range{from, to})
}

// MayTell is false of bodies that tell of nothing pruned, and quick.
func MayTell(body []byte) bool { return bytes.Contains(body, prunedMark) }

// Tell notes what the record of that sequence number says was pruned. It fails
// when that cannot be read.
func (p *Pruning) Tell(at int64, body []byte) error {
	var r struct {
		Event   string `json:"event"`
		Details struct {
			Ranges [][2]int64 `json:"ranges"`
		} `json:"details"`
	}
	if err := json.Unmarshal(body, &r); err != nil || r.Event != PrunedEvent {
		return err
	}
	for _, one := range r.Details.Ranges {
		if one[0] < 1 || one[1] < one[0] || one[1] >= at {
			return errors.New("it says that records were pruned which were not before it")
		}
		p.Told = append(p.Told, Range{one[0], one[1]})
	}
	return nil
}

// Unexplained are the records that are gone without a record that says so.
func (p *Pruning) Unexplained() []Range {
	told := joined(p.Told)
	var left []Range
	at := 0
	for _, gone := range p.Gone {
		for at < len(told) && told[at].To < gone.From {
			at++
		}
		for i := at; i < len(told) && told[i].From <= gone.To && gone.From <= gone.To; i++ {
			if told[i].From > gone.From {
				left = append(left, Range{gone.From, told[i].From - 1})
			}
			gone.From = told[i].To + 1
		}
		if gone.From <= gone.To {
			left = append(left, gone)
		}
	}
	return left
}

// joined are ranges in order, those that touch as one.
func joined(ranges []Range) []Range {
	ranges = slices.Clone(ranges)
	slices.SortFunc(ranges, func(a, b Range) int { return int(a.From - b.From) })
	var all []Range
	for _, r := range ranges {
		if n := len(all); n > 0 && r.From <= all[n-1].To+1 {
			all[n-1].To = max(all[n-1].To, r.To)
			continue
		}
		all = append(all, r)
	}
	return all
}
