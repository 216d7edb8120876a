package deployment

import (
	"context"
	"errors"
	"time"

	"nimbus/appliance/id"
	"nimbus/appliance/provider"
)

// What an Engine's errors wrap, as far as it matters here. Any other error is
// the engine's verdict: the run failed.
var (
	// ErrPlanChanged: what would be done is not what was approved.
	ErrPlanChanged = errors.New("what would be done is no longer what was approved")
	// ErrInterrupted: the engine was stopped or cancelled, or the stack is still
	// claimed or locked by an operation that did not end properly.
	ErrInterrupted = errors.New("the engine was interrupted")
)

// Run names a stack and says with what the engine runs on it.
type Run struct {
	Project, Stack string // lower-case names
	Program        []byte // Pulumi YAML
	Config         map[string]ConfigValue
	Passphrase     string
	Env            map[string]string // the provider's settings, PROXMOX_VE_*
	Refresh        bool              // read what is real first
	Destroy        bool              // Preview says what Destroy would do
	ExpectDigest   string            // refuse with ErrPlanChanged unless the plan has it
	Targets        []string          // URNs that Destroy is limited to; none: all
}

// Result is what came of an engine operation.
type Result struct {
	Changes     []Change
	Drift       []Change       // found by a refresh
	Counts      map[string]int // of resources by operation, OpSame included
	Digest      string
	Outputs     map[string]any // secrets masked
	Failed      []string       // URNs of resources whose change failed
	Diagnostics []Diagnostic
}

// Diagnostic is a remark on a program or of the engine.
type Diagnostic struct {
	Severity string `json:"severity" enum:"error,warning,info"`
	Line     int    `json:"line"`
	Column   int    `json:"column"`
	Message  string `json:"message"`
}

// EngineEvent is one thing that happened in an engine operation.
type EngineEvent struct {
	Time    time.Time
	Kind    string // "resource", "diagnostic" or "summary"
	Status  string // "planned", "started", "done", "failed", or the severity
	URN     string
	Type    string
	Name    string
	Op      string
	Message string
}

// Pending is a change that was begun and of which the state does not know how
// it ended.
type Pending struct {
	URN, Type, Name string
	Op              string
	Inputs          map[string]any // vmId among them
	Uncertain       bool           // it failed, and the resource may exist all the same
}

// Resource is one resource of a stack's state.
type Resource struct {
	URN, Type, Name string
	ID              string // the provider's; a guest's VMID
}

// Property is an input of a resource type.
type Property struct {
	Name        string `json:"name"`
	Type        string `json:"type"`
	Required    bool   `json:"required"`
	Description string `json:"description"`
}

// ResourceType is one type of resource that a program can use.
type ResourceType struct {
	Token       string     `json:"token"`
	Description string     `json:"description"`
	Properties  []Property `json:"properties"`
}

// Schema is what an editor completes a program with. Types are the objects
// that properties refer to.
type Schema struct {
	Resources []ResourceType        `json:"resources"`
	Types     map[string][]Property `json:"types"`
}

// Engine runs programs. The composition root fills it with the embedded Pulumi
// engine. An operation whose context ends finishes the change it is in and
// returns an error that wraps ErrInterrupted.
type Engine interface {
	Preview(ctx context.Context, r Run, on func(EngineEvent)) (Result, error)
	Up(ctx context.Context, r Run, on func(EngineEvent)) (Result, error)
	Destroy(ctx context.Context, r Run, on func(EngineEvent)) (Result, error)
	Refresh(ctx context.Context, r Run, on func(EngineEvent)) (Result, error)
	// Recover stops and unlocks what an interrupted operation left and lists the
	// changes it was in the middle of. Without any it does nothing.
	Recover(ctx context.Context, r Run) ([]Pending, error)
	// Adopt takes what exists under the provider's id for a pending create.
	Adopt(ctx context.Context, r Run, urn, resource string) error
	// Clear forgets a pending create that made nothing.
	Clear(ctx context.Context, r Run, urn string) error
	// Resources lists the stack's state; a stack without state has none.
	Resources(ctx context.Context, r Run) ([]Resource, error)
	// Export gives the state as `pulumi stack export` does, secrets encrypted.
	Export(ctx context.Context, r Run) ([]byte, error)
	Validate(program []byte) []Diagnostic
	Schema() (Schema, error)
}

// Guests is what has to be asked of a cluster itself, live, before and after a
// run; *provider.Service does it. An error that is fault.Unavailable is tried
// again.
type Guests interface {
	// Reserve keeps a VMID for a stack: the one asked for, or with 0 a free one.
	// It is fault.Conflict when a guest has it or another stack reserved it.
	Reserve(ctx context.Context, tenant, connection, stack id.ID, number int) (int, error)
	// Exists tells whether a guest has the VMID now, running or not.
	Exists(ctx context.Context, tenant, connection id.ID, number int) (bool, error)
	// Owns tells whether the guest is one that the stack made. A guest that is
	// not there is fault.NotFound.
	Owns(ctx context.Context, tenant, connection, stack id.ID, number int) (bool, error)
	// HalfMade finds the guest whose making for the stack ended with its node. It
	// stays locked until root removes it.
	HalfMade(ctx context.Context, tenant, connection, stack id.ID, number int) (provider.Guest, bool, error)
	// NoteTasks lists the tasks that our token started since a time and keeps
	// them with the context's actor as the deployment's.
	NoteTasks(ctx context.Context, tenant, connection, stack, deployment id.ID, since time.Time) ([]provider.TaskStatus, error)
	// Refresh has the inventory of a connection collected soon.
	Refresh(ctx context.Context, tenant, connection id.ID)
}
