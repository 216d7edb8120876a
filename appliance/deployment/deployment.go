// Package deployment keeps stacks and runs deployments over them.
//
// A stack is a Pulumi YAML program with its configuration, for one Proxmox
// connection. A deployment is one run over a stack: it is previewed, approved
// by a person (bound to exactly what the preview showed), executed, verified,
// and on failure undone as far as that goes. The run is a Temporal workflow
// with the deployment's id; the rows are what people see and what decides.
//
// Guests are never confused with other people's: every VM and container of a
// program gets its VMID from us before the engine sees it and carries the
// stack's mark, and nothing without that mark is changed or deleted.
package deployment

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"nimbus/appliance/approval"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// Permissions of this domain.
const (
	ReadStack    = "deployment:stack:read"
	CreateStack  = "deployment:stack:create"
	UpdateStack  = "deployment:stack:update"
	DeleteStack  = "deployment:stack:delete"
	DeployStack  = "deployment:stack:deploy"
	DestroyStack = "deployment:stack:destroy"
	ApproveStack = "deployment:stack:approve"
	ExportStack  = "deployment:stack:export"
)

// Mask stands for a secret in every answer. Sent back, it keeps the secret.
const Mask = "••••••"

// Unknown stands in a plan for a value that is not known before the run.
const Unknown = "known after the change"

// Subject is the kind under which deployments ask for approval.
const Subject = "deployment"

// ApprovalLifetime is how long an approval is waited for.
const ApprovalLifetime = 72 * time.Hour

// StackStatus says what became of a stack.
type StackStatus string

// The statuses of a stack.
const (
	StackEmpty     StackStatus = "empty"     // never deployed
	StackDeployed  StackStatus = "deployed"  // as the program says
	StackFailed    StackStatus = "failed"    // the last run did not end well
	StackDestroyed StackStatus = "destroyed" // everything was removed
	StackBusy      StackStatus = "busy"      // a deployment is under way
)

// ConfigValue is one value of a stack's configuration: text, a number, a
// boolean, a list or a map, as JSON has them.
type ConfigValue struct {
	Value  any  `json:"value"`
	Secret bool `json:"secret" required:"false"`
}

// Stack is a program with its configuration. Secrets in Config are masked.
type Stack struct {
	ID               id.ID                  `json:"id"`
	Name             string                 `json:"name"`
	Description      string                 `json:"description"`
	ConnectionID     id.ID                  `json:"connection_id"`
	CompartmentID    id.ID                  `json:"compartment_id" doc:"Where it lies; empty: in no compartment."`
	Program          string                 `json:"program"`
	Config           map[string]ConfigValue `json:"config"`
	Status           StackStatus            `json:"status"`
	Outputs          map[string]any         `json:"outputs"`
	ResourceCount    int                    `json:"resource_count"`
	LastDeploymentID *id.ID                 `json:"last_deployment_id"`
	Version          int                    `json:"version"`
	CreatedAt        time.Time              `json:"created_at"`
	UpdatedAt        time.Time              `json:"updated_at"`

	secrets    []byte // sealed JSON: the secret values by key
	passphrase []byte // sealed
}

// Operation is what a deployment does.
type Operation string

// The operations.
const (
	Preview Operation = "preview" // says what Up would do, changes nothing
	Up      Operation = "up"      // brings the cluster to what the program says
	Destroy Operation = "destroy" // removes every resource of the stack
	Refresh Operation = "refresh" // takes what is real into the stack's state
)

// permission is what asking for the operation needs.
func (o Operation) permission() string {
	if o == Destroy {
		return DestroyStack
	}
	return DeployStack
}

// Status says how far a deployment is.
type Status string

// The statuses. From Succeeded on they are final.
const (
	Accepted         Status = "accepted" // stored; its workflow starts in a moment
	Previewing       Status = "previewing"
	AwaitingApproval Status = "awaiting_approval"
	Applying         Status = "applying"
	Verifying        Status = "verifying"
	Compensating     Status = "compensating"
	Succeeded        Status = "succeeded"
	Failed           Status = "failed"
	Rejected         Status = "rejected"
	Cancelled        Status = "cancelled"
	Expired          Status = "expired"
)

var next = map[Status][]Status{
	Accepted:         {Previewing, Cancelled, Failed},
	Previewing:       {AwaitingApproval, Succeeded, Cancelled, Failed},
	AwaitingApproval: {Applying, Rejected, Expired, Cancelled, Failed},
	Applying:         {Verifying, Compensating, Cancelled, Failed},
	Verifying:        {Succeeded, Cancelled, Failed},
	Compensating:     {Cancelled, Failed},
}

