package provider

import (
	"context"
	"errors"
	"time"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	sdk "go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"nimbus/appliance/actor"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// startTimeout bounds what is asked of Temporal while somebody waits.
const startTimeout = 5 * time.Second

func scheduleID(connection id.ID) string { return "provider-collect-" + connection.String() }

// Start puts the schedules of all connections in place, in the background and
// again until it has worked. Without Temporal it does nothing.
func (s *Service) Start(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cfg.Temporal == nil || s.stop != nil {
		return nil
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stop, s.done = stop, make(chan struct{})
	s.scheduled = errors.New("schedules are being put in place")
	go s.reconcile(ctx, s.done)
	return nil
}

// Ready is nil when every connection has its schedule.
func (s *Service) Ready(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.scheduled != nil {
		return fault.Wrap(fault.Unavailable, s.scheduled, "The schedules of the collections are not in place yet.")
	}
	return nil
}

// Stop ends what Start began and closes all connections.
func (s *Service) Stop(ctx context.Context) error {
	s.mu.Lock()
	stop, done := s.stop, s.done
	s.stop = nil
	s.mu.Unlock()
	s.clients.close()
	if stop == nil {
		return nil
	}
	stop()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Service) reconcile(ctx context.Context, done chan<- struct{}) {
	defer close(done)
	for pause := time.Second; ; pause = min(2*pause, time.Minute) {
		err := s.scheduleAll(ctx)
		s.mu.Lock()
		s.scheduled = err
		s.mu.Unlock()
		if err == nil {
			return
		}
		s.cfg.Logger.Warn("schedules of collections are not in place", "error", err)
		if !sleep(ctx, pause) {
			return
		}
	}
}

func (s *Service) scheduleAll(ctx context.Context) error {
	var owners []owner
	err := s.cfg.DB.Core(ctx, func(ctx context.Context) (err error) {
		owners, err = s.store.owners(ctx)
		return err
	})
	if err != nil {
		return err
	}
	for _, o := range owners {
		if err := s.schedule(ctx, o.Tenant, o.Connection); err != nil {
			return err
		}
	}
	return nil
}

// schedule makes the schedule of a connection. One that is there stays.
func (s *Service) schedule(ctx context.Context, tenant, connection id.ID) error {
	ctx, cancel := context.WithTimeout(actor.AsSystem(ctx, "collector", tenant), startTimeout)
	defer cancel()
	_, err := s.cfg.Temporal.ScheduleClient().Create(ctx, sdk.ScheduleOptions{
		ID: scheduleID(connection),
		Spec: sdk.ScheduleSpec{Intervals: []sdk.ScheduleIntervalSpec{{
			Every: interval, Offset: time.Duration(connection[15]) * interval / 256, // not all at once
		}}},
		Action: &sdk.ScheduleWorkflowAction{
			ID: scheduleID(connection), Workflow: CollectWorkflow, TaskQueue: TaskQueue,
			Args:                     []any{CollectInput{Tenant: tenant, Connection: connection}},
			WorkflowExecutionTimeout: 2 * collectTimeout,
		},
		Overlap:       enums.SCHEDULE_OVERLAP_POLICY_SKIP,
		CatchupWindow: 10 * time.Second,
	})
	if errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
		return nil
	}
	return err
}

// begin schedules a new connection and collects it at once. What cannot be
// done now is done at the next start.
func (s *Service) begin(ctx context.Context, tenant, connection id.ID) {
	if s.cfg.Temporal == nil {
		return
	}
	err := s.schedule(ctx, tenant, connection)
	if err == nil {
		err = s.startCollect(ctx, tenant, connection)
	}
	if err != nil {
		s.cfg.Logger.Warn("collection not begun", "connection", connection, "error", err)
	}
}

func (s *Service) unschedule(ctx context.Context, connection id.ID) {
	if s.cfg.Temporal == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	err := s.cfg.Temporal.ScheduleClient().GetHandle(ctx, scheduleID(connection)).Delete(ctx)
	var missing *serviceerror.NotFound
	if err != nil && !errors.As(err, &missing) {
		s.cfg.Logger.Warn("schedule not removed; the next collection removes it", "connection", connection, "error", err)
	}
}

// PurgeTenant ends what runs for the connections of a tenant that is being
// removed: their clients and schedules. It may run twice.
func (s *Service) PurgeTenant(ctx context.Context, tenant id.ID) error {
	var owners []owner
	err := s.cfg.DB.Core(ctx, func(ctx context.Context) (err error) {
		owners, err = s.store.owners(ctx)
		return err
	})
	for _, o := range owners {
		if o.Tenant == tenant {
			s.clients.drop(o.Connection)
			s.unschedule(ctx, o.Connection)
		}
	}
	return err
}

// CountConnections counts the connections of the transaction's tenant.
func (s *Service) CountConnections(ctx context.Context) (int, error) {
	all, err := s.store.connections(ctx)
	return len(all), err
}

// startCollect starts a collection beside the schedule's. One that was asked
// for and still runs is enough.
func (s *Service) startCollect(ctx context.Context, tenant, connection id.ID) error {
	if s.cfg.Temporal == nil {
		return fault.New(fault.Unavailable, "Nothing is collected while the workflow engine is down. See System health.")
	}
	ctx, cancel := context.WithTimeout(actor.AsSystem(ctx, "collector", tenant), startTimeout)
	defer cancel()
	_, err := s.cfg.Temporal.ExecuteWorkflow(ctx, sdk.StartWorkflowOptions{
		ID: scheduleID(connection) + "-now", TaskQueue: TaskQueue,
		WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		WorkflowExecutionTimeout: 2 * collectTimeout,
	}, CollectWorkflow, CollectInput{Tenant: tenant, Connection: connection, Force: true})
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "The workflow engine does not answer. Try again in a moment.")
	}
	return nil
}

