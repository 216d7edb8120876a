package deployment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"nimbus/appliance/approval"
	"nimbus/appliance/audit"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// The kinds of failures of a step, as the workflow sees them.
const (
	kindFailed      = "failed"      // a verdict: trying again would not help
	kindInterrupted = "interrupted" // the infrastructure's fault: tried again
	kindCancelled   = "cancelled"
	kindOver        = "over" // the run ended meanwhile
)

// beatEvery is how often a step shows that it is alive.
const beatEvery = 2 * time.Second

// activities are the steps of a run. Each may run twice and changes the world
// once: it looks at what it did before.
type activities struct{ *Service }

// step loads the run, holds it while do works, and turns do's error into one
// that the workflow and its history may see.
func (a activities) step(ctx context.Context, in Input, do func(ctx context.Context, j *job) error) error {
	j, err := a.load(ctx, in)
	if err != nil {
		return verdict(ctx, err, fault.Message(err))
	}
	if j.d.Status.Over() {
		return temporal.NewNonRetryableApplicationError("the deployment is over", kindOver, nil)
	}
	ctx, release := a.hold(ctx, in.Deployment)
	defer release()
	j.log = newRecorder(ctx, j)
	defer j.log.close()
	if err = do(ctx, j); err == nil {
		return nil
	}
	return verdict(ctx, err, j.explain(err))
}

// wanted fails when somebody asked to cancel the run.
func (j *job) wanted() error {
	if j.d.run.cancelled {
		return errCancelled
	}
	return nil
}

// verdict keeps the error itself out of the history: it may hold secrets.
func verdict(ctx context.Context, err error, message string) error {
	switch {
	case errors.Is(err, errCancelled) || errors.Is(context.Cause(ctx), errCancelled):
		return temporal.NewNonRetryableApplicationError("Cancelled.", kindCancelled, nil)
	case errors.Is(err, ErrPlanChanged):
		return temporal.NewNonRetryableApplicationError(
			"What would be done is no longer what was approved. Deploy again and have the new plan approved.", kindFailed, nil)
	case ctx.Err() != nil, errors.Is(err, ErrInterrupted), fault.Is(err, fault.Unavailable):
		return temporal.NewApplicationError(message, kindInterrupted)
	}
	return temporal.NewNonRetryableApplicationError(message, kindFailed, nil)
}

// hold lets a person's cancelling reach the engine at once and shows Temporal
// that the step is alive.
func (s *Service) hold(ctx context.Context, deployment id.ID) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	s.mu.Lock()
	s.running[deployment] = cancel
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(beatEvery)
		defer ticker.Stop()
		for {
			activity.RecordHeartbeat(ctx)
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
		}
	}()
	return ctx, func() {
		s.mu.Lock()
		delete(s.running, deployment)
		s.mu.Unlock()
		cancel(nil)
		<-done
	}
}

// Previewed is what the workflow has to know of a preview.
type Previewed struct {
	// NeedsPerson is false when nothing is to be done after the preview.
	NeedsPerson bool
}

// preview finds out what would be done, refuses what must not be done, and
// keeps the plan.
func (a activities) preview(ctx context.Context, in Input) (seen Previewed, err error) {
	err = a.step(ctx, in, func(ctx context.Context, j *job) error {
		if err := errors.Join(j.wanted(), j.enter(ctx, Previewing)); err != nil {
			return err
		}
		if err := j.ready(ctx); err != nil {
			return err
		}
		p, engine, err := j.foresee(ctx)
		if err != nil {
			return err
		}
		seen.NeedsPerson = p.NeedsPerson(j.d.Operation)
		return j.change(ctx, "deployment.run.previewed", audit.Entry{}, func(_ context.Context, d *Deployment) error {
			d.Plan, d.run.engineDigest = &p, engine
			return nil
		})
	})
	return seen, err
}

// ready settles what an earlier attempt left, pins the guests and refuses VMIDs
// that are taken, before the engine starts.
func (j *job) ready(ctx context.Context) error {
	if err := j.recover(ctx); err != nil {
		return err
	}
	if err := j.pin(ctx); err != nil {
		return err
	}
	return j.untaken(ctx)
}

// foresee is the guarded plan of what is to be done now, and its digest as the
// engine knows it.
func (j *job) foresee(ctx context.Context) (Plan, string, error) {
	run := j.run
	run.Destroy = j.d.Operation == Destroy
	run.Refresh = j.reads()
	res, err := j.Engine.Preview(ctx, run, j.log.add)
	if err != nil {
		return Plan{}, "", err
	}
	p := j.planOf(res)
	if err := p.countable(); err != nil {
		return p, "", err
	}
	return p, res.Digest, j.guard(ctx, p)
}

