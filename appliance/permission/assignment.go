package permission

import (
	"context"
	"slices"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

var noTime time.Time

// Assignment gives a subject a role: everywhere or in one compartment and all
// below it, for ever or for a time.
type Assignment struct {
	ID id.ID `json:"id,omitzero"`
	Subject
	SubjectName string    `json:"subject_name,omitempty"`
	RoleID      id.ID     `json:"role_id"`
	RoleName    string    `json:"role_name,omitempty"`
	Compartment id.ID     `json:"compartment_id,omitzero" nullable:"true"`
	NotBefore   time.Time `json:"not_before,omitzero" nullable:"true"`
	ExpiresAt   time.Time `json:"expires_at,omitzero" nullable:"true"`
	CreatedAt   time.Time `json:"created_at,omitzero"`
}

// Filter narrows lists of assignments and grants. Zero members do not narrow.
type Filter struct {
	Kind    SubjectKind
	Subject id.ID
	Role    id.ID
}

// Assignments lists who has which role in the actor's tenant.
func (s *Service) Assignments(ctx context.Context, f Filter) (all []Assignment, err error) {
	a, err := s.authorise(ctx, ReadRole)
	if err != nil {
		return nil, err
	}
	err = s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		if all, err = s.store.assignments(ctx, f); err != nil {
			return err
		}
		names, err := s.names(ctx, a.TenantID, subjectsIn(all, nil))
		for i := range all {
			all[i].SubjectName = names[all[i].Subject]
		}
		return err
	})
	return all, err
}

// names gives subjects of a tenant their names.
func (s *Service) names(ctx context.Context, tenant id.ID, subjects []Subject) (map[Subject]string, error) {
	if s.Names == nil || len(subjects) == 0 {
		return map[Subject]string{}, nil
	}
	return s.Names(ctx, tenant, subjects)
}

// ofTenant refuses a subject that does not exist, or that is another tenant's,
// with the same words.
func (s *Service) ofTenant(ctx context.Context, tenant id.ID, subject Subject) error {
	if s.Names == nil {
		return nil
	}
	names, err := s.Names(ctx, tenant, []Subject{subject})
	if err != nil {
		return err
	}
	if _, ok := names[subject]; !ok {
		return fault.BadField("body.subject_id", "This subject does not exist, or it is not yours.")
	}
	return nil
}

// Assign gives a user of the actor's tenant a role. Giving it twice is fine;
// somebody who is not of the tenant is fault.NotFound.
func (s *Service) Assign(ctx context.Context, user, role id.ID) error {
	a, err := s.authorise(ctx, AssignRole)
	if err != nil {
		return err
	}
	return s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		err := s.ofTenant(ctx, a.TenantID, Subject{UserSubject, user})
		if fault.Is(err, fault.Invalid) {
			return fault.New(fault.NotFound, "It does not exist, or it is not yours.")
		}
		if err != nil {
			return err
		}
		_, err = s.assign(ctx, a, Assignment{ID: id.New(), Subject: Subject{UserSubject, user}, RoleID: role})
		return err
	})
}

// AssignTo gives a subject of the actor's tenant a role. It returns
// fault.Forbidden for more than the actor holds and fault.Conflict when it is
// given already.
func (s *Service) AssignTo(ctx context.Context, n Assignment) (Assignment, error) {
	a, err := s.authorise(ctx, AssignRole)
	if err != nil {
		return Assignment{}, err
	}
	if err := n.validate(s.now()); err != nil {
		return Assignment{}, err
	}
	n.ID = id.New()
	return n, s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		if err := s.ofTenant(ctx, a.TenantID, n.Subject); err != nil {
			return err
		}
		if err := s.isPlace(ctx, a.TenantID, n.Compartment); err != nil {
			return err
		}
		made, err := s.assign(ctx, a, n)
		if err == nil && !made {
			err = fault.New(fault.Conflict, "This role is assigned in the same way already.")
		}
		if err == nil {
			n, err = s.store.assignment(ctx, n.ID)
		}
		return err
	})
}

func (n Assignment) validate(now time.Time) error {
	if err := n.Subject.validate(); err != nil {
		return err
	}
	if err := validTimes(n.NotBefore, n.ExpiresAt); err != nil {
		return err
	}
	return notOver(n.ExpiresAt, now)
}

