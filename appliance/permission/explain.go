package permission

import (
	"context"
	"maps"
	"slices"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// Question asks whether a subject may do something. The zero Subject is who
// asks; At and Address are now and theirs when left out.
type Question struct {
	Subject
	Permission string
	Resource   Resource
	At         time.Time
	Address    string
	MFA        bool // of somebody else: as if their session had a second factor
}

// Explain tells whether a user (zero: the actor) may do something by what was
// given to them, and why. About others it needs permission:policy:explain.
func (s *Service) Explain(ctx context.Context, user id.ID, permission string) (Decision, error) {
	a, subject, err := s.about(ctx, Subject{UserSubject, user})
	if err != nil {
		return Decision{}, err
	}
	rights, err := s.of(ctx, a.TenantID, subject)
	if err != nil {
		return Decision{}, err
	}
	return s.explained(ctx, &a, rights, Question{Subject: subject, Permission: permission})
}

// ExplainFor tells whether a subject may do something, and why. It is how
// Check decides, token scopes and break-glass included, when it is about who
// asks. About others it needs permission:policy:explain.
func (s *Service) ExplainFor(ctx context.Context, q Question) (Decision, error) {
	a, subject, err := s.about(ctx, q.Subject)
	if err != nil {
		return Decision{}, err
	}
	parts, err := question(q.Permission)
	if err != nil {
		return Decision{}, err
	}
	if subject == subjectOf(a) {
		if v, over := s.beforeGrants(&a, parts); over {
			return Decision{Allowed: v.allowed, Permission: q.Permission, Reason: v.because, Considered: []Considered{}}, nil
		}
	}
	rights, err := s.of(ctx, a.TenantID, subject)
	if err != nil {
		return Decision{}, err
	}
	q.Subject = subject
	return s.explained(ctx, &a, rights, q)
}

// about says whom a question is about, and fails unless the actor may ask.
func (s *Service) about(ctx context.Context, subject Subject) (actor.Actor, Subject, error) {
	a, err := actor.Require(ctx)
	if err != nil {
		return a, subject, err
	}
	if own := subjectOf(a); subject.ID.IsZero() || subject == own {
		return a, own, nil
	}
	if err := subject.validate(); err != nil {
		return a, subject, err
	}
	return a, subject, s.Check(ctx, ExplainAny)
}

// explained decides over the rights and names through what they are held.
func (s *Service) explained(ctx context.Context, a *actor.Actor, rights *Rights, q Question) (Decision, error) {
	parts, err := question(q.Permission)
	if err != nil {
		return Decision{}, err
	}
	ask := asked{parts: parts, text: q.Permission, actor: s.posing(a, q), on: &q.Resource, at: q.At}
	if err := s.complete(ctx, a.TenantID, rights, &ask); err != nil {
		return Decision{}, err
	}
	d := rights.explain(&ask)
	return d, s.nameVias(ctx, a.TenantID, vias(&d)...)
}

// posing is who a question is about, as conditions see them.
func (s *Service) posing(a *actor.Actor, q Question) *actor.Actor {
	as := *a
	if q.Subject != subjectOf(*a) {
		as = actor.Actor{Kind: actor.Kind(q.Kind), ID: q.Subject.ID, TenantID: a.TenantID, MFA: q.MFA, AuthenticatedAt: s.now(), RequestID: a.RequestID}
	}
	if q.Address != "" {
		as.Address = q.Address
	}
	return &as
}

// vias are the sources of a decision whose groups have no names yet.
func vias(d *Decision) []*Source {
	var all []*Source
	if d.DecidedBy != nil {
		all = append(all, d.DecidedBy)
	}
	for i := range d.Considered {
		all = append(all, &d.Considered[i].Source)
	}
	return all
}

func (s *Service) nameVias(ctx context.Context, tenant id.ID, sources ...*Source) error {
	groups := map[Subject]bool{}
	for _, source := range sources {
		if g := source.through.group; !g.IsZero() {
			groups[Subject{GroupSubject, g}] = true
		}
	}
	if len(groups) == 0 {
		return nil
	}
	names, err := s.names(ctx, tenant, slices.Collect(maps.Keys(groups)))
	for _, source := range sources {
		source.Via = source.through.text(names)
	}
	return err
}

// Ask answers several questions of the actor about itself; nothing is recorded.
func (s *Service) Ask(ctx context.Context, questions []Question) ([]bool, error) {
	a, err := actor.Require(ctx)
	if err != nil {
		return nil, err
	}
	answers := make([]bool, len(questions))
	for i, q := range questions {
		v, err := s.decide(ctx, &a, q.Permission, &q.Resource)
		if err != nil {
			return nil, err
		}
		answers[i] = v.allowed
	}
	return answers, nil
}

// Effective lists what a subject (zero: the actor) holds and has not ended,
// with where it has it from. About others it needs permission:policy:explain.
func (s *Service) Effective(ctx context.Context, subject Subject) ([]Source, error) {
	a, subject, err := s.about(ctx, subject)
	if err != nil {
		return nil, err
	}
	rights, err := s.of(ctx, a.TenantID, subject)
	if err != nil {
		return nil, err
	}
	all := []Source{}
	var named []*Source
	for i := range rights.all {
		if !ended(rights.all[i].ExpiresAt, s.now()) {
			all = append(all, rights.all[i].Source)
		}
	}
	for i := range all {
		named = append(named, &all[i])
	}
	return all, s.nameVias(ctx, a.TenantID, named...)
}

// Holding is a subject that may do something, with what lets it.
type Holding struct {
	Subject
	Name string `json:"name,omitempty"`
	Via  string `json:"via"`
	// Conditional says that it depends on when, from where or how they ask.
	Conditional bool `json:"conditional,omitempty"`
}

// Holders lists who may do something to a resource now: the people and service
// accounts of the tenant, and the groups to which it was given.
func (s *Service) Holders(ctx context.Context, permission string, on Resource) (all []Holding, err error) {
	a, err := s.authorise(ctx, ExplainAny)
	if err != nil {
		return nil, err
	}
	if _, err := question(permission); err != nil {
		return nil, err
	}
	all = []Holding{}
	err = s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		w, subjects, err := s.everybody(ctx, a.TenantID)
		if err != nil {
			return err
		}
		names, err := s.names(ctx, a.TenantID, append(subjects, w.allGroups()...))
		if err != nil {
			return err
		}
		for _, subject := range subjects {
			h, holds, err := s.holding(ctx, &a, w, Question{Subject: subject, Permission: permission, Resource: on}, names)
			if err != nil {
				return err
			}
			if holds {
				all = append(all, h)
			}
		}
		return nil
	})
	return all, err
}