// reads tells whether the run reads what is real first. Destroying does:
// deleting what is gone already fails.
func (j *job) reads() bool {
	return j.d.Refresh || j.d.Operation == Destroy || j.d.Operation == Refresh
}

// Asked is how long a decision is waited for.
type Asked struct{ ExpiresAt time.Time }

// ask opens the request for approval of the plan that was kept.
func (a activities) ask(ctx context.Context, in Input) (asked Asked, err error) {
	err = a.step(ctx, in, func(ctx context.Context, j *job) error {
		policy, err := a.Policy(ctx, in.Tenant)
		if err != nil {
			return err
		}
		return j.change(ctx, "", audit.Entry{}, func(ctx context.Context, d *Deployment) error {
			if err := d.advance(AwaitingApproval, a.now(), ""); err != nil {
				return err
			}
			r, err := a.Approvals.Open(ctx, approval.Ask{
				SubjectKind: Subject, SubjectID: d.ID, SubjectName: d.StackName, Digest: d.Plan.Digest,
				Policy: policy, Permission: ApproveStack, Needed: 1, Lifetime: ApprovalLifetime,
			})
			asked.ExpiresAt = r.ExpiresAt
			return err
		})
	})
	return asked, err
}

// decision reads the request again: the row is the truth, a signal only a
// reason to look.
func (a activities) decision(ctx context.Context, in Input) (status approval.Status, err error) {
	err = a.DB.Tenant(ctx, in.Tenant, func(ctx context.Context) error {
		r, err := a.Approvals.Of(ctx, Subject, in.Deployment)
		if err != nil {
			return err
		}
		if r.Status == approval.Pending && !a.now().Before(r.ExpiresAt) {
			r.Status = approval.Expired
			err = a.Approvals.End(ctx, Subject, in.Deployment, approval.Expired)
		}
		status = r.Status
		return err
	})
	if err != nil {
		return "", verdict(ctx, err, fault.Message(err))
	}
	return status, nil
}

// execute does what was approved. After a crash it does the rest of it.
func (a activities) execute(ctx context.Context, in Input) error {
	return a.step(ctx, in, func(ctx context.Context, j *job) error {
		if j.d.run.executed {
			return nil
		}
		if err := j.wanted(); err != nil {
			return err
		}
		if err := j.approved(ctx); err != nil {
			return err
		}
		if err := j.ready(ctx); err != nil {
			return err
		}
		digest, err := j.commit(ctx)
		if err != nil || digest == "" {
			return err
		}
		res, err := j.apply(ctx, digest)
		j.tasks(ctx)
		if err != nil {
			return errors.Join(err, j.keepChanged(ctx, res))
		}
		if err := j.allMarked(ctx); err != nil {
			return err
		}
		return j.keepExecuted(ctx, res.Outputs)
	})
}

// approved moves on to applying when a person approved exactly this plan of
// exactly this stack. Nothing goes on without.
func (j *job) approved(ctx context.Context) error {
	return j.change(ctx, "", audit.Entry{}, func(ctx context.Context, d *Deployment) error {
		r, err := j.Approvals.Of(ctx, Subject, d.ID)
		if err != nil {
			return err
		}
		if d.Plan == nil || !r.Allows(d.Plan.Digest) {
			return fault.New(fault.Conflict, "The plan was not approved, so nothing was done.")
		}
		if j.stack.Version != d.run.stackVersion {
			return ErrPlanChanged
		}
		if d.Status != Applying { // a second attempt has its place already
			if err := j.within(ctx, *d.Plan); err != nil {
				return err
			}
		}
		return d.advance(Applying, j.now(), "")
	})
}

// commit guards the plan once more and returns the digest that the engine is
// held to. The first attempt takes the approved plan; a later one may only do
// what is left of it, and so may a refresh, to which the engine is not held.
// "" means that nothing is left.
func (j *job) commit(ctx context.Context) (string, error) {
	first := !j.d.run.begun
	if first && j.d.Operation != Refresh {
		if err := j.guard(ctx, *j.d.Plan); err != nil {
			return "", err
		}
		return j.d.run.engineDigest, j.begin(ctx)
	}
	rest, digest, err := j.foresee(ctx)
	if err != nil {
		return "", err
	}
	if !j.covered(rest) {
		return "", ErrPlanChanged
	}
	if rest.Empty(j.d.Operation) {
		return "", j.keepExecuted(ctx, nil)
	}
	if first {
		err = j.begin(ctx)
	}
	return digest, err
}

// covered tells whether what is to be done now was approved. A refresh changes
// the state only: what counts is what it drops from there.
func (j *job) covered(rest Plan) bool {
	if j.d.Operation == Refresh {
		return !j.d.Plan.Forgets(rest)
	}
	return j.d.Plan.Covers(rest)
}

