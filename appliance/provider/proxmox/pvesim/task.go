package pvesim

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"
)

// task is what a worker process was asked to do and what came of it. End 0 means still running.
type task struct {
	UPID, Node, Type, ID string
	User, Token          string
	PID, PStart          int
	Start, End           int64
	Exit                 string
	Lines                []string
	// While it runs: what was asked for, and the guest that is not there without it.
	Asked *asked `json:",omitempty"`
	Makes int    `json:",omitempty"`
}

// asked is the request that began a task.
type asked struct {
	Method, Path string
	Params       params
}

// runningTask is the live side of a task.
type runningTask struct {
	stop     chan struct{} // closed to interrupt the task
	release  chan struct{} // closed to let a hanging task go on
	hangs    bool          // never changes
	stopped  bool
	released bool
}

// job is the work of a task. It runs with the cluster locked when the task's time is over.
type job struct {
	kind, id string
	node     string
	takes    time.Duration
	begin    []string                     // log lines from the start
	work     func(log func(string)) error // nil error is exit status OK
	makes    *guest                       // goes again when the task is failed from outside
}

// durations are how long a task of a kind takes in life.
var durations = map[string]time.Duration{
	"qmcreate": 300 * time.Millisecond, "qmstart": time.Second, "qmstop": 700 * time.Millisecond, "qmshutdown": 2 * time.Second,
	"qmreboot": 3 * time.Second, "qmreset": 100 * time.Millisecond, "qmpause": 50 * time.Millisecond, "qmresume": 50 * time.Millisecond,
	"qmclone": 2 * time.Second, "qmtemplate": 200 * time.Millisecond, "qmdestroy": 300 * time.Millisecond, "qmmove": 1500 * time.Millisecond,
	"qmsnapshot": 300 * time.Millisecond, "qmrollback": 400 * time.Millisecond, "qmdelsnapshot": 300 * time.Millisecond,
	"qmconfig": 100 * time.Millisecond, "resize": 150 * time.Millisecond, "qmigrate": 4 * time.Second,
	"vzcreate": 1500 * time.Millisecond, "vzstart": time.Second, "vzstop": 700 * time.Millisecond, "vzshutdown": 2 * time.Second,
	"vzreboot": 3 * time.Second, "vzclone": 2 * time.Second, "vztemplate": 200 * time.Millisecond, "vzdestroy": 300 * time.Millisecond,
	"vzsnapshot": 300 * time.Millisecond, "vzrollback": 400 * time.Millisecond, "vzdelsnapshot": 300 * time.Millisecond,
	"vzdump": 3 * time.Second, "imgcopy": 200 * time.Millisecond, "imgdel": 100 * time.Millisecond, "download": time.Second,
	"srvreload": 500 * time.Millisecond, "reloadnetworkall": 500 * time.Millisecond, "vncproxy": 10 * time.Second,
}

// start begins a task for the caller and returns its UPID. The cluster is locked.
func (req *call) start(j job) string {
	if j.node == "" {
		j.node = req.p["node"]
	}
	if j.takes == 0 {
		j.takes = durations[j.kind]
	}
	t := req.resumes
	if t == nil {
		t = req.addTask(j)
	}
	if t.Asked = nil; req.file == nil {
		t.Asked = &asked{req.method, req.path, req.p}
	}
	if j.makes != nil {
		t.Makes = j.makes.VMID
	}
	req.runs(t, j)
	return t.UPID
}

// addTask puts a new task on the list.
func (req *call) addTask(j job) *task {
	t := req.newTask(req.who, j)
	req.state.Tasks = append(req.state.Tasks, t)
	if extra := len(req.state.Tasks) - maxTasks; extra > 0 {
		req.state.Tasks = slices.Delete(req.state.Tasks, 0, extra)
	}
	req.state.logf(t, "starting task %s", t.UPID)
	return t
}

func (c *Cluster) runs(t *task, j job) {
	live := &runningTask{stop: make(chan struct{}), release: make(chan struct{}), hangs: c.faults.takeHang(j.kind)}
	c.running[t.UPID] = live
	planned := c.faults.takeFailure(j.kind)
	c.tasks.Go(func() { c.runTask(t, live, j, planned) })
}

