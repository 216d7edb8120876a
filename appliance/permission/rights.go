package permission

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/id"
	"nimbus/appliance/permission/condition"
)

// Rights are the compiled grants of one subject: questions cost the same for
// ten grants and ten thousand. They are immutable.
//
// Each word of the grants has a number, a pattern is four numbers, and a
// question looks up only the shapes of pattern that occur, most specific
// first. Grants that hold always and everywhere are one entry for each
// pattern; those of compartments are found by the compartment.
type Rights struct {
	words      map[string]uint32
	hard, soft index
	all        []entry // in an order of their own, whatever order they came in
	scoped     bool    // some hold in a compartment only
	clocked    bool    // some hold for a time or under a condition
}

// entry is a source, ready to be asked.
type entry struct {
	Source
	parts    parts
	scopes   []id.ID // at most the grant's and the assignment's
	from, to int64   // Unix nanoseconds; to 0 is for ever
	program  *condition.Program
	broken   error // a condition that was stored and cannot be read any more
}

// numbers of patterns; words begin after them.
const (
	absent   uint32 = 0 // no subtype: generic
	wildcard uint32 = 1
	unknown  uint32 = 1<<32 - 1 // a word that no grant has
)

type key [4]uint32

type index struct {
	slots map[key]*slot
	forms []form
}

// form is a shape of pattern: which parts are literal. Its last part may be
// absent, `*`, or both may occur.
type form struct {
	keep             [4]bool
	generic, starred bool
	specificity      int
}

// slot holds the grants of one pattern.
type slot struct{ deny, allow side }

// side holds the grants of one effect, as positions in Rights.all plus one.
type side struct {
	plain  int32             // one that holds always and everywhere
	other  []int32           // under a condition or for a time
	scoped map[id.ID][]int32 // in a compartment
}

// Compile indexes grants by their parts. Grants that do not parse are refused,
// never ignored. A condition that cannot be read has no answer.
func Compile(sources []Source) (*Rights, error) {
	r := &Rights{words: map[string]uint32{}, all: make([]entry, 0, len(sources))}
	for _, s := range sources {
		e, err := prepare(s)
		if err != nil {
			return nil, err
		}
		r.all = append(r.all, e)
	}
	slices.SortStableFunc(r.all, compare)
	for i := range r.all {
		r.add(int32(i))
	}
	r.hard.order()
	r.soft.order()
	return r, nil
}

func prepare(s Source) (entry, error) {
	p, err := parse(s.Permission)
	if err != nil {
		return entry{}, err
	}
	plain := s.Grant
	plain.Condition = ""
	if err := plain.Validate(); err != nil {
		return entry{}, err
	}
	e := entry{Source: s, parts: p, from: nanos(s.NotBefore), to: nanos(s.ExpiresAt)}
	for _, c := range []id.ID{s.Compartment, s.Within} {
		if !c.IsZero() && !slices.Contains(e.scopes, c) {
			e.scopes = append(e.scopes, c)
		}
	}
	if s.Condition != "" {
		e.program, e.broken = program(s.Condition)
	}
	return e, nil
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// compare gives grants an order that does not depend on how they came.
func compare(a, b entry) int {
	return cmp.Or(
		cmp.Compare(a.Permission, b.Permission), cmp.Compare(a.Effect, b.Effect), cmp.Compare(a.Condition, b.Condition),
		cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to),
		slices.CompareFunc(a.scopes, b.scopes, func(x, y id.ID) int { return slices.Compare(x[:], y[:]) }),
		cmp.Compare(a.Role, b.Role), cmp.Compare(a.Via, b.Via), a.through.compare(b.through),
	)
}

func (r *Rights) add(at int32) {
	e := &r.all[at]
	r.scoped = r.scoped || len(e.scopes) > 0
	r.clocked = r.clocked || e.from != 0 || e.to != 0 || e.Condition != ""
	to := &r.soft
	if e.Hard {
		to = &r.hard
	}
	side := to.side(r.key(e.parts), e.Effect)
	switch {
	case len(e.scopes) > 0:
		if side.scoped == nil {
			side.scoped = map[id.ID][]int32{}
		}
		side.scoped[e.scopes[0]] = append(side.scoped[e.scopes[0]], at+1)
	case e.Condition != "" || e.from != 0 || e.to != 0:
		side.other = append(side.other, at+1)
	case side.plain == 0:
		side.plain = at + 1
	}
}

// key numbers the words of a pattern.
func (r *Rights) key(p parts) key {
	var k key
	for i, word := range p {
		switch word {
		case "":
			k[i] = absent
		case "*":
			k[i] = wildcard
		default:
			n, ok := r.words[word]
			if !ok {
				n = wildcard + 1 + uint32(len(r.words))
				r.words[word] = n
			}
			k[i] = n
		}
	}
	return k
}

