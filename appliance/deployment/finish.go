package deployment

import (
	"context"

	"nimbus/appliance/approval"
	"nimbus/appliance/audit"
	"nimbus/appliance/fault"
)

// Final is how a run ended. Message is for people; it holds no secrets.
type Final struct {
	Input   Input
	Status  Status
	Message string
}

// finish stores the end of a run and what became of its stack, and has the
// inventory look at what the run changed. A run that is over stays as it is.
func (a activities) finish(ctx context.Context, f Final) error {
	j, err := a.loadStored(ctx, f.Input)
	if err == nil && !j.d.Status.Over() {
		err = j.end(ctx, f)
	}
	if err != nil {
		return verdict(ctx, fault.Wrap(fault.Unavailable, err, "the end of the run could not be stored"), fault.Message(err))
	}
	if j.d.run.begun {
		j.Guests.Refresh(ctx, j.tenant, j.stack.ConnectionID)
	}
	return nil
}

func (j *job) end(ctx context.Context, f Final) error {
	resources, err := j.Engine.Resources(ctx, j.run)
	if err != nil {
		j.Logger.Warn("a stack's resources could not be counted", "stack", j.stack.ID, "error", err)
	}
	return j.change(ctx, "deployment.run."+string(f.Status), endEntry(f), func(ctx context.Context, d *Deployment) error {
		if err := d.advance(f.Status, j.now(), f.Message); err != nil {
			return err
		}
		if f.Status != Succeeded && f.Message != "" {
			message := j.secrets.text(f.Message)
			d.Error = &message
		}
		if err := j.Approvals.End(ctx, Subject, d.ID, approval.Void); err != nil {
			return err
		}
		return j.settleStack(ctx, *d, len(resources), err == nil)
	})
}

func endEntry(f Final) audit.Entry {
	e := audit.Entry{Reason: f.Message, Priority: audit.Notice}
	if f.Status == Failed {
		e.Outcome, e.Priority = audit.Failure, audit.Warning
	}
	return e
}

func (j *job) settleStack(ctx context.Context, d Deployment, count int, counted bool) error {
	st := j.stack
	if d.Operation == Preview {
		return nil
	}
	if counted {
		st.ResourceCount = count
	}
	stored, err := j.store.storedStatus(ctx, st.ID)
	if err != nil {
		return err
	}
	st.Status = statusAfter(d, stored, st.ResourceCount)
	if d.run.executed {
		st.Outputs = d.Outputs
	}
	return j.store.settleStack(ctx, st)
}

// statusAfter is what a stack is after a run over it.
func statusAfter(d Deployment, before StackStatus, resources int) StackStatus {
	switch {
	case d.Status != Succeeded && d.run.begun && !d.run.executed:
		return StackFailed
	case d.Status != Succeeded && !d.run.executed:
		return before
	case d.Status == Failed:
		return StackFailed
	case d.Operation == Destroy:
		return StackDestroyed
	case resources == 0 && d.Operation == Refresh:
		return before
	}
	return StackDeployed
}
