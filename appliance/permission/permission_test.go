package permission

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/id"
)

// answer of a condition, as the reference knows it without CEL.
type answer int

const (
	isFalse answer = iota
	isTrue
	none
)

// conditions with what they mean.
var conditions = map[string]func(*asked) answer{
	"": func(*asked) answer { return isTrue },
	`actor.mfa`: func(q *asked) answer {
		if q.actor.MFA {
			return isTrue
		}
		return isFalse
	},
	`resource.attributes.env == "prod"`: func(q *asked) answer {
		switch q.on.Attributes["env"] {
		case nil:
			return none
		case "prod":
			return isTrue
		}
		return isFalse
	},
	`time < timestamp("2026-06-01T00:00:00Z")`: func(q *asked) answer {
		if q.at.Before(time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)) {
			return isTrue
		}
		return isFalse
	},
	`resource.attributes.nothing > 4`: func(*asked) answer { return none },
	`this is not CEL`:                 func(*asked) answer { return none },
}

var conditionTexts = func() []string {
	var all []string
	for text := range conditions {
		all = append(all, text)
	}
	slices.Sort(all)
	return all
}()

// naive decides by looking at every grant of every role, as the rule is told
// to people: the most specific that holds, deny at equal specificity, hard
// deny before all.
func naive(w world, subject Subject, q *asked) bool {
	best, allowed, hard := -1, false, false
	look := func(g Grant, n Assignment) {
		p := strings.Split(g.Permission, ":")
		literals, position := 0, 0
		for i, part := range p {
			switch {
			case part == "*" && i == 3 && q.parts[3] == "":
				return
			case part == "*":
			case part == q.parts[i]:
				literals++
				position |= 8 >> i
			default:
				return
			}
		}
		for _, c := range []id.ID{g.Compartment, n.Compartment} {
			if !c.IsZero() && !slices.Contains(q.path, c) {
				return
			}
		}
		for _, from := range []time.Time{g.NotBefore, n.NotBefore} {
			if q.at.Before(from) {
				return
			}
		}
		for _, to := range []time.Time{g.ExpiresAt, n.ExpiresAt} {
			if !to.IsZero() && !q.at.Before(to) {
				return
			}
		}
		a := conditions[g.Condition](q)
		if a == isFalse || a == none && g.Effect == Allow {
			return
		}
		hard = hard || g.Hard
		score := literals*16 + position
		switch {
		case score > best:
			best, allowed = score, g.Effect == Allow
		case score == best && g.Effect == Deny:
			allowed = false
		}
	}
	mine := append([]Subject{subject}, nil...)
	for _, g := range w.groups[subject] {
		mine = append(mine, Subject{GroupSubject, g})
	}
	for _, n := range w.assignments {
		if !slices.Contains(mine, n.Subject) {
			continue
		}
		reached := []id.ID{n.RoleID}
		for i := 0; i < len(reached); i++ {
			for _, g := range w.roles[reached[i]].Grants {
				look(g, n)
			}
			for _, parent := range w.roles[reached[i]].Inherits {
				if !slices.Contains(reached, parent) {
					reached = append(reached, parent)
				}
			}
		}
	}
	for _, g := range w.grants {
		if slices.Contains(mine, g.Subject) {
			look(g.Grant, Assignment{})
		}
	}
	return allowed && !hard
}

// dice makes random worlds and questions out of few words, so that much of
// what they make meets.
type dice struct {
	*rand.Rand
	words        []string
	compartments []id.ID // each lies in the one before it
	groups       []id.ID
	roles        []id.ID
}

func newDice(seed uint64) *dice {
	d := &dice{Rand: rand.New(rand.NewPCG(seed, 2)), words: []string{"a", "b", "c"}}
	for i := range 4 {
		d.compartments = append(d.compartments, id.Derived("compartment", fmt.Sprint(i)))
		d.groups = append(d.groups, id.Derived("group", fmt.Sprint(i)))
		d.roles = append(d.roles, id.Derived("role", fmt.Sprint(i)))
	}
	return d
}

func (d *dice) one(of ...string) string { return of[d.IntN(len(of))] }

func (d *dice) pattern() string {
	part := func() string {
		if d.IntN(3) == 0 {
			return "*"
		}
		return d.one(d.words...)
	}
	text := part() + ":" + part() + ":" + part()
	if d.IntN(2) == 0 {
		text += ":" + part()
	}
	return text
}

func (d *dice) compartment() id.ID {
	if d.IntN(3) > 0 {
		return id.ID{}
	}
	return d.compartments[d.IntN(len(d.compartments))]
}

