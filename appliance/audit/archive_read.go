package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"time"

	"nimbus/appliance/audit/ledger"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// ArchivedSegment is a segment as people see it.
type ArchivedSegment struct {
	ID         id.ID      `json:"id"`
	First      int64      `json:"first"`
	Last       int64      `json:"last"`
	Records    int64      `json:"records"`
	Bytes      int64      `json:"bytes"`
	SHA256     string     `json:"sha256" doc:"Of the object, in hexadecimal."`
	Key        string     `json:"key"`
	Place      string     `json:"place"`
	State      string     `json:"state" enum:"written,verified,damaged,pruned"`
	Error      string     `json:"error" doc:"Why it did not hold the last time it was read back."`
	Pruned     int64      `json:"pruned" doc:"How many of its records are in the archive only."`
	CreatedAt  time.Time  `json:"created_at"`
	VerifiedAt *time.Time `json:"verified_at"`
	PrunedAt   *time.Time `json:"pruned_at"`
}

func (a archived) shown() ArchivedSegment {
	seg := ArchivedSegment{ID: a.ID, First: a.First, Last: a.Last, Records: a.Last - a.First + 1, Bytes: a.Bytes, SHA256: a.SHA256, Key: a.Key, Place: a.place.name(),
		State: "written", Error: a.Error, Pruned: a.Pruned, CreatedAt: a.CreatedAt, VerifiedAt: a.VerifiedAt, PrunedAt: a.PrunedAt}
	switch {
	case a.Error != "":
		seg.State = "damaged"
	case a.Pruned > 0:
		seg.State = "pruned"
	case a.VerifiedAt != nil:
		seg.State = "verified"
	}
	return seg
}

// Segments lists the archive of the actor's tenant, the newest first: those
// that begin before a sequence number when it is not 0.
func (s *Service) Segments(ctx context.Context, before int64, limit int) ([]ArchivedSegment, error) {
	a, err := s.authorise(ctx, ReadArchive)
	if err != nil {
		return nil, err
	}
	all := []ArchivedSegment{}
	err = s.in(ctx, a.TenantID, func(ctx context.Context) error {
		found, err := s.store.segments(ctx, before, limit)
		for _, one := range found {
			all = append(all, one.shown())
		}
		return err
	})
	return all, err
}

// segmentToRead finds a segment for somebody who may read what is in it, and
// records that they do.
func (s *Service) segmentToRead(ctx context.Context, segment id.ID, e Entry) (seg archived, err error) {
	a, err := s.authorise(ctx, ReadArchive)
	if err == nil {
		err = s.Check(ctx, ReadPermission)
	}
	if err != nil {
		return seg, err
	}
	err = s.in(ctx, a.TenantID, func(ctx context.Context) error {
		if seg, err = s.store.segment(ctx, segment); err != nil {
			return err
		}
		e.Target = seg.target()
		return s.Record(ctx, e)
	})
	seg.Tenant = s.chainOf(a.TenantID)
	return seg, err
}

// OpenSegment opens the object of a segment for its reader. It is recorded
// before the first byte. Its digest is not compared: nimbus-verify does.
func (s *Service) OpenSegment(ctx context.Context, segment id.ID) (ArchivedSegment, io.ReadCloser, error) {
	seg, err := s.segmentToRead(ctx, segment, Entry{Event: "audit.segment.downloaded", Priority: Warning})
	if err != nil {
		return ArchivedSegment{}, nil, err
	}
	store, err := s.openArchive(ctx, seg.Tenant, seg.place)
	if err != nil {
		return ArchivedSegment{}, nil, err
	}
	object, err := store.Get(ctx, seg.Key)
	if fault.Is(err, fault.NotFound) {
		err = fault.Wrap(fault.Gone, err, "The archive does not have %s any more. Bring it back from a copy.", seg.Key)
	}
	return seg.shown(), object, err
}

// SegmentRecords returns records of a segment that match, oldest first, after a
// sequence number. The whole segment is read and proved first; the fault is
// Conflict when it does not hold.
func (s *Service) SegmentRecords(ctx context.Context, segment id.ID, f Filter) ([]Sealed, error) {
	if err := f.validate(); err != nil {
		return nil, err
	}
	seg, err := s.segmentToRead(ctx, segment, Entry{Event: "audit.segment.searched", Details: map[string]any{"filter": f}})
	if err != nil {
		return nil, err
	}
	store, err := s.openArchive(ctx, seg.Tenant, seg.place)
	if err != nil {
		return nil, err
	}
	found, match := []Sealed{}, f.matcher()
	err = s.VerifySegment(ctx, store, seg.Segment, func(n int64, body []byte) error {
		if n <= f.After || len(found) == min(max(f.Limit, 1), 200) {
			return nil
		}
		r := Sealed{Sequence: n}
		if err := json.Unmarshal(body, &r.Record); err != nil || !match(r.Record, body) {
			return err
		}
		leaf := ledger.Leaf(body)
		r.Body, r.Leaf = bytes.Clone(body), leaf[:]
		found = append(found, r)
		return nil
	})
	return found, err
}
