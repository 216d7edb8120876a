package pulumi

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Preview says what Up (or Destroy, with r.Destroy) would do and changes
// nothing. With r.Refresh it first reads the real state and reports its
// difference as drift.
func (e *Engine) Preview(ctx context.Context, r Run, onEvent func(Event)) (Result, error) {
	return e.operate(ctx, &r, func(ctx context.Context, o *operation) (Result, error) {
		return o.preview(ctx, onEvent)
	})
}

// Up brings the resources to what the program says. With r.ExpectDigest it
// refuses with ErrPlanChanged, before anything is touched, when that is not
// what was previewed. Result.Plan is what was done.
func (e *Engine) Up(ctx context.Context, r Run, onEvent func(Event)) (Result, error) {
	r.Destroy = false
	return e.operate(ctx, &r, func(ctx context.Context, o *operation) (Result, error) {
		return o.apply(ctx, onEvent, "up", "--yes", "--skip-preview", "--suppress-progress")
	})
}

// Destroy deletes every resource of the stack; its state stays, empty. Use
// r.Refresh when something may be gone already: deleting what is not there fails.
func (e *Engine) Destroy(ctx context.Context, r Run, onEvent func(Event)) (Result, error) {
	r.Destroy = true
	return e.operate(ctx, &r, func(ctx context.Context, o *operation) (Result, error) {
		args := []string{"destroy", "--yes", "--skip-preview", "--suppress-progress"}
		for _, urn := range r.Targets {
			args = append(args, "--target", urn)
		}
		return o.apply(ctx, onEvent, args...)
	})
}

// Refresh writes the real state of every resource into the stack's state.
func (e *Engine) Refresh(ctx context.Context, r Run, onEvent func(Event)) (Result, error) {
	return e.operate(ctx, &r, func(ctx context.Context, o *operation) (Result, error) {
		return o.cli(ctx, onEvent, nil, "refresh", "--yes", "--skip-preview", "--suppress-progress")
	})
}

// operation is one claimed run over a stack.
type operation struct {
	*Engine
	run *Run
	id  string
}

// operate claims the stack, checks that nothing is left of an interrupted
// operation, sees that the stack exists, and runs do.
func (e *Engine) operate(ctx context.Context, r *Run, do func(context.Context, *operation) (Result, error)) (Result, error) {
	ctx, end, err := e.begin(ctx, r)
	if err != nil {
		return Result{}, err
	}
	defer end()
	o := &operation{Engine: e, run: r, id: newID()}
	if err := o.clean(); err != nil {
		return Result{}, err
	}
	if err := o.ensureStack(ctx); err != nil {
		return Result{}, err
	}
	defer o.trim()
	return do(ctx, o)
}

func newID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// clean refuses a stack that needs Recover.
func (o *operation) clean() error {
	if o.locked(o.run) {
		return fmt.Errorf("%s: %w", o.run.key(), ErrLocked)
	}
	s, err := o.readState(o.run)
	if errors.Is(err, ErrNoStack) {
		return nil
	}
	if err != nil {
		return err
	}
	if urns := s.creating(); len(urns) > 0 {
		return fmt.Errorf("%s: %w (%s)", o.run.key(), ErrPending, nameOf(urns[0]))
	}
	return nil
}

// ensureProject writes the file without which the CLI does not know where it is.
func (o *operation) ensureProject() error {
	dir := o.workDir(o.run)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("prepare stack %s: %w", o.run.key(), err)
	}
	project := fmt.Sprintf("name: %s\nruntime: yaml\n", o.run.Project)
	if err := writeOnce(filepath.Join(dir, "Pulumi.yaml"), project); err != nil {
		return fmt.Errorf("prepare stack %s: %w", o.run.key(), err)
	}
	return nil
}

// ensureStack has the CLI make the stack's state, once in its life.
func (o *operation) ensureStack(ctx context.Context) error {
	if err := o.ensureProject(); err != nil {
		return err
	}
	if _, err := os.Stat(o.statePath(o.run)); err == nil {
		return nil
	}
	out, err := o.exec(ctx, command{run: o.run, id: o.id, args: []string{
		"stack", "init", o.run.qualified(), "--no-select", "--secrets-provider", "passphrase",
	}})
	return o.verdict(ctx, "stack init", out, err, newCollector(nil), nil)
}

// writeOnce writes a small file unless it has that content already.
func writeOnce(path, content string) error {
	if now, err := os.ReadFile(path); err == nil && string(now) == content {
		return nil
	}
	return os.WriteFile(path, []byte(content), 0o600)
}

