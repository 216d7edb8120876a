package cmdb

import (
	"strings"
	"testing"

	"nimbus/appliance/id"
)

var online = Observed{Kind: Node, Key: "node/pve1", Node: "pve1", Status: "online"}

func guest(marks ...string) present {
	return present{ID: id.New(), Kind: VM, Key: "qemu/100", Node: "pve1", Marks: marks}
}

func seen(marks ...string) Observed {
	return Observed{Kind: VM, Key: "qemu/100", Name: "web", Node: "pve1", Status: "running", Marks: marks}
}

func TestCompareKeepsIdentity(t *testing.T) {
	t.Parallel()
	renamed, moved := seen("uuid=a"), seen("uuid=a")
	renamed.Name, moved.Node = "other", "pve2"
	cases := map[string]struct {
		before present
		now    Observed
	}{
		"renamed":                      {guest("uuid=a"), renamed},
		"moved to another node":        {guest("uuid=a"), moved},
		"marks not read this time":     {guest("uuid=a"), seen()},
		"marks never read before":      {guest(), seen("uuid=a")},
		"one of several marks changed": {guest("uuid=a", "ctime=1"), seen("uuid=b", "ctime=1")},
	}
	for name, c := range cases {
		p := compare([]present{c.before}, Snapshot{Items: []Observed{online, c.now}})
		if len(p.update) != 1 || p.update[0].ID != c.before.ID || len(p.remove) != 0 {
			t.Errorf("%s: the id was not kept: %+v", name, p)
		}
	}
}

func TestCompareGivesAReusedVMIDANewIdentity(t *testing.T) {
	t.Parallel()
	recreated := seen()
	recreated.Recreated = true
	container := seen()
	container.Kind = Container
	cases := map[string]struct {
		before present
		now    Observed
	}{
		"other marks":          {guest("uuid=a", "ctime=1"), seen("uuid=b", "ctime=2")},
		"destroyed in between": {guest("uuid=a"), recreated},
		"another kind":         {guest("uuid=a"), container},
	}
	for name, c := range cases {
		p := compare([]present{c.before}, Snapshot{Items: []Observed{online, c.now}})
		if len(p.remove) != 1 || p.remove[0].ID != c.before.ID || len(p.insert) != 2 || p.insert[1].ID == c.before.ID {
			t.Errorf("%s: the id was kept: %+v", name, p)
		}
	}
}

func TestCompareCallsNothingGoneWithoutEvidence(t *testing.T) {
	t.Parallel()
	offline := online
	offline.Status = "offline"
	cases := map[string]struct {
		snap Snapshot
		gone string // part of the evidence; "" means stale
	}{
		"node answered":      {Snapshot{Items: []Observed{online}}, "node pve1, where it was, answered"},
		"node left":          {Snapshot{}, "no longer in the cluster"},
		"node is offline":    {Snapshot{Items: []Observed{offline}}, ""},
		"nodes not listable": {Snapshot{Partial: []Kind{Node}}, ""},
		"number is free":     {Snapshot{Partial: []Kind{VM}, Gone: []string{"qemu/100"}}, "its number is free"},
		"guests not visible": {Snapshot{Items: []Observed{online}, Partial: []Kind{VM}}, ""},
	}
	for name, c := range cases {
		p := compare([]present{guest("uuid=a")}, c.snap)
		if c.gone == "" && (len(p.remove) != 0 || len(p.stale) != 1) {
			t.Errorf("%s: called gone: %+v", name, p.remove)
		}
		if c.gone != "" && (len(p.remove) != 1 || !strings.Contains(p.remove[0].Because, c.gone)) {
			t.Errorf("%s: want evidence %q, got %+v", name, c.gone, p.remove)
		}
	}
}

func TestCompareIgnoresASecondMentionOfAKey(t *testing.T) {
	t.Parallel()
	p := compare(nil, Snapshot{Items: []Observed{online, seen(), seen()}})
	if len(p.insert) != 2 {
		t.Errorf("inserted %d items, want 2", len(p.insert))
	}
}
