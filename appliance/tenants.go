package appliance

import (
	"context"
	"log/slog"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/db"
	"nimbus/appliance/id"
	"nimbus/appliance/identity"
	"nimbus/appliance/tenancy"
)

// tenancy is what the lowest of the domains gets of those above it, which are
// built after it: each is asked when it is needed.
func (c *Core) tenancy(d *db.DB, history []db.Migration, check actor.Check, log *slog.Logger) tenancy.Config {
	return tenancy.Config{
		DB: d, History: history, Audit: c.Audit, Check: check, Events: c.Events, Logger: log,
		Seed:      func(ctx context.Context, t id.ID) error { return c.Permissions.Seed(ctx, t) },
		Fresh:     func(ctx context.Context, within time.Duration) error { return c.Identity.RequireFresh(ctx, within) },
		Workflows: func() tenancy.Workflows { return c.client },
		Usage: map[tenancy.QuotaKind]func(context.Context) (int64, error){
			tenancy.Users: func(ctx context.Context) (int64, error) {
				tenant, _ := db.Scope(ctx)
				return c.Identity.CountPeople(ctx, tenant)
			},
			tenancy.Stacks:    func(ctx context.Context) (int64, error) { return c.Deployments.CountStacks(ctx) },
			tenancy.Guests:    c.guests(tenancy.Guests, func(guests, _, _, _ int64) int64 { return guests }),
			tenancy.VCPU:      c.guests(tenancy.VCPU, func(_, cores, _, _ int64) int64 { return cores }),
			tenancy.MemoryMiB: c.guests(tenancy.MemoryMiB, func(_, _, memory, _ int64) int64 { return memory >> 20 }),
			tenancy.DiskGiB:   c.guests(tenancy.DiskGiB, func(_, _, _, disk int64) int64 { return disk >> 30 }),
		},
		Checklist: map[string]func(context.Context, id.ID) (bool, error){
			tenancy.CheckAdministrator: func(ctx context.Context, t id.ID) (bool, error) {
				n, err := c.Identity.CountPeople(ctx, t)
				return n > 0, err
			},
			tenancy.CheckSignIn: func(ctx context.Context, _ id.ID) (bool, error) { return c.Federation.HasProvider(ctx) },
			tenancy.CheckConnection: func(ctx context.Context, _ id.ID) (bool, error) {
				n, err := c.Provider.CountConnections(ctx)
				return n > 0, err
			},
			tenancy.CheckFirstStack: func(ctx context.Context, _ id.ID) (bool, error) {
				n, err := c.Deployments.CountStacks(ctx)
				return n > 0, err
			},
		},
		Onboard: c.onboard(),
		Purge:   []func(context.Context, id.ID) error{c.purgeTenant},
	}
}

// purgeTenant removes what is kept of a tenant outside its schema. While the
// appliance starts, when an onboarding that was interrupted is undone, there is
// nothing yet but rows.
func (c *Core) purgeTenant(ctx context.Context, t id.ID) error {
	if err := c.Identity.PurgeTenant(ctx, t); err != nil || c.Provider == nil {
		return err
	}
	c.Keyring.Forget(t)
	if err := c.Provider.PurgeTenant(ctx, t); err != nil {
		return err
	}
	return c.engine.RemoveProject("tenant-" + t.Hex())
}

// guests counts what the tenant's own guests have, and what the executions
// under way add. A guest that is collected before its execution is over counts
// twice until then: rather refuse for a moment than let too much through.
func (c *Core) guests(kind tenancy.QuotaKind, pick func(guests, cores, memory, disk int64) int64) func(context.Context) (int64, error) {
	return func(ctx context.Context) (int64, error) {
		guests, cores, memory, disk, err := c.CMDB.GuestUsage(ctx)
		if err != nil {
			return 0, err
		}
		coming, err := c.Deployments.BeingCreated(ctx, kind)
		return pick(guests, cores, memory, disk) + coming, err
	}
}

// sessionPolicy is what a tenant's settings ask of sessions.
func (c *Core) sessionPolicy(ctx context.Context, t id.ID) (identity.SessionPolicy, error) {
	set, err := c.Tenants.SettingsOf(ctx, t)
	return identity.SessionPolicy{
		MaxPerUser:   set.Session.MaxPerUser,
		Idle:         time.Duration(set.Session.IdleMinutes) * time.Minute,
		Longest:      time.Duration(set.Session.MaxHours) * time.Hour,
		ProviderOnly: !set.LocalSignIn,
	}, err
}

// passwordPolicy is what a tenant's settings ask of passwords.
func (c *Core) passwordPolicy(ctx context.Context, t id.ID) (identity.PasswordPolicy, error) {
	set, err := c.Tenants.SettingsOf(ctx, t)
	return identity.PasswordPolicy{
		MinLength: set.Password.MinLength, History: set.Password.History, Breached: set.Password.BreachedCheck,
	}, err
}

// mfaPolicy is what a tenant's settings ask of second factors.
func (c *Core) mfaPolicy(ctx context.Context, t id.ID) (identity.MFAPolicy, error) {
	set, err := c.Tenants.SettingsOf(ctx, t)
	return identity.MFAPolicy{RequiredFor: set.MFA.RequiredFor, StepUp: time.Duration(set.MFA.StepUpMinutes) * time.Minute}, err
}

// reservePeople keeps a tenant to its quota of people.
func (c *Core) reservePeople(ctx context.Context, _ id.ID, people int64) error {
	return c.Tenants.Reserve(ctx, tenancy.Users, people)
}
