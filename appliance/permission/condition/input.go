package condition

import (
	"time"

	"cel.dev/cel-go/cel"
)

// Input is what a condition can ask about. It is not changed while it is used.
type Input struct {
	Actor    Actor
	Time     time.Time
	Address  string
	Resource Object
	Request  Request
}

// Actor is who asks.
type Actor struct {
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
	Kind string `json:"kind,omitempty" doc:"user or service_account."`
	MFA  bool   `json:"mfa,omitempty"`
}

// Object is what is asked for.
type Object struct {
	ID          string         `json:"id,omitempty"`
	Kind        string         `json:"kind,omitempty"`
	Compartment string         `json:"compartment,omitempty"`
	Attributes  map[string]any `json:"attributes,omitempty"`
}

// Request is how it is asked.
type Request struct {
	ID              string    `json:"id,omitempty"`
	Permission      string    `json:"permission,omitempty"`
	Token           bool      `json:"token,omitempty" doc:"By API token, not by a person's session."`
	AuthenticatedAt time.Time `json:"authenticated_at,omitzero"`
}

// Name is one thing that a condition can ask about.
type Name struct {
	Name        string `json:"name" example:"actor.mfa"`
	Type        string `json:"type" example:"bool"`
	Description string `json:"description"`
	Example     string `json:"example"`

	kind  *cel.Type
	value func(*Input) any
}

// names are declared with their dots: a name that does not exist is found when
// the condition is written, not when it is needed.
var names = []Name{
	{"actor.id", "string", "The id of who asks.", `actor.id == resource.attributes.owner_id`, cel.StringType,
		func(in *Input) any { return in.Actor.ID }},
	{"actor.name", "string", "The name of who asks.", `actor.name.startsWith("ci-")`, cel.StringType,
		func(in *Input) any { return in.Actor.Name }},
	{"actor.kind", "string", "user or service_account.", `actor.kind == "user"`, cel.StringType,
		func(in *Input) any { return in.Actor.Kind }},
	{"actor.mfa", "bool", "Whether the session proved a second factor.", `actor.mfa`, cel.BoolType,
		func(in *Input) any { return in.Actor.MFA }},
	{"time", "timestamp", "Now.", `time.getHours("Europe/Berlin") >= 8 && time.getHours("Europe/Berlin") < 18`, cel.TimestampType,
		func(in *Input) any { return in.Time }},
	{"address", "string", "The address the request comes from.", `cidr("192.168.0.0/16").containsIP(address)`, cel.StringType,
		func(in *Input) any { return in.Address }},
	{"resource.id", "string", "The id of what is asked for.", `resource.id != ""`, cel.StringType,
		func(in *Input) any { return in.Resource.ID }},
	{"resource.kind", "string", "The kind of what is asked for.", `resource.kind == "stack"`, cel.StringType,
		func(in *Input) any { return in.Resource.Kind }},
	{"resource.compartment", "string", "The id of the compartment it is in.", `resource.compartment != ""`, cel.StringType,
		func(in *Input) any { return in.Resource.Compartment }},
	{"resource.attributes", "map", "What is known about it. A missing attribute is no answer.", `resource.attributes.environment in ["test", "staging"]`,
		cel.MapType(cel.StringType, cel.DynType), func(in *Input) any { return in.Resource.Attributes }},
	{"request.id", "string", "The id of the request, as in the log.", `request.id != ""`, cel.StringType,
		func(in *Input) any { return in.Request.ID }},
	{"request.permission", "string", "The permission that is asked for.", `request.permission.endsWith(":read")`, cel.StringType,
		func(in *Input) any { return in.Request.Permission }},
	{"request.token", "bool", "Whether an API token asks, not a person's session.", `!request.token`, cel.BoolType,
		func(in *Input) any { return in.Request.Token }},
	{"request.authenticated_at", "timestamp", "When the person last proved who they are.", `time - request.authenticated_at < duration("15m")`,
		cel.TimestampType, func(in *Input) any { return in.Request.AuthenticatedAt }},
}

var values = func() map[string]func(*Input) any {
	all := map[string]func(*Input) any{}
	for _, n := range names {
		all[n.Name] = n.value
	}
	return all
}()

// Vocabulary lists what conditions can ask about.
func Vocabulary() []Name { return append([]Name(nil), names...) }

// Function is something that conditions can call.
type Function struct {
	Name        string `json:"name" example:"startsWith"`
	Description string `json:"description"`
	Example     string `json:"example"`
}

// Functions lists what helps most in conditions; CEL's standard ones all work.
func Functions() []Function {
	return []Function{
		{"in", "Whether a list or map has it.", `resource.kind in ["stack", "deployment"]`},
		{"has", "Whether an attribute is there.", `has(resource.attributes.owner_id)`},
		{"startsWith, endsWith, contains", "Parts of a text.", `actor.name.startsWith("ci-")`},
		{"matches", "A regular expression (RE2).", `resource.attributes.name.matches("^web-[0-9]+$")`},
		{"size", "The length of a text or list.", `size(resource.attributes.tags) > 0`},
		{"exists, all", "Some or every element of a list.", `resource.attributes.tags.exists(t, t == "shared")`},
		{"cidr, ip", "Networks and addresses.", `cidr("10.0.0.0/8").containsIP(address)`},
		{"timestamp, duration", "Points and lengths of time.", `time < timestamp("2027-01-01T00:00:00Z")`},
		{"getHours, getDayOfWeek", "Parts of a time, in a time zone; Sunday is 0.", `time.getDayOfWeek("Europe/Berlin") in [1, 2, 3, 4, 5]`},
	}
}

// ResolveName implements cel.Activation.
func (in *Input) ResolveName(name string) (any, bool) {
	value, ok := values[name]
	if !ok {
		return nil, false
	}
	return value(in), true
}

// Parent implements cel.Activation.
func (in *Input) Parent() cel.Activation { return nil }
