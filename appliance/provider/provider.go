// Package provider connects tenants to what they run machines on. A
// connection is one cluster with its credentials; what is there is collected
// into the cmdb, and what is done there is a task that belongs to a person.
//
// The package speaks through CloudProviderInterface. Proxmox VE is its first
// implementation, in the folder proxmox; others have to implement the same
// and nothing here changes.
//
// Rules that hold for every provider:
//
//   - Nobody waits for a cluster: answers come from what was collected. The one
//     exception is the explicit test of a connection, which has a deadline.
//   - An action has succeeded when its task says so, never because the request
//     was accepted.
//   - Numbers of guests are reserved before use (see reserve.go), and guests
//     that we make carry our mark (see mark.go). Deployments never change or
//     delete a guest without it.
package provider

import (
	"context"
	"embed"
	"errors"
	"time"

	"nimbus/appliance/cmdb"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// Migrations holds the tables of this domain.
//
//go:embed migrations/*.sql
var Migrations embed.FS

// Permissions that this domain checks.
const (
	ReadConnections   = "provider:connection:read"
	CreateConnection  = "provider:connection:create"
	TestConnection    = "provider:connection:test"
	UpdateConnection  = "provider:connection:update" // accept another certificate
	DeleteConnection  = "provider:connection:delete"
	CollectConnection = "provider:connection:collect"
	ReadTasks         = "provider:task:read"
	PowerMachine      = "cmdb:ci:power" // each of the following two
	PowerVM           = "cmdb:ci:power:vm"
	PowerContainer    = "cmdb:ci:power:container"
)

// CloudProviderInterface is one connection to a cloud or cluster. Its methods
// may be called from any goroutine, and each honours the context's deadline.
// An error is a *Failure when the connection itself is at fault, and a fault
// (NotFound, Forbidden, Conflict, Invalid) when the request is.
type CloudProviderInterface interface {
	// Test tells who answers and what the credentials may do. A connection that
	// does not work is a result and not an error.
	Test(ctx context.Context) TestResult
	// Collect lists everything that the credentials may see.
	Collect(ctx context.Context, r CollectRequest) (Collection, error)

	// Power starts an action on a guest and returns its task's reference.
	Power(ctx context.Context, g Guest, action PowerAction) (ref string, err error)
	// TaskStatus tells how a task stands.
	TaskStatus(ctx context.Context, ref string) (TaskStatus, error)
	// TaskLog returns a task's log lines from the given line (0 is the first),
	// at most a few hundred at once.
	TaskLog(ctx context.Context, ref string, from int) ([]string, error)
	// Tasks lists the tasks that these credentials started since a time, oldest first.
	Tasks(ctx context.Context, since time.Time) ([]TaskStatus, error)
	// Maker is the newest task since a time by which a guest with that number was
	// made, when these credentials started it: zero when somebody else made or
	// removed it later.
	Maker(ctx context.Context, number int, since time.Time) (TaskStatus, error)

	// NextID returns a number that is free now, from the given one upwards.
	NextID(ctx context.Context, from int) (int, error)
	// Exists tells whether a number is taken anywhere, by a guest that runs or
	// not, on a node that answers or not, visible to these credentials or not.
	Exists(ctx context.Context, number int) (bool, error)
	// Find returns the guest that has a number. Fault: NotFound.
	Find(ctx context.Context, number int) (Guest, error)

	// Mark adds the tags to a guest and keeps those it has.
	Mark(ctx context.Context, g Guest, tags []string) error
	// Tags are the tags of a guest.
	Tags(ctx context.Context, g Guest) ([]string, error)

	// Certificate is the certificate, as PEM, that the server showed and that was
	// accepted: for programs that can be given authorities but no fingerprint.
	Certificate(ctx context.Context) (string, error)

	// Close frees idle connections. The value can still be used.
	Close()
}

// Opener makes a connection. It does no I/O. Fault: Invalid.
type Opener func(e Endpoint) (CloudProviderInterface, error)

// Endpoint is where a cluster is and how to sign in. It holds a secret: it is
// never logged, answered or recorded.
type Endpoint struct {
	URL     string // https://host[:port]
	TokenID string // nimbus@pve!nimbus
	Secret  string
	// Fingerprint pins the certificate: SHA-256, hex with colons.
	Fingerprint string
	// CAPEM, when set, holds the authorities that may have issued it.
	CAPEM string
	// Simulated endpoints are the appliance's own and may be on loopback.
	Simulated bool
}

// Guest is where a machine is to be found.
type Guest struct {
	Kind cmdb.Kind // cmdb.VM or cmdb.Container
	Key  string    // as in the cmdb, "qemu/100"
	Node string
	Lock string // what Proxmox VE is doing with it, as "create"; "" for nothing
}

// PowerAction is what can be done to a machine's power.
type PowerAction string

// The power actions.
const (
	PowerStart    PowerAction = "start"
	PowerStop     PowerAction = "stop" // at once, like pulling the plug
	PowerShutdown PowerAction = "shutdown"
	PowerReboot   PowerAction = "reboot"
	PowerSuspend  PowerAction = "suspend"
	PowerResume   PowerAction = "resume"
)

// PowerActions are all of them.
var PowerActions = []PowerAction{PowerStart, PowerStop, PowerShutdown, PowerReboot, PowerSuspend, PowerResume}

// TestResult is what a test of a connection found.
type TestResult struct {
	OK bool `json:"ok"`
	// Message says what is wrong and what to do, or that all is well.
	Message string `json:"message"`
	Version string `json:"version"`
	// Fingerprint is that of the certificate that was offered.
	Fingerprint string      `json:"fingerprint"`
	Privileges  []Privilege `json:"privileges"`
}

// Privilege is a right that is needed on a path.
type Privilege struct {
	Path      string `json:"path"`
	Privilege string `json:"privilege"`
	OK        bool   `json:"ok"`
}

// CollectRequest is what a collection builds on.
type CollectRequest struct {
	// Known are the guests of the collection before, by key.
	Known map[string]cmdb.Known
	// Position is what the collection before returned; empty at first.
	Position string
}

// Collection is everything that a connection shows. Positions are opaque.
type Collection struct {
	Version  string
	Items    []cmdb.Observed
	Partial  []cmdb.Kind // see cmdb.Snapshot
	Gone     []string
	Position string
}

// TaskStatus is how a task at the provider stands.
type TaskStatus struct {
	Ref     string // UPID
	Node    string
	Type    string // qmstart
	Subject string // number of the guest, if the task has one
	Running bool
	// Exit is the provider's text; OK says whether it means success.
	Exit    string
	OK      bool
	Started time.Time
	Ended   time.Time
}

// Status is the state of a connection.
type Status string

// The states of a connection.
const (
	StatusUnknown            Status = "unknown" // not tried yet
	StatusOK                 Status = "ok"
	StatusUnreachable        Status = "unreachable"
	StatusUnauthorised       Status = "unauthorised"
	StatusFingerprintChanged Status = "fingerprint_changed" // nothing is sent until somebody accepts it
)

// Failure says that a connection does not work. Detail is a sentence for the
// person; Offered is the fingerprint of a certificate that was not accepted.
type Failure struct {
	Status  Status
	Detail  string
	Offered string
	Cause   error
}

// Error returns detail and cause.
func (f *Failure) Error() string {
	if f.Cause == nil {
		return f.Detail
	}
	return f.Detail + ": " + f.Cause.Error()
}

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Cause }