// Over reports whether the deployment has ended.
func (s Status) Over() bool { return len(next[s]) == 0 }

// may reports whether s can be followed by to. Each status may follow itself:
// steps run twice.
func (s Status) may(to Status) bool { return s == to && !s.Over() || slices.Contains(next[s], to) }

// stepName is the step that a status belongs to, "" for the others.
var stepName = map[Status]string{
	Previewing: "preview", AwaitingApproval: "approval", Applying: "execute", Verifying: "verify", Compensating: "compensate",
}

// Person is somebody, by name.
type Person struct {
	ID   id.ID  `json:"id"`
	Name string `json:"name"`
}

// Step is one part of a run.
type Step struct {
	Name      string     `json:"name"`
	Status    string     `json:"status" enum:"running,succeeded,failed,cancelled"`
	StartedAt time.Time  `json:"started_at"`
	EndedAt   *time.Time `json:"ended_at"`
	Detail    string     `json:"detail"`
}

// Leftover is what a failed run made and could not take back.
type Leftover struct {
	URN    string `json:"urn"`
	Type   string `json:"type"`
	Name   string `json:"name"`
	Detail string `json:"detail"`
}

// Approval is the state of a deployment's approval as one person sees it.
type Approval struct {
	Status    approval.Status `json:"status"`
	Policy    approval.Policy `json:"policy"`
	DecidedBy *Person         `json:"decided_by"`
	DecidedAt *time.Time      `json:"decided_at"`
	Comment   string          `json:"comment"`
	Self      bool            `json:"self"`
	CanDecide bool            `json:"can_decide"`
	ExpiresAt time.Time       `json:"expires_at"`
}

// Deployment is one run over a stack.
type Deployment struct {
	ID          id.ID          `json:"id"`
	StackID     id.ID          `json:"stack_id"`
	StackName   string         `json:"stack_name"`
	Operation   Operation      `json:"operation"`
	Refresh     bool           `json:"refresh"`
	Status      Status         `json:"status"`
	RequestedBy Person         `json:"requested_by"`
	CreatedAt   time.Time      `json:"created_at"`
	StartedAt   *time.Time     `json:"started_at"`
	EndedAt     *time.Time     `json:"ended_at"`
	Plan        *Plan          `json:"plan"`
	Approval    *Approval      `json:"approval"`
	Outputs     map[string]any `json:"outputs"`
	Error       *string        `json:"error"`
	Leftovers   []Leftover     `json:"leftovers"`
	Steps       []Step         `json:"steps"`

	run runState
}

// runState is what the workflow's steps remember between attempts.
type runState struct {
	stackVersion int
	requester    []byte   // the actor as JSON, for a start that comes later
	engineDigest string   // of the plan, as the engine gave it
	before       []string // URNs before the execution began
	begun        bool     // the execution may have changed something
	executed     bool     // the execution ended well
	cancelled    bool     // somebody asked to cancel
}

// advance moves the deployment to another status at a time: it ends the step
// under way and begins the one that belongs to the new status. It returns
// fault.Conflict for a move that cannot be.
func (d *Deployment) advance(to Status, now time.Time, detail string) error {
	if !d.Status.may(to) {
		return fault.New(fault.Conflict, "This deployment is %s; it cannot become %s.", d.Status, to)
	}
	if d.Status == to {
		return nil
	}
	d.endStep(to, now, detail)
	d.Status = to
	if d.StartedAt == nil {
		d.StartedAt = &now
	}
	if name := stepName[to]; name != "" {
		d.Steps = append(d.Steps, Step{Name: name, Status: "running", StartedAt: now})
	}
	if to.Over() {
		d.EndedAt = &now
	}
	return nil
}

func (d *Deployment) endStep(to Status, now time.Time, detail string) {
	if len(d.Steps) == 0 {
		return
	}
	step := &d.Steps[len(d.Steps)-1]
	if step.EndedAt != nil {
		return
	}
	step.EndedAt, step.Status, step.Detail = &now, "succeeded", detail
	switch to {
	case Failed, Rejected, Expired, Compensating:
		step.Status = "failed"
	case Cancelled:
		step.Status = "cancelled"
	}
	if d.Status == Compensating { // it did its part, whatever came before
		step.Status = "succeeded"
	}
}

