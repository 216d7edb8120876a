package backup

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"filippo.io/age"
	sdk "go.temporal.io/sdk/client"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/durable"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// Store is the local store: JSON values by key, on the disk when a write returns.
type Store interface {
	Get(ctx context.Context, key string, v any) (bool, error)
	Put(ctx context.Context, key string, v any) error
	// Update lets change alter what v points to, with no other write between.
	Update(ctx context.Context, key string, v any, change func() error) error
}

// Config is what backups need of the rest of the appliance.
type Config struct {
	Store  Store
	Audit  *audit.Service
	Events *event.Bus
	Logger *slog.Logger
	// Check is for what only the provider level may do.
	Check func(ctx context.Context, permission string) error

	DataDir, Version string
	Reader           Reader
	// Recipient is that of the recovery kit, Name the appliance's, Zone its time zone.
	Recipient, Name func() string
	Zone            func() *time.Location
	// External tells that the databases lie on a server that is not ours.
	External func() bool
	// Seal and Open are for secrets in the local store.
	Seal, Open func(ctx context.Context, purpose string, secret []byte) ([]byte, error)

	// Base copies the databases, each file with how many bytes there are in all.
	Base func(ctx context.Context, emit Emit) (Base, error)
	// System identifies the cluster of databases. Its log lies below that name, so that
	// several appliances, and one that was set up anew, can share a place.
	System func(ctx context.Context) (string, error)
	// Snapshot copies the local store into a new file.
	Snapshot func(ctx context.Context, path string) error
	// Heads are those of all audit chains.
	Heads func(ctx context.Context) ([]Head, error)
	// Prove starts what was unpacked and checks it.
	Prove func(ctx context.Context, t Trial) (Proof, error)
	// SpoolLimit is how much of the log may wait for the target; 0 is four gigabytes.
	SpoolLimit int64
	// Log is Postgres's; its functions are nil where it is not ours.
	Log Log
}

// Log is how Postgres's log is taken from it.
type Log struct {
	Archive             func(on bool) error
	Archiving           func() bool
	Archived, Histories func() ([]Segment, error)
	Switch, Fault       func(ctx context.Context) error
}

// Segment is a finished file of the log.
type Segment struct {
	Name, Path string
	Size       int64
	Made       time.Time
}

// Service makes, keeps and proves backups. Make it with New.
type Service struct {
	Config
	sending  sync.Mutex // one sender of the log at a time
	starting sync.Mutex // one look at a time whether another backup is made
	mu       sync.Mutex // guards what follows
	progress map[id.ID]Progress
	client   sdk.Client
	restored *restored // what this appliance was just restored from
	shipping shipping
	later    *[]audit.Entry // records that wait, during BeforeUpgrade
	life     context.CancelFunc
	done     chan struct{}
}

// New returns a service. It touches nothing.
func New(cfg Config) *Service {
	return &Service{Config: cfg, progress: map[id.ID]Progress{}}
}

// UseTemporal makes backups that are asked for workflows.
func (s *Service) UseTemporal(c sdk.Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.client = c
}

func (s *Service) temporal() (sdk.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == nil {
		return nil, fault.New(fault.Unavailable, "Nimbus is starting. Try again in a few seconds.")
	}
	return s.client, nil
}

// Settings returns them without the secret.
func (s *Service) Settings(ctx context.Context) (Settings, error) {
	if err := s.Check(ctx, Read); err != nil {
		return Settings{}, err
	}
	set, err := s.load(ctx)
	return set.public(), err
}

