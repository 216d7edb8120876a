package breakglass

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/db"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/identity"
	"nimbus/appliance/permission"
)

// Config is what the service needs.
type Config struct {
	DB          *db.DB
	Audit       *audit.Service
	Permissions *permission.Service
	Identity    *identity.Service
	Events      *event.Bus
	Signer      Signer
	Root        func() id.ID // the root tenant
	Logger      *slog.Logger // nil discards
}

// Service opens and ends emergency sessions. It answers from New on; between
// Start and Stop sessions also end, and are recorded, by themselves.
type Service struct {
	Config
	store store
	watch *watch
}

// New returns a service that is not watching yet.
func New(cfg Config) *Service {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Service{Config: cfg}
	s.watch = newWatch(s)
	return s
}

// Ask is what somebody asks for. For is whose rights are raised: the zero
// actor means the asker's own, and only the console may name another one.
type Ask struct {
	Reason  string
	Minutes int
	For     actor.Actor
}

// Request asks for an emergency session in the actor's tenant. Nothing is
// raised before two people have approved it. It returns fault.Invalid and
// fault.Forbidden.
func (s *Service) Request(ctx context.Context, ask Ask) (Request, error) {
	a, err := s.authorise(ctx, RequestPermission)
	if err != nil {
		return Request{}, err
	}
	if ask.Reason, err = validAsk(ask.Reason, ask.Minutes); err != nil {
		return Request{}, err
	}
	user := a
	if a.Kind == actor.Console {
		user = ask.For
		a.OnBehalfOf = user.Principal()
		ctx = actor.With(ctx, a)
	} else if !ask.For.ID.IsZero() {
		return Request{}, fault.New(fault.Forbidden, "You can ask for yourself only.")
	}
	if user.Kind != actor.User || user.TenantID.IsZero() {
		return Request{}, fault.New(fault.Invalid, "Say whose rights are to be raised: a person who is signed in to a tenant.")
	}
	r := Request{
		ID: id.New(), TenantID: user.TenantID, User: Person{user.ID, user.Name}, RequestedBy: Person{a.ID, a.Name},
		Reason: ask.Reason, Minutes: ask.Minutes,
	}
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		if r, err = s.store.insert(ctx, r); err != nil {
			return err
		}
		return s.record(ctx, r, "breakglass.session.requested", "")
	})
	return r, err
}

// Approve gives the actor's consent, proven by the password. The second
// person's consent has the challenge signed and opens the session. It returns
// fault.Unauthenticated for a wrong password, fault.Forbidden, fault.Conflict
// and fault.Gone as the rules say, and fault.Unavailable with its reason when
// the key does not sign: that consent is not kept and can be given again.
func (s *Service) Approve(ctx context.Context, request id.ID, password string) (Request, error) {
	a, err := s.authorise(ctx, ApprovePermission)
	if err != nil {
		return Request{}, err
	}
	if a.Kind != actor.User {
		return Request{}, fault.New(fault.Forbidden, "Only people approve break-glass.")
	}
	r, err := s.approvable(ctx, a, request)
	if err != nil {
		return r, err
	}
	if err := s.Identity.VerifyPassword(ctx, password); err != nil {
		return r, err
	}
	consent := Approval{User: Person{a.ID, a.Name}, Self: a.ID == r.User.ID}
	if len(r.Approvals)+1 < Needed {
		return s.consent(ctx, r, consent)
	}
	opened, err := s.open(ctx, r, consent)
	if err != nil {
		s.failed(ctx, r, err)
	}
	return opened, err
}

