package audit

import (
	"maps"
	"slices"
	"time"

	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// Permissions about anomalies.
const (
	ReadAnomalies   = "audit:anomaly:read"
	UpdateAnomalies = "audit:anomaly:update"
)

// AnomalyKind is what was noticed.
type AnomalyKind string

// The kinds of anomalies.
const (
	BruteForce          AnomalyKind = "brute_force"
	UnusualTime         AnomalyKind = "unusual_time"
	NewAddress          AnomalyKind = "new_address"
	PrivilegeEscalation AnomalyKind = "privilege_escalation"
	BulkRead            AnomalyKind = "bulk_read"
	FailureSpike        AnomalyKind = "failure_spike"
)

// AnomalyKinds are all kinds, in the order in which they are shown.
var AnomalyKinds = []AnomalyKind{BruteForce, UnusualTime, NewAddress, PrivilegeEscalation, BulkRead, FailureSpike}

// Severity says how bad a finding is.
type Severity string

// The severities, least first.
const (
	Low    Severity = "low"
	Medium Severity = "medium"
	High   Severity = "high"
	Severe Severity = "critical"
)

var severities = []Severity{Low, Medium, High, Severe}

func worse(a, b Severity) Severity {
	if slices.Index(severities, a) < slices.Index(severities, b) {
		return b
	}
	return a
}

// AnomalyState is what people said about a finding.
type AnomalyState string

// The states. While a finding is open the same pattern makes no second one.
// While it is a false positive the pattern makes none at all: what comes is
// counted in Suppressed. After it was acknowledged the pattern makes a new one.
const (
	AnomalyOpen          AnomalyState = "open"
	AnomalyAcknowledged  AnomalyState = "acknowledged"
	AnomalyFalsePositive AnomalyState = "false_positive"
)

// AnomalySubject is whom or what a finding is about.
type AnomalySubject struct {
	Kind string `json:"kind" doc:"user, account, address, service_account, role or chain"`
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Anomaly is one finding.
type Anomaly struct {
	ID       id.ID
	Kind     AnomalyKind
	Severity Severity
	State    AnomalyState
	Subject  AnomalySubject
	Summary  string
	// Provider says that the evidence has sequence numbers of the provider's
	// chain, where sign-ins are recorded.
	Provider   bool
	Evidence   []int64 // the newest, at most mostEvidence
	FirstAt    time.Time
	LastAt     time.Time
	Count      int64 // records that belong to it
	Suppressed int64 // records that came while it was a false positive
	DecidedBy  id.ID
	Decider    string
	DecidedAt  time.Time
	Note       string
}

// mostEvidence is how many records a finding names.
const mostEvidence = 50

// AnomalyRule is a rule of a tenant with its parameters.
type AnomalyRule struct {
	Kind       AnomalyKind    `json:"kind" enum:"brute_force,unusual_time,new_address,privilege_escalation,bulk_read,failure_spike"`
	Enabled    bool           `json:"enabled"`
	Parameters map[string]int `json:"parameters" doc:"Those left out have their defaults."`
}

// bounds of a parameter.
type bounds struct{ standard, min, max int }

// parameters of every rule.
var parameters = map[AnomalyKind]map[string]bounds{
	BruteForce: {
		"account_failures": {10, 3, 1000}, // refused sign-ins of one account within the window
		"address_failures": {25, 3, 10000},
		"window_minutes":   {10, 1, 1440},
	},
	UnusualTime: {
		"learn_days":   {14, 1, 365}, // since a person's first sign-in
		"min_sign_ins": {10, 3, 1000},
		"rare_percent": {3, 1, 50}, // an hour with its neighbours below this share is unusual
	},
	NewAddress: {
		"learn_days":   {7, 1, 365},
		"min_sign_ins": {5, 1, 1000},
	},
	PrivilegeEscalation: {
		"learn_days": {3, 0, 365}, // since the tenant's first record; self-grants and break-glass always count
	},
	BulkRead: {
		"reads":          {200, 5, 100000},
		"exports":        {5, 1, 1000},
		"window_minutes": {60, 1, 1440},
	},
	FailureSpike: {
		"factor":       {4, 2, 100}, // times the mean of the fourteen days before
		"min_failures": {20, 3, 100000},
		"learn_hours":  {72, 1, 336},
	},
}

// standardRules are the rules of a tenant that changed none.
func standardRules() map[AnomalyKind]AnomalyRule {
	all := map[AnomalyKind]AnomalyRule{}
	for _, kind := range AnomalyKinds {
		all[kind] = AnomalyRule{Kind: kind, Enabled: true}.filled()
	}
	return all
}

// filled has the defaults of what is left out, and nothing unknown.
func (r AnomalyRule) filled() AnomalyRule {
	given := r.Parameters
	r.Parameters = map[string]int{}
	for name, b := range parameters[r.Kind] {
		r.Parameters[name] = b.standard
		if v, ok := given[name]; ok {
			r.Parameters[name] = v
		}
	}
	return r
}

// validate returns fault.Invalid that names the parameter.
func (r AnomalyRule) validate() error {
	known, ok := parameters[r.Kind]
	if !ok {
		return fault.BadField("body.items.kind", "There is no rule %q. The rules are %v.", r.Kind, AnomalyKinds)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Parameters)) {
		b, ok := known[name]
		if !ok {
			return fault.BadField("body.items.parameters."+name, "The rule %s has no parameter %q. It has %v.", r.Kind, name, slices.Sorted(maps.Keys(known)))
		}
		if v := r.Parameters[name]; v < b.min || v > b.max {
			return fault.BadField("body.items.parameters."+name, "%s of %s is between %d and %d.", name, r.Kind, b.min, b.max)
		}
	}
	return nil
}

func (r AnomalyRule) minutes(name string) time.Duration {
	return time.Duration(r.Parameters[name]) * time.Minute
}

func (r AnomalyRule) days(name string) time.Duration {
	return time.Duration(r.Parameters[name]) * 24 * time.Hour
}
