package audit

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// bodies returns what is stored of an event, oldest first.
func storedBodies(t *testing.T, s *Service, ctx context.Context, code string) []string {
	t.Helper()
	a, _ := actor.From(ctx)
	if err := s.seal(ctx, a.TenantID); err != nil {
		t.Fatal(err)
	}
	found := pages(t, s, ctx, Filter{Events: []string{code}}, 200)
	bodies := make([]string, len(found))
	for i, r := range found {
		bodies[len(found)-1-i] = string(r.Body)
	}
	return bodies
}

func rule(name string, kind RedactionKind, match, scope string) RedactionRule {
	return RedactionRule{Name: name, Kind: kind, Match: match, Scope: scope, Enabled: true}
}

var hiding = []RedactionRule{
	rule("mail", PatternRule, `[\w.]+@[\w.]+`, allEvents),
	rule("serials", FieldRule, "guest.ser*", allEvents),
	rule("cards", PatternRule, `\b\d{16}\b`, allEvents),
	rule("for whom", FieldRule, "on_behalf_of.name", "test.secretly"),
	rule("addresses", FieldRule, "actor.address", "test.person"),
	{Name: "off", Kind: PatternRule, Match: "visible", Scope: allEvents},
}

// TestRedactionHidesForWhom: the name of who somebody acted for is a text like the
// actor's own, for rules and for what is built in.
func TestRedactionHidesForWhom(t *testing.T) {
	t.Parallel()
	s, ctx := shelf(t)
	a, _ := actor.From(ctx)
	if _, err := s.SetRedaction(ctx, append([]RedactionRule(nil), hiding...)); err != nil {
		t.Fatal(err)
	}
	who := actor.Claiming("eve@hidden.example nbt_12345678hidden")
	for _, code := range []string{"test.openly.done", "test.secretly.done"} {
		if err := s.RecordAlone(actor.With(ctx, who), a.TenantID, Entry{Event: code, Target: Target{Kind: "thing"}}); err != nil {
			t.Fatal(err)
		}
	}
	for code, want := range map[string]string{"test.openly.done": mask + " " + mask, "test.secretly.done": mask} {
		body := storedBodies(t, s, ctx, code)[0]
		if strings.Contains(body, "hidden") || !strings.Contains(body, `"on_behalf_of":{"kind":"os_user","name":"`+want+`","claimed":true}`) {
			t.Errorf("%s: %s", code, body)
		}
	}
	if who.OnBehalfOf.Name != "eve@hidden.example nbt_12345678hidden" {
		t.Errorf("the actor itself was changed: %+v", who)
	}
}

// TestRedactionOfEverythingWritten sets rules and records on every path: in a
// transaction, through the group writer and as a call of the API. What the rules
// match is in no stored body; what they do not match is.
func TestRedactionOfEverythingWritten(t *testing.T) {
	t.Parallel()
	s, ctx := shelf(t)
	a, _ := actor.From(ctx)
	if _, err := s.SetRedaction(ctx, append([]RedactionRule(nil), hiding...)); err != nil {
		t.Fatal(err)
	}
	who := actor.With(ctx, actor.Actor{Kind: actor.User, ID: id.New(), Name: "eve@hidden.example", Address: "192.0.2.99", TenantID: a.TenantID})
	entry := Entry{
		Event: "test.person.changed", Target: Target{Kind: "person", ID: "bob@hidden.example", Name: "Bob <bob@hidden.example>"}, Reason: "as mal@hidden.example asked",
		Before:  map[string]any{"guest": map[string]any{"Serial": "hidden-serial", "name": "visible"}, "serial": "visible-serial"},
		After:   []any{"x bob@hidden.example y", map[string]any{"zoe@hidden.example": 1, "n": 90071992547409931}},
		Details: map[string]any{"card": 4111111111111111, "guests": []any{map[string]any{"guest": map[string]any{"serie": []int{7117}}}}},
	}
	if err := s.in(who, a.TenantID, func(ctx context.Context) error { return s.Record(ctx, entry) }); err != nil {
		t.Fatal(err)
	}
	if err := s.RecordAlone(who, a.TenantID, entry); err != nil {
		t.Fatal(err)
	}
	bodies := storedBodies(t, s, ctx, entry.Event)
	if len(bodies) != 2 {
		t.Fatalf("%d records", len(bodies))
	}
	for _, body := range bodies {
		for _, hidden := range []string{"hidden", "4111111111111111", "7117", "192.0.2.99"} {
			if strings.Contains(body, hidden) {
				t.Errorf("%s is in %s", hidden, body)
			}
		}
		for _, visible := range []string{`"name":"visible"`, "visible-serial", "90071992547409931", "Bob \\u003c" + mask, "as " + mask + " asked"} {
			if !strings.Contains(body, visible) {
				t.Errorf("%s is missing in %s", visible, body)
			}
		}
	}
	entry.Event = "test.personal.changed"
	if err := s.RecordAlone(who, a.TenantID, entry); err != nil {
		t.Fatal(err)
	}
	if body := storedBodies(t, s, ctx, entry.Event)[0]; !strings.Contains(body, "192.0.2.99") {
		t.Errorf("a rule for test.person works for test.personal: %s", body)
	}
	if v, err := s.Verify(ctx); err != nil || !v.OK() {
		t.Errorf("%+v %v", v, err)
	}
}