// month is sometimes zero.
func (d *dice) month(every int) time.Time {
	if d.IntN(every) > 0 {
		return time.Time{}
	}
	return time.Date(2026, time.Month(1+d.IntN(12)), 1, 0, 0, 0, 0, time.UTC)
}

func (d *dice) times() (from, to time.Time) {
	from, to = d.month(5), d.month(5)
	if !from.IsZero() && !to.IsZero() && !from.Before(to) {
		to = from.AddDate(0, 1, 0)
	}
	return from, to
}

func (d *dice) grant() Grant {
	g := Grant{Permission: d.pattern(), Effect: Allow, Compartment: d.compartment()}
	g.NotBefore, g.ExpiresAt = d.times()
	if d.IntN(3) == 0 {
		g.Effect, g.Hard = Deny, d.IntN(6) == 0
	}
	if d.IntN(2) == 0 {
		g.Condition = d.one(conditionTexts...)
	}
	return g
}

func (d *dice) subject(user Subject) Subject {
	switch d.IntN(4) {
	case 0:
		return Subject{GroupSubject, d.groups[d.IntN(len(d.groups))]}
	case 1:
		return Subject{UserSubject, d.groups[0]} // somebody else, with a group's id
	}
	return user
}

func (d *dice) world(user Subject) world {
	w := world{roles: map[id.ID]Role{}, groups: map[Subject][]id.ID{user: d.groups[:d.IntN(3)]}}
	for i, role := range d.roles {
		r := Role{ID: role, Name: fmt.Sprint("role ", i)}
		for range d.IntN(4) {
			r.Grants = append(r.Grants, d.grant())
		}
		for range d.IntN(3) { // circles too: they must not hang anything
			r.Inherits = append(r.Inherits, d.roles[d.IntN(len(d.roles))])
		}
		w.roles[role] = r
	}
	for range d.IntN(3) {
		n := Assignment{Subject: d.subject(user), RoleID: d.roles[d.IntN(len(d.roles))], Compartment: d.compartment()}
		n.NotBefore, n.ExpiresAt = d.times()
		w.assignments = append(w.assignments, n)
	}
	for range d.IntN(5) {
		w.grants = append(w.grants, DirectGrant{Subject: d.subject(user), Grant: d.grant()})
	}
	return w
}

func (d *dice) question(user Subject) *asked {
	text := d.one(d.words...) + ":" + d.one(d.words...) + ":" + d.one(d.words...)
	if d.IntN(2) == 0 {
		text += ":" + d.one("a", "b", "c", "d")
	}
	q := &asked{text: text, at: time.Date(2026, time.Month(1+d.IntN(12)), 15, 0, 0, 0, 0, time.UTC)}
	q.parts, _ = question(text)
	q.actor = &actor.Actor{Kind: actor.User, ID: user.ID, MFA: d.IntN(2) == 0}
	q.on = &Resource{Attributes: map[string]any{}}
	if env := d.one("", "prod", "test"); env != "" {
		q.on.Attributes["env"] = env
	}
	if depth := d.IntN(len(d.compartments) + 1); depth > 0 {
		q.on.Compartment = d.compartments[depth-1]
		q.path = slices.Clone(d.compartments[:depth])
		slices.Reverse(q.path)
	}
	return q
}

// fresh is the same question without what earlier answers left in it.
func (ask *asked) fresh() *asked {
	again := *ask
	again.input, again.failed = nil, nil
	return &again
}

// TestRobustness25EngineEqualsReference compares the engine with the naive
// reference on random worlds: roles that inherit, groups, compartments, times,
// conditions. The order in which things were given does not matter, and the
// explanation is the decision.
func TestRobustness25EngineEqualsReference(t *testing.T) {
	t.Parallel()
	d := newDice(1)
	user := Subject{UserSubject, id.Derived("user", "1")}
	yes := 0
	for range 20_000 {
		w := d.world(user)
		sources := w.sources(user)
		rights := compiled(t, sources)
		d.Shuffle(len(sources), func(i, j int) { sources[i], sources[j] = sources[j], sources[i] })
		again := compiled(t, sources)
		q := d.question(user)
		want := naive(w, user, q)
		if want {
			yes++
		}
		by, got := rights.decide(q.fresh())
		byShuffled, shuffled := again.decide(q.fresh())
		explained := rights.explain(q.fresh())
		if got != want || shuffled != want || explained.Allowed != want {
			t.Fatalf("%+v over %+v: %v instead of %v, shuffled %v, explained %+v", q, sources, got, want, shuffled, explained)
		}
		if by != byShuffled || (by >= 0) != (explained.DecidedBy != nil) {
			t.Fatalf("%+v: decided by %d, shuffled %d, explained %+v", q, by, byShuffled, explained)
		}
	}
	if yes < 1000 || yes > 19_000 {
		t.Errorf("%d of the answers are yes: the worlds are too much alike", yes)
	}
}

