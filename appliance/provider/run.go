package provider

import (
	"context"
	"slices"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

const (
	// taskLimit is how long a task is watched.
	taskLimit = 24 * time.Hour
	// callTimeout bounds one question about a task.
	callTimeout = 40 * time.Second
	// clockSkew is how much the cluster's clock may be behind ours.
	clockSkew = 2 * time.Minute
)

// RunTask runs an accepted task to its end: it makes the call unless it was
// made before, follows the provider's task, and keeps status and log. It may
// run again after any interruption. alive is called at every turn. An error
// says that it was interrupted; a task that fails is no error.
func (s *Service) RunTask(ctx context.Context, tenant, task id.ID, alive func()) error {
	j, err := s.loadTask(ctx, tenant, task)
	if fault.Is(err, fault.NotFound) || err == nil && j.Status != TaskRunning {
		return nil
	}
	if err != nil {
		return err
	}
	ctx = actor.With(ctx, j.actor.By(ctx))
	_, p, err := s.connect(ctx, tenant, j.ConnectionID)
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Conflict) {
		return s.finish(ctx, j, false, fault.Message(err))
	}
	if err != nil {
		return err
	}
	if j.UPID == "" {
		err := s.call(ctx, p, &j)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return s.finish(ctx, j, false, Sentence(err))
		}
	}
	return s.follow(ctx, p, j, alive)
}

// call makes the request once. When it was begun before, or its answer was
// lost, the cluster's list of tasks says whether it arrived.
func (s *Service) call(ctx context.Context, p CloudProviderInterface, j *job) error {
	var ref string
	var err error
	if j.calledAt != nil {
		ref, err = s.find(ctx, p, *j)
	} else {
		err = s.cfg.DB.Tenant(ctx, j.actor.TenantID, func(ctx context.Context) error { return s.store.called(ctx, j.ID) })
		now := time.Now()
		j.calledAt = &now
	}
	if err != nil {
		return err
	}
	if ref == "" {
		ref, err = s.request(ctx, p, *j)
	}
	if err != nil {
		return err
	}
	j.UPID, j.StartedAt = ref, time.Now().UTC()
	return s.cfg.DB.Tenant(ctx, j.actor.TenantID, func(ctx context.Context) error {
		if err := s.store.accepted(ctx, j.ID, ref); err != nil {
			return err
		}
		return s.publish(ctx, j.actor.TenantID, j.Task)
	})
}

func (s *Service) request(ctx context.Context, p CloudProviderInterface, j job) (string, error) {
	short, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	ref, err := p.Power(short, j.guest, j.action)
	if f, lost := AsFailure(err); lost && f.Status == StatusUnreachable {
		if found, searched := s.find(ctx, p, j); searched == nil && found != "" {
			return found, nil
		}
	}
	return ref, err
}

// find looks for a task about the guest that our token started since the call
// and that no other row of ours has.
func (s *Service) find(ctx context.Context, p CloudProviderInterface, j job) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	since := j.calledAt.Add(-clockSkew)
	tasks, err := p.Tasks(ctx, since)
	if err != nil {
		return "", err
	}
	var known []string
	err = s.cfg.DB.Tenant(ctx, j.actor.TenantID, func(ctx context.Context) error {
		known, err = s.store.knownUPIDs(ctx, j.ConnectionID, since.Add(-time.Hour))
		return err
	})
	for _, t := range tasks {
		if t.Subject == j.guest.number() && !slices.Contains(known, t.Ref) {
			return t.Ref, err
		}
	}
	return "", err
}

// follow looks at the provider's task until it has ended. A cluster that does
// not answer in between is waited for.
func (s *Service) follow(ctx context.Context, p CloudProviderInterface, j job, alive func()) error {
	for {
		alive()
		ended, err := s.look(ctx, p, &j)
		if ended {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			s.cfg.Logger.Warn("task cannot be followed now", "task", j.ID, "upid", j.UPID, "error", err)
		}
		age := time.Since(j.StartedAt)
		if age > taskLimit {
			return s.finish(ctx, j, false, "It did not end within a day and is no longer watched. See the task in Proxmox.")
		}
		if !sleep(ctx, pace(s.cfg.Poll, age)) {
			return ctx.Err()
		}
	}
}

// pace is how long to wait before looking again: every second at first, then
// every two, and from ten minutes on every ten.
func pace(poll, age time.Duration) time.Duration {
	switch {
	case age < time.Minute:
		return poll
	case age < 10*time.Minute:
		return 2 * poll
	}
	return 10 * poll
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// look reads status and new log lines, in this order: after the end the log is
// complete.
func (s *Service) look(ctx context.Context, p CloudProviderInterface, j *job) (ended bool, err error) {
	short, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	st, err := p.TaskStatus(short, j.UPID)
	if fault.Is(err, fault.NotFound) {
		return true, s.finish(ctx, *j, false, "The cluster does not know this task any more, so its end is unknown.")
	}
	if err != nil {
		return false, err
	}
	for {
		lines, err := p.TaskLog(short, j.UPID, j.lines)
		if err != nil {
			return false, err
		}
		if len(lines) == 0 {
			break
		}
		if err := s.keepLog(ctx, j, lines); err != nil {
			return false, err
		}
	}
	if st.Running {
		return false, nil
	}
	return true, s.finish(ctx, *j, st.OK, st.Exit)
}

// LogLines is the data of the event task.log.
type LogLines struct {
	Lines []string `json:"lines"`
	From  int      `json:"from"` // how many lines came before
}

func (s *Service) keepLog(ctx context.Context, j *job, lines []string) error {
	err := s.cfg.DB.Tenant(ctx, j.actor.TenantID, func(ctx context.Context) error {
		if err := s.store.appendLog(ctx, j.ID, lines); err != nil {
			return err
		}
		return s.cfg.Events.Publish(ctx, event.Event{
			Type: "task.log", ID: j.ID, Tenant: j.actor.TenantID, Permission: ReadTasks, Watched: "task",
		}, LogLines{Lines: lines, From: j.lines})
	})
	if err == nil {
		j.lines += len(lines)
	}
	return err
}

// finish keeps how a task ended and records it on behalf of who asked for it.
func (s *Service) finish(ctx context.Context, j job, ok bool, exit string) error {
	outcome := audit.Success
	j.Status, j.ExitStatus, j.EndedAt = TaskOK, exit, time.Now().UTC()
	if !ok {
		j.Status, outcome = TaskFailed, audit.Failure
	}
	return s.cfg.DB.Tenant(ctx, j.actor.TenantID, func(ctx context.Context) error {
		if err := s.store.finished(ctx, j.ID, j.Status, exit); err != nil {
			return err
		}
		err := s.cfg.Audit.Record(ctx, audit.Entry{
			Event: "provider.task.finished", Outcome: outcome, Target: audit.Target{Kind: "task", ID: j.ID.String(), Name: j.Type},
			Details: map[string]any{"upid": j.UPID, "exit_status": exit, "item": j.ItemID, "connection": j.ConnectionID},
		})
		if err != nil {
			return err
		}
		return s.publish(ctx, j.actor.TenantID, j.Task)
	})
}
