package pulumi

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDigestBindsWhatIsApproved(t *testing.T) {
	t.Parallel()
	base := func() (*Run, Plan) {
		r := &Run{Project: "p", Stack: "s", Program: []byte("a: 1"), Passphrase: "x", Config: map[string]ConfigValue{
			"memory": {Value: 1}, "password": {Value: "hunter2", Secret: true},
		}}
		return r, Plan{Changes: []Change{{URN: "u", Op: OpUpdate, Diffs: []Diff{{Path: "a", Old: 1, New: 2}}}}}
	}
	r, p := base()
	want := digest(r, p)
	if len(want) != 64 || digest(r, p) != want {
		t.Fatalf("the digest %q is not a stable SHA-256", want)
	}
	for name, change := range map[string]func(*Run, *Plan){
		"program":   func(r *Run, _ *Plan) { r.Program = []byte("a: 2") },
		"config":    func(r *Run, _ *Plan) { r.Config["memory"] = ConfigValue{Value: 2} },
		"secret":    func(r *Run, _ *Plan) { r.Config["password"] = ConfigValue{Value: "hunter3", Secret: true} },
		"secrecy":   func(r *Run, _ *Plan) { r.Config["password"] = ConfigValue{Value: "hunter2"} },
		"stack":     func(r *Run, _ *Plan) { r.Stack = "t" },
		"destroy":   func(r *Run, _ *Plan) { r.Destroy = true },
		"operation": func(_ *Run, p *Plan) { p.Changes[0].Op = OpReplace },
		"value":     func(_ *Run, p *Plan) { p.Changes[0].Diffs[0].New = 3 },
		"more":      func(_ *Run, p *Plan) { p.Changes = append(p.Changes, Change{URN: "v", Op: OpDelete}) },
		"none":      func(_ *Run, p *Plan) { p.Changes = nil },
	} {
		r, p := base()
		change(r, &p)
		if digest(r, p) == want {
			t.Errorf("a change of %s keeps the digest", name)
		}
	}
}

func TestPlanAllowsOnlyItsSteps(t *testing.T) {
	t.Parallel()
	p := Plan{Changes: []Change{{URN: "a", Op: OpUpdate}, {URN: "b", Op: OpReplace}}}
	for _, c := range []struct {
		event Event
		want  bool
	}{
		{Event{Kind: KindStarted, URN: "a", Op: OpUpdate}, true},
		{Event{Kind: KindStarted, URN: "a", Op: OpReplace}, false},
		{Event{Kind: KindStarted, URN: "b", Op: OpReplace}, true},
		{Event{Kind: KindStarted, URN: "c", Op: OpCreate}, false},
		{Event{Kind: KindStarted, URN: "c", Op: OpSame}, true},
		{Event{Kind: KindStarted, URN: "c", Op: OpRefresh}, true},
		{Event{Kind: KindStarted, URN: "s", Op: OpCreate, Type: stackType}, true},
		{Event{Kind: KindDone, URN: "c", Op: OpCreate}, true},
	} {
		if got := p.allows(c.event); got != c.want {
			t.Errorf("allows(%+v) = %v", c.event, got)
		}
	}
}

// feed gives a collector one event of the engine.
func feed(t *testing.T, c *collector, event string) {
	t.Helper()
	if !json.Valid([]byte(event)) {
		t.Fatalf("not JSON: %s", event)
	}
	c.line([]byte(event))
}

func TestReplacementIsOneChangeWithItsCause(t *testing.T) {
	t.Parallel()
	var seen []Event
	c := newCollector(func(e Event) { seen = append(seen, e) })
	for _, op := range []string{"create-replacement", "replace", "delete-replaced"} {
		feed(t, c, `{"timestamp":1,"resourcePreEvent":{"planning":true,"metadata":{"op":"`+op+`","urn":"urn:pulumi:s::p::t::web","type":"t",
			"keys":["nodeName"],"detailedDiff":{"nodeName":{"diffKind":"update-replace","inputDiff":false}},
			"old":{"id":"101","inputs":{"nodeName":"pve1"},"outputs":{"nodeName":"pve1"}},"new":{"inputs":{"nodeName":"pve2"}}}}}`)
	}
	want := []Change{{
		URN: "urn:pulumi:s::p::t::web", Type: "t", Name: "web", ID: "101", Op: OpReplace,
		Diffs: []Diff{{Path: "nodeName", Old: "pve1", New: "pve2", ReplaceCause: true}},
	}}
	if diff := cmp.Diff(want, c.plan(&Run{}).Changes); diff != "" {
		t.Error(diff)
	}
	if len(seen) != 3 || seen[2].Seq != 2 || !seen[0].Planning || !seen[0].Time.Equal(time.Unix(1, 0)) {
		t.Errorf("events %+v", seen)
	}
}

