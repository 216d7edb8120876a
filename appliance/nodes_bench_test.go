package appliance_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"nimbus/appliance"
	"nimbus/appliance/appliancetest"
)

const (
	// share is how much of a core each web node gets, so that two of them, their
	// Postgres and their callers fit into two cores and the nodes are what is full.
	share = 0.2
	// lap is how long each number is taken, and laps how often; the median counts.
	lap  = 3 * time.Second
	laps = 5
	// atOnce are the callers of each node.
	atOnce = 8
)

// BenchmarkWebNodes compares what two web nodes answer with what one does: a read
// (one stack, with its rights) and a write (a group, with its record). Each node
// has one thread and the same share of a core; without control groups, one thread.
func BenchmarkWebNodes(b *testing.B) {
	b.Setenv("GOMAXPROCS", "1")
	_, connection := cluster(b, 1)
	n := startShared(b, connection)
	web := []*appliancetest.Process{n.node(b, appliance.Web), n.node(b, appliance.Web)}
	limited := true
	for _, p := range web {
		limited = confine(b, p.PID()) && limited
	}
	s := &story{Appliance: web[0].Appliance, t: b}
	s.people()
	admin := s.SignIn(b, "ada@example.com", s.Tenant)
	s.connected(admin)
	s.createNamed("bench")
	var token struct{ Token string }
	admin.Do(http.MethodPost, "/v1/tokens", map[string]any{"name": "bench", "expires_in_days": 1}, http.StatusCreated, &token)
	c := &callers{load: &load{token: token.Token}, stack: s.stack, client: insecure(30 * time.Second)}
	c.client.Transport.(*http.Transport).MaxIdleConnsPerHost = 2 * atOnce
	for b.Loop() {
		for what, ask := range map[string]func(base string) bool{"read": c.reads, "write": c.writes} {
			var one, two, ratio, spare []float64
			for range laps {
				alone := c.rate(ask, web[0].URL)
				before, of := idle()
				both := c.rate(ask, web[0].URL, web[1].URL)
				after, all := idle()
				one, two, ratio, spare = append(one, alone), append(two, both), append(ratio, both/alone), append(spare, 100*(after-before)/(all-of))
			}
			b.Logf("two web nodes answer %.2f × the %ss of one (goal 1.7 ×); meanwhile %.0f %% of this machine's cores are idle, and near zero they are the limit",
				median(ratio), what, median(spare))
			b.ReportMetric(median(one), what+"s-of-one/s")
			b.ReportMetric(median(two), what+"s-of-two/s")
			b.ReportMetric(median(ratio), what+"-ratio")
		}
	}
	if !limited {
		b.Log("there are no control groups: the cores are shared with Postgres and the callers, which limit the ratio")
	}
}

// idle is how long the cores did nothing, and how long they were there.
func idle() (nothing, all float64) {
	text, _ := os.ReadFile("/proc/stat")
	first, _, _ := strings.Cut(string(text), "\n")
	for i, field := range strings.Fields(first) {
		n, err := strconv.ParseFloat(field, 64)
		if err != nil || i > 8 { // later ones are part of earlier ones
			continue
		}
		if all += n; i == 4 || i == 5 {
			nothing += n
		}
	}
	return nothing, all
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

// callers ask web nodes.
type callers struct {
	*load
	stack  string
	client *http.Client
	made   atomic.Int64
}

func (c *callers) reads(base string) bool {
	answer, err := c.ask(c.client, http.MethodGet, base+"/v1/stacks/"+c.stack, "application/json", nil)
	return answered(answer, err, http.StatusOK)
}

func (c *callers) writes(base string) bool {
	body := fmt.Sprintf(`{"name": "bench %d", "description": ""}`, c.made.Add(1))
	answer, err := c.ask(c.client, http.MethodPost, base+"/v1/groups", "application/json", []byte(body))
	return answered(answer, err, http.StatusCreated)
}

// answered reads an answer to its end, so that its connection is used again.
func answered(answer *http.Response, err error, status int) bool {
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return err == nil && answer.StatusCode == status
}

// rate is how many requests a second are answered while all callers ask.
func (c *callers) rate(ask func(base string) bool, bases ...string) float64 {
	var done atomic.Int64
	var all sync.WaitGroup
	end := time.Now().Add(lap)
	for _, base := range bases {
		for range atOnce {
			all.Go(func() {
				for time.Now().Before(end) {
					if ask(base) {
						done.Add(1)
					}
				}
			})
		}
	}
	all.Wait()
	return float64(done.Load()) / lap.Seconds()
}

// confine gives a process a share of a core; false where that cannot be had.
func confine(b *testing.B, pid int) bool {
	b.Helper()
	const period = 10_000 // µs: what is used up is soon there again
	quota := fmt.Sprint(int(share * period))
	for _, g := range []struct{ root, periodFile, period, quotaFile, quota string }{
		{"/sys/fs/cgroup/cpu", "cpu.cfs_period_us", fmt.Sprint(period), "cpu.cfs_quota_us", quota},
		{"/sys/fs/cgroup", "cpu.max", fmt.Sprintf("%s %d", quota, period), "cpu.max", fmt.Sprintf("%s %d", quota, period)},
	} {
		dir := filepath.Join(g.root, fmt.Sprintf("nimbus-bench-%d", pid))
		if os.Mkdir(dir, 0o755) != nil {
			continue
		}
		b.Cleanup(func() { leaveGroup(g.root, dir) })
		put := func(file, text string) error { return os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644) }
		if put(g.periodFile, g.period) == nil && put(g.quotaFile, g.quota) == nil && put("cgroup.procs", fmt.Sprint(pid)) == nil {
			return true
		}
	}
	return false
}

// leaveGroup moves what still runs out of a group and removes it.
func leaveGroup(root, dir string) {
	left, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	for _, pid := range strings.Fields(string(left)) {
		_ = os.WriteFile(filepath.Join(root, "cgroup.procs"), []byte(pid), 0o644)
	}
	_ = os.Remove(dir)
}
