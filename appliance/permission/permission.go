// Package permission decides who may do what, and explains it.
//
// A permission is `domain:resource:action` or `domain:resource:action:subtype`,
// such as cmdb:ci:create or cmdb:ci:create:virtualmachine. A grant names one,
// with `*` allowed for any part, and allows or denies it; it may hold only
// under a condition, inside a compartment, for a time. The most specific grant
// that holds decides: subtype before generic before wildcard; at equal
// specificity deny wins; a hard deny beats everything; without a grant the
// answer is no. Compartment, time and condition say whether a grant holds and
// never how specific it is. The decision and its explanation come from one
// function.
//
// permission.go has the words, rights.go the engine, cover.go who may give
// what; check.go answers for the actor of the context, the other files keep
// what is granted.
package permission

import (
	"strings"
	"time"

	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/permission/condition"
)

// Effect of a grant.
type Effect string

// The effects.
const (
	Allow Effect = "allow"
	Deny  Effect = "deny"
)

// Grant allows or denies what its permission matches. Hard is for denials that
// nothing overrides.
type Grant struct {
	Permission string `json:"permission" maxLength:"200" example:"cmdb:ci:read"`
	Effect     Effect `json:"effect" enum:"allow,deny"`
	Hard       bool   `json:"hard,omitempty"`
	// Condition is CEL; an allowance without an answer does not allow, a denial
	// without an answer denies.
	Condition string `json:"condition,omitempty" maxLength:"4096" example:"actor.mfa" doc:"CEL. See /v1/permissions/condition/vocabulary."`
	// Compartment limits it to one compartment and all below it.
	Compartment id.ID     `json:"compartment_id,omitzero" nullable:"true" doc:"It holds in this compartment and all below it; everywhere when left out."`
	NotBefore   time.Time `json:"not_before,omitzero" nullable:"true"`
	ExpiresAt   time.Time `json:"expires_at,omitzero" nullable:"true"`
}

// Source is a grant with where its holder has it from.
type Source struct {
	Grant
	Role string `json:"role" doc:"The role it is written in; empty when it was given directly."`
	Via  string `json:"via" example:"role Deployer through group Operations"`
	// Within is the compartment that the assignment of the role is limited to.
	Within id.ID `json:"within_compartment_id,omitzero"`

	through origin
}

// Resource is what a question is about. The zero Resource is the tenant as a
// whole: only grants that hold everywhere match it.
type Resource struct {
	Compartment id.ID          `json:"compartment_id,omitzero" nullable:"true"`
	Kind        string         `json:"kind,omitempty" maxLength:"100"`
	ID          id.ID          `json:"id,omitzero" nullable:"true"`
	Attributes  map[string]any `json:"attributes,omitempty"`
}

// On is the resource as an event names it.
func (r Resource) On() *event.On {
	return &event.On{Kind: r.Kind, ID: r.ID, Compartment: r.Compartment, Attributes: r.Attributes}
}

// ResourceOf is the resource that an event is about.
func ResourceOf(e event.Event) Resource {
	if e.On == nil {
		return Resource{}
	}
	return Resource{Kind: e.On.Kind, ID: e.On.ID, Compartment: e.On.Compartment, Attributes: e.On.Attributes}
}

// Considered is a source that was looked at for a decision.
type Considered struct {
	Source
	Specificity int    `json:"specificity" doc:"Higher is more specific."`
	Matched     bool   `json:"matched" doc:"Whether it holds for what was asked."`
	Note        string `json:"note,omitempty" doc:"Why a grant for this permission does not hold, or holds without an answer."`
}

// Decision is the answer to one question, with its reason.
type Decision struct {
	Allowed    bool         `json:"allowed"`
	Permission string       `json:"permission"`
	Reason     string       `json:"reason"`
	DecidedBy  *Source      `json:"decided_by"`
	Considered []Considered `json:"considered"`
}

// parts of a permission; subtype "" is generic.
type parts [4]string

// parse reads a grant's permission. Three parts are generic, four name a subtype.
func parse(text string) (parts, error) { return split(text, true) }

// question reads a permission that is asked for: no wildcards.
func question(text string) (parts, error) { return split(text, false) }

// split does not allocate when the text is a permission.
func split(text string, wild bool) (parts, error) {
	var p parts
	rest := text
	for i := range p {
		part, after, more := strings.Cut(rest, ":")
		if !isPart(part, wild) {
			return parts{}, badPermission(text)
		}
		p[i] = part
		if !more {
			if i < 2 {
				return parts{}, badPermission(text)
			}
			return p, nil
		}
		rest = after
	}
	return parts{}, badPermission(text)
}

func isPart(s string, wild bool) bool {
	if s == "*" {
		return wild
	}
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z'
		inner := c >= '0' && c <= '9' || c == '_' || c == '-'
		if !letter && (i == 0 || !inner) {
			return false
		}
	}
	return s != ""
}

func badPermission(text string) error {
	return fault.BadField("body.permission", "%q is not a permission. Write domain:resource:action, with * for any part, e.g. cmdb:ci:read.", text)
}

// Valid reports whether a text is a permission that a route can ask for.
func Valid(permission string) bool {
	_, err := question(permission)
	return err == nil
}

// Validate reports whether g can be stored. It returns fault.Invalid.
func (g Grant) Validate() error {
	if _, err := parse(g.Permission); err != nil {
		return err
	}
	if g.Effect != Allow && g.Effect != Deny {
		return fault.BadField("body.effect", "The effect is allow or deny, not %q.", g.Effect)
	}
	if g.Hard && g.Effect == Allow {
		return fault.BadField("body.hard", "Only a denial can be hard.")
	}
	if err := validTimes(g.NotBefore, g.ExpiresAt); err != nil {
		return err
	}
	if g.Condition == "" {
		return nil
	}
	_, err := condition.Compile(g.Condition)
	return err
}

func validTimes(from, to time.Time) error {
	if !from.IsZero() && !to.IsZero() && !from.Before(to) {
		return fault.BadField("body.expires_at", "It would end before it begins. Choose a later end.")
	}
	return nil
}

// specificity orders patterns: first by how many parts are literal, then by
// how far left they are. A generic pattern has no literal subtype.
func (p parts) specificity() int {
	literals, position := 0, 0
	for i, s := range p {
		if s != "*" && s != "" {
			literals++
			position |= 8 >> i
		}
	}
	return literals<<4 | position
}

// matches reports whether a grant's pattern covers a question.
func (p parts) matches(q parts) bool { return p.contains(q) }

// contains reports whether everything that q matches is matched by p.
func (p parts) contains(q parts) bool {
	for i := range 3 {
		if p[i] != "*" && p[i] != q[i] {
			return false
		}
	}
	return p[3] == "" || p[3] == "*" && q[3] != "" || p[3] == q[3]
}

// overlaps reports whether something is matched by both.
func (p parts) overlaps(q parts) bool {
	for i := range 4 {
		literal := p[i] != "*" && p[i] != "" && q[i] != "*" && q[i] != ""
		if literal && p[i] != q[i] {
			return false
		}
	}
	return true
}
