package cmdb

import (
	"fmt"
	"slices"

	"nimbus/appliance/id"
)

// present is a stored item that is not gone.
type present struct {
	ID    id.ID
	Kind  Kind
	Key   string
	Node  string
	Marks []string
}

// observation is an observed thing together with the id it gets.
type observation struct {
	ID id.ID
	Observed
}

// removal is an item that is gone, and how we know.
type removal struct {
	ID      id.ID
	Because string
}

// plan is what a collection has to write.
type plan struct {
	insert []observation
	update []observation
	remove []removal
	stale  []id.ID
}

// compare decides what became of every item. It is the whole of the identity
// rules: the key finds the predecessor, the marks say whether it is the same
// thing, and absence counts only where somebody answered.
func compare(before []present, s Snapshot) plan {
	var p plan
	byKey := make(map[string]present, len(before))
	for _, b := range before {
		byKey[b.Key] = b
	}
	seen := make(map[string]bool, len(s.Items))
	for _, o := range s.Items {
		if seen[o.Key] {
			continue
		}
		seen[o.Key] = true
		p.observe(byKey[o.Key], o)
	}
	for _, b := range before {
		if !seen[b.Key] {
			p.miss(b, s)
		}
	}
	return p
}

func (p *plan) observe(before present, o Observed) {
	switch {
	case before.ID.IsZero():
		p.insert = append(p.insert, observation{id.New(), o})
	case another(before, o):
		p.remove = append(p.remove, removal{before.ID, fmt.Sprintf("Another %s has its key %s now.", o.Kind, o.Key)})
		p.insert = append(p.insert, observation{id.New(), o})
	case o.Silent:
		p.stale = append(p.stale, before.ID)
	default:
		p.update = append(p.update, observation{before.ID, o})
	}
}

// another tells whether o is a different thing under the same key.
func another(before present, o Observed) bool {
	if o.Recreated || before.Kind != o.Kind {
		return true
	}
	if len(before.Marks) == 0 || len(o.Marks) == 0 {
		return false
	}
	return !slices.ContainsFunc(o.Marks, func(m string) bool { return slices.Contains(before.Marks, m) })
}

// miss handles an item that the collection does not mention.
func (p *plan) miss(b present, s Snapshot) {
	because, gone := evidence(b, s)
	if !gone {
		p.stale = append(p.stale, b.ID)
		return
	}
	p.remove = append(p.remove, removal{b.ID, because})
}

// evidence says why an item that is not mentioned is gone. There is none when
// its kind was not listed in full, or when its node did not answer.
func evidence(b present, s Snapshot) (because string, gone bool) {
	if slices.Contains(s.Gone, b.Key) {
		return "The cluster was asked for it and answered that its number is free.", true
	}
	if slices.Contains(s.Partial, b.Kind) {
		return "", false
	}
	if b.Node == "" || b.Kind == Node {
		return "The cluster answered and does not list it.", true
	}
	i := slices.IndexFunc(s.Items, func(o Observed) bool { return o.Kind == Node && o.Node == b.Node })
	switch {
	case i >= 0 && s.Items[i].Status == "online":
		return fmt.Sprintf("The cluster does not list it, and node %s, where it was, answered.", b.Node), true
	case i < 0 && !slices.Contains(s.Partial, Node):
		return fmt.Sprintf("The cluster does not list it, and node %s, where it was, is no longer in the cluster.", b.Node), true
	}
	return "", false
}

func (p plan) changes() Changes {
	c := Changes{Updated: len(p.update), Stale: len(p.stale)}
	for _, o := range p.insert {
		c.Appeared = append(c.Appeared, o.ID)
	}
	for _, r := range p.remove {
		c.Gone = append(c.Gone, r.ID)
	}
	return c
}
