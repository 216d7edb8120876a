package appliance

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/identity"
	"nimbus/appliance/permission"
	"nimbus/appliance/tenancy"
)

// onboard makes the parts of a new tenant that belong to identity. They act in
// the new tenant, see tenancy.Onboard.
func (c *Core) onboard() tenancy.Onboard {
	return tenancy.Onboard{Administrator: c.onboardAdministrator, SignIn: c.onboardSignIn, SCIMToken: c.onboardSCIMToken}
}

type onboardedInvitation struct {
	ID        id.ID     `json:"id"`
	Email     string    `json:"email"`
	ExpiresAt time.Time `json:"expires_at"`
	Link      string    `json:"link"`
}

func (c *Core) onboardAdministrator(ctx context.Context, tenant id.ID, a tenancy.Administrator) (administrator, invitation any, err error) {
	roles := []id.ID{permission.SystemRoleID(tenant, permission.TenantAdministrator)}
	if a.Invite {
		i, link, err := c.Identity.Invite(ctx, identity.NewInvitation{Name: a.Name, Email: a.Email, Roles: roles})
		return nil, onboardedInvitation{ID: i.ID, Email: i.Email, ExpiresAt: i.ExpiresAt, Link: link}, err
	}
	user, err := c.Identity.CreateUser(ctx, identity.NewUser{Name: a.Name, Email: a.Email, Password: a.Password, Roles: roles})
	return user, nil, err
}

func (c *Core) onboardSignIn(ctx context.Context, _ id.ID, raw json.RawMessage) (any, error) {
	var in struct {
		Kind identity.ProviderKind `json:"kind"`
		identity.ProviderChange
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return nil, fault.BadField("body.sign_in", "The sign-in provider cannot be read: %v.", err)
	}
	return c.Federation.CreateProvider(ctx, in.Kind, in.ProviderChange)
}

type onboardedToken struct {
	identity.SCIMToken
	Token string `json:"token"`
}

func (c *Core) onboardSCIMToken(ctx context.Context, _ id.ID, t tenancy.SCIMToken) (any, error) {
	secret, made, err := c.Identity.NewSCIMToken(ctx, t.Name, t.ExpiresInDays)
	return onboardedToken{SCIMToken: made, Token: secret}, err
}
