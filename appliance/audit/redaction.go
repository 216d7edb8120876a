package audit

import (
	"encoding/json"
	"errors"
	"regexp"
	"regexp/syntax"
	"strings"

	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// Permissions of the redaction rules.
const (
	ReadRedaction   = "audit:redaction:read"
	UpdateRedaction = "audit:redaction:update"
)

// RedactionKind says what a rule looks at.
type RedactionKind string

// The kinds of rules.
const (
	FieldRule   RedactionKind = "field"   // members by their names
	PatternRule RedactionKind = "pattern" // texts by an RE2 expression
)

// allEvents is the scope of a rule that is for every record.
const allEvents = "all"

// What a tenant's rules may cost.
const (
	rulesMost        = 50
	instructionsMost = 4000 // of all compiled rules together
	sampleMost       = 64 << 10
)

// RedactionRule hides something before it is stored: nobody gets it back.
type RedactionRule struct {
	ID      id.ID         `json:"id,omitzero" required:"false" doc:"Left out, the rule is a new one."`
	Name    string        `json:"name" minLength:"1" maxLength:"100"`
	Kind    RedactionKind `json:"kind" enum:"field,pattern"`
	Match   string        `json:"match" minLength:"1" maxLength:"500" doc:"field: the name of a member or the end of its dotted path, with * for any part of a name; in any case. pattern: an RE2 expression."`
	Scope   string        `json:"scope" maxLength:"100" doc:"all, or an event code or what it begins with up to a dot."`
	Enabled bool          `json:"enabled"`
}

// Redaction is what is hidden in the records of a tenant.
type Redaction struct {
	Rules   []RedactionRule `json:"rules"`
	Builtin []RedactionRule `json:"builtin" doc:"Always at work, before the tenant's own."`
}

var (
	scopePattern = regexp.MustCompile(`^[a-z][a-z0-9_-]*(\.[a-z0-9_-]+)*$`)
	fieldPattern = regexp.MustCompile(`^[\p{L}\p{N}_*-]+(\.[\p{L}\p{N}_*-]+)*$`)
)

// builtin lists what sanitises every record.
func builtin() []RedactionRule {
	rules := []RedactionRule{{Name: "Members named like secrets", Kind: FieldRule, Match: secretName.String(), Scope: allEvents, Enabled: true}}
	for _, secret := range secretTexts {
		rules = append(rules, RedactionRule{Name: secret.name, Kind: PatternRule, Match: secret.pattern.String(), Scope: allEvents, Enabled: true})
	}
	return rules
}

// redactor is the enabled rules of a tenant, compiled. It does not change.
type redactor struct{ rules []compiled }

type compiled struct {
	scope string
	kind  RedactionKind
	match *regexp.Regexp
}

// compile makes a redactor. It returns fault.Invalid that names the rule which
// cannot be used.
func compile(rules []RedactionRule) (*redactor, error) {
	if len(rules) > rulesMost {
		return nil, fault.BadField("body.rules", "At most %d rules are possible.", rulesMost)
	}
	r, cost := &redactor{}, 0
	for i, rule := range rules {
		c, size, err := rule.compile()
		if err != nil {
			return nil, fault.BadField("body.rules", "Rule %d, “%s”: %s.", i+1, rule.Name, err.Error())
		}
		if !rule.Enabled {
			continue
		}
		if cost += size; cost > instructionsMost {
			return nil, fault.BadField("body.rules", "The rules are too costly together. Make repetitions like {1,100} smaller, from rule %d on.", i+1)
		}
		r.rules = append(r.rules, c)
	}
	return r, nil
}

func (r RedactionRule) compile() (compiled, int, error) {
	c := compiled{scope: r.Scope, kind: r.Kind}
	if name := strings.TrimSpace(r.Name); name == "" || len(r.Name) > 100 {
		return c, 0, errors.New("give it a name of at most 100 characters")
	}
	if len(r.Match) == 0 || len(r.Match) > 500 {
		return c, 0, errors.New("what it matches has 1 to 500 characters")
	}
	if r.Scope != allEvents && !scopePattern.MatchString(r.Scope) {
		return c, 0, errors.New("its scope is all, or an event such as identity.user.created or what that begins with, such as “identity.”")
	}
	expression := r.Match
	switch r.Kind {
	case FieldRule:
		if !fieldPattern.MatchString(r.Match) {
			return c, 0, errors.New("a field is a name such as email, the end of a path such as guest.serial, or has * for any part of a name")
		}
		expression = `(?i)(?:^|\.)` + strings.ReplaceAll(regexp.QuoteMeta(r.Match), `\*`, `[^.]*`) + `$`
	case PatternRule:
	default:
		return c, 0, errors.New("its kind is field or pattern")
	}
	size, err := sizeOf(expression)
	if err != nil {
		return c, 0, err
	}
	if c.match, err = regexp.Compile(expression); err == nil && c.match.MatchString("") {
		err = errors.New("it matches what is empty, and so everything: write what must be there")
	}
	return c, size, err
}

// sizeOf is how many instructions an expression compiles to: what a search
// costs for each character.
func sizeOf(expression string) (int, error) {
	parsed, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return 0, errors.New("it is not an RE2 expression: " + err.Error())
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return 0, errors.New("it is not an RE2 expression: " + err.Error())
	}
	return len(program.Inst), nil
}

// masks are those of the records of an event; nil when there are none.
func (r *redactor) masks(event string) *masks {
	var m *masks
	for _, rule := range r.rules {
		if rule.scope != allEvents && event != rule.scope && !strings.HasPrefix(event, rule.scope+".") {
			continue
		}
		if m == nil {
			m = &masks{}
		}
		if rule.kind == FieldRule {
			m.fields = append(m.fields, rule.match)
		} else {
			m.patterns = append(m.patterns, rule.match)
		}
	}
	return m
}

// everything is the masks of all rules, whatever their scopes.
func (r *redactor) everything() *masks {
	all := &redactor{}
	for _, rule := range r.rules {
		rule.scope = allEvents
		all.rules = append(all.rules, rule)
	}
	return all.masks("")
}

// try redacts a sample: a text, or JSON as it is before, after or in the
// details of a record.
func (m *masks) try(sample any) (any, error) {
	if text, ok := sample.(string); ok {
		if !json.Valid([]byte(text)) {
			return m.text(text), nil
		}
		if clean, err := m.json("sample", json.RawMessage(text)); err == nil && clean != nil {
			return string(clean), nil
		}
	}
	clean, err := m.json("sample", sample)
	if err != nil || clean == nil {
		return nil, err
	}
	var result any
	return result, json.Unmarshal(clean, &result)
}
