package appliance_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/appliancetest"
)

// failing is an appliance on a disk that fails, and what it acknowledged.
type failing struct {
	*story
	told    appliancetest.Child
	disk    *appliancetest.Disk
	process *appliancetest.Process
	token   string

	names   int      // of writes, so that each is another one
	groups  []string // acknowledged, in the database
	alarm   int      // acknowledged, in the local store
	refused int
}

// TestRobustness02FailingDisk makes the N-th write or sync of the appliance's files
// fail, those of Postgres and its own, while somebody writes. Whoever is told that
// something was written can rely on it: after a power cut that takes all that is not
// on the disk it is there, and the audit chain holds. The appliance goes on by
// itself, and says when Postgres had to be started again.
func TestRobustness02FailingDisk(t *testing.T) {
	t.Parallel()
	f := newFailing(t)
	where := map[string]int{}
	for i, n := range points() {
		failed := f.failsAt(n)
		where[failed.Name+" "+kindOf(failed.Path)]++
		if *full || i%4 == 3 {
			f.cutPower()
			f.start()
			f.nothingIsLost(fmt.Sprintf("call %d, %s", n, failed))
		}
	}
	for _, n := range pointsAtStart() {
		f.cutPower()
		f.disk.Fail(n, syscall.EIO, func(string) bool { return true })
		p, err := appliancetest.SpawnOn(t, f.told, f.disk)
		failed := f.disk.Failed()
		f.process = p
		f.cutPower()
		f.start()
		f.nothingIsLost(fmt.Sprintf("call %d of a start, %v, %v", n, failed, err))
	}
	t.Logf("%d writes are acknowledged and there, %d were refused", len(f.groups), f.refused)
	for _, kind := range slices.Sorted(maps.Keys(where)) {
		t.Logf("%3d times failed: %s", where[kind], kind)
	}
}

// points are the calls that fail.
func points() (all []int) {
	if !*full {
		return []int{1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 200}
	}
	for n := range 200 {
		all = append(all, n+1)
	}
	return all
}

// pointsAtStart are the calls of a start that fail.
func pointsAtStart() (all []int) {
	if !*full {
		return []int{40}
	}
	for n := range 20 {
		all = append(all, 10*n+1)
	}
	return all
}

// kindOf is a path without what is another one each time.
func kindOf(path string) string {
	for _, known := range []string{"postgres/data/pg_wal", "postgres/data/base", "postgres/data/pg_xact", "postgres/data/global", "local/pb"} {
		if strings.HasPrefix(path, known) {
			return known
		}
	}
	return filepath.Dir(path)
}

func newFailing(t *testing.T) *failing {
	t.Helper()
	_, connection := cluster(t, 1)
	dir := appliancetest.Dir(t)
	f := &failing{
		story: &story{t: t}, disk: appliancetest.NewDisk(t, dir),
		told: appliancetest.Child{Dir: dir, Connection: connection, Log: filepath.Join(t.TempDir(), "log")},
	}
	f.start()
	var token struct{ Token string }
	f.SignIn(t, "ada@example.com", f.Root).Do(http.MethodPost, "/v1/tokens", map[string]any{"name": "writer", "expires_in_days": 1}, http.StatusCreated, &token)
	f.token = token.Token
	return f
}

func (f *failing) start() {
	f.t.Helper()
	p, err := appliancetest.SpawnOn(f.t, f.told, f.disk)
	must(f.t, err)
	f.process, f.Appliance = p, p.Appliance
}

func (f *failing) cutPower() {
	f.t.Helper()
	f.process.Kill()
	f.disk.PowerCut(f.t)
}

// aim tells which calls count for a point: those for every file, and for each fourth
// point only the appliance's own, which are fewer.
func aim(point int) (n int, chosen func(path string) bool) {
	if point%4 != 0 {
		return point, func(string) bool { return true }
	}
	return point / 4, func(path string) bool { return !strings.HasPrefix(path, "postgres/") }
}

// failsAt writes until a call fails, and on until writing is answered well again.
func (f *failing) failsAt(n int) *appliancetest.Call {
	f.t.Helper()
	from := f.logged()
	nth, chosen := aim(n)
	f.disk.Fail(nth, []syscall.Errno{syscall.ENOSPC, syscall.EIO}[n/2%2], chosen)
	end := time.Now().Add(time.Minute)
	for f.disk.Failed() == nil {
		f.write()
		if time.Now().After(end) {
			f.t.Fatalf("there were no %d calls in a minute", n)
		}
	}
	began := time.Now()
	within(f.t, "writing goes on after "+f.disk.Failed().String(), f.write)
	f.t.Logf("call %d, %s: writing goes on after %v", n, f.disk.Failed(), time.Since(began).Round(time.Millisecond))
	failed := f.disk.Failed()
	if log := f.since(from); panics(failed) && !strings.Contains(log, "severity=PANIC") {
		f.t.Errorf("after %s the log is:\n%s", failed, log)
	}
	return failed
}

