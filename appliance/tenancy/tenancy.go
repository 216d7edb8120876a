// Package tenancy keeps the tree of tenants: the root tenant "Provider Root",
// which has no cloud, tenants below it and sub-tenants below those. Each has a
// schema, a database role and a data key of its own.
package tenancy

import (
	"net/mail"
	"strings"
	"time"

	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// RootName is the fixed name of the root tenant.
const RootName = "Provider Root"

// MaxDepth is how many levels there are below and including the root.
const MaxDepth = 3

// Status of a tenant.
type Status string

// A tenant is Creating until its schema stands; then Active.
const (
	Creating Status = "creating"
	Active   Status = "active"
)

// Tenant is one tenant.
type Tenant struct {
	ID           id.ID     `json:"id"`
	Name         string    `json:"name"`
	ParentID     id.ID     `json:"parent_id"`
	IsRoot       bool      `json:"is_root"`
	Description  string    `json:"description"`
	ContactEmail string    `json:"contact_email"`
	Status       Status    `json:"status"`
	CreatedAt    time.Time `json:"created_at"`
}

// ApprovalPolicy says who may approve a deployment.
type ApprovalPolicy string

// The approval policies.
const (
	SecondPerson ApprovalPolicy = "second_person" // somebody else than who asked
	ConfirmSelf  ApprovalPolicy = "confirm_self"  // who asked may, after signing in again
)

// Settings of a tenant.
type Settings struct {
	ApprovalPolicy ApprovalPolicy `json:"approval_policy" enum:"second_person,confirm_self"`
}

// withDefaults fills what was never set.
func (s Settings) withDefaults() Settings {
	if s.ApprovalPolicy == "" {
		s.ApprovalPolicy = SecondPerson
	}
	return s
}

func (s Settings) validate() error {
	if s.ApprovalPolicy != SecondPerson && s.ApprovalPolicy != ConfirmSelf {
		return fault.BadField("body.approval_policy", "The approval policy is second_person or confirm_self.")
	}
	return nil
}

// valid trims and checks what a person entered.
func (t Tenant) valid() (Tenant, error) {
	t.Name, t.ContactEmail = strings.TrimSpace(t.Name), strings.TrimSpace(t.ContactEmail)
	switch {
	case t.Name == "" || len(t.Name) > 100:
		return t, fault.BadField("body.name", "Give the tenant a name of at most 100 characters.")
	case strings.EqualFold(t.Name, RootName) && !t.IsRoot:
		return t, fault.BadField("body.name", "%s is the name of the root tenant. Choose another.", RootName)
	}
	if t.ContactEmail == "" {
		return t, nil
	}
	if _, err := mail.ParseAddress(t.ContactEmail); err != nil {
		return t, fault.BadField("body.contact_email", "%q is not an e-mail address.", t.ContactEmail)
	}
	return t, nil
}