// TestExplainEqualsDecision holds 10,000 explanations against the decision:
// the answer, who decided, and that nothing more specific is said to hold.
func TestExplainEqualsDecision(t *testing.T) {
	t.Parallel()
	d := newDice(7)
	user := Subject{UserSubject, id.Derived("user", "1")}
	for range 10_000 {
		rights := compiled(t, d.world(user).sources(user))
		q := d.question(user)
		by, allowed := rights.decide(q.fresh())
		e := rights.explain(q.fresh())
		if e.Allowed != allowed || len(e.Considered) != len(rights.all) || e.Reason != rights.reason(by, allowed) {
			t.Fatalf("%+v: %v, explained %+v", q, allowed, e)
		}
		if (by < 0) != (e.DecidedBy == nil) || by >= 0 && e.DecidedBy.Permission != rights.all[by].Permission {
			t.Fatalf("%+v: decided by %d, explained %+v", q, by, e)
		}
		consistent(t, e)
	}
}

// consistent checks an explanation by its own list.
func consistent(t *testing.T, e Decision) {
	t.Helper()
	for _, c := range e.Considered {
		switch {
		case !c.Matched:
		case e.DecidedBy == nil:
			t.Fatalf("nobody decided, but %+v is said to match", c)
		case c.Hard && e.Allowed:
			t.Fatalf("allowed over %+v", c)
		case !e.DecidedBy.Hard && c.Specificity > mustParse(t, e.DecidedBy.Permission).specificity():
			t.Fatalf("%+v decided over the more specific %+v", e.DecidedBy, c)
		}
	}
}

func mustParse(t *testing.T, text string) parts {
	t.Helper()
	p, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func compiled(t testing.TB, sources []Source) *Rights {
	t.Helper()
	rights, err := Compile(sources)
	if err != nil {
		t.Fatal(err)
	}
	return rights
}

func plain(grants ...Grant) []Source {
	var all []Source
	for _, g := range grants {
		all = append(all, Source{Grant: g, Role: "role"})
	}
	return all
}

// TestRobustness26ConditionsWithoutAnAnswerDeny asks conditions that have no
// answer: what they allow is not allowed, what they deny is denied, and it is
// told why.
func TestRobustness26ConditionsWithoutAnAnswerDeny(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`resource.attributes.missing == "x"`, `resource.attributes.env > 4`, `resource.attributes.env`, `not CEL (`,
		`[1,2,3].all(a, [1,2,3].all(b, resource.attributes.list.all(c, resource.attributes.list.all(d, resource.attributes.list.all(e, c + d + e >= 0)))))`,
	} {
		list := make([]any, 400)
		for i := range list {
			list[i] = i
		}
		q := &asked{text: "a:b:c", parts: parts{"a", "b", "c"}, on: &Resource{Attributes: map[string]any{"env": "prod", "list": list}}}
		allowing := compiled(t, plain(Grant{Permission: "a:b:c", Effect: Allow, Condition: text}))
		denying := compiled(t, plain(Grant{Permission: "a:b:c", Effect: Deny, Condition: text}, Grant{Permission: "a:*:*", Effect: Allow}))
		for name, r := range map[string]*Rights{"allowing": allowing, "denying": denying} {
			ask := q.fresh()
			if _, allowed := r.decide(ask); allowed || len(ask.failed) != 1 {
				t.Errorf("%s %s: allowed %v with %d failures", name, text, allowed, len(ask.failed))
			}
			e := r.explain(q.fresh())
			if !slices.ContainsFunc(e.Considered, func(c Considered) bool { return strings.Contains(c.Note, "no answer") }) {
				t.Errorf("%s %s is not explained: %+v", name, text, e)
			}
		}
	}
}

// TestBadQuestionsAreNo refuses what is not a permission.
func TestBadQuestionsAreNo(t *testing.T) {
	t.Parallel()
	rights := compiled(t, plain(Grant{Permission: "*:*:*", Effect: Allow}))
	for _, q := range []string{"", "a", "a:b", "a:b:*", "a::c", "a:b:c:d:e", "*:*:*", "a:b:C", "a:b:c:", "a:b:c d"} {
		if rights.Allowed(q) {
			t.Errorf("%q is allowed", q)
		}
	}
}

