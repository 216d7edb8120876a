package backup

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/activity"
	sdk "go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"nimbus/appliance/actor"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// Names that workers and histories know. They never change.
const (
	taskQueue        = "nimbus-workflows"
	backupWorkflow   = "BackupWorkflow"
	verifyWorkflow   = "BackupVerifyWorkflow"
	beginActivity    = "backup.Begin"
	makeActivity     = "backup.Make"
	proveActivity    = "backup.Prove"
	concludeActivity = "backup.Conclude"
	pruneActivity    = "backup.Prune"
	scheduleID       = "backup"
	verifyPrefix     = "backup-verify-" // of ids of workflows
	heartbeat        = 3 * time.Second
)

// Input names a run. A scheduled one has no backup yet.
type Input struct {
	Backup id.ID
	Kind   Kind
}

// Begun is what a run works on; a zero backup means that there is no target.
type Begun struct {
	Backup id.ID
	Verify bool
}

// Conclusion is how a run ended; no reason means well.
type Conclusion struct {
	Backup id.ID
	Reason string
}

// Register makes the workflows and steps known to a worker.
func Register(r worker.Registry, s *Service) {
	a := activities{s}
	r.RegisterWorkflowWithOptions(BackupWorkflow, workflow.RegisterOptions{Name: backupWorkflow})
	r.RegisterWorkflowWithOptions(BackupVerifyWorkflow, workflow.RegisterOptions{Name: verifyWorkflow})
	for name, fn := range map[string]any{
		beginActivity: a.begin, makeActivity: a.make, proveActivity: a.prove, concludeActivity: a.conclude, pruneActivity: a.prune,
	} {
		r.RegisterActivityWithOptions(fn, activity.RegisterOptions{Name: name})
	}
}

// BackupWorkflow makes one backup, restores it to prove it where that is asked
// for, and deletes those that the policy does not keep. It has succeeded when
// the proof has.
func BackupWorkflow(ctx workflow.Context, in Input) error {
	var begun Begun
	err := workflow.ExecuteActivity(quick(ctx), beginActivity, in).Get(ctx, &begun)
	if err != nil && !in.Backup.IsZero() { // such as one that is stopped at once
		return concluded(ctx, in.Backup, err)
	}
	if err != nil || begun.Backup.IsZero() {
		return err
	}
	err = workflow.ExecuteActivity(long(ctx), makeActivity, begun.Backup).Get(ctx, nil)
	if err == nil && begun.Verify {
		err = workflow.ExecuteActivity(long(ctx), proveActivity, begun.Backup).Get(ctx, nil)
	}
	if err := concluded(ctx, begun.Backup, err); err != nil {
		return err
	}
	return workflow.ExecuteActivity(quick(ctx), pruneActivity).Get(ctx, nil)
}

// BackupVerifyWorkflow proves one backup that was made before.
func BackupVerifyWorkflow(ctx workflow.Context, in Input) error {
	return workflow.ExecuteActivity(long(ctx), proveActivity, in.Backup).Get(ctx, nil)
}

// concluded notes the end, also of a run that was cancelled, and returns why
// it failed.
func concluded(ctx workflow.Context, backup id.ID, failed error) error {
	end := Conclusion{Backup: backup}
	if failed != nil {
		end.Reason = reason(failed)
	}
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	if err := workflow.ExecuteActivity(quick(ctx), concludeActivity, end).Get(ctx, nil); err != nil {
		return err
	}
	return failed
}

// stopped is why a backup failed that somebody stopped.
const stopped = "It was stopped."

func reason(err error) string {
	var app *temporal.ApplicationError
	var timeout *temporal.TimeoutError
	switch {
	case temporal.IsCanceledError(err):
		return stopped
	case errors.As(err, &app):
		return app.Message()
	case errors.As(err, &timeout):
		return "It did not end in time, or the appliance was stopped. Look at System health and try again."
	}
	return err.Error()
}

func quick(ctx workflow.Context) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 10 * time.Minute,
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute, MaximumAttempts: 10,
			NonRetryableErrorTypes: final},
	})
}

// final are faults that another attempt does not heal.
var final = []string{string(fault.Conflict), string(fault.Invalid), string(fault.NotFound), string(fault.Unprocessable), string(fault.Forbidden)}

func long(ctx workflow.Context) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 48 * time.Hour, HeartbeatTimeout: 20 * heartbeat, WaitForCancellation: true,
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: 30 * time.Second, BackoffCoefficient: 2, MaximumInterval: 10 * time.Minute, MaximumAttempts: 3,
			NonRetryableErrorTypes: final},
	})
}

// activities are the steps. Each may run twice.
type activities struct{ *Service }