// approvable reads the request and applies the rules; one of another tenant
// is fault.NotFound. Consents given before count only while who gave them may.
func (s *Service) approvable(ctx context.Context, a actor.Actor, request id.ID) (Request, error) {
	r, err := s.get(ctx, a, request)
	if err != nil {
		return r, err
	}
	active, able, err := s.people(ctx, r.TenantID)
	if err != nil {
		return r, err
	}
	if !active[a.ID] {
		return r, fault.New(fault.Forbidden, "You do not belong to this tenant, or not any more.")
	}
	for _, given := range r.Approvals {
		if err := s.stands(ctx, r, given, active); err != nil {
			return r, err
		}
	}
	return r, r.mayApprove(a.ID, able)
}

// stands is fault.Conflict when who gave a consent could not give it any more.
func (s *Service) stands(ctx context.Context, r Request, given Approval, active map[id.ID]bool) error {
	who := permission.Subject{Kind: permission.UserSubject, ID: given.User.ID}
	may, err := s.Permissions.Somewhere(ctx, r.TenantID, who, ApprovePermission)
	if err == nil && (!may || !active[who.ID]) {
		err = fault.New(fault.Conflict, "%s approved this and may not approve any more. Turn it down and ask again.", given.User.Name)
	}
	return err
}

func (s *Service) get(ctx context.Context, a actor.Actor, request id.ID) (Request, error) {
	var r Request
	err := s.DB.Core(ctx, func(ctx context.Context) error {
		var err error
		r, err = s.store.get(ctx, request)
		return err
	})
	if err == nil && r.TenantID != a.TenantID && !a.Kind.Trusted() {
		return Request{}, fault.New(fault.NotFound, "It does not exist, or it is not yours.")
	}
	return r, err
}

// people are the active members of a tenant, and how many of them could approve.
func (s *Service) people(ctx context.Context, tenant id.ID) (active map[id.ID]bool, able int, err error) {
	ctx = actor.AsSystem(ctx, "breakglass", tenant)
	users, err := s.Identity.Users(ctx)
	if err != nil {
		return nil, 0, err
	}
	active = map[id.ID]bool{}
	for _, u := range users {
		if u.Status != identity.Active {
			continue
		}
		active[u.ID] = true
		d, err := s.Permissions.Explain(ctx, u.ID, ApprovePermission)
		if err != nil {
			return nil, 0, err
		}
		if d.Allowed {
			able++
		}
	}
	return active, able, nil
}

// consent keeps an approval that does not open anything yet.
func (s *Service) consent(ctx context.Context, r Request, consent Approval) (Request, error) {
	seen := r
	err := s.DB.Core(ctx, func(ctx context.Context) error {
		var err error
		if r, err = s.unchanged(ctx, seen); err != nil {
			return err
		}
		return s.approve(ctx, &r, consent)
	})
	return r, err
}

func (s *Service) approve(ctx context.Context, r *Request, consent Approval) error {
	if err := s.store.approve(ctx, r.ID, consent); err != nil {
		return err
	}
	var err error
	if *r, err = s.store.get(ctx, r.ID); err != nil {
		return err
	}
	return s.record(ctx, *r, "breakglass.session.approved", "")
}

// unchanged locks the request and makes sure that it is what was decided on.
func (s *Service) unchanged(ctx context.Context, seen Request) (Request, error) {
	r, err := s.store.lock(ctx, seen.ID)
	if err == nil && (r.Status != seen.Status || !slices.Equal(r.Approvals, seen.Approvals)) {
		err = fault.New(fault.Conflict, "Somebody else decided about this at the same moment. Look at it again.")
	}
	return r, err
}

// open has the challenge signed, outside of a transaction since a token may be
// slow, and then opens the session if nothing has changed meanwhile.
func (s *Service) open(ctx context.Context, seen Request, consent Approval) (Request, error) {
	approved := seen
	approved.Approvals = append(slices.Clone(seen.Approvals), consent)
	challenge := approved.challenge()
	sig, err := s.sign(ctx, challenge)
	if err != nil {
		return seen, err
	}
	r := seen
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		var err error
		if r, err = s.unchanged(ctx, seen); err != nil {
			return err
		}
		if err = s.approve(ctx, &r, consent); err != nil {
			return err
		}
		if r, err = s.store.open(ctx, r.ID, challenge, sig); fault.Is(db.Fault(err), fault.Conflict) {
			return fault.Wrap(fault.Conflict, err, "%s has an open break-glass session already. End it first.", seen.User.Name)
		}
		if err != nil {
			return err
		}
		return s.announce(ctx, r, EventOpened, "breakglass.session.opened", "")
	})
	return r, err
}

