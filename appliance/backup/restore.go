package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"

	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/objectstore"
)

// Trial is what was unpacked and is to be started and checked.
type Trial struct {
	// Dir is laid out as a data directory.
	Dir string
	// Log is a folder with segments that follow the backup, or "". End names the last
	// of them, or is "": a log that ends before breaks off. Short says that the place
	// has more: Prove returns ErrShort when that is needed.
	Log, End string
	Short    bool
	// Until is the moment to go to; zero is the end of what is there.
	Until    time.Time
	Manifest Manifest
	// Key is the recovery kit's, with which lost root keys are replaced; nil
	// replaces none. NewRootKey replaces one in an HSM too.
	Key        age.Identity
	NewRootKey bool
	// Scratch says that it is thrown away afterwards, and need not be durable.
	Scratch bool
}

// ErrShort tells that the moment lies behind the part of the log that was fetched.
var ErrShort = errors.New("more of the log is needed")

// Proof says what a restored appliance holds.
type Proof struct {
	Chains  int   `json:"chains"`
	Records int64 `json:"records"` // of the audit trail, all verified
	Tenants int   `json:"tenants"`
	People  int   `json:"people"` // who can sign in
	// Moment is the one that came back: that of the backup, the one that was asked for,
	// or that of the last change in the log where it goes no further.
	Moment time.Time `json:"moment"`
}

// Restorer brings an appliance back from a backup and the recovery kit alone.
// It needs nothing of the appliance that was lost.
type Restorer struct {
	DataDir string
	Reader  Reader
	Prove   func(ctx context.Context, t Trial) (Proof, error)
	Logger  *slog.Logger
}

// Found is a backup in a target, as one sees it before a restore.
type Found struct {
	ID        id.ID     `json:"id"`
	Name      string    `json:"name" doc:"Of the appliance."`
	Kind      Kind      `json:"kind"`
	Version   string    `json:"version"`
	CreatedAt time.Time `json:"created_at"`
	Moment    time.Time `json:"moment" doc:"What the databases held then is what comes back."`
	Bytes     int64     `json:"bytes"`
	Unpacked  int64     `json:"unpacked"`
	Includes  []string  `json:"includes"`
	// Refused says why this release cannot restore it.
	Refused string `json:"refused,omitempty"`
	// Latest is the last moment that can be restored, with the log.
	Latest time.Time `json:"latest" doc:"The last moment to which this backup can be brought with the log that follows it."`

	key     string
	summary Summary
}

// Points are the moments that can be restored.
type Points struct {
	From time.Time `json:"from,omitzero"`
	To   time.Time `json:"to,omitzero"`
}

// Inspection is what a target holds for a key.
type Inspection struct {
	Backups []Found `json:"backups"`
	Points  Points  `json:"points"`
}

// Inspect lists the backups in a target that a key opens, newest first. It
// writes nothing. Faults: Unprocessable when there are backups and the key
// opens none of them, NotFound when there are none, Unavailable.
func (r Restorer) Inspect(ctx context.Context, store objectstore.Store, key age.Identity) (Inspection, error) {
	listed, err := store.List(ctx, archives)
	if err != nil {
		return Inspection{}, err
	}
	segments, err := store.List(ctx, segmentsDir)
	if err != nil {
		return Inspection{}, err
	}
	in := Inspection{Backups: []Found{}}
	var refused error
	for _, o := range listed {
		if !strings.HasSuffix(o.Key, summarySuffix) {
			continue
		}
		sum, err := readSummary(ctx, store, o.Key, key)
		if fault.Is(err, fault.Unprocessable) {
			refused = err
			continue
		}
		if err != nil {
			return Inspection{}, err
		}
		in.Backups = append(in.Backups, r.found(o.Key, sum, segments))
	}
	if len(in.Backups) == 0 {
		return Inspection{}, noneFound(refused)
	}
	slices.SortFunc(in.Backups, func(a, b Found) int { return b.CreatedAt.Compare(a.CreatedAt) })
	for _, f := range in.Backups {
		if in.Points.From.IsZero() || f.Moment.Before(in.Points.From) {
			in.Points.From = f.Moment
		}
		if f.Latest.After(in.Points.To) {
			in.Points.To = f.Latest
		}
	}
	return in, nil
}

