package proxmox

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"nimbus/appliance/cmdb"
	"nimbus/appliance/fault"
	"nimbus/appliance/provider"
)

// upid is a task's reference, "UPID:node:pid:pstart:starttime:type:id:user:"
// with hexadecimal numbers.
type upid struct {
	node, kind, subject, user string
	started                   time.Time
}

func parseUPID(ref string) (upid, error) {
	parts := strings.Split(ref, ":")
	if len(parts) != 9 || parts[0] != "UPID" || parts[1] == "" {
		return upid{}, fault.New(fault.Invalid, "%q is not a task of Proxmox.", plain(ref))
	}
	seconds, err := strconv.ParseInt(parts[4], 16, 64)
	if err != nil {
		return upid{}, fault.New(fault.Invalid, "%q is not a task of Proxmox.", plain(ref))
	}
	return upid{node: parts[1], kind: parts[5], subject: parts[6], user: parts[7], started: time.Unix(seconds, 0)}, nil
}

// succeeded tells whether an exit status means success; warnings do.
func succeeded(exit string) bool { return exit == "OK" || strings.HasPrefix(exit, "WARNINGS:") }

// Power starts a power action. Unknown and wrongly powered guests are accepted
// by Proxmox and fail as tasks.
func (c *cluster) Power(ctx context.Context, g provider.Guest, action provider.PowerAction) (string, error) {
	path, err := guestPath(g)
	if err != nil {
		return "", err
	}
	if !slices.Contains(provider.PowerActions, action) {
		return "", fault.New(fault.Invalid, "There is no power action %q.", action)
	}
	var ref text
	err = c.do(ctx, http.MethodPost, path+route("status", string(action)), nil, &ref)
	if err != nil {
		return "", err
	}
	if _, err := parseUPID(string(ref)); err != nil {
		return "", fault.Wrap(fault.Conflict, err, "Proxmox started no task.")
	}
	return string(ref), nil
}

// guestPath is the API path of a guest.
func guestPath(g provider.Guest) (string, error) {
	kind, number, ok := strings.Cut(g.Key, "/")
	want := map[cmdb.Kind]string{cmdb.VM: "qemu", cmdb.Container: "lxc"}[g.Kind]
	if _, err := strconv.Atoi(number); !ok || err != nil || kind != want || g.Node == "" {
		return "", fault.New(fault.Invalid, "%s is not a machine of Proxmox.", plain(g.Key))
	}
	return route("nodes", g.Node, kind, number), nil
}

// TaskStatus tells how a task stands. Faults: Invalid for what is no UPID,
// NotFound for a task that the node does not know, Unavailable when its node
// is away.
func (c *cluster) TaskStatus(ctx context.Context, ref string) (provider.TaskStatus, error) {
	u, err := parseUPID(ref)
	if err != nil {
		return provider.TaskStatus{}, err
	}
	var row taskRow
	if err := c.get(ctx, route("nodes", u.node, "tasks", ref, "status"), nil, &row); err != nil {
		return provider.TaskStatus{}, noSuchTask(err)
	}
	exit := string(row.Exit)
	return status(ref, u, row, row.Status == "running", exit), nil
}

func noSuchTask(err error) error {
	if fault.Is(err, fault.Invalid) && strings.Contains(err.Error(), "no such task") {
		return fault.Wrap(fault.NotFound, err, "The node does not know this task any more.")
	}
	return err
}

func status(ref string, u upid, row taskRow, running bool, exit string) provider.TaskStatus {
	s := provider.TaskStatus{Ref: ref, Node: u.node, Type: u.kind, Subject: u.subject, Running: running, Started: u.started}
	if running {
		return s
	}
	s.Exit, s.OK = plain(exit), succeeded(exit)
	if row.EndTime > 0 {
		s.Ended = time.Unix(int64(row.EndTime), 0)
	}
	return s
}

// logPage is how many lines of a task's log one request returns.
const logPage = 500

// TaskLog returns lines of a task's log; see TaskStatus for its faults.
func (c *cluster) TaskLog(ctx context.Context, ref string, from int) ([]string, error) {
	u, err := parseUPID(ref)
	if err != nil {
		return nil, err
	}
	query := url.Values{"start": {strconv.Itoa(from)}, "limit": {strconv.Itoa(logPage)}}
	var rows []struct {
		N number `json:"n"`
		T text   `json:"t"`
	}
	if err := c.get(ctx, route("nodes", u.node, "tasks", ref, "log"), query, &rows); err != nil {
		return nil, noSuchTask(err)
	}
	lines := make([]string, 0, len(rows))
	for _, row := range rows {
		// A log without lines has one that says so.
		if int(row.N) > from && row.T != "no content" {
			lines = append(lines, string(row.T))
		}
	}
	return lines, nil
}

// Tasks lists the recent tasks that this token started, oldest first. Proxmox
// keeps a few dozen per node in this list.
func (c *cluster) Tasks(ctx context.Context, since time.Time) ([]provider.TaskStatus, error) {
	rows, err := c.tasks(ctx)
	if err != nil {
		return nil, err
	}
	var own []provider.TaskStatus
	for _, row := range rows {
		u, err := parseUPID(string(row.UPID))
		if err != nil || u.user != c.tokenID || u.started.Before(since.Truncate(time.Second)) {
			continue
		}
		own = append(own, status(string(row.UPID), u, row, row.EndTime == 0, string(row.Status)))
	}
	slices.Reverse(own) // Proxmox lists the newest first, in whole seconds
	slices.SortStableFunc(own, func(a, b provider.TaskStatus) int { return cmp.Compare(a.Started.Unix(), b.Started.Unix()) })
	return own, nil
}

// makers are the types of tasks that make a guest under the number they name, and
// removers those that take it away.
var (
	makers   = []string{"qmcreate", "vzcreate", "qmrestore", "vzrestore"}
	removers = []string{"qmdestroy", "vzdestroy"}
)

// Maker looks at everybody's tasks: a number whose guest we made may have another
// one by now.
func (c *cluster) Maker(ctx context.Context, number int, since time.Time) (provider.TaskStatus, error) {
	rows, err := c.tasks(ctx)
	var newest upid
	var row taskRow
	for _, r := range rows { // of one second the first is the newest
		u, err := parseUPID(string(r.UPID))
		if err != nil || u.subject != strconv.Itoa(number) || !u.started.After(newest.started) {
			continue
		}
		if slices.Contains(makers, u.kind) || slices.Contains(removers, u.kind) {
			newest, row = u, r
		}
	}
	if err != nil || newest.user != c.tokenID || !slices.Contains(makers, newest.kind) || newest.started.Before(since.Truncate(time.Second)) {
		return provider.TaskStatus{}, err
	}
	return status(string(row.UPID), newest, row, row.EndTime == 0, string(row.Status)), nil
}

func (c *cluster) tasks(ctx context.Context) ([]taskRow, error) {
	var rows []taskRow
	err := c.get(ctx, "/cluster/tasks", nil, &rows)
	return rows, err
}