// TestGrantsAreChecked refuses grants that could not be meant.
func TestGrantsAreChecked(t *testing.T) {
	t.Parallel()
	day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, g := range []Grant{
		{Permission: "a:b", Effect: Allow}, {Permission: "A:b:c", Effect: Allow}, {Permission: "a:b:c", Effect: "maybe"},
		{Permission: "a:b:c", Effect: Allow, Hard: true}, {Permission: "a:b:c d", Effect: Allow},
		{Permission: "a:b:c", Effect: Allow, Condition: "actor.nothing"}, {Permission: "a:b:c", Effect: Allow, Condition: strings.Repeat(" ", 5000)},
		{Permission: "a:b:c", Effect: Allow, NotBefore: day, ExpiresAt: day},
	} {
		if g.Validate() == nil {
			t.Errorf("%+v is valid", g)
		}
	}
}

// TestNobodyGivesMoreThanTheyHold compares what may be given away with what
// the giver may do: whenever a gift is covered, no question is answered yes
// for its receiver and no for its giver.
func TestNobodyGivesMoreThanTheyHold(t *testing.T) {
	t.Parallel()
	d := newDice(3)
	user := Subject{UserSubject, id.Derived("user", "1")}
	other := Subject{UserSubject, id.Derived("user", "2")}
	paths := above{}
	for i, c := range d.compartments {
		path := slices.Clone(d.compartments[:i+1])
		slices.Reverse(path)
		paths[c] = path
	}
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	covered := 0
	for range 25_000 {
		giver := compiled(t, d.world(user).sources(user))
		g := d.grant()
		g.Effect, g.Hard = Allow, false
		if d.IntN(2) == 0 && len(giver.all) > 0 {
			g = giver.all[d.IntN(len(giver.all))].Grant
			g.Effect, g.Hard = Allow, false
		}
		gift, err := prepare(Source{Grant: g, Within: d.compartment()})
		if err != nil {
			t.Fatal(err)
		}
		if !giver.covers(gift, now, paths) {
			continue
		}
		covered++
		receiver := compiled(t, []Source{gift.Source})
		for range 20 {
			q := d.question(user)
			if q.at.Before(now) {
				continue
			}
			ofOther := q.fresh()
			ofOther.actor = &actor.Actor{Kind: actor.ServiceAccount, ID: other.ID, MFA: true}
			_, theirs := receiver.decide(ofOther)
			if _, own := giver.decide(q.fresh()); theirs && !own {
				t.Fatalf("%+v was given by %+v, who may not %+v", gift.Source, giver.all, q)
			}
		}
	}
	if covered < 200 {
		t.Errorf("only %d gifts were covered", covered)
	}
}

// TestInheritedGrantsSayWhere names the role, the one that inherits it and the
// group.
func TestInheritedGrantsSayWhere(t *testing.T) {
	t.Parallel()
	group, user := id.New(), Subject{UserSubject, id.New()}
	parent, child := id.New(), id.New()
	w := world{
		roles: map[id.ID]Role{
			parent: {ID: parent, Name: "Reader", Grants: []Grant{{Permission: "a:b:read", Effect: Allow}}},
			child:  {ID: child, Name: "Shop", Inherits: []id.ID{parent}},
		},
		assignments: []Assignment{{Subject: Subject{GroupSubject, group}, RoleID: child}},
		groups:      map[Subject][]id.ID{user: {group}},
	}
	got := w.sources(user)[0].through.text(map[Subject]string{{GroupSubject, group}: "Operations"})
	if want := "role Reader, inherited by role Shop, through group Operations"; got != want {
		t.Errorf("%q instead of %q", got, want)
	}
}

// TestRobustness10ClockStepsBackReviveNothing sets the clock back and forward:
// the service's time follows forward only.
func TestRobustness10ClockStepsBackReviveNothing(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	r := compiled(t, plain(Grant{Permission: "a:b:c", Effect: Allow, ExpiresAt: began.Add(30 * time.Minute)}))
	for _, c := range []struct {
		step time.Duration
		want bool
	}{{-time.Hour, false}, {0, false}, {time.Hour, false}} {
		since := 31 * time.Minute
		ask := &asked{parts: parts{"a", "b", "c"}, at: steady(began, began.Add(since+c.step), since)}
		if _, allowed := r.decide(ask); allowed != c.want {
			t.Errorf("after a step of %s it is %v at %s", c.step, allowed, ask.at)
		}
	}
	if got := steady(began, began.Add(time.Minute-time.Hour), time.Minute); !got.Equal(began.Add(time.Minute)) {
		t.Errorf("the time went back to %s", got)
	}
}
