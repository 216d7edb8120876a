package provider

import (
	"context"
	"slices"
	"strings"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/cmdb"
	"nimbus/appliance/db"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// job is a task together with what is needed to run it.
type job struct {
	Task
	guest    Guest
	action   PowerAction
	actor    actor.Actor
	calledAt *time.Time
	lines    int // of the log that were read
}

func (t TaskStatus) state() string {
	switch {
	case t.Running:
		return TaskRunning
	case t.OK:
		return TaskOK
	}
	return TaskFailed
}

// ended is nil while it runs.
func (t TaskStatus) ended() *time.Time {
	if t.Running {
		return nil
	}
	if t.Ended.IsZero() {
		t.Ended = time.Now()
	}
	return &t.Ended
}

// powerPermission is what is needed to switch a kind of machine.
var powerPermission = map[cmdb.Kind]string{cmdb.VM: PowerVM, cmdb.Container: PowerContainer}

// Power accepts a power action on a machine and returns its task at once; what
// becomes of it comes as events and in the task. People may switch machines
// that we did not make: it is their cluster. Faults: Forbidden, NotFound, Gone,
// Invalid, and Conflict while the connection's certificate is not accepted.
func (s *Service) Power(ctx context.Context, item id.ID, action PowerAction) (Task, error) {
	tenant, err := tenantOf(ctx)
	if err != nil {
		return Task{}, err
	}
	if !slices.Contains(PowerActions, action) {
		return Task{}, fault.BadField("body.action", "There is no action %q.", action)
	}
	machine, err := s.machine(ctx, tenant, item)
	if err != nil {
		return Task{}, err
	}
	on := machine.Resource()
	on.Attributes["action"] = string(action)
	if err := s.cfg.CheckOn(ctx, powerPermission[machine.Kind], on); err != nil {
		return Task{}, err
	}
	j := newJob(ctx, machine, action)
	err = s.cfg.DB.Tenant(ctx, tenant, func(ctx context.Context) error { return s.accept(ctx, tenant, machine, j) })
	if err != nil {
		return Task{}, err
	}
	s.startTask(ctx, tenant, j.ID)
	return j.Task, nil
}

// machine reads the item that is to be switched.
func (s *Service) machine(ctx context.Context, tenant, item id.ID) (found cmdb.Item, err error) {
	err = s.cfg.DB.Tenant(ctx, tenant, func(ctx context.Context) error {
		found, err = s.cfg.CMDB.Lookup(ctx, item)
		return err
	})
	if err == nil && powerPermission[found.Kind] == "" {
		err = fault.New(fault.Invalid, "%s is a %s and has no power switch.", found.Name, found.Kind)
	}
	return found, err
}

func newJob(ctx context.Context, machine cmdb.Item, action PowerAction) job {
	a, _ := actor.From(ctx)
	return job{
		Task: Task{
			ID: id.New(), ConnectionID: machine.ConnectionID, Node: machine.Node, Type: "power." + string(action), ItemID: machine.ID,
			Status: TaskRunning, StartedAt: time.Now().UTC(), ActorName: a.Name,
		},
		guest:  Guest{Kind: machine.Kind, Key: machine.Key, Node: machine.Node},
		action: action, actor: a,
	}
}

func (s *Service) accept(ctx context.Context, tenant id.ID, machine cmdb.Item, j job) error {
	row, err := s.store.connection(ctx, j.ConnectionID)
	if err != nil {
		return err
	}
	if row.Status == StatusFingerprintChanged {
		return fault.New(fault.Conflict, "The connection %s is closed: %s", row.Name, row.StatusDetail)
	}
	if err := s.store.addTask(ctx, j); err != nil {
		return err
	}
	err = s.cfg.Audit.Record(ctx, audit.Entry{
		Event:   "cmdb.ci.power-requested",
		Target:  audit.Target{Kind: "ci", ID: machine.ID.String(), Name: machine.Name},
		Details: map[string]any{"action": j.action, "task": j.ID, "key": machine.Key, "node": machine.Node, "connection": j.ConnectionID, "managed": machine.Managed},
	})
	if err != nil {
		return err
	}
	return s.publish(ctx, tenant, j.Task)
}

func (s *Service) publish(ctx context.Context, tenant id.ID, t Task) error {
	return s.cfg.Events.Publish(ctx, event.Event{Type: "task.updated", ID: t.ID, Tenant: tenant, Permission: ReadTasks}, t)
}

// TaskPage is a page of tasks, newest first.
type TaskPage struct {
	Items []Task  `json:"items"`
	Next  *string `json:"next"`
}

// Tasks lists the tasks of the actor's tenant, newest first, of one item when
// it is not zero. Faults: Forbidden, Invalid for a strange cursor.
func (s *Service) Tasks(ctx context.Context, item id.ID, cursor string, limit int) (TaskPage, error) {
	tenant, err := s.authorise(ctx, ReadTasks)
	if err != nil {
		return TaskPage{}, err
	}
	var before id.ID
	if err := before.UnmarshalText([]byte(cursor)); err != nil {
		return TaskPage{}, fault.BadField("query.cursor", "This cursor is not one of ours. Begin again without one.")
	}
	if limit == 0 {
		limit = 50
	}
	limit = min(max(limit, 1), 200)
	page := TaskPage{Items: []Task{}}
	err = s.cfg.DB.Tenant(ctx, tenant, func(ctx context.Context) error {
		jobs, err := s.store.tasks(ctx, item, before, limit+1)
		for _, j := range jobs {
			page.Items = append(page.Items, j.Task)
		}
		return err
	})
	if len(page.Items) > limit {
		page.Items = page.Items[:limit]
		next := page.Items[limit-1].ID.String()
		page.Next = &next
	}
	return page, err
}

// Task returns one task. Faults: Forbidden, NotFound.
func (s *Service) Task(ctx context.Context, task id.ID) (Task, error) {
	tenant, err := s.authorise(ctx, ReadTasks)
	if err != nil {
		return Task{}, err
	}
	j, err := s.loadTask(ctx, tenant, task)
	return j.Task, err
}

// TaskLog returns the end of a task's log as far as it was read, at most 500
// lines. Faults: Forbidden, NotFound.
func (s *Service) TaskLog(ctx context.Context, task id.ID) ([]string, error) {
	tenant, err := s.authorise(ctx, ReadTasks)
	if err != nil {
		return nil, err
	}
	var lines []string
	err = s.cfg.DB.Tenant(ctx, tenant, func(ctx context.Context) error {
		lines, err = s.store.log(ctx, task)
		return err
	})
	return lines, err
}

func (s *Service) loadTask(ctx context.Context, tenant, task id.ID) (j job, err error) {
	err = s.cfg.DB.Tenant(ctx, tenant, func(ctx context.Context) error {
		j, err = s.store.task(ctx, task)
		return err
	})
	j.actor.TenantID = tenant
	return j, err
}

// NoteTasks asks the cluster which tasks our token has started since a time
// and keeps those that are not known yet as the deployment's, on behalf of the
// context's actor. It returns how the deployment's stand. Tasks about a guest of
// another stack are that stack's, and one about a guest that a person is
// switching at this moment may be the person's. Doing it again is
// harmless. The cluster's clock may be two minutes behind ours. Faults:
// NotFound, Conflict, Unavailable.
func (s *Service) NoteTasks(ctx context.Context, tenant, connection, stack, deployment id.ID, since time.Time) ([]TaskStatus, error) {
	a, err := actor.Require(ctx)
	if err != nil {
		return nil, err
	}
	_, p, err := s.connect(ctx, tenant, connection)
	if err != nil {
		return nil, err
	}
	tasks, err := p.Tasks(ctx, since.Add(-clockSkew))
	if err != nil {
		return nil, asFault(err)
	}
	var own []TaskStatus
	err = s.cfg.DB.Tenant(ctx, tenant, func(ctx context.Context) error {
		foreign, err := s.foreign(ctx, connection, stack)
		if err != nil {
			return err
		}
		for _, t := range tasks {
			if foreign(t) {
				continue
			}
			n, err := s.store.noteTask(ctx, connection, deployment, a, t)
			if err != nil {
				return err
			}
			if n.own {
				own = append(own, t)
			}
			if !n.fresh {
				continue
			}
			if err := s.recordNoted(ctx, tenant, deployment, n.task, t); err != nil {
				return err
			}
		}
		return nil
	})
	return own, err
}

// foreign tells of tasks that cannot be the stack's, or may not be.
func (s *Service) foreign(ctx context.Context, connection, stack id.ID) (func(TaskStatus) bool, error) {
	switched, err := s.store.switched(ctx, connection)
	if err != nil {
		return nil, err
	}
	var others []string
	err = s.cfg.DB.Core(ctx, func(ctx context.Context) (err error) {
		others, err = s.store.numbersOfOthers(ctx, connection, stack)
		return err
	})
	return func(t TaskStatus) bool {
		return t.Subject != "" && (slices.Contains(others, t.Subject) || slices.Contains(switched, t.Subject))
	}, err
}

func (s *Service) recordNoted(ctx context.Context, tenant, deployment, task id.ID, t TaskStatus) error {
	err := s.cfg.Audit.Record(ctx, audit.Entry{
		Event: "provider.task.noted", Target: audit.Target{Kind: "task", ID: task.String(), Name: t.Type},
		Details: map[string]any{"upid": t.Ref, "deployment": deployment, "exit_status": t.Exit},
	})
	if err != nil {
		return err
	}
	j, err := s.store.task(ctx, task)
	if err != nil {
		return db.Fault(err)
	}
	return s.publish(ctx, tenant, j.Task)
}

// number is the guest's number, the subject of its tasks.
func (g Guest) number() string {
	_, number, _ := strings.Cut(g.Key, "/")
	return number
}