func TestSecretsAndUnknownsAreMasked(t *testing.T) {
	t.Parallel()
	c := newCollector(nil)
	feed(t, c, `{"resourcePreEvent":{"metadata":{"op":"create","urn":"a::b","type":"t","new":{"inputs":{
		"__defaults":["bios"],"bios":"seabios","name":"web","list":[{"x":1}],
		"password":{"4dabf18193072939515e22adb298388d":"1b47061264138c4ac30d75fd1eb44270","ciphertext":"[secret]"},
		"pool":"04da6b54-80e4-46f7-96ec-b56ff0331ba9"}}}}}`)
	want := []Diff{
		{Path: "list[0].x", New: 1.0}, {Path: "name", New: "web"},
		{Path: "password", New: masked, Secret: true}, {Path: "pool", Unknown: true},
	}
	if diff := cmp.Diff(want, c.plan(&Run{}).Changes[0].Diffs); diff != "" {
		t.Error(diff)
	}
}

func TestDriftIsToldFromARefresh(t *testing.T) {
	t.Parallel()
	c := newCollector(nil)
	refresh := func(urn, op, rest string) {
		feed(t, c, `{"resourcePreEvent":{"metadata":{"op":"refresh","urn":"`+urn+`","type":"t"}}}`)
		feed(t, c, `{"resOutputsEvent":{"metadata":{"op":"`+op+`","urn":"`+urn+`","type":"t","old":{"id":"1","outputs":{"memory":1,"__meta":"a"}}`+rest+`}}}`)
	}
	refresh("x::changed", "refresh", `,"new":{"id":"1","outputs":{"memory":2,"__meta":"b"}}`)
	refresh("x::gone", "refresh", "")
	refresh("x::written", "update", `,"new":{"id":"1","outputs":{"memory":3}}`)
	refresh("x::dropped", "delete", `,"new":{"id":"1","outputs":{"memory":1}}`)
	refresh("x::same", "same", `,"new":{"id":"1","outputs":{"memory":1,"__meta":"b"}}`)
	want := []Change{
		{URN: "x::changed", Type: "t", Name: "changed", ID: "1", Op: OpUpdate, Diffs: []Diff{{Path: "memory", Old: 1.0, New: 2.0}}},
		{URN: "x::dropped", Type: "t", Name: "dropped", ID: "1", Op: OpDelete},
		{URN: "x::gone", Type: "t", Name: "gone", ID: "1", Op: OpDelete},
		{URN: "x::written", Type: "t", Name: "written", ID: "1", Op: OpUpdate, Diffs: []Diff{{Path: "memory", Old: 1.0, New: 3.0}}},
	}
	if diff := cmp.Diff(want, c.plan(&Run{}).Drift); diff != "" {
		t.Error(diff)
	}
}

func TestBrokenEventsAreSkipped(t *testing.T) {
	t.Parallel()
	c := newCollector(nil)
	for _, line := range []string{"", "{", "null", `{"resourcePreEvent":{}}`, `{"resOutputsEvent":{"metadata":{"op":"refresh"}}}`, `{"resOpFailedEvent":{}}`} {
		c.line([]byte(line))
	}
	if got := len(c.plan(&Run{}).Changes); got != 0 {
		t.Errorf("%d changes from nothing", got)
	}
}

func TestMessagesAreTidy(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"sdk-v2/provider2.go:571: sdk.helper_schema: VM create: out of space: provider=proxmoxve@8.6.0": "VM create: out of space",
		"1 error occurred:\n\t* VM create: out of space\n\n":                                            "VM create: out of space",
		"<{%fg 1%}>red<{%reset%}> text":                                                                 "red text",
		"plain":                                                                                         "plain",
	} {
		if got := tidy(in); got != want {
			t.Errorf("tidy(%q) = %q", in, got)
		}
	}
}
