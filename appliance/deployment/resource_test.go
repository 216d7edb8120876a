package deployment

import (
	"context"
	"testing"

	"nimbus/appliance/actor"
	"nimbus/appliance/approval"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/permission"
)

// carol holds every permission of stacks, each under a condition or none.
func (b *bench) carol(conditions map[string]string) context.Context {
	b.t.Helper()
	ctx := b.person("Carol")
	a, _ := actor.From(ctx)
	for _, p := range []string{ReadStack, CreateStack, UpdateStack, DeployStack, DestroyStack, ApproveStack} {
		_, err := b.rights.CreateGrant(actor.AsSystem(b.t.Context(), "test", b.tenant), permission.DirectGrant{
			Subject: permission.Subject{Kind: permission.UserSubject, ID: a.ID},
			Grant:   permission.Grant{Permission: p, Effect: permission.Allow, Condition: conditions[p]},
		})
		must(b.t, err)
	}
	return ctx
}

func (b *bench) forbidden(what string, err error) {
	b.t.Helper()
	if !fault.Is(err, fault.Forbidden) {
		b.t.Errorf("%s: %v", what, err)
	}
}

// TestConditionsSeeTheStack holds a stack's name and connection and what shall
// be done against the conditions of grants.
func TestConditionsSeeTheStack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	mine, other := b.stack(oneVM), id.New()
	onMine := `resource.attributes.connection_id == "` + mine.ConnectionID.String() + `"`
	carol := b.carol(map[string]string{
		CreateStack: onMine, UpdateStack: onMine, ReadStack: onMine,
		DeployStack:  `resource.attributes.name.startsWith("web ") && !resource.attributes.destructive`,
		DestroyStack: `resource.attributes.operation != "destroy"`,
	})
	foreign := b.stack(oneVM)
	_, err := b.Stack(carol, mine.ID)
	must(t, err)
	_, err = b.Stack(carol, foreign.ID)
	b.forbidden("another connection's stack", err)
	_, err = b.Stack(carol, other)
	b.forbidden("a stack that is not there", err)
	_, err = b.CreateStack(carol, Stack{Name: "web of Carol", ConnectionID: other, Program: oneVM})
	b.forbidden("a stack on another connection", err)
	named, err := b.CreateStack(carol, Stack{Name: "database", ConnectionID: mine.ConnectionID, Program: oneVM})
	must(t, err)
	_, err = b.Deploy(carol, named.ID, Up, false)
	b.forbidden("deploying a stack of another name", err)
	named.ConnectionID = other
	_, err = b.UpdateStack(carol, named)
	b.forbidden("moving a stack to another connection", err)
	foreign.ConnectionID = mine.ConnectionID
	_, err = b.UpdateStack(carol, foreign)
	b.forbidden("taking a stack from another connection", err)

	d, err := b.Deploy(carol, mine.ID, Up, false)
	must(t, err)
	_, err = b.Cancel(carol, d.ID)
	must(t, err)
	_, err = b.Deploy(carol, mine.ID, Destroy, false)
	b.forbidden("destroying", err)
	of := b.deploy(foreign, Up)
	_, err = b.Deployment(carol, of.ID)
	b.forbidden("a run on another connection", err)
	_, err = b.EventsOf(carol, of.ID, 0, 10)
	b.forbidden("the events of a run on another connection", err)
}

// TestConditionsSeeThePlan lets somebody approve what destroys nothing.
func TestConditionsSeeThePlan(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	carol := b.carol(map[string]string{ApproveStack: `!resource.attributes.destructive`})
	s := b.stack(oneVM)
	decide := func(d Deployment) (bool, error) {
		shown, err := b.Deployment(carol, d.ID)
		must(t, err)
		_, err = b.Decide(carol, d.ID, approval.Approve, shown.Plan.Digest, "")
		return shown.Approval.CanDecide, err
	}
	d := b.deploy(s, Up)
	wantStatus(t, b.run(d, func() {
		if can, err := decide(d); !can || err != nil {
			t.Errorf("approving a new machine: %v, %v", can, err)
		}
	}), Succeeded)

	d = b.deploy(s, Destroy)
	wantStatus(t, b.run(d, func() {
		can, err := decide(d)
		if b.forbidden("approving to destroy", err); can {
			t.Error("it is offered all the same")
		}
		b.approve(d)()
	}), Succeeded)
}

// TestEventsNameTheirStack: who may not read a stack does not hear of it either.
func TestEventsNameTheirStack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.stack(oneVM)
	wantStatus(t, b.up(s), Succeeded)
	b.mu.Lock()
	defer b.mu.Unlock()
	heard := map[string]bool{}
	for _, e := range b.events {
		if e.Permission == "" {
			continue
		}
		heard[e.Type] = true
		if e.On == nil || e.On.ID != s.ID || e.On.Attributes["connection_id"] != s.ConnectionID.String() {
			t.Errorf("%s is about %+v", e.Type, e.On)
		}
	}
	for _, want := range []string{"stack.updated", "deployment.updated", "deployment.event", "approval.requested", "approval.decided"} {
		if !heard[want] {
			t.Errorf("nobody hears %s", want)
		}
	}
}