// panics tells whether Postgres must say that it gives up its memory and recovers from
// its log, of which it cannot know any more what is on the disk.
func panics(c *appliancetest.Call) bool {
	return strings.HasPrefix(c.Path, "postgres/data/pg_wal/0")
}

// write makes a group, changes a setting in the local store and lets Postgres write
// its tables. It tells whether all that is answered well.
func (f *failing) write() bool {
	f.names++
	var made struct{ ID string }
	well := f.send(http.MethodPost, "/v1/groups", map[string]any{"name": fmt.Sprintf("group %d", f.names)}, http.StatusCreated, &made)
	if well {
		f.groups = append(f.groups, made.ID)
	}
	set := f.send(http.MethodPut, "/v1/system/backups/settings", settingsOf(f.names), http.StatusOK, nil)
	if set {
		f.alarm = f.names
	}
	if f.names%4 == 0 {
		f.checkpoint()
	}
	return well && set
}

func settingsOf(hours int) map[string]any {
	return map[string]any{
		"target": map[string]any{"kind": "none"}, "schedule": map[string]any{"enabled": false, "at": "02:30"},
		"keep": map[string]any{"daily": 7, "weekly": 4, "monthly": 12}, "wal": map[string]any{"enabled": false},
		"recipients": []string{}, "alarm_after_hours": hours, "verify": true,
	}
}

// checkpoint may fail; what of it fails is what is tested.
func (f *failing) checkpoint() {
	ctx, cancel := context.WithTimeout(f.t.Context(), 10*time.Second)
	defer cancel()
	password, err := os.ReadFile(filepath.Join(f.Dir, "postgres", "password"))
	must(f.t, err)
	port, err := os.ReadFile(filepath.Join(f.Dir, "postgres", "port"))
	must(f.t, err)
	dsn := url.URL{Scheme: "postgres", User: url.UserPassword("postgres", strings.TrimSpace(string(password))),
		Host: "127.0.0.1:" + strings.TrimSpace(string(port)), Path: "/postgres", RawQuery: "sslmode=disable"}
	conn, err := pgx.Connect(ctx, dsn.String())
	if err != nil {
		return
	}
	_, _ = conn.Exec(ctx, "checkpoint")
	_ = conn.Close(ctx)
}

// send tells whether a request is answered with that status. Any other answer must
// be an error of the appliance's, or none.
func (f *failing) send(method, path string, in any, status int, out any) bool {
	body, err := json.Marshal(in)
	must(f.t, err)
	r, err := http.NewRequest(method, f.process.URL+path, bytes.NewReader(body))
	must(f.t, err)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+f.token)
	answer, err := writing.Do(r)
	if err != nil {
		f.refused++
		return false
	}
	defer answer.Body.Close()
	if answer.StatusCode != status {
		if f.refused++; answer.StatusCode < 500 {
			f.t.Errorf("%s %s: %d", method, path, answer.StatusCode)
		}
		return false
	}
	return out == nil || json.NewDecoder(answer.Body).Decode(out) == nil
}

func (f *failing) nothingIsLost(after string) {
	f.t.Helper()
	there := f.allGroupsOf(f.Root)
	for _, group := range f.groups {
		if !there[group] {
			f.t.Errorf("%s: the group %s was acknowledged and is lost", after, group)
		}
	}
	var set struct {
		Hours int `json:"alarm_after_hours"`
	}
	f.SignIn(f.t, "ada@example.com", f.Root).Do(http.MethodGet, "/v1/system/backups/settings", nil, http.StatusOK, &set)
	if set.Hours < f.alarm {
		f.t.Errorf("%s: the setting %d was acknowledged and %d is there", after, f.alarm, set.Hours)
	}
	if checked := f.verifyChainOf(f.Root); checked < len(f.groups) {
		f.t.Errorf("%s: %d records for %d writes", after, checked, len(f.groups))
	}
}

// logged is how long the log is.
func (f *failing) logged() int64 {
	info, err := os.Stat(f.told.Log)
	must(f.t, err)
	return info.Size()
}

// since is what was logged from there on.
func (f *failing) since(from int64) string {
	raw, err := os.ReadFile(f.told.Log)
	must(f.t, err)
	return string(raw[from:])
}
