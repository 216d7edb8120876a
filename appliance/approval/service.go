package approval

import (
	"context"
	"embed"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/db"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/permission"
)

// Migrations is the history of this domain's tables.
//
//go:embed migrations/*.sql
var Migrations embed.FS

// maxComment is the longest comment, in bytes.
const maxComment = 2000

// Config is what the service needs.
type Config struct {
	DB    *db.DB
	Audit *audit.Service
	// CheckOn asks the permission engine about what a request is about.
	CheckOn func(ctx context.Context, permission string, on permission.Resource) error
	// AllowedOn answers without recording a refusal, for CanDecide.
	AllowedOn func(ctx context.Context, permission string, on permission.Resource) bool
	Events    *event.Bus
	Now       func() time.Time // nil: time.Now
}

// Service keeps requests and decides them.
type Service struct {
	Config
	store store
	wake  map[string]func(ctx context.Context, r Request)
	about map[string]About
}

// About says what a request is about, for conditions in grants. It runs in the
// transaction of the tenant.
type About func(ctx context.Context, r Request) (permission.Resource, error)

// New returns a service without hooks.
func New(cfg Config) *Service {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Service{Config: cfg, wake: map[string]func(context.Context, Request){}, about: map[string]About{}}
}

// OnEnd has fn called, with the decider's actor in the context, after a request
// about that kind of subject ended. It is a wake-up only: it may be lost. Call
// it while the appliance is put together.
func (s *Service) OnEnd(kind string, fn func(ctx context.Context, r Request)) { s.wake[kind] = fn }

// OnAsk has fn describe that kind of subject when somebody wants to decide. Call
// it while the appliance is put together.
func (s *Service) OnAsk(kind string, fn About) { s.about[kind] = fn }

// resource is what a request is about; without a description its kind and id.
func (s *Service) resource(ctx context.Context, r Request) (permission.Resource, error) {
	if fn := s.about[r.SubjectKind]; fn != nil {
		return fn(ctx, r)
	}
	return permission.Resource{Kind: r.SubjectKind, ID: r.SubjectID}, nil
}

// Ask is what a request is made of.
type Ask struct {
	SubjectKind string
	SubjectID   id.ID
	SubjectName string
	Digest      string
	Policy      Policy
	Permission  string
	Needed      int
	Lifetime    time.Duration
}

// Open makes a pending request in the surrounding transaction of the tenant,
// asked for by the context's actor. Opening the same digest again returns the
// request there is; another digest voids it first. It returns fault.Invalid
// when no digest, permission, lifetime or number of approvals is given: what is
// left out must never count as approved.
func (s *Service) Open(ctx context.Context, ask Ask) (Request, error) {
	a, err := actor.Require(ctx)
	if err != nil {
		return Request{}, err
	}
	if ask.Needed < 1 || ask.Digest == "" || ask.Permission == "" || ask.Lifetime <= 0 {
		return Request{}, fault.New(fault.Invalid, "A request for approval needs a digest, a permission, a lifetime and at least one approval.")
	}
	old, err := s.store.latest(ctx, ask.SubjectKind, ask.SubjectID, true)
	if err == nil && old.Digest == ask.Digest {
		return old, nil
	}
	if err == nil {
		err = s.end(ctx, old, Void)
	}
	if err != nil && !fault.Is(err, fault.NotFound) {
		return Request{}, err
	}
	r := s.build(a, ask)
	if err := s.store.insert(ctx, r); err != nil {
		return r, err
	}
	if err := s.record(ctx, r, "approval.request.opened", nil); err != nil {
		return r, err
	}
	return r, s.publish(ctx, a, r, "approval.requested")
}

func (s *Service) build(a actor.Actor, ask Ask) Request {
	now := s.now()
	r := Request{
		ID: id.New(), SubjectKind: ask.SubjectKind, SubjectID: ask.SubjectID, SubjectName: ask.SubjectName,
		Digest: ask.Digest, Policy: ParsePolicy(string(ask.Policy)), Permission: ask.Permission, Needed: ask.Needed,
		Status: Pending, RequestedBy: a.Person(), RequesterName: a.Name, CreatedAt: now, ExpiresAt: now.Add(ask.Lifetime),
	}
	return r
}