func noneFound(refused error) error {
	if refused != nil {
		return refused
	}
	return fault.New(fault.NotFound, "There is no backup in this place. Check directory, bucket and prefix.")
}

func (r Restorer) found(key string, sum Summary, segments []objectstore.Info) Found {
	f := Found{
		ID: sum.ID, Name: sum.Name, Kind: sum.Kind, Version: sum.Version, CreatedAt: sum.CreatedAt, Moment: sum.Base.Moment,
		Bytes: sum.Bytes, Unpacked: sum.Unpacked, Includes: sum.Includes, Latest: sum.Base.Moment,
		key: strings.TrimSuffix(key, summarySuffix) + archiveSuffix, summary: sum,
	}
	if err := r.Reader.accept(sum.Header); err != nil {
		f.Refused = fault.Message(err)
	}
	if follow := following(sum.Base, segments); len(follow) > 0 {
		f.Latest = follow[len(follow)-1].Modified
	}
	return f
}

// logOf are the segments and histories of a backup's cluster, by name. Earlier ones may
// lie directly in the folder.
func logOf(base Base, listed []objectstore.Info) map[string]objectstore.Info {
	there := map[string]objectstore.Info{}
	for _, dir := range []string{segmentsDir, logDirOf(base.SystemID)} {
		for _, o := range listed {
			if path.Dir(o.Key)+"/" == dir {
				there[segmentOf(o)] = o
			}
		}
	}
	return there
}

// following are the segments that continue the log of a backup without a gap.
func following(base Base, segments []objectstore.Info) []objectstore.Info {
	there := logOf(base, segments)
	var all []objectstore.Info
	for name := nextSegment(base.EndWAL); ; name = nextSegment(name) {
		o, ok := there[name]
		if !ok {
			return all
		}
		all = append(all, o)
	}
}

// nextSegment is the name of the 16 MB segment after one, on its timeline.
func nextSegment(name string) string {
	var line, high, low uint32
	if n, err := fmt.Sscanf(name, "%08X%08X%08X", &line, &high, &low); err != nil || n != 3 || len(name) != segmentName {
		return ""
	}
	if low++; low > 0xFF {
		high, low = high+1, 0
	}
	return fmt.Sprintf("%08X%08X%08X", line, high, low)
}

func readSummary(ctx context.Context, store objectstore.Store, key string, with age.Identity) (Summary, error) {
	var sum Summary
	r, err := store.Get(ctx, key)
	if err != nil {
		return sum, err
	}
	defer r.Close()
	in := &unbroken{r: r}
	plain, err := age.Decrypt(in, with)
	if err != nil {
		return sum, in.judge(ctx, wrongKey(err))
	}
	raw, err := io.ReadAll(io.LimitReader(plain, maxHeader))
	if err != nil {
		return sum, in.judge(ctx, translate(err))
	}
	return sum, decode(raw, &sum)
}

// unbroken remembers why what it reads broke off: a connection that breaks is no
// damage of what is read, and another attempt may do.
type unbroken struct {
	r  io.Reader
	mu sync.Mutex // some read in a goroutine of their own
	at error
}

func (u *unbroken) Read(p []byte) (int, error) {
	n, err := u.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		u.mu.Lock()
		u.at = err
		u.mu.Unlock()
	}
	return n, err
}

// judge is err, or what broke off before it.
func (u *unbroken) judge(ctx context.Context, err error) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if err == nil || u.at == nil || ctx.Err() != nil {
		return err
	}
	return fault.Wrap(fault.Unavailable, u.at, "The place of the backup broke off while it was read. Nothing was touched. Check the place and the network, and try again.")
}

// Request says what to restore.
type Request struct {
	Store objectstore.Store
	// File is the path of an archive, instead of a store.
	File   string
	Backup id.ID // zero is the newest, or the newest before Until
	Key    age.Identity
	// Until is the moment to go to; zero is that of the backup.
	Until time.Time
	// Latest goes to the end of the log instead.
	Latest bool
	// NewRootKey puts the secrets under a new root key, when the HSM is lost.
	NewRootKey bool
}