func (s *Service) sign(ctx context.Context, challenge []byte) (Signature, error) {
	sig, err := s.Signer.Sign(ctx, challenge)
	if err != nil {
		return sig, err
	}
	if err := sig.Verify(challenge); err != nil {
		return sig, fault.Wrap(fault.Unavailable, err, "Break-glass stays closed because the signature of its key does not verify. Check the hardware security module.")
	}
	return sig, nil
}

// failed records that approvals did not open anything, and why, even when
// nobody waits for the answer any more.
func (s *Service) failed(ctx context.Context, r Request, why error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := s.DB.Core(ctx, func(ctx context.Context) error {
		return s.record(ctx, r, "breakglass.session.refused", fault.Message(why))
	})
	if err != nil {
		s.Logger.Error("a refused break-glass could not be recorded", "request", r.ID, "error", err)
	}
}

// End ends a session early, or withdraws or turns down a request that is
// pending. The raised person, the requester and every approver may. What is
// over already is fault.Conflict.
func (s *Service) End(ctx context.Context, request id.ID) (Request, error) {
	a, err := actor.Require(ctx)
	if err != nil {
		return Request{}, err
	}
	r, err := s.get(ctx, a, request)
	if err != nil {
		return r, err
	}
	if !a.Kind.Trusted() && a.ID != r.User.ID && a.ID != r.RequestedBy.ID {
		if _, err := s.authorise(ctx, ApprovePermission); err != nil {
			return r, err
		}
	}
	to := map[Status]Status{Open: Ended, Pending: Refused}[r.Status]
	if to == "" {
		return r, fault.New(fault.Conflict, "This request is %s already.", r.Status)
	}
	return s.finish(ctx, r, to, Person{a.ID, a.Name})
}

// finish moves a live request to its end, once over all nodes.
func (s *Service) finish(ctx context.Context, r Request, to Status, by Person) (Request, error) {
	from := Pending
	if to == Ended {
		from = Open
	}
	err := s.DB.Core(ctx, func(ctx context.Context) error {
		done, err := s.store.finish(ctx, r.ID, from, to, by)
		if err != nil {
			return err
		}
		if !done {
			return fault.New(fault.Conflict, "This request is over already.")
		}
		if r, err = s.store.get(ctx, r.ID); err != nil {
			return err
		}
		if to != Ended {
			return s.record(ctx, r, "breakglass.session."+string(to), "")
		}
		return s.announce(ctx, r, EventEnded, "breakglass.session.ended", "")
	})
	return r, err
}

// View is what the page about break-glass shows.
type View struct {
	HSM      KeyStatus `json:"hsm"`
	Active   *Session  `json:"active"`
	Requests []Request `json:"requests"`
}

const listed = 50

// View shows the key, the session that is open in the actor's tenant and the
// latest requests; in the root tenant and on the console those of all tenants.
func (s *Service) View(ctx context.Context) (View, error) {
	a, err := s.authorise(ctx, ReadPermission)
	if err != nil {
		return View{}, err
	}
	v := View{HSM: s.Signer.Status(ctx), Active: s.banner(ctx, a)}
	tenant := a.TenantID
	if tenant == s.Root() {
		tenant = id.ID{}
	}
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		var err error
		v.Requests, err = s.store.list(ctx, tenant, listed)
		return err
	})
	return v, err
}

