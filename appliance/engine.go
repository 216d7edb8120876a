package appliance

import (
	"context"
	"errors"
	"fmt"

	"nimbus/appliance/deployment"
	"nimbus/embedded/pulumi"
)

// engine is the embedded Pulumi engine as package deployment wants it.
type engine struct{ *pulumi.Engine }

var _ deployment.Engine = engine{}

func runOf(r deployment.Run) pulumi.Run {
	config := make(map[string]pulumi.ConfigValue, len(r.Config))
	for key, v := range r.Config {
		config[key] = pulumi.ConfigValue{Value: v.Value, Secret: v.Secret}
	}
	return pulumi.Run{
		Project: r.Project, Stack: r.Stack, Program: r.Program, Config: config, Passphrase: r.Passphrase, Env: r.Env,
		Refresh: r.Refresh, Destroy: r.Destroy, ExpectDigest: r.ExpectDigest, Targets: r.Targets,
	}
}

// failure translates what deployment has to tell apart.
func failure(err error) error {
	switch {
	case errors.Is(err, pulumi.ErrPlanChanged):
		return fmt.Errorf("%w: %w", deployment.ErrPlanChanged, err)
	case errors.Is(err, pulumi.ErrStopped), errors.Is(err, pulumi.ErrCancelled), errors.Is(err, pulumi.ErrBusy),
		errors.Is(err, pulumi.ErrLocked), errors.Is(err, pulumi.ErrPending):
		return fmt.Errorf("%w: %w", deployment.ErrInterrupted, err)
	}
	return err
}

type operate func(context.Context, pulumi.Run, func(pulumi.Event)) (pulumi.Result, error)

func (e engine) operate(ctx context.Context, do operate, r deployment.Run, on func(deployment.EngineEvent)) (deployment.Result, error) {
	result, err := do(ctx, runOf(r), func(ev pulumi.Event) {
		if on != nil {
			on(eventOf(ev))
		}
	})
	return resultOf(result), failure(err)
}

// Preview implements deployment.Engine.
func (e engine) Preview(ctx context.Context, r deployment.Run, on func(deployment.EngineEvent)) (deployment.Result, error) {
	return e.operate(ctx, e.Engine.Preview, r, on)
}

// Up implements deployment.Engine.
func (e engine) Up(ctx context.Context, r deployment.Run, on func(deployment.EngineEvent)) (deployment.Result, error) {
	result, err := e.operate(ctx, e.Engine.Up, r, on)
	if err != nil {
		return result, err
	}
	outputs, err := e.Engine.Outputs(ctx, runOf(r))
	result.Outputs = map[string]any{}
	for name, o := range outputs {
		result.Outputs[name] = o.Value
		if o.Secret {
			result.Outputs[name] = deployment.Mask
		}
	}
	return result, failure(err)
}

// Destroy implements deployment.Engine.
func (e engine) Destroy(ctx context.Context, r deployment.Run, on func(deployment.EngineEvent)) (deployment.Result, error) {
	return e.operate(ctx, e.Engine.Destroy, r, on)
}

// Refresh implements deployment.Engine.
func (e engine) Refresh(ctx context.Context, r deployment.Run, on func(deployment.EngineEvent)) (deployment.Result, error) {
	return e.operate(ctx, e.Engine.Refresh, r, on)
}

// Recover implements deployment.Engine.
func (e engine) Recover(ctx context.Context, r deployment.Run) ([]deployment.Pending, error) {
	found, err := e.Engine.Recover(ctx, runOf(r))
	pending := make([]deployment.Pending, len(found.Pending))
	for i, p := range found.Pending {
		pending[i] = deployment.Pending{URN: p.URN, Type: p.Type, Name: p.Name, Op: string(p.Op), Inputs: p.Inputs, Uncertain: p.Uncertain}
	}
	return pending, failure(err)
}

// Adopt implements deployment.Engine.
func (e engine) Adopt(ctx context.Context, r deployment.Run, urn, resource string) error {
	return failure(e.Engine.Adopt(ctx, runOf(r), urn, resource))
}

// Clear implements deployment.Engine.
func (e engine) Clear(ctx context.Context, r deployment.Run, urn string) error {
	return failure(e.Engine.Clear(ctx, runOf(r), urn))
}

