package actor

import (
	"context"

	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/workflow"
)

const header = "nimbus-actor"

// Propagator carries the actor in Temporal headers, so that an activity's
// audit record names the person who pressed the button. The payload goes
// through the given converter, which encrypts.
func Propagator(dc converter.DataConverter) workflow.ContextPropagator {
	return propagator{dc}
}

type propagator struct{ dc converter.DataConverter }

func (p propagator) Inject(ctx context.Context, w workflow.HeaderWriter) error {
	a, ok := From(ctx)
	if !ok {
		return nil
	}
	return p.write(a, w)
}

func (p propagator) InjectFromWorkflow(ctx workflow.Context, w workflow.HeaderWriter) error {
	a, ok := ctx.Value(key{}).(Actor)
	if !ok {
		return nil
	}
	return p.write(a, w)
}

func (p propagator) write(a Actor, w workflow.HeaderWriter) error {
	payload, err := p.dc.ToPayload(a)
	if err != nil {
		return err
	}
	w.Set(header, payload)
	return nil
}

func (p propagator) Extract(ctx context.Context, r workflow.HeaderReader) (context.Context, error) {
	a, ok, err := p.read(r)
	if err != nil || !ok {
		return ctx, err
	}
	return With(ctx, a), nil
}

func (p propagator) ExtractToWorkflow(ctx workflow.Context, r workflow.HeaderReader) (workflow.Context, error) {
	a, ok, err := p.read(r)
	if err != nil || !ok {
		return ctx, err
	}
	return workflow.WithValue(ctx, key{}, a), nil
}

func (p propagator) read(r workflow.HeaderReader) (Actor, bool, error) {
	payload, ok := r.Get(header)
	if !ok {
		return Actor{}, false, nil
	}
	var a Actor
	err := p.dc.FromPayload(payload, &a)
	return a, err == nil, err
}

// FromWorkflow tells who started the workflow.
func FromWorkflow(ctx workflow.Context) (Actor, bool) {
	a, ok := ctx.Value(key{}).(Actor)
	return a, ok
}

// WithWorkflow returns a workflow context in which a acts; activities started
// with it carry a.
func WithWorkflow(ctx workflow.Context, a Actor) workflow.Context {
	return workflow.WithValue(ctx, key{}, a)
}