// SetSettings checks and keeps settings, and moves the schedule. Faults:
// Invalid, and Conflict while the databases are not ours.
func (s *Service) SetSettings(ctx context.Context, set Settings) (Settings, error) {
	if err := s.Check(ctx, Update); err != nil {
		return Settings{}, err
	}
	if err := s.embedded(); err != nil && set.Target.Kind != None {
		return Settings{}, err
	}
	before, err := s.load(ctx)
	if err != nil {
		return Settings{}, err
	}
	if err := set.with(before).check(); err != nil {
		return Settings{}, err
	}
	err = s.Audit.RecordAlone(ctx, id.ID{}, audit.Entry{
		Event: "backup.settings.updated", Priority: audit.Warning, Target: audit.Target{Kind: "settings", Name: "backups"},
		Before: before.public(), After: set.with(before).public(),
	})
	if err != nil {
		return Settings{}, err
	}
	if set, err = s.save(ctx, set); err != nil {
		return Settings{}, err
	}
	return set.public(), errors.Join(s.archiveAsSet(set), s.reschedule(ctx, set))
}

// TestTarget writes an object, reads it back and deletes it, at the target as
// it is given. The fault says what is wrong.
func (s *Service) TestTarget(ctx context.Context, set Settings) error {
	if err := s.Check(ctx, Update); err != nil {
		return err
	}
	before, err := s.load(ctx)
	if err != nil {
		return err
	}
	set = set.with(before)
	tested := probe(ctx, set.Target)
	e := audit.Entry{Event: "backup.target.tested", Target: audit.Target{Kind: "backup_target", Name: set.Target.String()}}
	if tested != nil {
		e.Outcome, e.Reason = audit.Failure, fault.Message(tested)
	}
	if err := s.Audit.RecordAlone(ctx, id.ID{}, e); err != nil {
		return err
	}
	return tested
}

// List returns the catalogue, newest first.
func (s *Service) List(ctx context.Context) ([]Backup, error) {
	if err := s.Check(ctx, Read); err != nil {
		return nil, err
	}
	return s.catalogue(ctx)
}

// Backup returns one; fault.NotFound when there is none.
func (s *Service) Backup(ctx context.Context, backup id.ID) (Backup, error) {
	if err := s.Check(ctx, Read); err != nil {
		return Backup{}, err
	}
	return s.find(ctx, backup)
}

// catalogue is newest first, with how far those are that are being made.
func (s *Service) catalogue(ctx context.Context) ([]Backup, error) {
	all := []Backup{}
	if _, err := s.Store.Get(ctx, catalogueKey, &all); err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b Backup) int { return b.StartedAt.Compare(a.StartedAt) })
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range all {
		if p, ok := s.progress[all[i].ID]; ok && all[i].open() {
			all[i].Progress = &p
		}
	}
	return all, nil
}

func (s *Service) find(ctx context.Context, backup id.ID) (Backup, error) {
	all, err := s.catalogue(ctx)
	if err != nil {
		return Backup{}, err
	}
	i := slices.IndexFunc(all, func(b Backup) bool { return b.ID == backup })
	if i < 0 {
		return Backup{}, fault.New(fault.NotFound, "There is no such backup.")
	}
	return all[i], nil
}

// remembered is how many backups that are gone the catalogue tells of.
const remembered = 50

// change alters a backup in the catalogue, or adds it, and tells browsers.
func (s *Service) change(ctx context.Context, backup id.ID, alter func(*Backup)) (Backup, error) {
	var all []Backup
	var after Backup
	err := s.Store.Update(ctx, catalogueKey, &all, func() error {
		i := slices.IndexFunc(all, func(b Backup) bool { return b.ID == backup })
		if i < 0 {
			all = append(all, Backup{ID: backup, Includes: []string{}})
			i = len(all) - 1
		}
		alter(&all[i])
		after = all[i]
		all = forget(all)
		return nil
	})
	if err != nil {
		return Backup{}, err
	}
	return after, s.tell(ctx, after)
}

// forget keeps the catalogue short: of those that are gone the newest stay.
func forget(all []Backup) []Backup {
	slices.SortFunc(all, func(a, b Backup) int { return b.StartedAt.Compare(a.StartedAt) })
	gone := 0
	return slices.DeleteFunc(all, func(b Backup) bool {
		if b.State == Failed || b.State == Pruned {
			gone++
		}
		return gone > remembered && (b.State == Failed || b.State == Pruned)
	})
}

