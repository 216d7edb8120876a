package appliance_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"nimbus/appliance/appliancetest"
	"nimbus/appliance/id"
	"nimbus/appliance/provider"
	"nimbus/appliance/provider/proxmox"
	"nimbus/appliance/provider/proxmox/pvesim"
)

// cluster runs a simulated cluster beside the appliance, so that it outlives it.
func cluster(t testing.TB, speed float64) (*pvesim.Cluster, provider.NewConnection) {
	t.Helper()
	sim, err := pvesim.New(pvesim.Config{GuestAgents: true, Speed: speed})
	if err != nil {
		t.Fatal(err)
	}
	if err := sim.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sim.Stop(context.Background()) })
	if err := sim.CreateRole(proxmox.RoleName, proxmox.Privileges()...); err != nil {
		t.Fatal(err)
	}
	secret, err := sim.CreateToken("nimbus@pve", "nimbus", true, proxmox.RoleName)
	if err != nil {
		t.Fatal(err)
	}
	return sim, provider.NewConnection{
		Name: "lab", URL: sim.URL(), TokenID: "nimbus@pve!nimbus", Secret: secret, CAPEM: sim.CertificatePEM(), Simulated: true,
	}
}

// asked waits until the cluster was asked to make a machine.
func asked(t *testing.T, sim *pvesim.Cluster) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		for _, r := range sim.Requests() {
			if r.Method == http.MethodPost && strings.HasSuffix(r.Path, "/qemu") {
				return
			}
		}
	}
	t.Fatal("no machine was asked for")
}

// deploying is an appliance that is just making a machine on a simulated cluster.
type deploying struct {
	*story
	process *appliancetest.Process
	told    appliancetest.Child
	disk    *appliancetest.Disk
	sim     *pvesim.Cluster
	run     deploymentRow
}

func newDeploying(t *testing.T) *deploying {
	t.Helper()
	sim, connection := cluster(t, 1)
	dir := appliancetest.Dir(t)
	d := &deploying{told: appliancetest.Child{Dir: dir, Connection: connection}, disk: appliancetest.NewDisk(t, dir), sim: sim}
	process, err := appliancetest.SpawnOn(t, d.told, d.disk)
	must(t, err)
	d.process, d.story = process, &story{Appliance: process.Appliance, t: t}
	d.people()
	d.connected(d.deployer)
	d.createStack("1024")
	d.run = d.wait(d.deploy("up", false).ID, "awaiting_approval")
	d.approve(d.run)
	asked(t, sim)
	return d
}

// resumes starts the appliance once more: the run ends by itself, with exactly one
// machine or, taken back, with none, and the audit chain holds.
func (d *deploying) resumes() {
	d.t.Helper()
	again := appliancetest.Spawn(d.t, d.told)
	d.Appliance = again.Appliance
	d.deployer = d.SignIn(d.t, "dora@example.com", d.Tenant)
	ended := d.waitLong(d.run.ID, 3*time.Minute, "succeeded", "failed")
	switch n := len(d.sim.Guests()); {
	case ended.Status == "succeeded" && n != 1:
		d.t.Errorf("%d machines instead of one", n)
	case ended.Status == "failed" && n > 0:
		d.t.Errorf("the run failed (%s) and left %d machines", ended.Error, n)
	}
	made := 0
	for _, r := range d.sim.Requests() {
		if r.Method == http.MethodPost && strings.HasSuffix(r.Path, "/qemu") {
			made++
		}
	}
	if ended.Status == "succeeded" && made != 1 {
		d.t.Errorf("the machine was asked for %d times", made)
	}
	d.verifyChain()
	d.t.Logf("the run %s", ended.Status)
}

// TestRobustness08PowerCutInDeployment cuts the power while a machine is being
// made: all processes end at once, and what was not synced is gone.
func TestRobustness08PowerCutInDeployment(t *testing.T) {
	t.Parallel()
	d := newDeploying(t)
	d.process.Kill()
	d.disk.PowerCut(t)
	d.resumes()
}

