package deployment

import (
	"context"

	"nimbus/appliance/actor"
	"nimbus/appliance/approval"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/permission"
)

// resource is a stack as grants see it: the compartment it lies in, and for
// conditions its name and connection_id.
func (st Stack) resource() permission.Resource {
	return permission.Resource{Kind: "stack", ID: st.ID, Compartment: st.CompartmentID, Attributes: map[string]any{
		"name": st.Name, "connection_id": st.ConnectionID.String(),
	}}
}

// running adds a run to a stack's attributes: its operation, and destructive.
// Before a plan is there only destroying is known to destroy; what a plan would
// destroy counts when somebody wants to approve it.
func running(on permission.Resource, o Operation, plan *Plan) permission.Resource {
	on.Attributes["operation"] = string(o)
	on.Attributes["destructive"] = o == Destroy || plan != nil && plan.Destructive
	return on
}

// stackFor reads a stack to which the context's actor may do something, by an
// operation if one is named. Who may not is told so whether or not there is
// such a stack: fault.Forbidden comes before fault.NotFound.
func (s *Service) stackFor(ctx context.Context, needs string, stack id.ID, by ...Operation) (actor.Actor, Stack, error) {
	a, err := acting(ctx)
	if err != nil {
		return a, Stack{}, err
	}
	st, missing := s.readStack(ctx, a.TenantID, stack)
	on := permission.Resource{Kind: "stack", ID: stack, Attributes: map[string]any{}}
	if missing == nil {
		on = st.resource()
	}
	for _, o := range by {
		on = running(on, o, nil)
	}
	if err := s.CheckOn(ctx, needs, on); err != nil {
		return a, Stack{}, err
	}
	return a, st, missing
}

// runFor reads a run to whose stack the context's actor may do something, with
// the faults of stackFor.
func (s *Service) runFor(ctx context.Context, needs string, deployment id.ID) (actor.Actor, Deployment, error) {
	a, err := acting(ctx)
	if err != nil {
		return a, Deployment{}, err
	}
	var d Deployment
	on := permission.Resource{Kind: "stack"}
	missing := s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		if d, err = s.store.deployment(ctx, deployment, false); err != nil {
			return err
		}
		on, err = s.resourceOf(ctx, d)
		return err
	})
	if err := s.CheckOn(ctx, needs, on); err != nil {
		return a, Deployment{}, err
	}
	return a, d, missing
}

// resourceOf is the stack of a run with the run, in the transaction of the
// tenant. A stack that was deleted since has the name it had.
func (s *Service) resourceOf(ctx context.Context, d Deployment) (permission.Resource, error) {
	st, err := s.store.stack(ctx, d.StackID, false)
	if fault.Is(err, fault.NotFound) {
		gone := permission.Resource{Kind: "stack", ID: d.StackID, Attributes: map[string]any{"name": d.StackName}}
		return running(gone, d.Operation, d.Plan), nil
	}
	return running(st.resource(), d.Operation, d.Plan), err
}

// about is what a request for approval is about.
func (s *Service) about(ctx context.Context, r approval.Request) (permission.Resource, error) {
	d, err := s.store.deployment(ctx, r.SubjectID, false)
	if err != nil {
		return permission.Resource{}, err
	}
	return s.resourceOf(ctx, d)
}
