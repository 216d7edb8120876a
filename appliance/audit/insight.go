package audit

import (
	"context"

	"nimbus/appliance/id"
)

// What is recorded about anomalies and compliance.
var _ = Declare(
	EventType{Code: "audit.anomaly.found", Priority: Warning, Description: "a rule found something unusual; `details` has the evidence; the priority follows the severity"},
	EventType{Code: "audit.anomaly.acknowledged", Priority: Notice, Description: "somebody looked at a finding"},
	EventType{Code: "audit.anomaly.dismissed", Priority: Notice, Description: "a finding was called a false positive, so that its pattern makes no new ones"},
	EventType{Code: "audit.anomaly.reopened", Priority: Notice, Description: "a finding was opened again"},
	EventType{Code: "audit.anomaly.rules-updated", Priority: Warning, Description: "with before and after"},
	EventType{Code: "audit.anomaly.run-requested", Description: "a person had the rules applied at once"},
	EventType{Code: "audit.report.created", Priority: Notice, Description: "somebody made a compliance report; recorded before its first byte"},
)

// Insight is what anomaly detection and compliance ask of the domains above.
type Insight struct {
	// People are the people of a tenant, whose refused sign-ins it may see.
	People func(ctx context.Context, tenant id.ID) ([]id.ID, error)
	// ChiefRoles are the names of system roles that may do everything.
	ChiefRoles []string
	// Privileged lists who may do what only few should.
	Privileged func(ctx context.Context, tenant id.ID) ([]Holder, error)
	// Posture tells how a tenant is set up.
	Posture func(ctx context.Context, tenant id.ID) (Posture, error)
	// Version is the release that makes reports.
	Version string
}

// Holder has privileged access.
type Holder struct {
	Kind        string   `json:"kind"`
	ID          id.ID    `json:"id"`
	Name        string   `json:"name"`
	Permissions []string `json:"permissions"`
	Via         string   `json:"via" doc:"The role or grant that gives it."`
	Conditional bool     `json:"conditional" doc:"It depends on when, from where or how they ask."`
}

// Posture is how a tenant is set up, as far as compliance asks.
type Posture struct {
	TenantName     string
	MFARequiredFor string // nobody, administrators or everybody
	ApprovalPolicy string // second_person or confirm_self
	PasswordLength int
	BreachedCheck  bool
	RootKey        string // hsm or file
}