func notOver(ends, now time.Time) error {
	if !ends.IsZero() && !ends.After(now) {
		return fault.BadField("body.expires_at", "It would be over already. Choose an end in the future.")
	}
	return nil
}

// isPlace refuses a compartment that does not exist in the tenant.
func (s *Service) isPlace(ctx context.Context, tenant, compartment id.ID) error {
	if compartment.IsZero() {
		return nil
	}
	path, err := s.path(ctx, tenant, compartment)
	if err == nil && len(path) == 0 {
		err = fault.BadField("body.compartment_id", "The compartment does not exist, or it is not yours.")
	}
	return err
}

func (s *Service) assign(ctx context.Context, a actor.Actor, n Assignment) (made bool, err error) {
	r, err := s.store.role(ctx, n.RoleID)
	if err != nil {
		return false, err
	}
	gifts, err := s.sourcesOf(ctx, a.TenantID, n)
	if err != nil {
		return false, err
	}
	if err := s.within(ctx, gifts, nil); err != nil {
		return false, err
	}
	if err := s.spares(ctx, a.TenantID, n.Subject, gifts); err != nil {
		return false, err
	}
	if made, err = s.store.assign(ctx, n); err != nil || !made {
		return made, err
	}
	if err := s.stillAdministered(ctx, a.TenantID, gifts); err != nil {
		return false, err
	}
	s.watchEdges(ctx, a.TenantID, n.NotBefore, n.ExpiresAt)
	return true, s.changed(ctx, a.TenantID, "permission.role.assigned", n, r)
}

// changed tells every node and records an assignment's change.
func (s *Service) changed(ctx context.Context, tenant id.ID, what string, n Assignment, r Role) error {
	if err := s.Changed(ctx, tenant); err != nil {
		return err
	}
	details := map[string]any{"role_id": r.ID, "role": r.Name}
	if !n.Compartment.IsZero() {
		details["compartment_id"] = n.Compartment
	}
	for name, at := range map[string]time.Time{"not_before": n.NotBefore, "expires_at": n.ExpiresAt} {
		if !at.IsZero() {
			details[name] = at.UTC()
		}
	}
	who, err := s.target(ctx, tenant, n.Subject)
	if err != nil {
		return err
	}
	return s.Audit.Record(ctx, audit.Entry{Event: what, Priority: audit.Notice, Target: who, Details: details})
}

// target is a holder as records name it: who reads them elsewhere has no other
// place to look a name up.
func (s *Service) target(ctx context.Context, tenant id.ID, holder Subject) (audit.Target, error) {
	names, err := s.names(ctx, tenant, []Subject{holder})
	return audit.Target{Kind: string(holder.Kind), ID: holder.ID.String(), Name: names[holder]}, err
}

// Unassign takes a role from a user, wherever and whenever it held. Taking
// what is not there is fine.
func (s *Service) Unassign(ctx context.Context, user, role id.ID) error {
	a, err := s.authorise(ctx, AssignRole)
	if err != nil {
		return err
	}
	subject := Subject{UserSubject, user}
	return s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		r, err := s.store.role(ctx, role)
		if err != nil {
			return err
		}
		if err := s.keeps(ctx, subject, role); err != nil {
			return err
		}
		all, err := s.store.assignments(ctx, Filter{Kind: UserSubject, Subject: user, Role: role})
		if err != nil {
			return err
		}
		if len(all) == 0 { // the answer is the same as for what could be taken
			return s.mayTake(ctx, a.TenantID, Assignment{RoleID: role})
		}
		for _, n := range all {
			if err := s.take(ctx, a.TenantID, n, r); err != nil {
				return err
			}
		}
		return nil
	})
}

// UnassignOne takes one assignment away, or returns fault.NotFound.
func (s *Service) UnassignOne(ctx context.Context, assignment id.ID) error {
	a, err := s.authorise(ctx, AssignRole)
	if err != nil {
		return err
	}
	return s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		n, err := s.store.assignment(ctx, assignment)
		if err != nil {
			return err
		}
		if err := s.keeps(ctx, n.Subject, n.RoleID); err != nil {
			return err
		}
		r, err := s.store.role(ctx, n.RoleID)
		if err != nil {
			return err
		}
		return s.take(ctx, a.TenantID, n, r)
	})
}