// resume goes on with what was under way when the process ended: a genuine cluster does not end
// with whoever uses it. What cannot go on has ended as it does when a node goes down.
func (c *Cluster) resume() {
	for _, t := range slices.Clone(c.state.Tasks) {
		if t.End != 0 {
			continue
		}
		if t.Asked == nil {
			c.interrupt(t)
			continue
		}
		if g := c.state.Guests[t.Makes]; g != nil && t.Makes != 0 {
			c.state.removeGuest(g)
		}
		req := &call{Cluster: c, method: t.Asked.Method, path: t.Asked.Path, p: t.Asked.Params, who: actor{t.User, t.Token}, resumes: t}
		route, _ := c.routes.find(req.method, req.path)
		if route == nil {
			c.interrupt(t)
		} else if _, err := route.handle(req); err != nil {
			c.interrupt(t)
		}
	}
}

// interrupt ends a task whose process is gone. What it had locked stays locked.
func (c *Cluster) interrupt(t *task) {
	t.End, t.Exit, t.Asked = c.now().Unix(), "unexpected status", nil
}

func (c *Cluster) newTask(who actor, j job) *task {
	now := c.now()
	c.state.NextPID += 5
	t := &task{
		Node: j.node, Type: j.kind, ID: j.id, User: who.user, Token: who.token, PID: c.state.NextPID,
		PStart: int(now.Sub(c.state.Boot) / (10 * time.Millisecond)), Start: now.Unix(), Lines: j.begin,
	}
	t.UPID = fmt.Sprintf("UPID:%s:%08X:%08X:%08X:%s:%s:%s:", t.Node, t.PID, t.PStart, t.Start, t.Type, t.ID, who.name())
	return t
}

