package audit

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	sdk "go.temporal.io/sdk/client"

	"nimbus/appliance/actor"
	"nimbus/appliance/db"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/secret"
	"nimbus/appliance/web"
)

// Permissions of this domain.
const (
	ReadPermission   = "audit:record:read"
	VerifyPermission = "audit:chain:verify"
)

// Config is what the service needs.
type Config struct {
	DB     *db.DB
	Logger *slog.Logger
	// Check authorises readers.
	Check actor.Check
	// Events tells followers, and other nodes, of what was sealed; nil: only
	// those of this service.
	Events *event.Bus
	// IsRoot tells the root tenant, whose records belong to the provider's chain.
	IsRoot func(tenant id.ID) bool
	// Signer signs checkpoints; it may change, and nil is none yet.
	Signer func() Signer
	// Dir is the appliance's data directory, where the newest checkpoint of each
	// chain is kept outside the database; "" keeps none.
	Dir string
	// TimeZone is where a tenant is, for hours and days; nil: UTC.
	TimeZone func(ctx context.Context, tenant id.ID) *time.Location
	// Keyring seals the secrets of sinks and places; nil before the root key is open.
	Keyring func() *secret.Keyring
	// Outbound decides which addresses sinks and places may have.
	Outbound *web.Outbound
	// Mail sends a message; nil: mail cannot be sent.
	Mail func(ctx context.Context, to []string, subject, text string) error
	// Insight is what anomaly detection and compliance ask.
	Insight Insight
	// Version is what collectors are told.
	Version string
}

// Service records, lists and verifies. Its sealer runs between Start and Stop.
type Service struct {
	Config
	signing  signing
	store    store
	sealer   *sealer
	writer   *writer
	trail    trail
	room     room
	pace     exportPace
	stats    counters
	temporal atomic.Pointer[sdk.Client] // nil until workflows can be started
	healed   sync.Map                   // chains whose tiles were looked at

	anchoring sync.Mutex // while the copy of a head is replaced

	redactions redactions

	deliverer *Deliverer
}

// New returns a service whose sealer is not running yet.
func New(cfg Config) *Service {
	s := &Service{Config: cfg, pace: usualPace}
	if s.Events == nil {
		s.Events = event.NewBus(cfg.Logger)
	}
	s.sealer, s.writer = newSealer(s), newWriter(s)
	s.deliverer = newDeliverer(s)
	s.watchRedaction()
	return s
}

// Record writes e in the transaction of the context, on behalf of the
// context's actor. It goes to the chain of the transaction's tenant, or to the
// provider's. It is sent together with the commit: when it cannot be written
// the commit fails, and nothing of the change remains. Without an actor or a
// transaction Record itself fails, and so must the change.
func (s *Service) Record(ctx context.Context, e Entry) error {
	tenant, ok := db.Scope(ctx)
	if !ok {
		return fault.New(fault.Internal, "An audit record was written outside a transaction.")
	}
	if !tenant.IsZero() && s.IsRoot(tenant) {
		return s.DB.Core(ctx, func(ctx context.Context) error { return s.Record(ctx, e) })
	}
	l, err := s.prepare(ctx, tenant, e)
	if err != nil {
		return err
	}
	return s.insert(ctx, tenant, s.noteFailure, l)
}

// noteFailure counts a record that its transaction could not write.
func (s *Service) noteFailure(err error) {
	if err != nil {
		s.noteAppend(err, 1)
	}
}

// RecordAlone writes e in a transaction of its own, together with those of
// other callers, and returns after its commit: for what changes nothing else,
// such as a refusal. Inside a transaction it is Record in the tenant's scope.
// It returns fault.Unavailable when the record could not be written.
func (s *Service) RecordAlone(ctx context.Context, tenant id.ID, e Entry) error {
	if _, ok := db.Scope(ctx); ok {
		return s.in(ctx, tenant, func(ctx context.Context) error { return s.Record(ctx, e) })
	}
	if !tenant.IsZero() && s.IsRoot(tenant) {
		tenant = id.ID{}
	}
	l, err := s.prepare(ctx, tenant, e)
	if err != nil {
		return err
	}
	return s.writer.write(ctx, tenant, l)
}

