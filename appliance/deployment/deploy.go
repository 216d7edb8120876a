package deployment

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/approval"
	"nimbus/appliance/audit"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/permission"
)

// errCancelled is why an engine operation ends when a person cancels.
var errCancelled = errors.New("cancelled by a person")

// Deploy accepts a run over a stack and starts its workflow. With refresh a
// preview or an update first reads what is real, which shows drift. When the
// workflow cannot be started now the run stays accepted and starts later. It
// returns fault.Invalid with the places in the program, and fault.Conflict while
// another run of the stack is under way.
func (s *Service) Deploy(ctx context.Context, stack id.ID, o Operation, refresh bool) (Deployment, error) {
	if o != Preview && o != Up && o != Destroy && o != Refresh {
		return Deployment{}, fault.BadField("body.operation", "The operation is preview, up, destroy or refresh.")
	}
	a, st, err := s.stackFor(ctx, o.permission(), stack, o)
	if err != nil {
		return Deployment{}, err
	}
	if err := s.runnable(st, o); err != nil {
		return Deployment{}, err
	}
	d, err := s.accept(ctx, a, st, o, refresh)
	if err != nil {
		return Deployment{}, err
	}
	if err := s.start(ctx, a, d.ID); err != nil {
		s.Logger.Warn("a deployment could not be started; it stays accepted", "deployment", d.ID, "error", err)
	}
	return d, nil
}

// runnable refuses a program that cannot run. Destroying needs no program.
func (s *Service) runnable(st Stack, o Operation) error {
	if o == Destroy {
		return nil
	}
	f := fault.New(fault.Invalid, "The program of the stack has errors. Correct them and try again.")
	for _, d := range s.diagnose(st.Program, st.Config) {
		if d.Severity == "error" {
			f.Fields = append(f.Fields, fault.Field{Location: placeOf(d), Message: d.Message})
		}
	}
	if len(f.Fields) == 0 {
		return nil
	}
	f.Message += " " + f.Fields[0].Message
	return f
}

func (s *Service) accept(ctx context.Context, a actor.Actor, st Stack, o Operation, refresh bool) (Deployment, error) {
	requester, err := json.Marshal(a)
	if err != nil {
		return Deployment{}, err
	}
	d := Deployment{
		ID: id.New(), StackID: st.ID, StackName: st.Name, Operation: o, Refresh: refresh, Status: Accepted,
		RequestedBy: Person{ID: a.ID, Name: a.Name}, CreatedAt: s.now(),
		Outputs: map[string]any{}, Leftovers: []Leftover{}, Steps: []Step{},
		run: runState{stackVersion: st.Version, requester: requester},
	}
	return d, s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		now, err := s.store.stack(ctx, st.ID, true)
		if err != nil {
			return err
		}
		if now.Version != st.Version {
			return fault.New(fault.Conflict, "Somebody else changed this stack in the meantime. Look at it and try again.")
		}
		if err := s.store.insertDeployment(ctx, d); err != nil {
			return err
		}
		return s.record(ctx, d, "deployment.run.requested", audit.Entry{Details: map[string]any{"stack_version": st.Version, "refresh": refresh}})
	})
}

// Deployment returns one run as the context's actor sees it, or fault.NotFound.
func (s *Service) Deployment(ctx context.Context, deployment id.ID) (Deployment, error) {
	a, d, err := s.runFor(ctx, ReadStack, deployment)
	if err != nil {
		return d, err
	}
	err = s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		return s.addApproval(ctx, &d)
	})
	return d, err
}

// Deployments lists runs, newest first, with the approvals of those that wait.
func (s *Service) Deployments(ctx context.Context, f Filter) ([]Deployment, error) {
	a, err := acting(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.CheckSomewhere(ctx, ReadStack); err != nil {
		return nil, err
	}
	all := []Deployment{}
	err = s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		limit := f.Limit
		for {
			page, err := s.store.deployments(ctx, f)
			if err != nil {
				return err
			}
			read, err := s.readable(ctx, page)
			if err != nil {
				return err
			}
			all = append(all, read...)
			if len(page) < limit || len(all) >= limit {
				all = all[:min(len(all), limit)]
				return s.addApprovals(ctx, all)
			}
			f.Before = page[len(page)-1].ID
		}
	})
	return all, err
}