// Decide gives the context's actor's verdict on the newest request about a
// subject. It returns the faults of Request.Decide, fault.Forbidden without
// the request's permission, and fault.NotFound.
func (s *Service) Decide(ctx context.Context, kind string, subject id.ID, v Verdict, digest, comment string) (Request, error) {
	a, err := actor.Require(ctx)
	if err != nil {
		return Request{}, err
	}
	if len(comment) > maxComment {
		return Request{}, fault.BadField("body.comment", "A comment has at most %d bytes.", maxComment)
	}
	var r Request
	err = s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		if r, err = s.store.latest(ctx, kind, subject, true); err != nil {
			return err
		}
		on, err := s.resource(ctx, r)
		if err != nil {
			return err
		}
		if err := s.CheckOn(ctx, r.Permission, on); err != nil {
			return err
		}
		if r, err = r.Decide(a, v, digest, comment, s.now()); err != nil {
			return err
		}
		return s.keep(ctx, a, r)
	})
	if err == nil && r.Status != Pending {
		s.wakeUp(ctx, r)
	}
	return r, err
}

// keep stores the last decision with its record and event.
func (s *Service) keep(ctx context.Context, a actor.Actor, r Request) error {
	d := r.Decisions[len(r.Decisions)-1]
	if err := s.store.addDecision(ctx, r.ID, d); err != nil {
		return err
	}
	if err := s.store.setStatus(ctx, r); err != nil {
		return err
	}
	name := map[Verdict]string{Approve: "approval.request.approved", Reject: "approval.request.rejected"}[d.Verdict]
	details := map[string]any{"comment": d.Comment, "confirmed_self": d.Self, "authenticated_at": optional(d.ReauthenticatedAt)}
	if err := s.record(ctx, r, name, details); err != nil {
		return err
	}
	return s.publish(ctx, a, r, "approval.decided")
}

// End ends a pending request about a subject as Void or Expired, in the
// surrounding transaction. A subject without a pending request is left as it is.
func (s *Service) End(ctx context.Context, kind string, subject id.ID, status Status) error {
	r, err := s.store.latest(ctx, kind, subject, true)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.end(ctx, r, status)
}

func (s *Service) end(ctx context.Context, r Request, status Status) error {
	if r.Status != Pending {
		return nil
	}
	r.Status, r.EndedAt = status, s.now()
	if err := s.store.setStatus(ctx, r); err != nil {
		return err
	}
	return s.record(ctx, r, "approval.request."+map[Status]string{Void: "voided", Expired: "expired"}[status], nil)
}

// Of returns the newest request about a subject, in the surrounding
// transaction of the tenant, or fault.NotFound.
func (s *Service) Of(ctx context.Context, kind string, subject id.ID) (Request, error) {
	return s.store.latest(ctx, kind, subject, false)
}

// Waiting lists what waits for a decision about that kind of subject, oldest
// first, in the surrounding transaction of the tenant.
func (s *Service) Waiting(ctx context.Context, kind string) ([]Request, error) {
	return s.store.pending(ctx, kind, s.now())
}

// CanDecide tells whether the context's actor could approve r, perhaps after
// signing in again, in the surrounding transaction of the tenant.
func (s *Service) CanDecide(ctx context.Context, r Request) bool {
	a, ok := actor.From(ctx)
	if !ok || r.open(r.Digest, Approve, s.now()) != nil {
		return false
	}
	if err := r.Entitled(a, Approve, s.now()); err != nil && !fault.Is(err, fault.StepUp) {
		return false
	}
	on, err := s.resource(ctx, r)
	return err == nil && s.AllowedOn(ctx, r.Permission, on)
}

func (s *Service) now() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }

// wakeUp runs outside the transaction and survives the end of the request.
func (s *Service) wakeUp(ctx context.Context, r Request) {
	if fn := s.wake[r.SubjectKind]; fn != nil {
		fn(context.WithoutCancel(ctx), r)
	}
}

func (s *Service) record(ctx context.Context, r Request, name string, details map[string]any) error {
	all := map[string]any{
		"request": r.ID.String(), "digest": r.Digest, "policy": string(r.Policy), "status": string(r.Status),
		"requested_by": r.RequesterName,
	}
	for k, v := range details {
		all[k] = v
	}
	return s.Audit.Record(ctx, audit.Entry{
		Event: name, Priority: audit.Notice, Details: all,
		Target: audit.Target{Kind: r.SubjectKind, ID: r.SubjectID.String(), Name: r.SubjectName},
	})
}

func (s *Service) publish(ctx context.Context, a actor.Actor, r Request, name string) error {
	data := map[string]any{
		"kind": r.SubjectKind, "id": r.SubjectID, "name": r.SubjectName,
		"requested_by": map[string]any{"id": r.RequestedBy, "name": r.RequesterName}, "status": r.Status,
	}
	on, err := s.resource(ctx, r)
	if err != nil {
		return err
	}
	return s.Events.Publish(ctx, event.Event{Type: name, ID: r.SubjectID, Tenant: a.TenantID, Permission: r.Permission, On: on.On()}, data)
}