// everybody is all that was given in a tenant and whom to ask about: those to
// whom something was given and, where they are known, all people.
func (s *Service) everybody(ctx context.Context, tenant id.ID) (world, []Subject, error) {
	w, err := s.wholeWorld(ctx, tenant)
	if err != nil {
		return w, nil, err
	}
	subjects := subjectsIn(w.assignments, w.grants)
	if s.People != nil {
		people, err := s.People(ctx, tenant)
		if err != nil {
			return w, nil, err
		}
		groups := slices.DeleteFunc(subjects, func(one Subject) bool { return one.Kind != GroupSubject })
		subjects = append(people, groups...)
	}
	for _, subject := range subjects {
		if w.groups[subject], err = s.groupsOf(ctx, tenant, subject); err != nil {
			return w, nil, err
		}
	}
	return w, subjects, nil
}

func (w world) allGroups() []Subject {
	var all []Subject
	for _, subject := range subjectsIn(w.assignments, w.grants) {
		if subject.Kind == GroupSubject {
			all = append(all, subject)
		}
	}
	return all
}

func (s *Service) holding(ctx context.Context, a *actor.Actor, w world, q Question, names map[Subject]string) (Holding, bool, error) {
	name, known := names[q.Subject]
	if !known && s.Names != nil {
		return Holding{}, false, nil // it is no more
	}
	rights, err := Compile(w.sources(q.Subject))
	if err != nil {
		return Holding{}, false, err
	}
	parts, _ := question(q.Permission)
	ask := asked{parts: parts, text: q.Permission, actor: s.posing(a, q), on: &q.Resource}
	if err := s.complete(ctx, a.TenantID, rights, &ask); err != nil {
		return Holding{}, false, err
	}
	by, allowed := rights.decide(&ask)
	if !allowed {
		return Holding{}, false, nil
	}
	return Holding{
		Subject: q.Subject, Name: name, Via: rights.all[by].through.text(names),
		Conditional: ask.input != nil,
	}, true, nil
}

