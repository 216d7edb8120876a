package pulumi

import (
	"fmt"
	"strconv"
)

// Guest is a machine or container that a plan is about.
type Guest struct {
	URN  string `json:"urn"`
	Name string `json:"name"`
	Op   Op     `json:"op"`
	// VMID is the number it will have, or has; 0 when the program leaves it to
	// the provider or it is not known before the run.
	VMID int `json:"vmid"`
	// OldVMID is the number of the guest that is deleted in a replacement.
	OldVMID int    `json:"oldVmid,omitempty"`
	Node    string `json:"node,omitempty"` // of one that is created
}

// Guests lists the machines and containers that the plan creates, changes,
// replaces or deletes. A caller checks with it, before Up, that no number to be
// created is taken (the provider would adopt that guest) and that each one to be
// changed or deleted is ours.
func (p Plan) Guests() []Guest {
	var list []Guest
	for _, c := range p.Changes {
		number := guestTypes[c.Type]
		if number == "" {
			continue
		}
		g := Guest{URN: c.URN, Name: c.Name, Op: c.Op, VMID: c.number(number), Node: c.text("nodeName")}
		old, _ := strconv.Atoi(c.ID)
		switch {
		case c.Op == OpReplace:
			if g.OldVMID = old; g.VMID == 0 && !c.touches(number) {
				g.VMID = old
			}
		case c.Op != OpCreate:
			g.VMID = old
		}
		list = append(list, g)
	}
	return list
}

// touches tells whether a property changes.
func (c Change) touches(path string) bool {
	for _, d := range c.Diffs {
		if d.Path == path {
			return true
		}
	}
	return false
}

// text gives a property's new value as text.
func (c Change) text(path string) string {
	for _, d := range c.Diffs {
		if d.Path == path && d.New != nil {
			return fmt.Sprint(d.New)
		}
	}
	return ""
}

func (c Change) number(path string) int {
	f, err := strconv.ParseFloat(c.text(path), 64)
	if err != nil {
		return 0
	}
	return int(f)
}
