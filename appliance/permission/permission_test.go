package permission

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// naive decides by looking at every grant, as the rule is told to people: the
// most specific match, deny at equal specificity, hard deny before all.
func naive(sources []Source, question string) bool {
	q, err := question4(question)
	if err != nil {
		return false
	}
	best, allowed := -1, false
	for _, s := range sources {
		p := strings.Split(s.Permission, ":")
		literals, position, match := 0, 0, true
		for i, part := range p {
			switch {
			case part == "*" && i == 3 && q[3] == "":
				match = false
			case part == "*":
			case part == q[i]:
				literals++
				position |= 8 >> i
			default:
				match = false
			}
		}
		if !match {
			continue
		}
		if s.Hard {
			return false
		}
		score := literals*16 + position
		switch {
		case score > best:
			best, allowed = score, s.Effect == Allow
		case score == best && s.Effect == Deny:
			allowed = false
		}
	}
	return allowed
}

func question4(text string) ([4]string, error) {
	p, err := question(text)
	return [4]string(p), err
}

var words = []string{"a", "b", "c"}

func randomGrant(r *rand.Rand) Source {
	part := func() string {
		if r.IntN(3) == 0 {
			return "*"
		}
		return words[r.IntN(len(words))]
	}
	text := part() + ":" + part() + ":" + part()
	if r.IntN(2) == 0 {
		text += ":" + part()
	}
	g := Grant{Permission: text, Effect: Allow}
	if r.IntN(3) == 0 {
		g.Effect, g.Hard = Deny, r.IntN(6) == 0
	}
	return Source{Grant: g, Role: "role"}
}

func randomQuestion(r *rand.Rand) string {
	word := func() string { return words[r.IntN(len(words))] }
	text := word() + ":" + word() + ":" + word()
	if r.IntN(2) == 0 {
		text += ":" + word()
	}
	return text
}

// TestRobustness25EngineEqualsReference compares the engine with the naive
// reference on random grants; their order does not matter, and the explanation
// is the decision.
func TestRobustness25EngineEqualsReference(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		var sources []Source
		for range r.IntN(12) {
			sources = append(sources, randomGrant(r))
		}
		rights, err := Compile(sources)
		if err != nil {
			t.Fatal(err)
		}
		shuffled := slices.Clone(sources)
		r.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		again, err := Compile(shuffled)
		if err != nil {
			t.Fatal(err)
		}
		q := randomQuestion(r)
		want := naive(sources, q)
		explained, err := rights.Explain(q)
		if err != nil {
			t.Fatal(err)
		}
		if got := rights.Allowed(q); got != want || again.Allowed(q) != want || explained.Allowed != want {
			t.Fatalf("%s over %+v: %v instead of %v, shuffled %v, explained %v", q, sources, got, want, again.Allowed(q), explained.Allowed)
		}
	}
}

// TestBadQuestionsAreNo refuses what is not a permission.
func TestBadQuestionsAreNo(t *testing.T) {
	t.Parallel()
	rights, err := Compile([]Source{{Grant: Grant{Permission: "*:*:*", Effect: Allow}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{"", "a", "a:b", "a:b:*", "a::c", "a:b:c:d:e", "*:*:*"} {
		if rights.Allowed(q) {
			t.Errorf("%q is allowed", q)
		}
	}
}

// TestGrantsAreChecked refuses grants that could not be meant.
func TestGrantsAreChecked(t *testing.T) {
	t.Parallel()
	for _, g := range []Grant{
		{Permission: "a:b", Effect: Allow}, {Permission: "A:b:c", Effect: Allow}, {Permission: "a:b:c", Effect: "maybe"},
		{Permission: "a:b:c", Effect: Allow, Hard: true}, {Permission: "a:b:c d", Effect: Allow},
	} {
		if g.Validate() == nil {
			t.Errorf("%+v is valid", g)
		}
	}
}

// BenchmarkAllowed answers a question over ten and over ten thousand grants.
func BenchmarkAllowed(b *testing.B) {
	for name, n := range map[string]int{"10": 10, "10000": 10_000} {
		r := rand.New(rand.NewPCG(1, 2))
		var sources []Source
		for range n {
			s := randomGrant(r)
			s.Hard = false
			sources = append(sources, s)
		}
		rights, err := Compile(sources)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				rights.Allowed("a:b:c:a")
			}
		})
	}
}