// AsFailure finds the failure in err: the connection is at fault, and not what
// was asked.
func AsFailure(err error) (*Failure, bool) {
	var f *Failure
	ok := errors.As(err, &f)
	return f, ok
}

// Connection is a connection as it is shown: without its secret.
type Connection struct {
	ID                 id.ID     `json:"id"`
	Name               string    `json:"name"`
	URL                string    `json:"url"`
	TokenID            string    `json:"token_id"`
	Fingerprint        string    `json:"fingerprint"`
	Simulated          bool      `json:"simulated"`
	Status             Status    `json:"status"`
	StatusDetail       string    `json:"status_detail"`
	StatusSince        time.Time `json:"status_since"`
	CollectedAt        time.Time `json:"collected_at,omitzero"`
	Version            string    `json:"version"`
	OfferedFingerprint string    `json:"offered_fingerprint,omitempty"`
}

// NewConnection is what a person enters.
type NewConnection struct {
	Name        string
	URL         string
	TokenID     string
	Secret      string
	Fingerprint string
	CAPEM       string
	Simulated   bool
}

// endpoint is how to reach it.
func (n NewConnection) endpoint() Endpoint {
	return Endpoint{URL: n.URL, TokenID: n.TokenID, Secret: n.Secret, Fingerprint: n.Fingerprint, CAPEM: n.CAPEM, Simulated: n.Simulated}
}

// Task is something that happens at the provider, and who caused it.
type Task struct {
	ID           id.ID     `json:"id"`
	UPID         string    `json:"upid"` // empty until the provider has accepted it
	ConnectionID id.ID     `json:"connection_id"`
	Node         string    `json:"node"`
	Type         string    `json:"type"`
	ItemID       id.ID     `json:"item_id,omitzero"`
	DeploymentID id.ID     `json:"deployment_id,omitzero"`
	Status       string    `json:"status" enum:"running,ok,failed"`
	ExitStatus   string    `json:"exit_status"`
	StartedAt    time.Time `json:"started_at"`
	EndedAt      time.Time `json:"ended_at,omitzero"`
	ActorName    string    `json:"actor_name"`
}

// The states of a task.
const (
	TaskRunning = "running"
	TaskOK      = "ok"
	TaskFailed  = "failed"
)

// Sentence is what a person is told about an error of a provider.
func Sentence(err error) string {
	if f, ok := AsFailure(err); ok {
		return f.Detail
	}
	return fault.Message(err)
}