// TestRobustness08SnapshotInDeployment copies the data directory while a machine is
// being made, lets the run end, and goes back to the copy, as one restores a
// snapshot of a virtual machine. The run that is under way there finds the machine
// that was made meanwhile and makes no other.
func TestRobustness08SnapshotInDeployment(t *testing.T) {
	t.Parallel()
	d := newDeploying(t)
	thaw := d.process.Freeze()
	snapshot := appliancetest.Dir(t)
	command(t, "cp", "-a", d.told.Dir+"/.", snapshot)
	thaw()
	d.wait(d.run.ID, "succeeded")
	d.process.Kill()
	d.told.Dir = snapshot
	d.resumes()
}

// TestRobustness01AcknowledgedWritesSurvive kills the appliance while callers
// write, several times over: whatever was acknowledged is there after the next
// start, with a record for each, and the audit chain has neither gap nor break.
func TestRobustness01AcknowledgedWritesSurvive(t *testing.T) {
	t.Parallel()
	kills, writes := 4, 100
	if *full {
		kills, writes = 50, 1000
	}
	_, connection := cluster(t, 1)
	told := appliancetest.Child{Dir: appliancetest.Dir(t), Connection: connection}
	process := appliancetest.Spawn(t, told)
	s := &story{Appliance: process.Appliance, t: t}
	var token struct{ Token string }
	s.SignIn(t, "ada@example.com", s.Tenant).Do(http.MethodPost, "/v1/tokens", map[string]any{"name": "writer", "expires_in_days": 1}, http.StatusCreated, &token)
	var acknowledged []string
	for round := range kills {
		w := &writers{url: process.URL, token: token.Token, round: round, writes: writes, enough: make(chan struct{})}
		ended := w.start(4)
		select {
		case <-w.enough:
		case <-time.After(2 * time.Minute):
			t.Fatalf("only %d writes were acknowledged in two minutes", w.count())
		}
		process.Kill()
		ended.Wait()
		process = appliancetest.Spawn(t, told)
		s.Appliance = process.Appliance
		acknowledged = append(acknowledged, w.acknowledged...)
		there := s.allGroups()
		for _, group := range acknowledged {
			if !there[group] {
				t.Errorf("round %d: the group %s was acknowledged and is lost", round, group)
			}
		}
		if checked := s.verifyChain(); checked < len(acknowledged) {
			t.Errorf("round %d: %d records for %d writes", round, checked, len(acknowledged))
		}
		t.Logf("round %d: %d acknowledged writes are there, %d since the first round", round, len(w.acknowledged), len(acknowledged))
	}
}

// allGroups lists the groups of the tenant by their ids.
func (s *story) allGroups() map[string]bool {
	s.t.Helper()
	return s.allGroupsOf(s.Tenant)
}

func (s *story) allGroupsOf(tenant id.ID) map[string]bool {
	s.t.Helper()
	admin, all := s.SignIn(s.t, "ada@example.com", tenant), map[string]bool{}
	for after := ""; ; {
		var page struct {
			Items []struct{ ID string }
			Next  string
		}
		admin.Do(http.MethodGet, "/v1/groups?limit=200"+after, nil, http.StatusOK, &page)
		for _, g := range page.Items {
			all[g.ID] = true
		}
		if page.Next == "" {
			return all
		}
		after = "&after=" + page.Next
	}
}

// writers make groups until they are no longer answered.
type writers struct {
	url, token string
	round      int
	writes     int           // how many are enough
	enough     chan struct{} // closed in the middle of the writing

	mu           sync.Mutex
	acknowledged []string
}

// writing is how writers ask.
var writing = insecure(10 * time.Second)

func (w *writers) start(callers int) *sync.WaitGroup {
	var g sync.WaitGroup
	for caller := range callers {
		g.Go(func() {
			for n := 0; w.write(fmt.Sprintf("group %d-%d-%d", w.round, caller, n)); n++ {
			}
		})
	}
	return &g
}

func (w *writers) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.acknowledged)
}

// write makes one group; false when there was no answer that says so.
func (w *writers) write(name string) bool {
	body, err := json.Marshal(map[string]string{"name": name, "description": ""})
	if err != nil {
		return false
	}
	r, err := http.NewRequest(http.MethodPost, w.url+"/v1/groups", bytes.NewReader(body))
	if err != nil {
		return false
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+w.token)
	answer, err := writing.Do(r)
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	var made struct{ ID string }
	if answer.StatusCode != http.StatusCreated || json.NewDecoder(answer.Body).Decode(&made) != nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.acknowledged = append(w.acknowledged, made.ID); len(w.acknowledged) == w.writes {
		close(w.enough)
	}
	return true
}