func (x *index) side(k key, effect Effect) *side {
	if x.slots == nil {
		x.slots = map[key]*slot{}
	}
	s, ok := x.slots[k]
	if !ok {
		s = &slot{}
		x.slots[k] = s
		x.shape(k)
	}
	if effect == Deny {
		return &s.deny
	}
	return &s.allow
}

func (x *index) shape(k key) {
	var f form
	for i, n := range k {
		f.keep[i] = n > wildcard
		if f.keep[i] {
			f.specificity += 16 + 8>>i
		}
	}
	at := slices.IndexFunc(x.forms, func(g form) bool { return g.keep == f.keep })
	if at < 0 {
		at, x.forms = len(x.forms), append(x.forms, f)
	}
	x.forms[at].generic = x.forms[at].generic || k[3] == absent
	x.forms[at].starred = x.forms[at].starred || k[3] == wildcard
}

func (x *index) order() {
	slices.SortFunc(x.forms, func(a, b form) int { return b.specificity - a.specificity })
}

// asked is one question. Everything but the answers to conditions is in it, so
// that the same question always has the same answer.
type asked struct {
	parts parts
	text  string
	actor *actor.Actor
	on    *Resource
	path  []id.ID // the compartment asked about and those above it
	at    time.Time

	input  *condition.Input // made when the first condition is asked
	failed []failure
}

// failure is a condition that had no answer.
type failure struct {
	source *Source
	err    error
}

// decide is the one code path behind every answer and every explanation: who
// decided (-1 nobody) and whether it is a yes. It does not allocate unless a
// condition is asked.
func (r *Rights) decide(ask *asked) (by int, allowed bool) {
	var q key
	for i, word := range ask.parts {
		if word == "" {
			continue
		}
		n, ok := r.words[word]
		if !ok {
			n = unknown
		}
		q[i] = n
	}
	if by := r.find(&r.hard, q, ask); by > 0 {
		return int(by - 1), false
	}
	by32 := r.find(&r.soft, q, ask)
	return int(by32 - 1), by32 > 0 && r.all[by32-1].Effect == Allow
}

// find returns the grant that decides (plus one): of the most specific form
// that has one, a denial before an allowance.
func (r *Rights) find(x *index, q key, ask *asked) int32 {
	for i := range x.forms {
		f := &x.forms[i]
		k, ok := f.of(q)
		if !ok {
			continue
		}
		var generic, starred *slot
		if f.keep[3] || f.generic {
			generic = x.slots[k]
		}
		if f.starred && q[3] != absent {
			k[3] = wildcard
			starred = x.slots[k]
		}
		if generic == nil && starred == nil {
			continue
		}
		if by := r.first(generic, starred, ask); by > 0 {
			return by
		}
	}
	return 0
}

// of is the pattern of this form that matches a question; false when none can.
func (f *form) of(q key) (key, bool) {
	k := key{wildcard, wildcard, wildcard, absent}
	for i, keep := range f.keep {
		if !keep {
			continue
		}
		if q[i] == unknown || q[i] == absent {
			return k, false
		}
		k[i] = q[i]
	}
	return k, true
}

func (r *Rights) first(a, b *slot, ask *asked) int32 {
	for _, s := range [2]*slot{a, b} {
		if s != nil {
			if by := r.holding(&s.deny, ask); by > 0 {
				return by
			}
		}
	}
	for _, s := range [2]*slot{a, b} {
		if s != nil {
			if by := r.holding(&s.allow, ask); by > 0 {
				return by
			}
		}
	}
	return 0
}

// holding returns one grant of a side that holds for the question.
func (r *Rights) holding(s *side, ask *asked) int32 {
	if s.plain > 0 {
		return s.plain
	}
	for _, at := range s.other {
		if r.all[at-1].holds(ask) == yes {
			return at
		}
	}
	if s.scoped == nil {
		return 0
	}
	for _, c := range ask.path {
		for _, at := range s.scoped[c] {
			if r.all[at-1].holds(ask) == yes {
				return at
			}
		}
	}
	return 0
}

// state says whether a grant whose pattern matches holds, and if not, why.
type state uint8

const (
	yes state = iota
	elsewhere
	notNow
	untrue
	unanswered
)

// holds says whether a grant whose pattern matches holds for the question. A
// condition without an answer counts against the asker.
func (e *entry) holds(ask *asked) state {
	for _, c := range e.scopes {
		if !slices.Contains(ask.path, c) {
			return elsewhere
		}
	}
	if e.from != 0 || e.to != 0 {
		at := ask.at.UnixNano()
		if at < e.from || e.to != 0 && at >= e.to {
			return notNow
		}
	}
	if e.Condition == "" {
		return yes
	}
	return e.asks(ask)
}

func (e *entry) asks(ask *asked) state {
	answer, err := false, e.broken
	if err == nil {
		answer, err = e.program.Answer(ask.facts())
	}
	switch {
	case err != nil && e.Effect == Deny:
		ask.failed = append(ask.failed, failure{&e.Source, err})
		return yes
	case err != nil:
		ask.failed = append(ask.failed, failure{&e.Source, err})
		return unanswered
	case !answer:
		return untrue
	}
	return yes
}

