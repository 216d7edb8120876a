package audit

import (
	"encoding/json"
	"math/rand/v2"
	"testing"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/id"
)

// TestEncodingIsThatOfJSON compares bodies with what encoding/json makes, over
// random entries with everything in them that has to be escaped.
func TestEncodingIsThatOfJSON(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(9, 10))
	texts := []string{"", "plain", `a "quoted" \ text`, "<b>&amp;</b>", "line\r\nbreak\x1b[31m", "\u2028\u2029", "Straße 😀", "bad \xff utf8", "nul\x00", "\x7f", "csi \u009b31m \u0080\u009f\u00a0"}
	text := func() string { return texts[r.IntN(len(texts))] }
	var value func(depth int) any
	value = func(depth int) any {
		switch k := r.IntN(11); {
		case k == 0 && depth > 0:
			return map[string]any{text(): value(depth - 1), text() + "x": value(depth - 1)}
		case k == 1 && depth > 0:
			return []any{value(depth - 1), text()}
		case k == 2:
			return []string{text(), text()}
		case k == 3:
			return r.Int64() - r.Int64()
		case k == 4:
			return r.IntN(100)
		case k == 5:
			return id.New()
		case k == 6:
			return r.IntN(2) == 0
		case k == 7:
			return r.Float64()
		case k == 8:
			return time.Unix(r.Int64N(1e9), 0)
		case k == 9:
			return nil
		}
		return text()
	}
	for range 4000 {
		details := map[string]any{}
		for range r.IntN(4) {
			details[text()] = value(3)
		}
		e := Entry{Event: "test.thing." + text(), Target: Target{text(), text(), text()}, Reason: text(), Before: value(3), After: details, Details: details}
		if r.IntN(3) == 0 {
			e.Before = []string(nil)
		}
		a := actor.Actor{Kind: actor.User, Name: text(), Address: text(), Scopes: []string{text()}}
		tenant := []id.ID{{}, id.New()}[r.IntN(2)]
		rec, err := build(a, tenant, e, nil)
		if err != nil {
			t.Fatal(err)
		}
		want, err := json.Marshal(rec)
		if err != nil {
			t.Fatal(err)
		}
		got, err := rec.encode()
		if err != nil || string(got) != string(controls(want)) {
			t.Fatalf("encoded\n%s, want\n%s (%v)", got, want, err)
		}
		slow, err := (*masks)(nil).json("before", struct{ V any }{e.Before}) // not a plain tree
		if err != nil {
			t.Fatal(err)
		}
		var there struct{ V json.RawMessage }
		if err := json.Unmarshal(slow, &there); err != nil {
			t.Fatal(err)
		}
		if fast := string(orNullRaw(rec.Before)); fast != string(there.V) {
			t.Fatalf("%#v: %s without the way over JSON, %s with it", e.Before, fast, there.V)
		}
	}
}

func orNullRaw(raw json.RawMessage) json.RawMessage {
	if raw == nil {
		return json.RawMessage("null")
	}
	return raw
}