// Prepare fetches a backup, unpacks it beside the data directory's contents,
// starts it there, brings it to the moment that was asked for, and checks it.
// Nothing that is in use is touched; Place then puts it into place. What an
// earlier preparation left is removed first. Faults: those of Inspect and
// Conflict for what cannot be restored.
func (r Restorer) Prepare(ctx context.Context, q Request, report Report) (Proof, error) {
	report("looking for the backup", 0)
	var f Found
	var err error
	if q.File == "" {
		if f, err = r.pick(ctx, q); err != nil {
			return Proof{}, err
		}
	}
	st, err := newStage(r.DataDir)
	if err != nil {
		return Proof{}, err
	}
	proof, err := r.prepare(ctx, q, f, st, report)
	if err != nil {
		return Proof{}, errors.Join(err, st.remove())
	}
	report("done", 100)
	return proof, nil
}

func (r Restorer) prepare(ctx context.Context, q Request, f Found, st stage, report Report) (Proof, error) {
	m, err := r.unpack(ctx, q, f, st.fresh(), report)
	if err != nil {
		return Proof{}, err
	}
	t := Trial{Dir: st.fresh(), Manifest: m, Until: q.Until, Key: q.Key, NewRootKey: q.NewRootKey}
	report("fetching the log", 71)
	var rest func() error
	if q.File == "" {
		if rest, err = fetchLog(ctx, q, m.Base, st.log(), &t); err != nil {
			return Proof{}, err
		}
	}
	report("starting the databases and checking the audit trail", 80)
	proof, err := r.Prove(ctx, t)
	if errors.Is(err, ErrShort) && t.Short {
		report("fetching more of the log", 80)
		if err = rest(); err == nil {
			proof, err = r.Prove(ctx, t)
		}
	}
	if err != nil {
		return Proof{}, err
	}
	return proof, st.ready(restored{Backup: m.ID, Name: m.Name, CreatedAt: m.CreatedAt, Moment: proof.Moment, Until: q.Until, At: time.Now().UTC()})
}

// unpack takes the archive from the store, or from its file.
func (r Restorer) unpack(ctx context.Context, q Request, f Found, dir string, report Report) (Manifest, error) {
	if q.File == "" {
		return fetch(ctx, q.Store, f, q.Key, r.Reader, dir, report)
	}
	in, err := os.Open(q.File)
	if err != nil {
		return Manifest{}, fault.Wrap(fault.Invalid, err, "The backup %s cannot be read.", q.File)
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return Manifest{}, err
	}
	report("unpacking the backup", 1)
	return take(ctx, in, Found{Bytes: info.Size()}, q.Key, r.Reader, dir, report)
}

// pick finds the backup to restore, and refuses what cannot be done with it.
func (r Restorer) pick(ctx context.Context, q Request) (Found, error) {
	in, err := r.Inspect(ctx, q.Store, q.Key)
	if err != nil {
		return Found{}, err
	}
	i := slices.IndexFunc(in.Backups, func(f Found) bool {
		return f.ID == q.Backup || q.Backup.IsZero() && (q.Until.IsZero() || !f.Moment.After(q.Until))
	})
	switch {
	case i < 0 && q.Backup.IsZero():
		return Found{}, fault.New(fault.Conflict, "The oldest backup there was made at %s, after the moment that you ask for.", in.Points.From.Format(time.RFC3339))
	case i < 0:
		return Found{}, fault.New(fault.NotFound, "There is no such backup in this place.")
	}
	f := in.Backups[i]
	switch {
	case f.Refused != "":
		return Found{}, fault.New(fault.Conflict, "%s", f.Refused)
	case !q.Until.IsZero() && q.Until.Before(f.Moment):
		return Found{}, fault.New(fault.Conflict, "This backup holds what was at %s. Take an older one, or a later moment.", f.Moment.Format(time.RFC3339))
	case !q.Until.IsZero() && q.Until.After(f.Latest):
		return Found{}, fault.New(fault.Conflict, "The log that follows this backup ends at %s. Take that moment or an earlier one, or the latest.", f.Latest.Format(time.RFC3339))
	}
	return f, nil
}