func (a activities) begin(ctx context.Context, in Input) (Begun, error) {
	set, err := a.load(ctx)
	if err != nil {
		return Begun{}, step(ctx, err)
	}
	if in.Backup.IsZero() {
		if set.Target.Kind == None || !set.Schedule.Enabled {
			return Begun{}, nil
		}
		// The same in each attempt, another one in each run.
		run := activity.GetInfo(ctx).WorkflowExecution
		in.Backup, in.Kind = id.Derived("backup", run.ID, run.RunID), Scheduled
	}
	b, err := a.find(ctx, in.Backup)
	if fault.Is(err, fault.NotFound) {
		b, err = a.Service.begin(ctx, in.Backup, in.Kind, activity.GetInfo(ctx).WorkflowExecution.ID)
	}
	return Begun{Backup: b.ID, Verify: set.Verify}, step(ctx, err)
}

func (a activities) make(ctx context.Context, backup id.ID) error {
	return a.working(ctx, backup, func(ctx context.Context, report Report) error {
		_, err := a.Service.make(ctx, backup, report)
		return err
	})
}

func (a activities) prove(ctx context.Context, backup id.ID) error {
	return a.working(ctx, backup, func(ctx context.Context, report Report) error {
		_, err := a.change(ctx, backup, func(b *Backup) { b.State = Verifying })
		if err == nil {
			_, err = a.Service.prove(ctx, backup, nil, report)
		}
		if scheduled := activity.GetInfo(ctx).WorkflowType.Name == backupWorkflow; scheduled {
			return err // its end is noted apart
		}
		_, changed := a.change(context.WithoutCancel(ctx), backup, func(b *Backup) { b.State = Done })
		return errors.Join(err, changed)
	})
}

func (a activities) conclude(ctx context.Context, end Conclusion) error {
	b, err := a.find(ctx, end.Backup)
	if fault.Is(err, fault.NotFound) || err == nil && !b.open() {
		return nil // somebody deleted it
	}
	if err == nil {
		_, err = a.Service.conclude(ctx, end.Backup, end.Reason)
	}
	return step(ctx, err)
}

func (a activities) prune(ctx context.Context) error {
	_, err := a.Service.prune(ctx)
	return step(ctx, err)
}

// working runs something long and says that it lives.
func (a activities) working(ctx context.Context, backup id.ID, fn func(context.Context, Report) error) error {
	b, err := a.find(ctx, backup)
	if err != nil {
		return step(ctx, err)
	}
	beat, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		for tick := time.NewTicker(heartbeat); ; {
			select {
			case <-tick.C:
				activity.RecordHeartbeat(ctx)
			case <-beat.Done():
				tick.Stop()
				return
			}
		}
	}()
	err = fn(ctx, a.report(ctx, b))
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return step(ctx, err)
}

// step keeps causes out of the history.
func step(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	activity.GetLogger(ctx).Error("a step of a backup failed", "error", err)
	return temporal.NewApplicationError(fault.Message(err), string(fault.KindOf(err)))
}

// Create asks for a backup now. Faults: Conflict while one is being made, or
// without a target.
func (s *Service) Create(ctx context.Context, kind Kind) (Backup, error) {
	if err := s.Check(ctx, Create); err != nil {
		return Backup{}, err
	}
	client, err := s.temporal()
	if err != nil {
		return Backup{}, err
	}
	backup := id.New()
	workflow := "backup-" + backup.String()
	b, err := s.begin(ctx, backup, kind, workflow)
	if err != nil {
		return Backup{}, err
	}
	_, err = client.ExecuteWorkflow(ctx, sdk.StartWorkflowOptions{ID: workflow, TaskQueue: taskQueue}, backupWorkflow, Input{backup, kind})
	if err != nil {
		_, concluded := s.conclude(ctx, backup, "It could not be started.")
		return Backup{}, errors.Join(unstarted(err), concluded)
	}
	return b, nil
}

func unstarted(err error) error {
	return fault.Wrap(fault.Unavailable, err, "Workflows cannot be started now. See System health.")
}

// Verify asks for a proof of a backup. Faults: NotFound, and Conflict for one
// that is not done, already being verified, or in another place than the settings name.
func (s *Service) Verify(ctx context.Context, backup id.ID) (Backup, error) {
	if err := s.Check(ctx, Check); err != nil {
		return Backup{}, err
	}
	client, err := s.temporal()
	if err != nil {
		return Backup{}, err
	}
	b, err := s.find(ctx, backup)
	if err != nil {
		return Backup{}, err
	}
	if err := s.verifiable(ctx, b); err != nil {
		return Backup{}, err
	}
	workflow := fmt.Sprintf("%s%s-%d", verifyPrefix, backup, time.Now().Unix())
	if b, err = s.change(ctx, backup, func(b *Backup) { b.State, b.Workflow = Verifying, workflow }); err != nil {
		return Backup{}, err
	}
	_, err = client.ExecuteWorkflow(ctx, sdk.StartWorkflowOptions{ID: workflow, TaskQueue: taskQueue}, verifyWorkflow, Input{Backup: backup})
	if err != nil {
		_, changed := s.change(ctx, backup, func(b *Backup) { b.State = Done })
		return Backup{}, errors.Join(unstarted(err), changed)
	}
	return b, nil
}

