package condition_test

import (
	"strings"
	"testing"
	"time"

	"nimbus/appliance/fault"
	"nimbus/appliance/permission/condition"
)

func input() *condition.Input {
	return &condition.Input{
		Actor:   condition.Actor{ID: "u1", Name: "Ann", Kind: "user", MFA: true},
		Time:    time.Date(2026, 11, 26, 9, 30, 0, 0, time.UTC),
		Address: "192.168.4.7",
		Resource: condition.Object{ID: "s1", Kind: "stack", Compartment: "c1", Attributes: map[string]any{
			"owner_id": "u1", "environment": "test", "cores": 4.0, "tags": []any{"a", "shared"}, "text": strings.Repeat("a", 4000)}},
		Request: condition.Request{ID: "r1", Permission: "deployment:stack:read", AuthenticatedAt: time.Date(2026, 11, 26, 9, 20, 0, 0, time.UTC)},
	}
}

func answer(t *testing.T, source string) (bool, error) {
	t.Helper()
	p, err := condition.Compile(source)
	if err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	return p.Answer(input())
}

// TestExamplesAreTrue answers every example that the editor shows.
func TestExamplesAreTrue(t *testing.T) {
	t.Parallel()
	examples := []string{}
	for _, n := range condition.Vocabulary() {
		examples = append(examples, n.Example)
	}
	for _, f := range condition.Functions() {
		examples = append(examples, f.Example)
	}
	want := map[string]bool{
		`actor.name.startsWith("ci-")`: false, `resource.attributes.name.matches("^web-[0-9]+$")`: false, `cidr("10.0.0.0/8").containsIP(address)`: false,
	}
	for _, e := range examples {
		expected, listed := want[e]
		got, err := answer(t, e)
		if strings.Contains(e, "attributes.name") {
			if err == nil {
				t.Errorf("%s answers about a missing attribute", e)
			}
			continue
		}
		if err != nil || got != (expected || !listed) {
			t.Errorf("%s is %v, %v", e, got, err)
		}
	}
}

// TestRobustness26NoAnswerIsAnError never turns what went wrong into an answer.
func TestRobustness26NoAnswerIsAnError(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]string{
		"missing attribute": `resource.attributes.nothing == "x"`,
		"not a bool":        `resource.attributes.environment`,
		"type mismatch":     `resource.attributes.environment > 4`,
		"no such overload":  `resource.attributes.cores.startsWith("a")`,
		"division":          `1 / (size(actor.id) - 2) == 1`,
		"not an address":    `cidr("10.0.0.0/8").containsIP(actor.id)`,
		"bad pattern":       `"a".matches(resource.attributes.text + "[")`,
		"negated":           `!(resource.attributes.nothing == "x")`,
	} {
		if got, err := answer(t, source); err == nil || got {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	p, err := condition.Compile(`actor.mfa`)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.Answer(nil); err == nil || got {
		t.Errorf("a panic became %v, %v", got, err)
	}
}

// TestWrongConditionsAreRefused says what is wrong when the condition is written.
func TestWrongConditionsAreRefused(t *testing.T) {
	t.Parallel()
	for _, source := range []string{``, `actor.nothing == "x"`, `actor.id`, `1 + 1`, `actor.id ==`, "\xff", `actor.id == 4`, `nothing()`} {
		if _, err := condition.Compile(source); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", source, err)
		}
	}
}

// TestRobustness38BombsAreStopped refuses or stops what would take for ever.
// The fastest of three tries counts, because others share the machine.
func TestRobustness38BombsAreStopped(t *testing.T) {
	t.Parallel()
	list := "[" + strings.Repeat("1,", 99) + "1]"
	loop := list + ".all(a, " + list + ".all(b, " + list + ".all(c, " + list + ".all(d, a + b + c + d > 0))))"
	bombs := map[string]string{
		"100^4 loop":        loop,
		"100 MB source":     strings.Repeat("true || ", 100<<20/8) + "true",
		"200 nested parens": strings.Repeat("(", 200) + "true" + strings.Repeat(")", 200),
		"nested lists":      strings.Repeat("[", 300) + strings.Repeat("]", 300) + " == []",
		"regex bomb":        `resource.attributes.text.matches("(a+)+$b")`,
		"regex repetitions": `resource.attributes.text.matches("((a{0,100}){0,100}){0,100}")`,
		"growing text":      list + `.map(a, resource.attributes.text + resource.attributes.text).all(x, !x.contains("b" + resource.attributes.text) && x.matches("^(a|aa)*$") && x.matches("^(aa|a)*$"))`,
		"string squares":    list + ".all(a, " + list + ".all(b, (resource.attributes.text + resource.attributes.text).contains(resource.attributes.text + 'b') || true))",
	}
	if _, err := condition.Compile("true"); err != nil { // the environment is made once
		t.Fatal(err)
	}
	for name, source := range bombs {
		took, err := fastest(source)
		if took > condition.Deadline {
			t.Errorf("%s took %s", name, took)
		}
		if answers := name == "regex bomb" || name == "growing text"; err == nil && !answers {
			t.Errorf("%s was answered", name)
		}
	}
}

func fastest(source string) (time.Duration, error) {
	best, err := time.Hour, error(nil)
	for range 3 {
		began := time.Now()
		var p *condition.Program
		if p, err = condition.Compile(source); err == nil {
			_, err = p.Answer(input())
		}
		best = min(best, time.Since(began))
	}
	return best, err
}

// BenchmarkAnswer answers one condition over what a request brings.
func BenchmarkAnswer(b *testing.B) {
	for name, source := range map[string]string{
		"mfa": `actor.mfa`, "attribute": `resource.attributes.environment == "test" && actor.mfa`, "network": `cidr("192.168.0.0/16").containsIP(address)`,
		"loop": `resource.attributes.tags.exists(t, t == "shared")`,
	} {
		b.Run(name, func(b *testing.B) {
			p, err := condition.Compile(source)
			if err != nil {
				b.Fatal(err)
			}
			in := input()
			b.ReportAllocs()
			for b.Loop() {
				if ok, err := p.Answer(in); err != nil || !ok {
					b.Fatal(ok, err)
				}
			}
		})
	}
}
