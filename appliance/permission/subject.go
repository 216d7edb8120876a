package permission

import (
	"cmp"
	"fmt"
	"strings"

	"nimbus/appliance/actor"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// SubjectKind says what sort of holder of rights it is.
type SubjectKind string

// The kinds of subjects.
const (
	UserSubject           SubjectKind = "user"
	GroupSubject          SubjectKind = "group"
	ServiceAccountSubject SubjectKind = "service_account"
)

// Subject is who can hold rights.
type Subject struct {
	Kind SubjectKind `json:"subject_kind" enum:"user,group,service_account"`
	ID   id.ID       `json:"subject_id"`
}

// subjectOf is who an actor is as a holder of rights.
func subjectOf(a actor.Actor) Subject {
	if a.Kind == actor.ServiceAccount {
		return Subject{ServiceAccountSubject, a.ID}
	}
	return Subject{UserSubject, a.ID}
}

func (s Subject) validate() error {
	switch s.Kind {
	case UserSubject, GroupSubject, ServiceAccountSubject:
	default:
		return fault.BadField("body.subject_kind", "The kind is user, group or service_account, not %q.", s.Kind)
	}
	if s.ID.IsZero() {
		return fault.BadField("body.subject_id", "Say to whom it is given.")
	}
	return nil
}

// origin is where a holder has a grant from.
type origin struct {
	role  string // it is written in; "" for a direct grant
	held  string // the role that inherits it, when that is another one
	group id.ID  // through which it is held, if any
}

func (o origin) compare(p origin) int {
	return cmp.Or(cmp.Compare(o.held, p.held), cmp.Compare(o.group.String(), p.group.String()))
}

// text says it in words, with the group's name where it is known.
func (o origin) text(names map[Subject]string) string {
	var b strings.Builder
	b.WriteString("direct grant")
	if o.role != "" {
		b.Reset()
		b.WriteString("role " + o.role)
	}
	if o.held != "" {
		fmt.Fprintf(&b, ", inherited by role %s,", o.held)
	}
	if !o.group.IsZero() {
		name, ok := names[Subject{GroupSubject, o.group}]
		if !ok {
			name = o.group.String()
		}
		b.WriteString(" through group " + name)
	}
	return strings.TrimSuffix(b.String(), ",")
}