// Summary counts the resources of a plan by what happens to them.
type Summary struct {
	Create  int `json:"create"`
	Update  int `json:"update"`
	Replace int `json:"replace"`
	Delete  int `json:"delete"`
	Same    int `json:"same"`
}

// Plan is what a run would do, in a form that a person reads and an approval
// is bound to.
type Plan struct {
	// Digest binds an approval: SHA-256 in hex over everything approved.
	Digest  string  `json:"digest"`
	Summary Summary `json:"summary"`
	// Destructive plans replace or delete something, or take a disk away.
	Destructive bool `json:"destructive"`
	// Drift is true when reality was changed behind our back; Drifted says where.
	Drift   bool     `json:"drift"`
	Drifted []Change `json:"drifted"`
	Changes []Change `json:"changes"`
}

// The operations on a resource.
const (
	OpSame    = "same"
	OpCreate  = "create"
	OpUpdate  = "update"
	OpReplace = "replace"
	OpDelete  = "delete"
)

// Change is what happens to one resource.
type Change struct {
	URN   string `json:"urn"`
	Type  string `json:"type"`
	Name  string `json:"name"`
	Op    string `json:"op"`
	Diffs []Diff `json:"diffs"`
}

// Diff is one property that changes. Secret values are masked.
type Diff struct {
	Path     string `json:"path"`
	Old      any    `json:"old"`
	New      any    `json:"new"`
	Secret   bool   `json:"secret"`
	Replaces bool   `json:"replaces"`
}

// Empty reports whether there is nothing to do for an operation.
func (p Plan) Empty(o Operation) bool {
	if o == Refresh {
		return len(p.Drifted) == 0
	}
	return len(p.Changes) == 0
}

// NeedsPerson reports whether a person has to approve: every plan that changes
// something, and a destructive one whatever any policy says.
func (p Plan) NeedsPerson(o Operation) bool {
	return o != Preview && (p.Destructive || !p.Empty(o))
}

// diskPath matches properties whose change takes a disk of a guest away.
var diskPath = regexp.MustCompile(`^(disks\[\d+\]|mountPoints\[\d+\]|disk|efiDisk|tpmState)(\.(interface|pathInDatastore|datastoreId|fileId|volume|path))?$`)

// destroys tells whether a change deletes a resource or a disk of a guest. A
// disk that is added has no old value and destroys nothing.
func (c Change) destroys() bool {
	if c.Op == OpDelete || c.Op == OpReplace {
		return true
	}
	return c.Op == OpUpdate && guestTypes[canonical(c.Type)].kind != "" && slices.ContainsFunc(c.Diffs, func(d Diff) bool {
		if d.Old == nil || !diskPath.MatchString(d.Path) {
			return false
		}
		return d.New == nil || strings.Contains(d.Path, ".")
	})
}

// Covers reports whether everything in rest was approved with p: the remainder
// of a run that was interrupted has no other resources, and what happens to
// each is what was approved or the rest of it.
func (p Plan) Covers(rest Plan) bool {
	approved := map[string]Change{}
	for _, c := range p.Changes {
		approved[c.URN] = c
	}
	return !slices.ContainsFunc(rest.Changes, func(c Change) bool {
		was := approved[c.URN]
		return !slices.Contains(remainders[was.Op], c.Op) || c.Op == OpUpdate && c.destroys() && (was.Op != OpUpdate || !was.destroys())
	})
}

// Forgets reports whether rest drops a resource from the state, because it is
// gone, that p did not show as gone.
func (p Plan) Forgets(rest Plan) bool {
	return slices.ContainsFunc(rest.Drifted, func(c Change) bool {
		return c.Op == OpDelete && !slices.ContainsFunc(p.Drifted, func(was Change) bool { return was.URN == c.URN && was.Op == OpDelete })
	})
}

// remainders says what an interrupted operation may leave to be done.
var remainders = map[string][]string{
	OpCreate:  {OpCreate, OpUpdate},
	OpUpdate:  {OpUpdate},
	OpReplace: {OpReplace, OpCreate, OpDelete, OpUpdate},
	OpDelete:  {OpDelete},
}

// Event is one thing that happened in a run.
type Event struct {
	Seq     int64     `json:"seq"`
	Time    time.Time `json:"time"`
	Kind    string    `json:"kind" enum:"resource,diagnostic,summary,task"`
	Status  string    `json:"status"`
	URN     string    `json:"urn"`
	Type    string    `json:"type"`
	Name    string    `json:"name"`
	Op      string    `json:"op"`
	Message string    `json:"message"`
}