// Resources implements deployment.Engine.
func (e engine) Resources(ctx context.Context, r deployment.Run) ([]deployment.Resource, error) {
	found, err := e.Engine.Resources(ctx, runOf(r))
	all := make([]deployment.Resource, len(found))
	for i, f := range found {
		all[i] = deployment.Resource{URN: f.URN, Type: f.Type, Name: f.Name, ID: f.ID}
	}
	return all, failure(err)
}

// Export implements deployment.Engine.
func (e engine) Export(ctx context.Context, r deployment.Run) ([]byte, error) {
	state, err := e.Engine.Export(ctx, runOf(r))
	return state, failure(err)
}

// Validate implements deployment.Engine.
func (e engine) Validate(program []byte) []deployment.Diagnostic {
	return diagnosticsOf(e.Engine.Validate(program))
}

// Schema implements deployment.Engine.
func (e engine) Schema() (deployment.Schema, error) {
	compact, err := pulumi.EditorSchema()
	if err != nil {
		return deployment.Schema{}, err
	}
	s := deployment.Schema{Types: make(map[string][]deployment.Property, len(compact.Types))}
	for _, r := range compact.Resources {
		s.Resources = append(s.Resources, deployment.ResourceType{Token: r.Type, Description: r.Description, Properties: propertiesOf(r.Inputs)})
	}
	for name, members := range compact.Types {
		s.Types[name] = propertiesOf(members)
	}
	return s, nil
}

func propertiesOf(members []pulumi.Member) []deployment.Property {
	all := make([]deployment.Property, len(members))
	for i, m := range members {
		all[i] = deployment.Property{Name: m.Name, Type: m.Type, Required: m.Required, Description: m.Description}
	}
	return all
}

func resultOf(r pulumi.Result) deployment.Result {
	out := deployment.Result{
		Changes: changesOf(r.Plan.Changes), Drift: changesOf(r.Plan.Drift), Digest: r.Plan.Digest,
		Counts: make(map[string]int, len(r.Plan.Counts)), Diagnostics: diagnosticsOf(r.Diagnostics),
	}
	for op, n := range r.Plan.Counts {
		out.Counts[string(op)] = n
	}
	for _, f := range r.Failed {
		out.Failed = append(out.Failed, f.URN)
	}
	return out
}

func changesOf(changes []pulumi.Change) []deployment.Change {
	all := make([]deployment.Change, len(changes))
	for i, c := range changes {
		diffs := make([]deployment.Diff, len(c.Diffs))
		for j, d := range c.Diffs {
			diffs[j] = deployment.Diff{Path: d.Path, Old: d.Old, New: d.New, Secret: d.Secret, Replaces: d.ReplaceCause}
			if d.Unknown && d.New == nil { // of a whole disk the rest is known
				diffs[j].New = deployment.Unknown
			}
		}
		all[i] = deployment.Change{URN: c.URN, Type: c.Type, Name: c.Name, Op: string(c.Op), Diffs: diffs}
	}
	return all
}

func diagnosticsOf(diagnostics []pulumi.Diagnostic) []deployment.Diagnostic {
	all := make([]deployment.Diagnostic, len(diagnostics))
	for i, d := range diagnostics {
		all[i] = deployment.Diagnostic{Severity: d.Severity, Line: d.Line, Column: d.Column, Message: d.Message}
	}
	return all
}

func eventOf(ev pulumi.Event) deployment.EngineEvent {
	out := deployment.EngineEvent{
		Time: ev.Time, Kind: "resource", URN: ev.URN, Type: ev.Type, Name: ev.Name, Op: string(ev.Op), Message: ev.Message,
	}
	switch ev.Kind {
	case pulumi.KindStarted:
		out.Status = "started"
		if ev.Planning {
			out.Status = "planned"
		}
	case pulumi.KindDone:
		out.Status = "done"
	case pulumi.KindFailed:
		out.Status = "failed"
	case pulumi.KindDiagnostic:
		out.Kind, out.Status = "diagnostic", ev.Severity
	case pulumi.KindSummary:
		out.Kind, out.Status = "summary", "done"
	}
	return out
}