func (o *operation) preview(ctx context.Context, onEvent func(Event)) (Result, error) {
	args := []string{"preview"}
	if o.run.Destroy {
		args = []string{"destroy", "--preview-only"}
	}
	res, err := o.cli(ctx, onEvent, nil, args...)
	if err != nil {
		return res, err
	}
	return res, o.savePlan(res.Plan)
}

// apply runs up or destroy, held to the approved plan when there is one.
func (o *operation) apply(ctx context.Context, onEvent func(Event), args ...string) (Result, error) {
	if o.run.ExpectDigest == "" {
		return o.cli(ctx, onEvent, nil, args...)
	}
	plan, err := o.approved(ctx)
	if err != nil {
		return Result{}, err
	}
	return o.cli(ctx, onEvent, plan, args...)
}

// cli runs one engine operation and gathers its Result. With a plan, a step
// outside of it ends the run.
func (o *operation) cli(ctx context.Context, onEvent func(Event), plan *Plan, args ...string) (Result, error) {
	name, res := args[0], Result{Started: time.Now().UTC()}
	p, args, err := o.arguments(args)
	if err != nil {
		return res, err
	}
	defer p.close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := o.watchCreations()
	defer watch.end()
	c := newCollector(func(ev Event) {
		if plan != nil && !plan.allows(ev) {
			cancel(fmt.Errorf("%w: %s of %s was not in the plan", ErrPlanChanged, ev.Op, ev.Name))
		}
		watch.see(ev)
		if onEvent != nil {
			onEvent(ev)
		}
	})
	if err := o.journal(name); err != nil {
		return res, err
	}
	out, err := o.exec(ctx, command{run: o.run, id: o.id, args: args, event: c.line})
	if err = o.verdict(ctx, name, out, err, c, p); err == nil {
		err = c.heard(name)
	}
	res.Plan, res.Failed = c.plan(o.run), c.failures()
	res.Diagnostics = append(p.diagnostics(), c.diags...)
	res.Duration = time.Since(res.Started)
	return o.finish(res, err, watch)
}

// arguments completes the CLI's arguments and serves the program where there is
// one to run; nil otherwise.
func (o *operation) arguments(args []string) (*program, []string, error) {
	name := args[0]
	args = append(args, "--stack", o.run.qualified(), "--event-log", "/proc/self/fd/"+strconv.Itoa(eventFD), "--exec-kind", "auto.inline")
	if o.run.Refresh && name != "refresh" {
		args = append(args, "--refresh")
	}
	if name != "preview" && name != "up" {
		return nil, args, nil
	}
	p, err := o.serveProgram(o.run)
	if err != nil {
		return nil, nil, err
	}
	return p, append(args, "--client", p.address), nil
}

// finish adds the outputs and settles the journal.
func (o *operation) finish(res Result, err error, watch *creations) (Result, error) {
	s, serr := o.readState(o.run)
	if serr != nil {
		return res, errors.Join(err, serr)
	}
	if serr = watch.settle(s); serr != nil {
		return res, errors.Join(err, serr)
	}
	if res.Outputs, serr = s.outputs(nil); serr != nil {
		return res, errors.Join(err, serr)
	}
	if !o.locked(o.run) && len(s.creating()) == 0 {
		serr = o.unjournal()
	}
	return res, errors.Join(err, serr)
}

// verdict turns the end of a CLI run into nil or an *Error.
func (o *operation) verdict(ctx context.Context, name string, out exited, err error, c *collector, p *program) error {
	if err == nil && out.code == 0 {
		return nil
	}
	e := &Error{Op: name, Kind: ErrEngineFailed, Failures: c.failures()}
	cause := context.Cause(ctx)
	switch {
	case errors.Is(cause, ErrPlanChanged):
		e.Kind, e.Message = ErrPlanChanged, cause.Error()
	case errors.Is(cause, ErrCancelled):
		e.Kind = ErrCancelled
	case cause != nil:
		e.Kind, e.Message = ErrCancelled, cause.Error()
	case err != nil:
		e.Message = err.Error()
	case hasErrors(p.diagnostics()):
		e.Kind, e.Message = ErrProgram, join(p.diagnostics())
	case strings.Contains(out.output, "incorrect passphrase"):
		e.Kind = ErrPassphrase
	case strings.Contains(out.output, "currently locked by"):
		e.Kind = ErrLocked
	case len(c.errors()) > 0:
		e.Message = join(c.errors())
	default:
		e.Message = out.output
	}
	return e
}