// fetch unpacks an archive into dir and compares it with its summary.
func fetch(ctx context.Context, store objectstore.Store, f Found, key age.Identity, reader Reader, dir string, report Report) (Manifest, error) {
	report("unpacking the backup", 1)
	in, err := store.Get(ctx, f.key)
	if err != nil {
		return Manifest{}, err
	}
	defer in.Close()
	return take(ctx, in, f, key, reader, dir, report)
}

// take unpacks an archive that is being read. One without a summary is compared
// with its manifest only.
func take(ctx context.Context, in io.Reader, f Found, key age.Identity, reader Reader, dir string, report Report) (Manifest, error) {
	digest := sha256.New()
	u := unpacker{reader: reader, size: f.Bytes, tick: func(n int64) {
		if f.Unpacked > 0 {
			report("unpacking the backup", 1+int(min(n, f.Unpacked)*69/f.Unpacked))
		}
	}}
	whole := &unbroken{r: in}
	m, err := u.unpack(ctx, io.TeeReader(whole, digest), key, dir)
	if err != nil {
		return Manifest{}, whole.judge(ctx, err)
	}
	if f.summary.Sum != "" && (m.ID != f.ID || hex.EncodeToString(digest.Sum(nil)) != f.summary.Sum) {
		return Manifest{}, errDamaged("it is not the file that its summary describes")
	}
	return m, nil
}

// fetchLog gets the segments that follow a backup up to a moment, and all its
// histories, so that the new timeline gets a number of its own. Where it stops before
// the end, rest gets what is left.
func fetchLog(ctx context.Context, q Request, base Base, dir string, t *Trial) (rest func() error, err error) {
	listed, err := q.Store.List(ctx, segmentsDir)
	if err != nil {
		return nil, err
	}
	get := func(all []objectstore.Info) error {
		for _, o := range all {
			if err := fetchSegment(ctx, q.Store, o.Key, q.Key, filepath.Join(dir, segmentOf(o))); err != nil {
				return err
			}
		}
		return nil
	}
	var histories, follow []objectstore.Info
	for name, o := range logOf(base, listed) {
		if strings.HasSuffix(name, historySuffix) {
			histories = append(histories, o)
		}
	}
	if q.Latest || !q.Until.IsZero() {
		follow = following(base, listed)
	}
	n := enough(follow, q.Until)
	t.Log = dir
	if t.Short = n < len(follow); n > 0 {
		t.End = segmentOf(follow[n-1])
	}
	rest = func() error {
		t.Short, t.End = false, segmentOf(follow[len(follow)-1])
		return get(follow[n:])
	}
	return rest, errors.Join(get(follow[:n]), get(histories))
}

// enough is how many segments reach to a moment, by the clock of the place: one that
// was sent after the moment, so it and what is before. Zero wants all.
func enough(follow []objectstore.Info, until time.Time) int {
	i := slices.IndexFunc(follow, func(o objectstore.Info) bool { return !until.IsZero() && o.Modified.After(until.Add(logSlack)) })
	if i < 0 {
		return len(follow)
	}
	return i + 1
}

// segmentOf is the name of a segment or a history in the target.
func segmentOf(o objectstore.Info) string { return strings.TrimSuffix(path.Base(o.Key), segmentSuffix) }

// logSlack is by how much the clocks of target and appliance differ commonly. When it
// is more, the rest of the log is fetched, too.
const logSlack = 15 * time.Minute

// maxSegment is the size of a segment; a history is far smaller.
const maxSegment = 16 << 20

func fetchSegment(ctx context.Context, store objectstore.Store, key string, with age.Identity, to string) error {
	in, err := store.Get(ctx, key)
	if err != nil {
		return err
	}
	defer in.Close()
	whole := &unbroken{r: in}
	plain, err := age.Decrypt(boundReader{ctx, whole}, with)
	if err != nil {
		return whole.judge(ctx, wrongKey(err))
	}
	packed, err := zstd.NewReader(plain, zstd.WithDecoderMaxWindow(64<<20), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return err
	}
	defer packed.Close()
	f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	n, err := io.Copy(f, io.LimitReader(packed, maxSegment+1))
	if err = errors.Join(err, f.Close()); err == nil && n > maxSegment {
		err = errDamaged(path.Base(key) + " is no segment of a log")
	}
	return whole.judge(ctx, translate(err))
}
