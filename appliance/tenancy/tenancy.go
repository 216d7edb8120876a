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

// A tenant is Creating until its schema stands; then Active. Suspended and
// Deleted hold in effect: a tenant below a suspended one is suspended too. A
// deleted tenant can be restored until it is Purging.
const (
	Creating  Status = "creating"
	Active    Status = "active"
	Suspended Status = "suspended"
	Deleted   Status = "deleted"
	Purging   Status = "purging"
)

// gone is true for tenants that are not listed unless asked for.
func (s Status) gone() bool { return s == Deleted || s == Purging }

// Tenant is one tenant.
type Tenant struct {
	ID           id.ID  `json:"id"`
	Name         string `json:"name"`
	ParentID     id.ID  `json:"parent_id"`
	IsRoot       bool   `json:"is_root"`
	Description  string `json:"description"`
	ContactEmail string `json:"contact_email"`
	// Status is what holds in effect, what is above the tenant reckoned in.
	Status    Status    `json:"status" enum:"creating,active,suspended,deleted,purging"`
	CreatedAt time.Time `json:"created_at"`
	// SuspendedReason is set when the tenant itself was suspended.
	SuspendedReason string `json:"suspended_reason"`
	// DeletedAt and PurgeAt are set when the tenant itself was deleted.
	DeletedAt *time.Time `json:"deleted_at"`
	PurgeAt   *time.Time `json:"purge_at"`

	suspended bool // itself
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