// Change is what could be changed, to see what would come of it.
type Change struct {
	Assign       []Assignment
	Unassign     []id.ID // assignments
	GrantsAdd    []DirectGrant
	GrantsRemove []id.ID
	Role         *Role // as it would be; a new one with an id of the asker's choice
}

// Outcome is one decision before a change and after it.
type Outcome struct {
	Before Decision `json:"before"`
	After  Decision `json:"after"`
}

// Simulate answers questions as things are and as they would be after a
// change, and changes nothing.
func (s *Service) Simulate(ctx context.Context, c Change, questions []Question) (all []Outcome, err error) {
	a, err := s.authorise(ctx, ExplainAny)
	if err != nil {
		return nil, err
	}
	if err := c.validate(); err != nil {
		return nil, err
	}
	all = []Outcome{}
	err = s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		before, err := s.wholeWorld(ctx, a.TenantID)
		if err != nil {
			return err
		}
		after, err := before.changed(c)
		if err != nil {
			return err
		}
		for _, q := range questions {
			o, err := s.outcome(ctx, &a, before, after, q)
			if err != nil {
				return err
			}
			all = append(all, o)
		}
		return nil
	})
	return all, err
}

func (c Change) validate() error {
	for _, n := range c.Assign {
		if err := n.Subject.validate(); err != nil {
			return err
		}
		if err := validTimes(n.NotBefore, n.ExpiresAt); err != nil {
			return err
		}
	}
	for _, g := range c.GrantsAdd {
		if err := g.Subject.validate(); err != nil {
			return err
		}
		if err := g.Grant.Validate(); err != nil {
			return err
		}
	}
	if c.Role == nil {
		return nil
	}
	_, err := validRole(*c.Role)
	return err
}

// changed is the world after a change.
func (w world) changed(c Change) (world, error) {
	after := world{roles: maps.Clone(w.roles), groups: w.groups}
	for _, n := range w.assignments {
		if !slices.Contains(c.Unassign, n.ID) {
			after.assignments = append(after.assignments, n)
		}
	}
	for _, g := range w.grants {
		if !slices.Contains(c.GrantsRemove, g.ID) {
			after.grants = append(after.grants, g)
		}
	}
	after.assignments = append(after.assignments, c.Assign...)
	after.grants = append(after.grants, c.GrantsAdd...)
	if c.Role != nil {
		if w.roles[c.Role.ID].System {
			return after, fault.New(fault.Conflict, "System roles cannot be changed.")
		}
		after.roles[c.Role.ID] = *c.Role
	}
	for _, n := range c.Assign {
		if _, ok := after.roles[n.RoleID]; !ok {
			return after, fault.BadField("body.change.assign", "The role to assign does not exist, or it is not yours.")
		}
	}
	return after, nil
}

func (s *Service) outcome(ctx context.Context, a *actor.Actor, before, after world, q Question) (o Outcome, err error) {
	if q.Subject.ID.IsZero() {
		q.Subject = subjectOf(*a)
	}
	if err := q.Subject.validate(); err != nil {
		return o, err
	}
	if q.At.IsZero() {
		q.At = s.now()
	}
	groups, err := s.groupsOf(ctx, a.TenantID, q.Subject)
	if err != nil {
		return o, err
	}
	for _, side := range []struct {
		to *Decision
		in world
	}{{&o.Before, before}, {&o.After, after}} {
		side.in.groups = map[Subject][]id.ID{q.Subject: groups}
		rights, err := Compile(side.in.sources(q.Subject))
		if err != nil {
			return o, err
		}
		if *side.to, err = s.explained(ctx, a, rights, q); err != nil {
			return o, err
		}
	}
	return o, nil
}