// readable are those runs of a page that the context's actor may read.
func (s *Service) readable(ctx context.Context, page []Deployment) ([]Deployment, error) {
	stacks, err := s.store.places(ctx, page)
	return slices.DeleteFunc(slices.Clone(page), func(d Deployment) bool {
		return !s.AllowedOn(ctx, ReadStack, readableAs(d, stacks))
	}), err
}

// readableAs is a run as grants see it; of a stack that was deleted the name is
// known.
func readableAs(d Deployment, stacks map[id.ID]Stack) permission.Resource {
	on := permission.Resource{Kind: "stack", ID: d.StackID, Attributes: map[string]any{"name": d.StackName}}
	if st, ok := stacks[d.StackID]; ok {
		on = st.resource()
	}
	return running(on, d.Operation, d.Plan)
}

func (s *Service) addApprovals(ctx context.Context, all []Deployment) error {
	for i := range all {
		if all[i].Status != AwaitingApproval {
			continue
		}
		if err := s.addApproval(ctx, &all[i]); err != nil {
			return err
		}
	}
	return nil
}

// Waiting lists the runs that wait for somebody's approval, oldest first.
func (s *Service) Waiting(ctx context.Context) ([]Deployment, error) {
	a, err := acting(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.CheckSomewhere(ctx, ReadStack); err != nil {
		return nil, err
	}
	all := []Deployment{}
	err = s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		requests, err := s.Approvals.Waiting(ctx, Subject)
		if err != nil {
			return err
		}
		for _, r := range requests {
			d, err := s.store.deployment(ctx, r.SubjectID, false)
			if err != nil {
				return err
			}
			d.Approval = s.viewOf(ctx, r)
			all = append(all, d)
		}
		all, err = s.readable(ctx, all)
		return err
	})
	return all, err
}

// EventsOf lists what happened in a run after a number, oldest first.
func (s *Service) EventsOf(ctx context.Context, deployment id.ID, after int64, limit int) ([]Event, error) {
	a, _, err := s.runFor(ctx, ReadStack, deployment)
	if err != nil {
		return nil, err
	}
	var all []Event
	err = s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		all, err = s.store.events(ctx, deployment, after, limit)
		return err
	})
	return all, err
}

// Decide approves or rejects the plan with that digest on behalf of the
// context's actor. It returns the faults of approval.Service.Decide.
func (s *Service) Decide(ctx context.Context, deployment id.ID, v approval.Verdict, digest, comment string) (Deployment, error) {
	a, _, err := s.runFor(ctx, ApproveStack, deployment)
	if err != nil {
		return Deployment{}, err
	}
	err = s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		d, err := s.store.deployment(ctx, deployment, false)
		if err == nil && d.Status != AwaitingApproval {
			err = fault.New(fault.Conflict, "This deployment is %s; nobody has to decide about it now.", d.Status)
		}
		return err
	})
	if err != nil {
		return Deployment{}, err
	}
	if _, err := s.Approvals.Decide(ctx, Subject, deployment, v, digest, comment); err != nil {
		return Deployment{}, err
	}
	return s.Deployment(ctx, deployment)
}

