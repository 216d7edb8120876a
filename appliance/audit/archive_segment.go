package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"nimbus/appliance/audit/ledger"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/objectstore"
)

// segmentTile is what segments are cut by: leaves of full tiles stay for ever,
// so that the chain can be computed when its records are in the archive only.
const segmentTile = 256

// Segment is a range of a chain in an archive: a signed stream of package
// ledger, compressed with zstd.
type Segment struct {
	ID          id.ID
	Tenant      id.ID
	First, Last int64
	Key         string // of the object
	SHA256      string // of the object, in hexadecimal
	Bytes       int64  // of the object
	Plain       int64  // bytes when decompressed
}

// segmentPrefix is how the keys begin of segments that begin with a record.
func segmentPrefix(tenant id.ID, first int64) string {
	return fmt.Sprintf("%s/%015d-", chainName(tenant), first)
}

// segmentKey is where a segment is in an archive. No two have the same, so that
// nobody who is late writes over one that is in use.
func segmentKey(seg Segment) string {
	return fmt.Sprintf("%s%015d-%s.jsonl.zst", segmentPrefix(seg.Tenant, seg.First), seg.Last, seg.ID)
}

// WriteSegment writes every record of a range to an archive and reads it back.
// It does not authorise. It returns fault.Invalid for a range that is not of
// whole tiles, fault.Conflict when a record of it is missing or changed or when
// what is read back does not hold, and what the archive and Checkpoint return.
func (s *Service) WriteSegment(ctx context.Context, to objectstore.Store, tenant id.ID, first, last int64) (Segment, error) {
	tenant = s.chainOf(tenant)
	if first < 1 || last < first || (first-1)%segmentTile != 0 || last%segmentTile != 0 {
		return Segment{}, fault.New(fault.Invalid, "A segment has whole tiles of %d records; %d to %d are not.", segmentTile, first, last)
	}
	seg := Segment{ID: id.New(), Tenant: tenant, First: first, Last: last}
	seg.Key = segmentKey(seg)
	if err := s.beginWriting(seg); err != nil {
		return Segment{}, err
	}
	out, in := io.Pipe()
	done := make(chan error, 1)
	go func() {
		plain, err := s.compress(ctx, in, seg)
		seg.Plain = plain
		in.CloseWithError(err)
		done <- err
	}()
	info, err := to.Put(ctx, seg.Key, out)
	out.CloseWithError(err) // ends the writer when the archive failed first
	if written := <-done; written != nil && !errors.Is(written, err) {
		return Segment{}, written
	}
	if err != nil {
		return Segment{}, err
	}
	seg.SHA256, seg.Bytes = info.SHA256, info.Size
	return seg, s.VerifySegment(ctx, to, seg, nil)
}

// compress writes the stream of a segment and returns its length. It fails
// when not every record is there, so that no archive lacks one unseen.
func (s *Service) compress(ctx context.Context, w io.Writer, seg Segment) (int64, error) {
	z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(4<<20))
	if err != nil {
		return 0, err
	}
	st, err := s.WriteStream(ctx, z, StreamOptions{Tenant: seg.Tenant, From: seg.First, To: seg.Last, Alone: true,
		Progress: func(at int64) { pulse(ctx, at) }})
	if want := seg.Last - seg.First + 1; err == nil && st.Records != want {
		err = fault.New(fault.Conflict, "Of the records %d to %d only %d are there. Verify the chain.", seg.First, seg.Last, st.Records)
	}
	return st.Bytes, errors.Join(err, z.Close())
}

// VerifySegment reads a segment and proves that it is the one that was written:
// digest, length, origin, range, every record and both signatures. Record, when
// set, is called with each record, before the whole is proved. It returns
// fault.Conflict when the segment does not hold, and what the archive returns.
func (s *Service) VerifySegment(ctx context.Context, from objectstore.Store, seg Segment, record func(n int64, body []byte) error) error {
	keys, err := s.trusted(ctx)
	if err != nil {
		return err
	}
	origin, err := s.origin(ctx, chainName(seg.Tenant))
	if err != nil {
		return err
	}
	object, err := from.Get(ctx, seg.Key)
	if err != nil {
		return err
	}
	defer object.Close()
	digest := sha256.New()
	raw := io.TeeReader(&exactly{object, seg.Bytes}, digest)
	plain, err := ledger.Plain(raw)
	if err != nil {
		return tampered(seg, err)
	}
	defer plain.Close()
	report, err := ledger.VerifyStream(&exactly{plain, seg.Plain}, keys, ledger.Options{Record: func(n int64, _ Hash, body []byte) error {
		if n%1024 == 0 {
			pulse(ctx, n)
		}
		if record == nil || body == nil {
			return ctx.Err()
		}
		return record(n, body)
	}})
	if err != nil {
		return tampered(seg, err)
	}
	if _, err := io.Copy(io.Discard, raw); err != nil {
		return tampered(seg, err)
	}
	return seg.judge(report, origin, hex.EncodeToString(digest.Sum(nil)))
}

func (seg Segment) judge(r ledger.Report, origin, sum string) error {
	h := r.Header
	switch {
	case sum != seg.SHA256:
		return tampered(seg, fmt.Errorf("its SHA-256 is %s, not %s", sum, seg.SHA256))
	case !r.OK():
		return tampered(seg, fmt.Errorf("at record %d: %s", r.Breaks[0].Sequence, r.Breaks[0].Detail))
	case h.Origin != origin || h.From != seg.First || h.To != seg.Last || r.Records != seg.Last-seg.First+1:
		return tampered(seg, fmt.Errorf("it has %d records of %d to %d of %s", r.Records, h.From, h.To, h.Origin))
	}
	return nil
}

// tampered is what a person reads about a segment that does not hold. Faults
// of the archive stay what they are.
func tampered(seg Segment, why error) error {
	if fault.Is(why, fault.Unavailable) || errors.Is(why, context.Canceled) || errors.Is(why, context.DeadlineExceeded) {
		return why
	}
	return fault.Wrap(fault.Conflict, why, "The archive's segment %s does not hold: %s. Nothing of it was used; bring it back from a copy of the archive.", seg.Key, why)
}

// errLength ends reading of what is longer or shorter than it was.
var errLength = errors.New("it is not as long as it was written")

// exactly reads n bytes and fails when there are more or fewer, so that no
// object decompresses to more than was written.
type exactly struct {
	r    io.Reader
	left int64
}

func (e *exactly) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	e.left -= int64(n)
	if e.left < 0 || errors.Is(err, io.EOF) && e.left > 0 {
		return 0, errLength
	}
	return n, err
}