// in runs fn in the scope that holds a tenant's chain.
func (s *Service) in(ctx context.Context, tenant id.ID, fn func(context.Context) error) error {
	if tenant.IsZero() || s.IsRoot(tenant) {
		return s.DB.Core(ctx, fn)
	}
	return s.DB.Tenant(ctx, tenant, fn)
}

// build makes the record of an entry, without what m hides.
func build(a actor.Actor, tenant id.ID, e Entry, m *masks) (Record, error) {
	a, e = m.record(a.Recorded(), e)
	r := Record{
		Version: 1, ID: id.New(), Time: time.Now().UTC().Truncate(time.Microsecond), Tenant: tenant,
		Event: e.Event, Outcome: e.Outcome, Priority: e.Priority, Actor: a, Target: e.Target, Reason: e.Reason,
	}
	if r.Outcome == "" {
		r.Outcome = Success
	}
	if r.Priority == "" {
		r.Priority = Info
	}
	var err error
	for _, part := range []struct {
		to   *json.RawMessage
		name string
		from any
	}{{&r.Before, "before", e.Before}, {&r.After, "after", e.After}, {&r.Details, "details", detailsOf(e)}} {
		if *part.to, err = m.json(part.name, part.from); err != nil {
			return Record{}, err
		}
	}
	return r, nil
}

func detailsOf(e Entry) any {
	if len(e.Details) == 0 {
		return nil
	}
	return e.Details
}

// Get returns one sealed record of the actor's tenant, or fault.NotFound.
func (s *Service) Get(ctx context.Context, sequence int64) (Sealed, error) {
	a, err := s.authorise(ctx, ReadPermission)
	if err != nil {
		return Sealed{}, err
	}
	var found Sealed
	err = s.in(ctx, a.TenantID, func(ctx context.Context) error {
		var err error
		if found, err = s.store.get(ctx, sequence); errors.Is(err, pgx.ErrNoRows) {
			found, err = s.pruned(ctx, sequence)
		}
		return err
	})
	return found, err
}

// pruned is what is left in the tree of a record that was taken away, or
// fault.NotFound of one that never was.
func (s *Service) pruned(ctx context.Context, sequence int64) (Sealed, error) {
	last, err := s.store.last(ctx)
	if err != nil {
		return Sealed{}, err
	}
	if sequence < 1 || sequence > last {
		return Sealed{}, fault.New(fault.NotFound, "There is no record %d.", sequence)
	}
	leaf, err := s.treeOf(ctx).Node(0, uint64(sequence-1))
	return Sealed{Sequence: sequence, Leaf: leaf[:], Pruned: true}, err
}

// Verify checks the chain of the actor's tenant from its first record and
// reports every break. The verification itself is recorded.
func (s *Service) Verify(ctx context.Context) (Verification, error) {
	a, err := s.authorise(ctx, VerifyPermission)
	if err != nil {
		return Verification{}, err
	}
	v, err := s.verify(ctx, a.TenantID)
	if err != nil {
		return v, err
	}
	return v, s.RecordAlone(ctx, a.TenantID, verified(v))
}

func verified(v Verification) Entry {
	e := Entry{
		Event: "audit.chain.verified", Target: Target{Kind: "chain"},
		Details: map[string]any{"checked": v.Checked, "last": v.Last, "breaks": v.Found},
	}
	if !v.OK() {
		e.Outcome, e.Priority = Failure, Critical
	}
	return e
}

func (s *Service) authorise(ctx context.Context, permission string) (actor.Actor, error) {
	a, err := actor.Require(ctx)
	if err != nil {
		return a, err
	}
	return a, s.Check(ctx, permission)
}

// Category is the domain that an event code begins with.
func Category(event string) string {
	category, _, _ := strings.Cut(event, ".")
	return category
}