// TestRedactionIsRecordedWhole changes rules so that they would hide their own
// record.
func TestRedactionIsRecordedWhole(t *testing.T) {
	t.Parallel()
	s, ctx := shelf(t)
	first, err := s.SetRedaction(ctx, []RedactionRule{rule("all of it", PatternRule, `.+`, allEvents)})
	if err != nil || first.Rules[0].ID.IsZero() || len(first.Builtin) < 5 {
		t.Fatalf("%+v %v", first, err)
	}
	changed := append(first.Rules, rule("another", FieldRule, "rules", allEvents))
	if _, err := s.SetRedaction(ctx, changed); err != nil {
		t.Fatal(err)
	}
	bodies := storedBodies(t, s, ctx, RedactionEvent)
	if len(bodies) != 2 || !strings.Contains(bodies[0], "all of it") || !strings.Contains(bodies[1], `"another"`) || !strings.Contains(bodies[1], `"match":".+"`) {
		t.Errorf("%q", bodies)
	}
	now, err := s.Redaction(ctx)
	if err != nil || len(now.Rules) != 2 || now.Rules[0] != first.Rules[0] || now.Rules[1].Name != "another" {
		t.Errorf("%+v %v", now, err)
	}
	for name, rules := range map[string][]RedactionRule{"unknown": {{ID: id.New(), Name: "x", Kind: FieldRule, Match: "x", Scope: allEvents}}, "twice": {now.Rules[0], now.Rules[0]}} {
		if _, err := s.SetRedaction(ctx, rules); !fault.Is(err, fault.Conflict) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.Check = func(context.Context, string) error { return fault.New(fault.Forbidden, "No.") }
	_, read := s.Redaction(ctx)
	_, set := s.SetRedaction(ctx, nil)
	_, tested := s.TestRedaction(ctx, "x", nil, "")
	for _, err := range []error{read, set, tested} {
		if !fault.Is(err, fault.Forbidden) {
			t.Errorf("without the permission: %v", err)
		}
	}
}

// TestRedactionCutsOverEverywhere changes rules on one node while both record:
// from the return of the change on nothing is stored by the old rules.
func TestRedactionCutsOverEverywhere(t *testing.T) {
	t.Parallel()
	one, ctx := shelf(t)
	two := New(Config{DB: one.DB, Logger: slog.New(slog.DiscardHandler), IsRoot: one.IsRoot, Check: one.Check})
	one.Events.Forward(two.Events.Deliver)
	a, _ := actor.From(ctx)
	write := func(s *Service, text string) {
		t.Helper()
		if err := s.RecordAlone(ctx, a.TenantID, Entry{Event: "test.thing.done", Target: Target{Kind: "thing", Name: text}}); err != nil {
			t.Fatal(err)
		}
	}
	set := func(rules ...RedactionRule) {
		t.Helper()
		if _, err := one.SetRedaction(ctx, rules); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 10 {
		write(one, fmt.Sprintf("old-%d", n))
		write(two, fmt.Sprintf("old-%d", n))
		set(rule("new", PatternRule, "new-[0-9]+", allEvents))
		write(one, fmt.Sprintf("new-%d", n))
		write(two, fmt.Sprintf("new-%d", n))
		set()
	}
	text := strings.Join(storedBodies(t, one, ctx, "test.thing.done"), "\n")
	if strings.Contains(text, "new-") || strings.Count(text, "old-") != 20 || strings.Count(text, mask) != 20 {
		t.Errorf("stored by old rules:\n%s", text)
	}
	// A node that was not told finds out by itself, and a rule read before a
	// change is not kept after it.
	one.Events.Forward(func(event.Event) {})
	write(two, "warm")
	set(rule("later", PatternRule, "late-[0-9]+", allEvents))
	write(two, "late-1")
	two.redactions.mu.Lock()
	two.redactions.held[a.TenantID].readAt = time.Now().Add(-rulesAge)
	two.redactions.mu.Unlock()
	write(two, "late-2")
	write(two, "late-3")
	text = strings.Join(storedBodies(t, one, ctx, "test.thing.done"), "\n")
	if !strings.Contains(text, "late-1") || strings.Contains(text, "late-2") || strings.Contains(text, "late-3") {
		t.Error(text)
	}
	_, _, changes := two.redactions.get(a.TenantID)
	two.redactions.forget(a.TenantID)
	two.redactions.keep(a.TenantID, &redactor{}, changes)
	if known, stale, _ := two.redactions.get(a.TenantID); known != nil || !stale {
		t.Error("rules that were read before a change are kept")
	}
}

// TestBadRedactionRules refuses what cannot be used and says which rule it is.
func TestBadRedactionRules(t *testing.T) {
	t.Parallel()
	many := make([]RedactionRule, rulesMost+1)
	costly := make([]RedactionRule, 10)
	for i := range many {
		many[i] = rule("x", FieldRule, "x", allEvents)
	}
	for i := range costly {
		costly[i] = rule("x", PatternRule, `(?:\pL{200}){4}`, allEvents)
	}
	for name, rules := range map[string][]RedactionRule{
		"too many": many, "too costly": costly,
		"no name":         {rule(" ", FieldRule, "x", allEvents)},
		"no kind":         {rule("x", "both", "x", allEvents)},
		"no match":        {rule("x", FieldRule, "", allEvents)},
		"long":            {rule("x", PatternRule, strings.Repeat("x", 501), allEvents)},
		"no scope":        {rule("x", FieldRule, "x", "")},
		"bad scope":       {rule("x", FieldRule, "x", "identity.*")},
		"not RE2":         {rule("x", PatternRule, `(?=x)`, allEvents)},
		"back reference":  {rule("x", PatternRule, `(x)\1`, allEvents)},
		"repetition bomb": {rule("x", PatternRule, `((a{1000}){1000}){1000}`, allEvents)},
		"everything":      {rule("x", PatternRule, `x*`, allEvents)},
		"field of a text": {rule("x", FieldRule, `a b`, allEvents)},
	} {
		if _, err := compile(rules); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestRedactionOfSamples tries rules on texts and JSON.
func TestRedactionOfSamples(t *testing.T) {
	t.Parallel()
	s, ctx := shelf(t)
	for _, c := range []struct {
		sample any
		event  string
		want   string
	}{
		{"call bob@x.example", "", "call " + mask},
		{`{"mail": "bob@x.example", "guest": {"serial": 5}}`, "", `{"guest":{"serial":"` + mask + `"},"mail":"` + mask + `"}`},
		{map[string]any{"password": "x", "secret": true}, "", "map[password:" + mask + " secret:true]"},
		{map[string]any{"address": "1.2.3.4"}, "test.other", "map[address:1.2.3.4]"},
		{nil, "", "<nil>"},
		{"https://ann:canary@x.example/ nbt_AbCdEfGh12345 eyJhbGciOiJ.eyJzdWIiOiI.x", "", "https" + mask + "x.example/ " + mask + " " + mask},
		{"-----BEGIN EC PRIVATE KEY-----\nMHcC\n-----END EC PRIVATE KEY----- and -----BEGIN PRIVATE KEY-----\nMIIE", "", mask + " and " + mask},
		{"Authorization: Bearer abcdefghij", "", "Authorization: " + mask},
	} {
		got, err := s.TestRedaction(ctx, c.sample, hiding, c.event)
		if err != nil || fmt.Sprint(got) != c.want {
			t.Errorf("%v: %v (%v), want %s", c.sample, got, err, c.want)
		}
	}
	if _, err := s.TestRedaction(ctx, strings.Repeat("x", sampleMost), hiding, ""); !fault.Is(err, fault.Invalid) {
		t.Errorf("a long sample: %v", err)
	}
}

// TestLongTextKeepsNoHalfSecret puts a secret at every place around those
// where long text is cut, behind another one that makes the text shorter.
func TestLongTextKeepsNoHalfSecret(t *testing.T) {
	t.Parallel()
	const secret = "nbt_CanaryCanaryCanaryCanaryCanary"
	r := rand.New(rand.NewPCG(5, 6))
	for range 3000 {
		head := strings.Repeat("nbt_"+strings.Repeat("A", 8+r.IntN(7000))+" ", r.IntN(2))
		at := []int{maxText, 2 * maxText, 0}[r.IntN(3)] - len(head) - len(secret) + r.IntN(2*len(secret))
		text := head + strings.Repeat("é ", max(0, at)/3) + secret + strings.Repeat(" z", r.IntN(3*maxText))
		if got := (*masks)(nil).text(text); strings.Contains(got, "Canary") || strings.Contains(got, "nbt_") || len(got) > maxText+2*len("…") {
			t.Fatalf("%d bytes, cut to %d: …%s", len(text), len(got), got[max(0, len(got)-80):])
		}
	}
}

// TestNamesOfSecrets compares the quick look at names with the expression that
// is shown.
func TestNamesOfSecrets(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 8))
	parts := append([]string{"token", "user", "_", "-", "key", "Private", "API", "recovery", "code", "x", ".", "Pass", "word", "s", "\u017fecret", "to\u212aen", "é"}, append(secretParts, secretWords...)...)
	secret := 0
	for range 20000 {
		name := ""
		for range 1 + r.IntN(3) {
			name += parts[r.IntN(len(parts))]
		}
		if r.IntN(2) == 0 {
			name = strings.ToUpper(name)
		}
		want := secretName.MatchString(name)
		if secretly(name) != want {
			t.Errorf("%q: %v, the expression says %v", name, !want, want)
		}
		if want {
			secret++
		}
	}
	for _, header := range []string{"X-API-Key", "Private-Key", "recovery-code", "x-token-value"} {
		if !secretly(header) {
			t.Errorf("%q is not taken for a secret", header)
		}
	}
	if secret < 2000 || secret > 18000 {
		t.Errorf("%d names of 20000 are secret", secret)
	}
}

// BenchmarkPrepare is what a record costs before it goes to the database.
func BenchmarkPrepare(b *testing.B) {
	for _, n := range []int{0, 10} {
		b.Run(fmt.Sprintf("%d-rules", n), func(b *testing.B) {
			s, ctx := shelf(b)
			a, _ := actor.From(ctx)
			var rules []RedactionRule
			for len(rules) < n {
				rules = append(rules, hiding[:4]...)
			}
			if _, err := s.SetRedaction(ctx, rules[:n]); err != nil {
				b.Fatal(err)
			}
			e := Entry{Event: "test.thing.updated", Target: Target{Kind: "thing", ID: id.New().String(), Name: "thing 7"},
				Before: map[string]any{"cores": 2, "memory": 4096}, After: map[string]any{"cores": 4, "memory": 8192}}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.prepare(ctx, a.TenantID, e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
