package provider

import (
	"slices"
	"strings"

	"nimbus/appliance/id"
)

// Our mark on every guest that we make is two tags: "nimbus", for people to
// see and search, and "nimbus-" with the 32 hexadecimal digits of the stack's
// id, which says whose it is. Tags are part of the list of guests, so that a
// collection knows the marks of a thousand guests from one request; they are
// written together with the guest, and every Pulumi resource that makes a
// guest has them as its property `tags`.
const (
	markTag    = "nimbus"
	markPrefix = "nimbus-"
)

// MarkTags are the tags of a guest of a stack: its own and our mark, in lower
// case, without duplicates and sorted, as Proxmox stores them (in any other
// order the Pulumi provider would see a difference at every run). A foreign
// stack's mark among own is left out.
func MarkTags(stack id.ID, own ...string) []string {
	tags := []string{markTag, markPrefix + stack.Hex()}
	for _, tag := range own {
		tag = strings.ToLower(strings.TrimSpace(tag))
		if _, foreign := markOf(tag); tag != "" && !foreign {
			tags = append(tags, tag)
		}
	}
	slices.Sort(tags)
	return slices.Compact(tags)
}

// MarkedBy finds the stack whose mark is among the tags. Both tags have to be
// there, and marks of two stacks mark nothing.
func MarkedBy(tags []string) (stack id.ID, ok bool) {
	for _, tag := range tags {
		found, is := markOf(tag)
		if !is {
			continue
		}
		if !stack.IsZero() && stack != found {
			return id.ID{}, false
		}
		stack = found
	}
	return stack, !stack.IsZero() && slices.Contains(tags, markTag)
}

func markOf(tag string) (id.ID, bool) {
	digits, ok := strings.CutPrefix(tag, markPrefix)
	if !ok || len(digits) != 32 {
		return id.ID{}, false
	}
	stack, err := id.Parse(digits)
	return stack, err == nil && !stack.IsZero()
}
