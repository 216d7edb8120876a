package permission

import (
	"context"
	"time"

	"nimbus/appliance/audit"
	"nimbus/appliance/id"
)

// DirectGrant is a grant that a subject holds by itself, without a role.
type DirectGrant struct {
	ID id.ID `json:"id,omitzero"`
	Subject
	SubjectName string `json:"subject_name,omitempty"`
	Grant
	CreatedAt time.Time `json:"created_at,omitzero"`
}

// Grants lists what was given directly in the actor's tenant.
func (s *Service) Grants(ctx context.Context, f Filter) (all []DirectGrant, err error) {
	a, err := s.authorise(ctx, ReadGrant)
	if err != nil {
		return nil, err
	}
	err = s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		if all, err = s.store.grants(ctx, f); err != nil {
			return err
		}
		names, err := s.names(ctx, a.TenantID, subjectsIn(nil, all))
		for i := range all {
			all[i].SubjectName = names[all[i].Subject]
		}
		return err
	})
	return all, err
}

// CreateGrant gives a subject of the actor's tenant a grant. It returns
// fault.Forbidden for more than the actor holds.
func (s *Service) CreateGrant(ctx context.Context, g DirectGrant) (DirectGrant, error) {
	a, err := s.authorise(ctx, CreateGrant)
	if err != nil {
		return DirectGrant{}, err
	}
	if err := g.validate(s.now()); err != nil {
		return DirectGrant{}, err
	}
	g.ID, g.SubjectName = id.New(), ""
	return g, s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		if err := s.ofTenant(ctx, a.TenantID, g.Subject); err != nil {
			return err
		}
		if err := s.isPlace(ctx, a.TenantID, g.Compartment); err != nil {
			return err
		}
		if err := s.within(ctx, g.sources(), nil); err != nil {
			return err
		}
		if err := s.spares(ctx, a.TenantID, g.Subject, g.sources()); err != nil {
			return err
		}
		if g, err = s.store.addGrant(ctx, g); err != nil {
			return err
		}
		if err := s.stillAdministered(ctx, a.TenantID, g.sources()); err != nil {
			return err
		}
		s.watchEdges(ctx, a.TenantID, g.NotBefore, g.ExpiresAt)
		return s.grantChanged(ctx, a.TenantID, "permission.grant.created", g)
	})
}

func (g DirectGrant) sources() []Source { return []Source{{Grant: g.Grant}} }

func (g DirectGrant) validate(now time.Time) error {
	if err := g.Subject.validate(); err != nil {
		return err
	}
	if err := g.Grant.Validate(); err != nil {
		return err
	}
	return notOver(g.ExpiresAt, now)
}

// DeleteGrant takes a direct grant away, or returns fault.NotFound. Taking a
// denial away needs what it denies.
func (s *Service) DeleteGrant(ctx context.Context, grant id.ID) error {
	a, err := s.authorise(ctx, DeleteGrant)
	if err != nil {
		return err
	}
	return s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		g, err := s.store.grant(ctx, grant)
		if err != nil {
			return err
		}
		if err := s.within(ctx, g.sources(), g.sources()); err != nil {
			return err
		}
		if err := s.store.removeGrant(ctx, grant); err != nil {
			return err
		}
		return s.grantChanged(ctx, a.TenantID, "permission.grant.deleted", g)
	})
}

func (s *Service) grantChanged(ctx context.Context, tenant id.ID, what string, g DirectGrant) error {
	if err := s.Changed(ctx, tenant); err != nil {
		return err
	}
	who, err := s.target(ctx, tenant, g.Subject)
	if err != nil {
		return err
	}
	return s.Audit.Record(ctx, audit.Entry{
		Event: what, Priority: audit.Notice, Target: who, Details: map[string]any{"grant_id": g.ID, "grant": g.Grant},
	})
}