// stop cancels the workflow that works on a backup. One on which nothing works any
// more is ended here. Fault: Conflict for one that a console makes.
func (s *Service) stop(ctx context.Context, b Backup) error {
	if b.Workflow == "" {
		ended, err := s.endAbandoned(ctx, b)
		if err == nil && !ended {
			err = fault.New(fault.Conflict, "This backup is made by `nimbus backup create` on the machine. Stop it there, with Ctrl-C.")
		}
		return err
	}
	client, err := s.temporal()
	if err != nil {
		return err
	}
	if b.State == Running {
		if b, err = s.change(ctx, b.ID, func(b *Backup) { b.Stopping = b.State == Running }); err != nil {
			return err
		}
	}
	err = client.CancelWorkflow(ctx, b.Workflow, "")
	if err != nil && (strings.Contains(err.Error(), "already completed") || strings.Contains(err.Error(), "not found")) {
		return s.end(ctx, b)
	}
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "The backup cannot be stopped now. See System health.")
	}
	return nil
}

// Schedule makes the schedule, or moves it to where the settings say.
func (s *Service) Schedule(ctx context.Context) error {
	set, err := s.load(ctx)
	if err != nil {
		return err
	}
	return s.reschedule(ctx, set)
}

func (s *Service) reschedule(ctx context.Context, set Settings) error {
	client, err := s.temporal()
	if err != nil {
		return err
	}
	spec, paused := s.spec(set), !set.Schedule.Enabled || set.Target.Kind == None || s.embedded() != nil
	_, err = client.ScheduleClient().Create(actor.AsSystem(ctx, "backups", id.ID{}), sdk.ScheduleOptions{
		ID: scheduleID, Spec: spec, Paused: paused, Overlap: enums.SCHEDULE_OVERLAP_POLICY_SKIP, CatchupWindow: time.Hour,
		Action: &sdk.ScheduleWorkflowAction{ID: scheduleID, Workflow: backupWorkflow, TaskQueue: taskQueue, Args: []any{Input{Kind: Scheduled}}},
	})
	if !errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
		return err
	}
	return client.ScheduleClient().GetHandle(ctx, scheduleID).Update(ctx, sdk.ScheduleUpdateOptions{
		DoUpdate: func(in sdk.ScheduleUpdateInput) (*sdk.ScheduleUpdate, error) {
			changed := in.Description.Schedule
			changed.Spec = &spec
			if changed.State != nil {
				changed.State.Paused = paused
			}
			return &sdk.ScheduleUpdate{Schedule: &changed}, nil
		},
	})
}

// spec is when the settings want backups, in the appliance's time zone. Temporal leaves
// out a day on which clocks are set forward over that time: then it is as much later.
func (s *Service) spec(set Settings) sdk.ScheduleSpec {
	at, _ := time.Parse("15:04", set.Schedule.At) // checked when it was entered
	cal := calendar(at)
	if w := set.Schedule.Weekday; w != nil {
		cal.DayOfWeek = []sdk.ScheduleRange{{Start: *w}}
	}
	all := []sdk.ScheduleCalendarSpec{cal}
	for _, t := range leaps(at, set.Schedule.Weekday, s.Zone(), time.Now()) {
		on := calendar(t)
		on.Year, on.Month, on.DayOfMonth = []sdk.ScheduleRange{{Start: t.Year()}}, []sdk.ScheduleRange{{Start: int(t.Month())}}, []sdk.ScheduleRange{{Start: t.Day()}}
		all = append(all, on)
	}
	return sdk.ScheduleSpec{Calendars: all, TimeZoneName: s.Zone().String()}
}

func calendar(t time.Time) sdk.ScheduleCalendarSpec {
	return sdk.ScheduleCalendarSpec{Hour: []sdk.ScheduleRange{{Start: t.Hour()}}, Minute: []sdk.ScheduleRange{{Start: t.Minute()}}}
}

// leapDays is how far ahead leaps looks. Each start of the appliance looks anew.
const leapDays = 5 * 366

// leaps are the times on the days on which clocks are set forward over a time of day.
func leaps(at time.Time, weekday *int, zone *time.Location, now time.Time) (all []time.Time) {
	y, m, d := now.In(zone).Date()
	for day := range leapDays {
		wanted := time.Date(y, m, d+day, at.Hour(), at.Minute(), 0, 0, time.UTC)
		t := time.Date(y, m, d+day, at.Hour(), at.Minute(), 0, 0, zone)
		shown := time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), 0, 0, time.UTC)
		if shown.Equal(wanted) || weekday != nil && int(wanted.Weekday()) != *weekday {
			continue
		}
		if shown.Before(wanted) {
			t = t.Add(wanted.Sub(shown))
		}
		all = append(all, t)
	}
	return all
}