// facts is what conditions are asked over, made once for a question.
func (ask *asked) facts() *condition.Input {
	if ask.input != nil {
		return ask.input
	}
	in := &condition.Input{Time: ask.at, Request: condition.Request{Permission: ask.text}}
	if a := ask.actor; a != nil {
		in.Address = a.Address
		in.Actor = condition.Actor{ID: a.ID.String(), Name: a.Name, Kind: string(a.Kind), MFA: a.MFA}
		in.Request.ID, in.Request.AuthenticatedAt = a.RequestID, a.AuthenticatedAt
		in.Request.Token = a.AuthenticatedAt.IsZero()
	}
	if on := ask.on; on != nil {
		in.Resource = condition.Object{ID: on.ID.String(), Kind: on.Kind, Compartment: on.Compartment.String(), Attributes: on.Attributes}
	}
	ask.input = in
	return in
}

// Allowed answers a question about the tenant as a whole, now.
func (r *Rights) Allowed(permission string) bool {
	q, err := question(permission)
	if err != nil {
		return false
	}
	ask := asked{parts: q, text: permission}
	if r.clocked {
		ask.at = time.Now()
	}
	_, allowed := r.decide(&ask)
	return allowed
}

// somewhere tells whether a grant that is valid at a time allows what is asked
// for some resource.
func (r *Rights) somewhere(q parts, at time.Time) bool {
	now := at.UnixNano()
	return slices.ContainsFunc(r.all, func(e entry) bool {
		return e.Effect == Allow && e.parts.matches(q) && now >= e.from && (e.to == 0 || now < e.to)
	})
}

// explain is the decision with everything that was considered for it.
func (r *Rights) explain(ask *asked) Decision {
	by, allowed := r.decide(ask)
	d := Decision{Allowed: allowed, Permission: ask.text, Reason: r.reason(by, allowed), Considered: []Considered{}}
	if by >= 0 {
		s := r.all[by].Source
		d.DecidedBy = &s
	}
	for i := range r.all {
		d.Considered = append(d.Considered, r.all[i].consider(ask))
	}
	slices.SortStableFunc(d.Considered, func(a, b Considered) int { return b.Specificity - a.Specificity })
	return d
}

func (e *entry) consider(ask *asked) Considered {
	c := Considered{Source: e.Source, Specificity: e.parts.specificity()}
	if !e.parts.matches(ask.parts) {
		return c
	}
	before := len(ask.failed)
	switch e.holds(ask) {
	case yes:
		c.Matched = true
	case elsewhere:
		c.Note = "It holds in another compartment only."
	case notNow:
		c.Note = "It does not hold at this time."
	case untrue:
		c.Note = "Its condition is not true."
	case unanswered:
	}
	if len(ask.failed) > before {
		c.Note = fmt.Sprintf("Its condition has no answer: %v.", ask.failed[before].err)
		ask.failed = ask.failed[:before]
	}
	return c
}

// reason is the sentence about a decision.
func (r *Rights) reason(by int, allowed bool) string {
	if by < 0 {
		return "No grant matches, so the answer is no."
	}
	s := &r.all[by]
	switch {
	case s.Hard:
		return fmt.Sprintf("%s denies %s, and this denial cannot be overridden.", s.giver(), s.Permission)
	case allowed:
		return fmt.Sprintf("%s allows %s, the most specific grant that matches.", s.giver(), s.Permission)
	}
	return fmt.Sprintf("%s denies %s, the most specific grant that matches.", s.giver(), s.Permission)
}

func (s *Source) giver() string {
	if s.Role == "" {
		return "A direct grant"
	}
	return "The role " + s.Role
}

// List returns what the rights allow, as patterns, with denials prefixed "!":
// enough for a user interface to hide what would be refused. What holds
// somewhere or sometimes only is listed as allowed, and never as denied.
func (r *Rights) List(at time.Time) []string {
	list := []string{}
	for i := range r.all {
		e := &r.all[i]
		over := e.to != 0 && at.UnixNano() >= e.to
		switch {
		case over:
		case e.Effect == Allow:
			list = append(list, e.Permission)
		case len(e.scopes) == 0 && e.Condition == "" && at.UnixNano() >= e.from:
			list = append(list, "!"+e.Permission)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// edge is the next moment after at when a grant begins or ends; zero for none.
func (r *Rights) edge(at time.Time) time.Time {
	var next int64
	for i := range r.all {
		for _, t := range [2]int64{r.all[i].from, r.all[i].to} {
			if t > at.UnixNano() && (next == 0 || t < next) {
				next = t
			}
		}
	}
	if next == 0 {
		return time.Time{}
	}
	return time.Unix(0, next)
}