// Cancel ends a run as soon as the change under way is done. What it created is
// taken back. It returns fault.Conflict when the run is over or being undone.
func (s *Service) Cancel(ctx context.Context, deployment id.ID) (Deployment, error) {
	a, err := actor.Require(ctx)
	if err != nil {
		return Deployment{}, err
	}
	d, err := s.Deployment(ctx, deployment)
	if err != nil {
		return d, err
	}
	if _, _, err := s.runFor(ctx, d.Operation.permission(), deployment); err != nil {
		return d, err
	}
	err = s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		if d, err = s.store.deployment(ctx, deployment, true); err != nil {
			return err
		}
		return s.markCancelled(ctx, &d)
	})
	if err != nil {
		return d, err
	}
	s.interrupt(deployment)
	if err := s.Workflows.CancelWorkflow(ctx, deployment.String(), ""); err != nil && !d.Status.Over() {
		s.Logger.Warn("a deployment's workflow could not be cancelled; it sees the request at its next step", "deployment", deployment, "error", err)
	}
	return s.Deployment(ctx, deployment)
}

// markCancelled stores the wish. A run that has not begun ends at once.
func (s *Service) markCancelled(ctx context.Context, d *Deployment) error {
	if d.Status.Over() || d.Status == Compensating {
		return fault.New(fault.Conflict, "This deployment is %s; it cannot be cancelled any more.", d.Status)
	}
	d.run.cancelled = true
	if d.Status == Accepted {
		if err := d.advance(Cancelled, s.now(), ""); err != nil {
			return err
		}
	}
	if err := s.store.updateDeployment(ctx, *d); err != nil {
		return err
	}
	return s.record(ctx, *d, "deployment.run.cancel_requested", audit.Entry{})
}

// interrupt ends the engine operation of a run, if this process has one.
func (s *Service) interrupt(deployment id.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cancel := s.running[deployment]; cancel != nil {
		cancel(errCancelled)
	}
}

// addApproval fills in the approval as the context's actor sees it.
func (s *Service) addApproval(ctx context.Context, d *Deployment) error {
	r, err := s.Approvals.Of(ctx, Subject, d.ID)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err == nil {
		d.Approval = s.viewOf(ctx, r)
	}
	return err
}

func (s *Service) viewOf(ctx context.Context, r approval.Request) *Approval {
	v := &Approval{
		Status: r.Status, Policy: r.Policy, Self: r.SelfConfirmed(), ExpiresAt: r.ExpiresAt, CanDecide: s.Approvals.CanDecide(ctx, r),
	}
	if n := len(r.Decisions); n > 0 {
		last := r.Decisions[n-1]
		v.DecidedBy, v.DecidedAt, v.Comment = &Person{last.ActorID, last.ActorName}, &last.At, last.Comment
	}
	return v
}

// record writes the audit record of a run and tells everybody that it changed.
func (s *Service) record(ctx context.Context, d Deployment, name string, e audit.Entry) error {
	details := map[string]any{"stack_id": d.StackID.String(), "operation": string(d.Operation), "status": string(d.Status)}
	if d.Plan != nil {
		details["digest"], details["destructive"] = d.Plan.Digest, d.Plan.Destructive
	}
	for key, v := range e.Details {
		details[key] = v
	}
	e.Event, e.Details = name, details
	e.Target = audit.Target{Kind: Subject, ID: d.ID.String(), Name: d.StackName}
	if err := s.Audit.Record(ctx, e); err != nil {
		return err
	}
	return s.publish(ctx, d)
}

// publish sends the run without its plan, which may be large.
func (s *Service) publish(ctx context.Context, d Deployment) error {
	a, err := actor.Require(ctx)
	if err != nil {
		return err
	}
	stacks, err := s.store.places(ctx, []Deployment{d})
	if err != nil {
		return err
	}
	on := readableAs(d, stacks).On()
	d.Plan = nil
	return s.Events.Publish(ctx, event.Event{Type: "deployment.updated", ID: d.ID, Tenant: a.TenantID, Permission: ReadStack, On: on}, d)
}

// placeOf is where a diagnostic points, as fault.Field has it.
func placeOf(d Diagnostic) string {
	if d.Line == 0 {
		return "program"
	}
	return "program:" + itoa(d.Line) + ":" + itoa(d.Column)
}

// startTimeout bounds how long accepting waits for Temporal.
const startTimeout = 2 * time.Second

func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "…"
}