// runTask waits for the task's time, then does its work at once.
func (c *Cluster) runTask(t *task, live *runningTask, j job, planned *string) {
	var over <-chan time.Time
	if !live.hangs {
		timer := time.NewTimer(time.Duration(float64(j.takes) / c.cfg.Speed))
		defer timer.Stop()
		over = timer.C
	}
	interrupted := false
	select {
	case <-over:
	case <-live.release:
	case <-live.stop:
		interrupted = true
	case <-c.ctx.Done():
		return // the state file keeps the task as running, the next start goes on with it
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.End != 0 {
		return // its node went down
	}
	c.finishTask(t, j, planned, interrupted)
	delete(c.running, t.UPID)
	c.persist()
}

func (c *Cluster) finishTask(t *task, j job, planned *string, interrupted bool) {
	var err error
	switch {
	case interrupted:
		err = errors.New("interrupted by signal")
	case planned != nil:
		err = errors.New(*planned)
	default:
		err = j.work(func(line string) { t.Lines = append(t.Lines, line) })
	}
	if (interrupted || planned != nil) && j.makes != nil {
		c.state.removeGuest(j.makes)
	}
	t.End, t.Exit, t.Asked = c.now().Unix(), "OK", nil
	last := "TASK OK"
	if err != nil {
		t.Exit = strings.TrimSuffix(err.Error(), "\n")
		last = "TASK ERROR: " + t.Exit
	}
	t.Lines = append(t.Lines, last)
	c.state.logf(t, "end task %s %s", t.UPID, t.Exit)
}

const maxLog = 500

func (s *state) logf(t *task, format string, args ...any) {
	s.Log = append(s.Log, logEntry{
		Time: max(t.Start, t.End), Node: t.Node, User: t.User, Tag: "pvedaemon", PID: t.PID, Priority: 6, Message: fmt.Sprintf(format, args...),
	})
	if extra := len(s.Log) - maxLog; extra > 0 {
		s.Log = slices.Delete(s.Log, 0, extra)
	}
}

func (t *task) mayRead(req *call) bool {
	return t.User == req.who.user || req.can("/nodes/"+t.Node, "Sys.Audit")
}

var taskMethods = map[string]handler{
	"GET /nodes/{node}/tasks":               listTasks,
	"GET /nodes/{node}/tasks/{upid}":        indexOf("log", "status"),
	"GET /nodes/{node}/tasks/{upid}/status": taskStatus,
	"GET /nodes/{node}/tasks/{upid}/log":    taskLog,
	"DELETE /nodes/{node}/tasks/{upid}":     stopTask,
	"GET /cluster/tasks":                    clusterTasks,
}

// indexOf is a method that lists the folders below it.
func indexOf(names ...string) handler {
	return func(*call) (any, error) {
		result := make([]map[string]string, len(names))
		for i, name := range names {
			result[i] = map[string]string{"subdir": name}
		}
		return result, nil
	}
}

var upidShape = regexp.MustCompile(`^UPID:[^:]+:[0-9A-Fa-f]{8,9}:[0-9A-Fa-f]{8,9}:[0-9A-Fa-f]{8}:[^:\s]+:[^:\s]*:[^:\s]+:$`)

func (req *call) task() (*task, error) {
	upid := req.p["upid"]
	if !upidShape.MatchString(upid) {
		return nil, badParam("upid", "unable to parse worker upid")
	}
	for _, t := range req.state.Tasks {
		if t.UPID != upid || t.Node != req.p["node"] {
			continue
		}
		if !t.mayRead(req) {
			return nil, req.require("/nodes/"+t.Node, "Sys.Audit")
		}
		return t, nil
	}
	return nil, badParam("upid", "no such task")
}

func taskStatus(req *call) (any, error) {
	t, err := req.task()
	if err != nil {
		return nil, err
	}
	result := t.summary()
	delete(result, "endtime")
	result["status"] = "running"
	if t.End != 0 {
		result["status"], result["exitstatus"] = "stopped", t.Exit
	}
	return result, nil
}

// summary is a task as lists show it: status is the exit status once there is one.
func (t *task) summary() map[string]any {
	result := map[string]any{
		"upid": t.UPID, "node": t.Node, "type": t.Type, "id": t.ID, "user": t.User,
		"pid": t.PID, "pstart": t.PStart, "starttime": t.Start,
	}
	if t.Token != "" {
		result["tokenid"] = t.Token
	}
	if t.End != 0 {
		result["endtime"], result["status"] = t.End, t.Exit
	}
	return result
}

func taskLog(req *call) (any, error) {
	t, err := req.task()
	if err != nil {
		return nil, err
	}
	lines := t.Lines
	if len(lines) == 0 {
		lines = []string{"no content"}
	}
	first := min(req.p.int("start"), len(lines))
	limit := 50
	if req.p.has("limit") {
		limit = req.p.int("limit")
	}
	if limit == 0 {
		limit = math.MaxInt32
	}
	shown := []map[string]any{}
	for i, line := range lines[first:min(first+limit, len(lines))] {
		shown = append(shown, map[string]any{"n": first + i + 1, "t": line})
	}
	return listing{data: shown, beside: map[string]any{"total": len(lines)}}, nil
}

func stopTask(req *call) (any, error) {
	t, err := req.task()
	if err != nil {
		return nil, err
	}
	if t.User != req.who.user {
		if err := req.require("/nodes/"+t.Node, "Sys.Modify"); err != nil {
			return nil, err
		}
	}
	if live := req.running[t.UPID]; live != nil && !live.stopped {
		live.stopped = true
		close(live.stop)
	}
	return nil, nil
}

func listTasks(req *call) (any, error) {
	matching := []map[string]any{}
	for _, t := range slices.Backward(req.state.Tasks) {
		if t.Node == req.p["node"] && t.mayRead(req) && t.matches(req.p) {
			matching = append(matching, t.summary())
		}
	}
	limit := 50
	if req.p.has("limit") {
		limit = req.p.int("limit")
	}
	first := min(req.p.int("start"), len(matching))
	shown := matching[first:min(first+limit, len(matching))]
	return listing{data: shown, beside: map[string]any{"total": len(matching)}}, nil
}

func (t *task) matches(p params) bool {
	switch source := p["source"]; {
	case (source == "" || source == "archive") && t.End == 0:
		return false
	case source == "active" && t.End != 0:
		return false
	case p.has("vmid") && t.ID != p["vmid"]:
		return false
	case p.has("typefilter") && t.Type != p["typefilter"]:
		return false
	case p.has("userfilter") && !strings.Contains(t.User, p["userfilter"]):
		return false
	case p.flag("errors") && t.Exit == "OK":
		return false
	case p.has("since") && t.Start < int64(p.int("since")):
		return false
	case p.has("until") && t.Start > int64(p.int("until")):
		return false
	}
	return true
}

// clusterTasks lists the last tasks of all nodes; finished ones say that they are saved.
func clusterTasks(req *call) (any, error) {
	result := []map[string]any{}
	for _, t := range slices.Backward(req.state.Tasks) {
		if len(result) == 25 || !t.mayRead(req) {
			continue
		}
		entry := t.summary()
		delete(entry, "pid")
		delete(entry, "pstart")
		if t.End != 0 {
			entry["saved"] = "1"
		}
		result = append(result, entry)
	}
	return result, nil
}
