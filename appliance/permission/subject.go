package permission

import "nimbus/appliance/id"

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
	Kind SubjectKind
	ID   id.ID
}
