package appliance

import (
	"context"
	"slices"
	"strings"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/id"
	"nimbus/appliance/permission"
)

// insight is what the audit trail asks of the domains above it.
func (a *Appliance) insight(c *Core) audit.Insight {
	return audit.Insight{
		Version:    a.cfg.Version,
		ChiefRoles: []string{permission.ProviderAdministrator, permission.TenantAdministrator},
		People:     c.peopleOf, Privileged: c.privileged,
		Posture: func(ctx context.Context, t id.ID) (audit.Posture, error) { return a.posture(ctx, c, t) },
	}
}

// timeZone is where a tenant is.
func (c *Core) timeZone(ctx context.Context, t id.ID) *time.Location {
	set, err := c.Tenants.SettingsOf(ctx, t)
	if err != nil {
		return time.UTC
	}
	zone, err := time.LoadLocation(set.TimeZone)
	if err != nil {
		return time.UTC
	}
	return zone
}

func (c *Core) peopleOf(ctx context.Context, t id.ID) ([]id.ID, error) {
	all, err := c.Identity.Everybody(ctx, t)
	people := make([]id.ID, 0, len(all))
	for _, one := range all {
		people = append(people, one.ID)
	}
	return people, err
}

// few are permissions that only few should have: they change who may do what,
// what is recorded, or what runs.
var few = []string{
	"permission:role:assign", "permission:role:update", "permission:grant:create", "identity:user:create", "identity:provider:update",
	"tenancy:settings:update", "breakglass:session:approve", "deployment:stack:approve", "audit:retention:update", "audit:redaction:update",
}

// privileged lists who may do one of the few, each once.
func (c *Core) privileged(ctx context.Context, t id.ID) ([]audit.Holder, error) {
	ctx = actor.AsSystem(ctx, "compliance", t)
	var all []audit.Holder
	for _, p := range few {
		found, err := c.Permissions.Holders(ctx, p, permission.Resource{})
		if err != nil {
			return nil, err
		}
		for _, h := range found {
			i := slices.IndexFunc(all, func(o audit.Holder) bool { return o.ID == h.ID && o.Kind == string(h.Kind) })
			if i < 0 {
				all = append(all, audit.Holder{Kind: string(h.Kind), ID: h.ID, Name: h.Name, Via: h.Via})
				i = len(all) - 1
			}
			all[i].Permissions = append(all[i].Permissions, p)
			all[i].Conditional = all[i].Conditional || h.Conditional
		}
	}
	slices.SortFunc(all, func(a, b audit.Holder) int {
		return strings.Compare(a.Kind+a.Name+a.ID.String(), b.Kind+b.Name+b.ID.String())
	})
	return all, nil
}

func (a *Appliance) posture(ctx context.Context, c *Core, t id.ID) (audit.Posture, error) {
	set, err := c.Tenants.SettingsOf(ctx, t)
	if err != nil {
		return audit.Posture{}, err
	}
	p := audit.Posture{
		MFARequiredFor: set.MFA.RequiredFor, ApprovalPolicy: string(set.ApprovalPolicy), PasswordLength: set.Password.MinLength,
		BreachedCheck: set.Password.BreachedCheck, RootKey: "file",
	}
	if a.settings.Load().HSM.Module != "" {
		p.RootKey = "hsm"
	}
	tenant, err := c.Tenants.Get(actor.AsSystem(ctx, "compliance", t), t)
	p.TenantName = tenant.Name
	return p, err
}
