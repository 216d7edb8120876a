package tenancy

import (
	"context"
	"encoding/json"
	"net/mail"
	"strings"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// Onboarding is all that a new tenant needs, in one request.
type Onboarding struct {
	Tenant        Tenant
	Domains       []string
	Quotas        []Quota
	Administrator *Administrator
	SignIn        json.RawMessage // as POST /v1/identity-providers takes it
	SCIMToken     *SCIMToken
}

// Administrator is the first person of a tenant: with a password, or invited.
type Administrator struct {
	Name     string `json:"name" minLength:"1" maxLength:"100"`
	Email    string `json:"email" maxLength:"254"`
	Password string `json:"password,omitempty" maxLength:"1000" doc:"Or invite."`
	Invite   bool   `json:"invite,omitempty" doc:"Send or show an invitation instead of setting a password."`
}

// SCIMToken is a token for the directory that manages the tenant's people.
type SCIMToken struct {
	Name          string `json:"name" minLength:"1" maxLength:"100"`
	ExpiresInDays int    `json:"expires_in_days" minimum:"1" maximum:"3650"`
}

// Onboarded is what an onboarding made. The parts of other domains are as their
// own routes answer them.
type Onboarded struct {
	Tenant        Tenant `json:"tenant"`
	Administrator any    `json:"administrator"`
	Invitation    any    `json:"invitation,omitempty"`
	Provider      any    `json:"provider"`
	SCIMToken     any    `json:"scim_token,omitempty"`
}

// Onboard holds what makes the parts of other domains. The context's actor is
// the person who onboards, raised to the appliance inside the new tenant: the
// services see its tenant and do not ask for the person's rights there. What a
// part made inside the tenant goes with the tenant when a later part fails.
type Onboard struct {
	// Administrator makes the account with the tenant's administrator role, or
	// the invitation; one of the answers is nil.
	Administrator func(ctx context.Context, tenant id.ID, a Administrator) (administrator, invitation any, err error)
	SignIn        func(ctx context.Context, tenant id.ID, provider json.RawMessage) (any, error)
	SCIMToken     func(ctx context.Context, tenant id.ID, t SCIMToken) (any, error)
}

// abandonedAfter is when an onboarding that nobody finished is undone.
const abandonedAfter = 10 * time.Minute

func (o Onboarding) valid() (Onboarding, error) {
	for i, d := range o.Domains {
		domain, err := validDomain(d)
		if err != nil {
			return o, fault.BadField("body.domains", "%s", fault.Message(err))
		}
		o.Domains[i] = domain
	}
	if err := validQuotas(o.Quotas); err != nil {
		return o, err
	}
	if a := o.Administrator; a != nil {
		if err := a.validate(); err != nil {
			return o, err
		}
	}
	return o, nil
}

func (a Administrator) validate() error {
	if strings.TrimSpace(a.Name) == "" {
		return fault.BadField("body.administrator.name", "Give the administrator's name.")
	}
	if p, err := mail.ParseAddress(a.Email); err != nil || p.Address != a.Email {
		return fault.BadField("body.administrator.email", "%q is not an e-mail address.", a.Email)
	}
	if (a.Password == "") != a.Invite {
		return fault.BadField("body.administrator.password", "Set a password or choose to invite, one of the two.")
	}
	return nil
}

// OnboardTenant makes a tenant with all its parts, or nothing. When a part
// fails, what was made is removed; when the appliance stops in between, the
// next start or the daily run removes it.
func (s *Service) OnboardTenant(ctx context.Context, o Onboarding) (Onboarded, error) {
	a, err := actor.Require(ctx)
	if err != nil {
		return Onboarded{}, err
	}
	if err := s.Check(ctx, CreateTenant); err != nil {
		return Onboarded{}, err
	}
	if o, err = o.valid(); err != nil {
		return Onboarded{}, err
	}
	if err := s.canOnboard(o); err != nil {
		return Onboarded{}, err
	}
	if o.Tenant, err = s.planned(ctx, a, o.Tenant); err != nil {
		return Onboarded{}, err
	}
	if err := s.begin(ctx, o.Tenant, true); err != nil {
		return Onboarded{}, err
	}
	made, err := s.onboard(ctx, a, o)
	if err != nil {
		s.abandon(context.WithoutCancel(ctx), o.Tenant)
		return Onboarded{}, err
	}
	return made, nil
}

// canOnboard refuses, before anything is made, a part that nobody makes.
func (s *Service) canOnboard(o Onboarding) error {
	var missing string
	switch {
	case o.Administrator != nil && s.Onboard.Administrator == nil:
		missing = "administrator"
	case len(o.SignIn) > 0 && s.Onboard.SignIn == nil:
		missing = "sign_in"
	case o.SCIMToken != nil && s.Onboard.SCIMToken == nil:
		missing = "scim_token"
	default:
		return nil
	}
	return fault.BadField("body."+missing, "This appliance cannot set up this part with a new tenant. Leave it out and add it afterwards.")
}

func (s *Service) onboard(ctx context.Context, a actor.Actor, o Onboarding) (made Onboarded, err error) {
	if err := s.furnish(ctx, o.Tenant); err != nil {
		return made, err
	}
	if len(o.Quotas) > 0 {
		err := s.DB.Core(ctx, func(ctx context.Context) error { return s.setQuotas(ctx, o.Tenant, o.Quotas) })
		if err != nil {
			return made, err
		}
	}
	for _, domain := range o.Domains {
		if _, err := s.addDomain(ctx, o.Tenant, domain); err != nil {
			return made, err
		}
	}
	if err := s.parts(raised(ctx, a, o.Tenant.ID), o, &made); err != nil {
		return made, err
	}
	if err := s.open(ctx, o.Tenant); err != nil {
		return made, err
	}
	made.Tenant, err = s.read(ctx, o.Tenant.ID)
	return made, err
}

// raised is the appliance acting inside the new tenant on behalf of a person,
// who has no rights there.
func raised(ctx context.Context, a actor.Actor, tenant id.ID) context.Context {
	a.OnBehalfOf = a.Principal()
	a.Kind, a.TenantID, a.Agent = actor.System, tenant, actor.Agent{Kind: actor.System, Name: "onboarding"}
	return actor.With(ctx, a)
}

// parts makes what belongs to other domains.
func (s *Service) parts(ctx context.Context, o Onboarding, made *Onboarded) (err error) {
	tenant := o.Tenant.ID
	if o.Administrator != nil {
		if made.Administrator, made.Invitation, err = s.Onboard.Administrator(ctx, tenant, *o.Administrator); err != nil {
			return err
		}
	}
	if len(o.SignIn) > 0 {
		if made.Provider, err = s.Onboard.SignIn(ctx, tenant, o.SignIn); err != nil {
			return err
		}
	}
	if o.SCIMToken != nil {
		made.SCIMToken, err = s.Onboard.SCIMToken(ctx, tenant, *o.SCIMToken)
	}
	return err
}

// abandon undoes an onboarding. What cannot be undone now is undone later.
func (s *Service) abandon(ctx context.Context, t Tenant) {
	if err := s.purgeWhole(ctx, t.ID); err != nil {
		s.Logger.Error("an onboarding that failed could not be undone; it is tried again later", "tenant", t.ID, "error", err)
	}
}

// dropAbandoned undoes onboardings that were interrupted.
func (s *Service) dropAbandoned(ctx context.Context) error {
	var all []id.ID
	err := s.DB.Core(ctx, func(ctx context.Context) (err error) {
		all, err = s.store.abandoned(ctx, abandonedAfter)
		return err
	})
	for _, tenant := range all {
		if err == nil {
			err = s.purgeWhole(ctx, tenant)
		}
	}
	return err
}
