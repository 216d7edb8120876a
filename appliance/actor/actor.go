// Package actor carries who acts through the context: from the HTTP
// middleware or the command line, through services, into Temporal workflows
// and activities (see propagator.go). Nothing else but the transaction
// travels in the context.
package actor

import (
	"context"
	"time"

	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// Kind says what sort of actor it is.
type Kind string

// The kinds of actors.
const (
	User    Kind = "user"    // a person, by session or API token
	System  Kind = "system"  // the appliance itself; Name says which part
	Setup   Kind = "setup"   // the first-run wizard, before there are users
	Console Kind = "console" // somebody with a shell on the machine
	// ServiceAccount is a program, by API token. Permissions bind it as they
	// bind people; what only people may do (approving, say) it may not.
	ServiceAccount Kind = "service_account"
	// APIToken is a token of a person's, by which a program acts for them. It is
	// an agent only: rights are the person's.
	APIToken Kind = "api_token"
	// OSUser is an account of the operating system, which is claimed only.
	OSUser Kind = "os_user"
)

// Trusted is true for the appliance itself, its first-run wizard and its
// console: those whom no permission binds. Every other kind is bound.
func (k Kind) Trusted() bool { return k == System || k == Setup || k == Console }

// Actor is who acts, in which tenant, from where.
type Actor struct {
	Kind     Kind   `json:"kind"`
	ID       id.ID  `json:"id,omitzero"`
	Name     string `json:"name"`
	TenantID id.ID  `json:"tenant_id,omitzero"` // the active tenant; zero at provider level
	// Session is the sign-in session or API token that authenticated it.
	Session id.ID `json:"session,omitzero"`
	// AuthenticatedAt is when the person last proved who they are.
	// It is zero for an API token, which is no proof of a person.
	AuthenticatedAt time.Time `json:"authenticated_at,omitzero"`
	// MFA says that the session proved a second factor.
	MFA bool `json:"mfa,omitempty"`
	// Scopes narrow what an API token may do: permission patterns; empty means
	// everything that its owner may.
	Scopes    []string `json:"scopes,omitempty"`
	Address   string   `json:"address,omitempty"`
	RequestID string   `json:"request_id,omitempty"`
	// Maker is the person who made the API token by which a service account acts:
	// who holds it may be them.
	Maker id.ID `json:"maker,omitzero"`
	// BreakGlass is the emergency session that raises the actor's rights, if any.
	BreakGlass id.ID `json:"break_glass,omitzero"`
	// TraceID is the W3C trace id that the caller sent.
	TraceID string `json:"trace_id,omitempty"`
	// OnBehalfOf is for whom it acts, when that is somebody else.
	OnBehalfOf Principal `json:"on_behalf_of,omitzero"`
	// Agent is what acts in this actor's name, with this actor's rights. It
	// travels only: records have it as their actor; see Recorded.
	Agent Agent `json:"agent,omitzero"`
}

// Person is who stands behind the actor: itself, or whoever made the token of a
// service account; zero for parts of the appliance.
func (a Actor) Person() id.ID {
	if a.Kind == User {
		return a.ID
	}
	return a.Maker
}

type key struct{}

// With returns a context in which a acts.
func With(ctx context.Context, a Actor) context.Context {
	return context.WithValue(ctx, key{}, a)
}

// From tells who acts.
func From(ctx context.Context) (Actor, bool) {
	a, ok := ctx.Value(key{}).(Actor)
	return a, ok && a.Kind != ""
}

// Require is From that fails with fault.Unauthenticated when nobody acts.
func Require(ctx context.Context) (Actor, error) {
	a, ok := From(ctx)
	if !ok {
		return Actor{}, fault.New(fault.Unauthenticated, "Sign in first.")
	}
	return a, nil
}

// AsSystem returns a context in which the named part of the appliance acts
// for one tenant (zero: the provider level).
func AsSystem(ctx context.Context, part string, tenant id.ID) context.Context {
	return With(ctx, Actor{Kind: System, Name: part, TenantID: tenant})
}

// Check authorises the context's actor for a permission
// (`domain:resource:action[:subtype]`). It returns fault.Forbidden with a
// sentence, fault.Unauthenticated, or nil. Package permission supplies it;
// domains below permission get it through their constructor.
type Check func(ctx context.Context, permission string) error