// begin notes what there was before, so that what a failed run made is known.
func (j *job) begin(ctx context.Context) error {
	_, urns, err := j.state(ctx)
	if err != nil {
		return err
	}
	return j.change(ctx, "deployment.run.started", audit.Entry{Priority: audit.Notice}, func(_ context.Context, d *Deployment) error {
		if d.run.cancelled {
			return errCancelled
		}
		d.run.begun, d.run.before = true, append([]string{}, urns...)
		return nil
	})
}

func (j *job) apply(ctx context.Context, digest string) (Result, error) {
	run := j.run
	run.ExpectDigest, run.Refresh = digest, j.reads()
	switch j.d.Operation {
	case Destroy:
		return j.Engine.Destroy(ctx, run, j.log.add)
	case Refresh:
		return j.Engine.Refresh(ctx, run, j.log.add)
	}
	return j.Engine.Up(ctx, run, j.log.add)
}

// tasks keeps the cluster's tasks with the person who caused them: the cluster
// itself only knows our token.
func (j *job) tasks(ctx context.Context) {
	tasks, err := j.Guests.NoteTasks(context.WithoutCancel(ctx), j.tenant, j.stack.ConnectionID, j.stack.ID, j.d.ID, j.d.CreatedAt)
	if err != nil {
		j.Logger.Warn("the tasks of a deployment could not be listed", "deployment", j.d.ID, "error", err)
	}
	for _, t := range tasks {
		j.log.put(Event{Time: t.Started, Kind: "task", Status: t.Exit, Type: t.Type, Name: t.Subject, Message: t.Ref})
	}
}

// keepExecuted stores that the execution ended well.
func (j *job) keepExecuted(ctx context.Context, outputs map[string]any) error {
	return j.change(ctx, "deployment.run.executed", audit.Entry{}, func(_ context.Context, d *Deployment) error {
		d.run.executed = true
		if outputs != nil {
			d.Outputs, _ = j.secrets.value(outputs).(map[string]any)
		}
		return nil
	})
}

// keepChanged lists what a failed execution changed in things that were there
// before: that stays as it is now.
func (j *job) keepChanged(ctx context.Context, res Result) error {
	return j.change(context.WithoutCancel(ctx), "", audit.Entry{}, func(_ context.Context, d *Deployment) error {
		for _, c := range res.Changes {
			if c.Op == OpCreate || slices.Contains(res.Failed, c.URN) {
				continue
			}
			d.addLeftover(Leftover{c.URN, c.Type, c.Name, "The run did the " + c.Op + " of it before it failed. It stays so."})
		}
		return nil
	})
}

func (d *Deployment) addLeftover(l Leftover) {
	if !slices.ContainsFunc(d.Leftovers, func(o Leftover) bool { return o.URN == l.URN && o.Name == l.Name }) {
		d.Leftovers = append(d.Leftovers, l)
	}
}

// verify looks whether everything is as the program says: a preview that reads
// reality finds no difference, power states included.
func (a activities) verify(ctx context.Context, in Input) error {
	return a.step(ctx, in, func(ctx context.Context, j *job) error {
		if err := j.enter(ctx, Verifying); err != nil {
			return err
		}
		if err := j.recover(ctx); err != nil {
			return err
		}
		switch j.d.Operation {
		case Destroy:
			return j.gone(ctx)
		case Up:
			return j.matches(ctx)
		}
		return nil
	})
}

func (j *job) gone(ctx context.Context) error {
	guests, urns, err := j.state(ctx)
	if err == nil && len(urns) > 0 {
		err = fault.New(fault.Conflict, "%d resources are still there (%d guests). Destroy the stack again.", len(urns), len(guests))
	}
	return err
}

// settling is how long the cluster may take to show what it did.
const settling = 2 * time.Second

func (j *job) matches(ctx context.Context) error {
	if err := j.pin(ctx); err != nil {
		return err
	}
	run := j.run
	run.Refresh = true
	for attempt := 0; ; attempt++ {
		res, err := j.Engine.Preview(ctx, run, nil)
		if err != nil || len(res.Changes) == 0 {
			return err
		}
		if attempt == 1 {
			return fault.New(fault.Conflict, "The run ended, but reality still differs from the program: %s. Deploy again, or look at the guests.",
				strings.Join(differences(res.Changes), "; "))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(settling):
		}
	}
}

func differences(changes []Change) []string {
	list := make([]string, 0, len(changes))
	for _, c := range changes {
		paths := make([]string, 0, len(c.Diffs))
		for _, d := range c.Diffs {
			paths = append(paths, d.Path)
		}
		list = append(list, fmt.Sprintf("%s of %s (%s)", c.Op, c.Name, strings.Join(paths, ", ")))
	}
	return list
}