// Refresh collects a connection soon, after a deployment has changed things
// behind it. It authorises nobody and waits for nothing.
func (s *Service) Refresh(ctx context.Context, tenant, connection id.ID) {
	if s.cfg.Temporal == nil {
		return
	}
	if err := s.startCollect(ctx, tenant, connection); err != nil {
		s.cfg.Logger.Warn("collection not started", "connection", connection, "error", err)
	}
}

// startTask starts the workflow of an accepted task. When that fails the task
// waits, and the next collection starts it.
func (s *Service) startTask(ctx context.Context, tenant, task id.ID) {
	if s.cfg.Temporal == nil {
		return
	}
	j, err := s.loadTask(ctx, tenant, task)
	if err != nil {
		s.cfg.Logger.Warn("task not started", "task", task, "error", err)
		return
	}
	ctx, cancel := context.WithTimeout(actor.With(ctx, j.actor), startTimeout)
	defer cancel()
	_, err = s.cfg.Temporal.ExecuteWorkflow(ctx, sdk.StartWorkflowOptions{
		ID: "provider-task-" + task.String(), TaskQueue: TaskQueue,
		WorkflowIDReusePolicy: enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
	}, TaskWorkflow, TaskInput{Tenant: tenant, Connection: j.ConnectionID, Task: task})
	if err != nil {
		s.cfg.Logger.Warn("task not started; the next collection starts it", "task", task, "error", err)
	}
}

// startWaiting starts tasks that were accepted a while ago and not begun.
func (s *Service) startWaiting(ctx context.Context, tenant, connection id.ID) {
	if s.cfg.Temporal == nil {
		return
	}
	var waiting []id.ID
	err := s.cfg.DB.Tenant(ctx, tenant, func(ctx context.Context) (err error) {
		waiting, err = s.store.waiting(ctx, connection, 10*time.Second)
		return err
	})
	if err != nil {
		s.cfg.Logger.Warn("waiting tasks cannot be read", "connection", connection, "error", err)
	}
	for _, task := range waiting {
		s.startTask(ctx, tenant, task)
	}
}
