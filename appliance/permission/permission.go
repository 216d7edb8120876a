// Package permission decides who may do what, and explains it.
//
// A permission is `domain:resource:action` or `domain:resource:action:subtype`,
// such as cmdb:ci:create or cmdb:ci:create:virtualmachine. A grant names one,
// with `*` allowed for any part, and allows or denies it. The most specific
// matching grant decides: subtype before generic before wildcard; at equal
// specificity deny wins; a hard deny beats everything; without a grant the
// answer is no. The decision and its explanation come from one function.
package permission

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"nimbus/appliance/fault"
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
}

// Source is a grant with the role it came from.
type Source struct {
	Grant
	Role string `json:"role"`
}

// Considered is a source that was looked at for a decision.
type Considered struct {
	Source
	Specificity int  `json:"specificity" doc:"Higher is more specific."`
	Matched     bool `json:"matched"`
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

var partText = regexp.MustCompile(`^(\*|[a-z][a-z0-9_-]*)$`)

// parse reads a grant's permission. Three parts are generic, four name a subtype.
func parse(text string) (parts, error) {
	split := strings.Split(text, ":")
	if len(split) < 3 || len(split) > 4 {
		return parts{}, badPermission(text)
	}
	var p parts
	for i, s := range split {
		if !partText.MatchString(s) {
			return parts{}, badPermission(text)
		}
		p[i] = s
	}
	return p, nil
}

func badPermission(text string) error {
	return fault.BadField("body.permission", "%q is not a permission. Write domain:resource:action, with * for any part, e.g. cmdb:ci:read.", text)
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

// Rights are the compiled grants of one actor: questions cost the same for ten
// grants and ten thousand. They are immutable.
type Rights struct {
	soft map[parts]Source
	hard map[parts]Source
	all  []Source
}

// Compile indexes grants by their parts. Grants that do not parse are refused,
// never ignored.
func Compile(sources []Source) (*Rights, error) {
	r := &Rights{soft: map[parts]Source{}, hard: map[parts]Source{}, all: slices.Clone(sources)}
	for _, s := range sources {
		if err := s.Validate(); err != nil {
			return nil, err
		}
		p, _ := parse(s.Permission)
		if s.Hard {
			r.hard[p] = s
			continue
		}
		if old, ok := r.soft[p]; !ok || old.Effect == Allow && s.Effect == Deny {
			r.soft[p] = s
		}
	}
	return r, nil
}

// genericPatterns and subtypePatterns say which parts of a question stay
// literal in the forms that can match it, most specific first.
var genericPatterns, subtypePatterns = patterns()

func patterns() (generic, subtype [][4]bool) {
	for mask := range 16 {
		keep := [4]bool{mask&8 != 0, mask&4 != 0, mask&2 != 0, mask&1 != 0}
		subtype = append(subtype, keep)
	}
	slices.SortFunc(subtype, func(a, b [4]bool) int { return weight(b) - weight(a) })
	for _, keep := range subtype {
		if !keep[3] {
			generic = append(generic, keep)
		}
	}
	return generic, subtype
}

func weight(keep [4]bool) int {
	p := parts{"*", "*", "*", "*"}
	for i, k := range keep {
		if k {
			p[i] = "x"
		}
	}
	return p.specificity()
}

// find returns the grant that decides about q, most specific first; with
// equally specific forms (generic and `*` subtype) deny wins.
func find(index map[parts]Source, q parts) (Source, bool) {
	if len(index) == 0 {
		return Source{}, false
	}
	forms := genericPatterns
	if q[3] != "" {
		forms = subtypePatterns
	}
	for _, keep := range forms {
		p := parts{"*", "*", "*", ""}
		for i, k := range keep {
			if k {
				p[i] = q[i]
			}
		}
		best, ok := index[p]
		if !keep[3] && q[3] != "" {
			p[3] = "*"
			if s, found := index[p]; found && (!ok || s.Effect == Deny) {
				best, ok = s, true
			}
		}
		if ok {
			return best, true
		}
	}
	return Source{}, false
}

// Allowed answers a question. It does not allocate.
func (r *Rights) Allowed(permission string) bool {
	_, allowed, err := r.decide(permission)
	return err == nil && allowed
}

// decide is the one code path behind Allowed and Explain.
func (r *Rights) decide(permission string) (*Source, bool, error) {
	q, err := question(permission)
	if err != nil {
		return nil, false, err
	}
	if s, ok := find(r.hard, q); ok {
		return &s, false, nil
	}
	if s, ok := find(r.soft, q); ok {
		return &s, s.Effect == Allow, nil
	}
	return nil, false, nil
}

// question reads a permission that is asked for: no wildcards.
func question(text string) (parts, error) {
	var q parts
	rest, i := text, 0
	for ; i < 4; i++ {
		part, after, more := strings.Cut(rest, ":")
		if part == "" || part == "*" {
			return parts{}, badPermission(text)
		}
		q[i] = part
		if !more {
			break
		}
		rest = after
	}
	if i < 2 || i > 3 {
		return parts{}, badPermission(text)
	}
	return q, nil
}

// Explain answers a question and says why. It returns fault.Invalid for what
// is not a permission.
func (r *Rights) Explain(permission string) (Decision, error) {
	by, allowed, err := r.decide(permission)
	if err != nil {
		return Decision{}, err
	}
	d := Decision{Allowed: allowed, Permission: permission, DecidedBy: by, Considered: []Considered{}}
	d.Reason = reason(by, allowed)
	q, _ := question(permission)
	for _, s := range r.all {
		p, _ := parse(s.Permission)
		d.Considered = append(d.Considered, Considered{Source: s, Specificity: p.specificity(), Matched: p.matches(q)})
	}
	slices.SortStableFunc(d.Considered, func(a, b Considered) int { return b.Specificity - a.Specificity })
	return d, nil
}

func reason(by *Source, allowed bool) string {
	switch {
	case by == nil:
		return "No grant matches, so the answer is no."
	case by.Hard:
		return fmt.Sprintf("The role %s denies %s, and this denial cannot be overridden.", by.Role, by.Permission)
	case allowed:
		return fmt.Sprintf("The role %s allows %s, the most specific grant that matches.", by.Role, by.Permission)
	}
	return fmt.Sprintf("The role %s denies %s, the most specific grant that matches.", by.Role, by.Permission)
}

// matches reports whether a grant's pattern covers a question.
func (p parts) matches(q parts) bool {
	for i := range 3 {
		if p[i] != "*" && p[i] != q[i] {
			return false
		}
	}
	return p[3] == "" || p[3] == "*" && q[3] != "" || p[3] == q[3]
}

// List returns what the rights allow, as patterns, with denials prefixed "!":
// enough for a user interface to hide what would be refused.
func (r *Rights) List() []string {
	list := []string{}
	for _, s := range r.all {
		if s.Effect == Deny {
			list = append(list, "!"+s.Permission)
		} else {
			list = append(list, s.Permission)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}