func (s *Service) keeps(ctx context.Context, subject Subject, role id.ID) error {
	if s.Keep == nil {
		return nil
	}
	return s.Keep(ctx, subject, role)
}

// mayTake is the rule of Assign, and more: what a role denies is given back
// with it.
func (s *Service) mayTake(ctx context.Context, tenant id.ID, n Assignment) error {
	sources, err := s.sourcesOf(ctx, tenant, n)
	if err != nil {
		return err
	}
	return s.within(ctx, sources, sources)
}

func (s *Service) take(ctx context.Context, tenant id.ID, n Assignment, r Role) error {
	if err := s.mayTake(ctx, tenant, n); err != nil {
		return err
	}
	if err := s.store.unassign(ctx, n.ID); err != nil {
		return err
	}
	if err := s.lastAdministrator(ctx, tenant, r); err != nil {
		return err
	}
	return s.changed(ctx, tenant, "permission.role.unassigned", n, r)
}

// lastAdministrator refuses a change that leaves the provider without anybody
// who may do everything.
func (s *Service) lastAdministrator(ctx context.Context, tenant id.ID, r Role) error {
	if !s.IsRoot(tenant) || !r.System || r.Name != ProviderAdministrator {
		return nil
	}
	able, _, err := s.administrators(ctx, tenant)
	if err == nil && able == 0 {
		err = fault.New(fault.Conflict, "This is the last Provider Administrator. Make somebody else one first.")
	}
	return err
}

// stillAdministered refuses denials that would leave the provider without
// anybody who may do everything, and so without anybody to take them back.
func (s *Service) stillAdministered(ctx context.Context, tenant id.ID, given []Source) error {
	denies := slices.ContainsFunc(given, func(g Source) bool { return g.Effect == Deny })
	if !denies || !s.IsRoot(tenant) {
		return nil
	}
	able, appointed, err := s.administrators(ctx, tenant)
	if err == nil && appointed > 0 && able == 0 {
		err = fault.New(fault.Conflict, "This would deny something to the last Provider Administrator. Make somebody else one first.")
	}
	return err
}

// spares refuses to deny something to whom the provider's administration must
// never be taken from.
func (s *Service) spares(ctx context.Context, tenant id.ID, subject Subject, given []Source) error {
	denies := slices.ContainsFunc(given, func(g Source) bool { return g.Effect == Deny })
	if !denies || !s.IsRoot(tenant) {
		return nil
	}
	return s.keeps(ctx, subject, SystemRoleID(tenant, ProviderAdministrator))
}

// administrators counts the people who are Provider Administrator everywhere
// and for ever, and those of them to whom nothing is denied.
func (s *Service) administrators(ctx context.Context, tenant id.ID) (able, appointed int, err error) {
	all, err := s.store.assignments(ctx, Filter{Kind: UserSubject, Role: SystemRoleID(tenant, ProviderAdministrator)})
	if err != nil {
		return 0, 0, err
	}
	for _, n := range all {
		if !n.Compartment.IsZero() || !n.ExpiresAt.IsZero() || n.NotBefore.After(s.now()) {
			continue
		}
		appointed++
		rights, err := s.compile(ctx, tenant, n.Subject)
		if err != nil {
			return 0, 0, err
		}
		everything, _ := prepare(Source{Grant: Grant{Permission: "*:*:*", Effect: Allow}})
		if rights.covers(everything, s.now(), above{}) {
			able++
		}
	}
	return able, appointed, nil
}

// Removed takes everything from a subject that is no more, in the transaction
// of its tenant and without asking. It fails with fault.Conflict when the
// provider would be left without an administrator.
func (s *Service) Removed(ctx context.Context, tenant id.ID, gone Subject) error {
	roles, err := s.store.rolesOf(ctx, gone)
	if err != nil {
		return err
	}
	if err := s.store.removeSubject(ctx, gone); err != nil {
		return err
	}
	for _, r := range roles {
		if err := s.lastAdministrator(ctx, tenant, r); err != nil {
			return err
		}
	}
	return s.Changed(ctx, tenant)
}