// Banner is the session to warn about on every page of the context's actor, or
// an untyped nil: its own, else one of its tenant, else, in the root tenant, any.
func (s *Service) Banner(ctx context.Context) any {
	a, ok := actor.From(ctx)
	if !ok {
		return nil
	}
	if session := s.banner(ctx, a); session != nil {
		return session
	}
	return nil
}

func (s *Service) banner(ctx context.Context, a actor.Actor) *Session {
	var shown *Session
	for _, o := range s.watch.current(ctx) {
		if o.UserID == a.ID && o.TenantID == a.TenantID {
			return &o
		}
		if o.TenantID == a.TenantID || a.TenantID == s.Root() || a.Kind == actor.Console {
			shown = &o
		}
	}
	return shown
}

// Active tells whether a user's rights are raised right now, from memory that
// is never older than two seconds. When the database does not answer, what is
// known holds until its end by this process's own clock, and no longer.
func (s *Service) Active(ctx context.Context, user id.ID) (Session, bool) {
	for _, o := range s.watch.current(ctx) {
		if o.UserID == user {
			return o, true
		}
	}
	return Session{}, false
}

// Raise gives a signed-in person their open session, if it is for the tenant
// they act in. Authentication calls it for every request. The person's API tokens
// stay as they are: programs that use them were not approved, nor was who has
// found one.
func (s *Service) Raise(ctx context.Context, a actor.Actor) actor.Actor {
	a.BreakGlass = id.ID{}
	if a.Kind != actor.User || a.Agent.Kind == actor.APIToken {
		return a
	}
	if o, ok := s.Active(ctx, a.ID); ok && o.TenantID == a.TenantID {
		a.BreakGlass = o.ID
	}
	return a
}

// authorise asks for the actor's own rights, without what a session adds.
func (s *Service) authorise(ctx context.Context, permission string) (actor.Actor, error) {
	a, err := actor.Require(ctx)
	if err != nil {
		return a, err
	}
	own := a
	own.BreakGlass = id.ID{}
	return a, s.Permissions.Check(actor.With(ctx, own), permission)
}

// announce records, and tells everybody in the tenant and at the provider level.
func (s *Service) announce(ctx context.Context, r Request, kind, what, reason string) error {
	if err := s.record(ctx, r, what, reason); err != nil {
		return err
	}
	db.OnCommit(ctx, func() { s.watch.note(r) })
	levels := []id.ID{r.TenantID}
	if root := s.Root(); root != r.TenantID && !root.IsZero() {
		levels = append(levels, root)
	}
	for _, tenant := range levels {
		if err := s.Events.Publish(ctx, event.Event{Type: kind, ID: r.ID, Tenant: tenant}, r.session()); err != nil {
			return err
		}
	}
	return nil
}

// record writes to the provider's chain and to the tenant's, as critical, and
// to the log as an error, because nobody should miss it.
func (s *Service) record(ctx context.Context, r Request, what, refusal string) error {
	e := audit.Entry{
		Event: what, Priority: audit.Critical, Reason: r.Reason,
		Target: audit.Target{Kind: "breakglass", ID: r.ID.String(), Name: r.User.Name},
		Details: map[string]any{
			"tenant_id": r.TenantID, "user": r.User, "requested_by": r.RequestedBy, "minutes": r.Minutes,
			"status": r.Status, "approvals": r.Approvals, "ends_at": r.EndsAt, "signed_with": r.Key,
		},
	}
	if refusal != "" {
		e.Outcome, e.Details["refusal"] = audit.Failure, refusal
	}
	err := s.Audit.Record(ctx, e)
	if err == nil && r.TenantID != s.Root() {
		err = s.DB.Tenant(ctx, r.TenantID, func(ctx context.Context) error { return s.Audit.Record(ctx, e) })
	}
	db.OnCommit(ctx, func() {
		s.Logger.Error("break-glass", "event", what, "request", r.ID, "user", r.User.Name, "reason", r.Reason, "ends_at", r.EndsAt, "refusal", refusal)
	})
	return err
}