func (s *Service) tell(ctx context.Context, b Backup) error {
	return s.Events.Publish(ctx, event.Event{Type: "backup.updated", ID: b.ID, Permission: Read}, b)
}

// report keeps how far a backup is and tells browsers when it changes.
func (s *Service) report(ctx context.Context, b Backup) Report {
	return func(stage string, percent int) {
		now := Progress{stage, percent}
		s.mu.Lock()
		same := s.progress[b.ID] == now
		s.progress[b.ID] = now
		s.mu.Unlock()
		if same {
			return
		}
		b.Progress = &now
		if err := s.tell(ctx, b); err != nil {
			s.Logger.Warn("the progress of a backup was not told", "error", err)
		}
	}
}

// identity is the appliance's id in archives, made once.
func (s *Service) identity(ctx context.Context) (id.ID, error) {
	var own id.ID
	err := s.Store.Update(ctx, "backup.appliance", &own, func() error {
		if own.IsZero() {
			own = id.New()
		}
		return nil
	})
	return own, err
}

// ownKey opens this appliance's backups, so that it can verify them without
// the recovery kit. Whoever can read it can read the whole data directory too.
func (s *Service) ownKey() (*age.X25519Identity, error) {
	path := filepath.Join(s.DataDir, "keys", "backup.age")
	if _, err := os.Stat(path); err == nil {
		return readIdentity(path)
	}
	key, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, err
	}
	if err = durable.Create(path, []byte(key.String()+"\n")); errors.Is(err, fs.ErrExist) {
		return readIdentity(path) // another process was first
	}
	return key, err
}

func readIdentity(path string) (*age.X25519Identity, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	key, err := ReadKey(string(text))
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "The file %s holds no key. Restore it from a backup, or remove it: a new one is made, and backups before it can be verified with the recovery kit only.", path)
	}
	return key, nil
}

// to are all who can open what is written now.
func (s *Service) to(set Settings) ([]age.Recipient, error) {
	kit := s.Recipient()
	if kit == "" {
		return nil, fault.New(fault.Conflict, "There is no recovery kit yet, so nobody could open a backup. Make the recovery kit first.")
	}
	own, err := s.ownKey()
	if err != nil {
		return nil, err
	}
	return recipients(append([]string{kit, own.Recipient().String()}, set.Recipients...))
}

// as names who acts when a record needs somebody.
func as(ctx context.Context) context.Context {
	if _, ok := actor.From(ctx); ok {
		return ctx
	}
	return actor.AsSystem(ctx, "backups", id.ID{})
}

// Standing is how backups are as a whole.
type Standing struct {
	// External is set when the databases lie on a server that is not ours: then
	// nothing else here counts.
	External   bool
	Configured bool
	// Last is when the newest that counts was begun: one that is proven, where the
	// settings ask for that, and never one that was tried and does not hold.
	Last       *time.Time
	AlarmAfter time.Duration
	Error      string // of the last attempt, when it failed
}

// Standing tells how backups are, for the appliance's own use: nobody is
// authorised.
func (s *Service) Standing(ctx context.Context) (Standing, error) {
	set, err := s.load(ctx)
	if err != nil {
		return Standing{}, err
	}
	all, err := s.catalogue(ctx)
	if err != nil {
		return Standing{}, err
	}
	if s.embedded() != nil {
		return Standing{External: true}, nil
	}
	st := Standing{Configured: set.Target.Kind != None, AlarmAfter: time.Duration(set.AlarmAfter) * time.Hour}
	for _, b := range all {
		if b.open() || b.ahead(time.Now()) {
			continue
		}
		if st.Last == nil && st.Error == "" && b.State == Failed {
			st.Error = b.Error
		}
		if b.State == Done && (b.Proven() || !set.Verify && b.VerifyError == "") {
			st.Last = &b.StartedAt
			break
		}
	}
	return st, nil
}
