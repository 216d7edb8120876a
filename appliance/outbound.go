package appliance

import (
	"context"
	"net/http"
	"net/netip"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/identity"
	"nimbus/appliance/web"
)

// Permissions of the settings of the appliance.
const (
	readSettings   = "system:settings:read"
	updateSettings = "system:settings:update"
)

// newFederation makes the service that signs people in at providers.
func (a *Appliance) newFederation(c *Core) *identity.Federation {
	return identity.NewFederation(identity.FederationConfig{
		Identity: c.Identity, Keyring: c.Keyring, Outbound: &web.Outbound{Allowed: a.outboundRanges},
		TenantForEmail: c.Tenants.TenantForEmail,
	})
}

// outboundRanges are those that the settings allow. Ranges are checked when
// they are entered; one that cannot be read allows nothing.
func (a *Appliance) outboundRanges() []netip.Prefix {
	ranges, err := web.ParseRanges(a.settings.Load().Outbound)
	if err != nil {
		return nil
	}
	return ranges
}

// Outbound is what calls to addresses that tenants configure may reach.
type Outbound struct {
	Ranges []string `json:"ranges" maxItems:"100" doc:"Ranges of addresses that are reached although they are not public, such as 192.168.1.0/24."`
}

type outboundInput struct {
	Body Outbound
}

// registerOutbound declares the routes about what is reached. They are the
// provider's: a tenant must not open the way into its network.
func (a *Appliance) registerOutbound(api *web.API, c *Core) {
	web.Handle(api, web.Route{Method: http.MethodGet, Path: "/v1/system/outbound", Tag: "System",
		Summary: "Which addresses sign-in providers may have", Permission: readSettings},
		func(ctx context.Context, _ *web.None) (Outbound, error) {
			return a.outbound(), c.atProvider(ctx, readSettings)
		})
	web.Handle(api, web.Route{Method: http.MethodPut, Path: "/v1/system/outbound", Tag: "System",
		Summary: "Change which addresses sign-in providers may have", Permission: updateSettings},
		func(ctx context.Context, in *outboundInput) (Outbound, error) {
			if err := c.atProvider(ctx, updateSettings); err != nil {
				return Outbound{}, err
			}
			return a.setOutbound(ctx, c, in.Body)
		})
}

func (a *Appliance) outbound() Outbound {
	return Outbound{Ranges: append([]string{}, a.settings.Load().Outbound...)}
}

func (a *Appliance) setOutbound(ctx context.Context, c *Core, set Outbound) (Outbound, error) {
	ranges, err := web.ParseRanges(set.Ranges)
	if err != nil {
		return Outbound{}, err
	}
	texts := []string{}
	for _, r := range ranges {
		texts = append(texts, r.String())
	}
	before := a.outbound()
	err = c.DB.Core(ctx, func(ctx context.Context) error {
		err := c.Audit.Record(ctx, audit.Entry{
			Event: "system.outbound.updated", Priority: audit.Warning, Target: audit.Target{Kind: "settings", Name: "outbound"},
			Before: before, After: Outbound{texts},
		})
		if err != nil {
			return err
		}
		return a.Change(ctx, func(s *Settings) { s.Outbound = texts })
	})
	return a.outbound(), err
}

// atProvider is Check for what only the provider level may do.
func (c *Core) atProvider(ctx context.Context, permission string) error {
	who, err := actor.Require(ctx)
	if err != nil {
		return err
	}
	if err := c.Permissions.Check(ctx, permission); err != nil {
		return err
	}
	if who.TenantID != (id.ID{}) && !c.Tenants.IsRoot(who.TenantID) {
		return fault.New(fault.Forbidden, "Only the provider can do this. Switch to the root tenant.")
	}
	return nil
}
