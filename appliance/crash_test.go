package appliance_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"nimbus/appliance/appliancetest"
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

// TestRobustness08KilledInDeployment kills the whole appliance while a machine
// is being made. After the next start the run ends by itself, with exactly one
// machine or, taken back, with none; nothing acknowledged is lost and the
// audit chain holds.
func TestRobustness08KilledInDeployment(t *testing.T) {
	t.Parallel()
	sim, connection := cluster(t, 1)
	told := appliancetest.Child{Dir: appliancetest.Dir(t), Connection: connection}
	first := appliancetest.Spawn(t, told)
	s := &story{Appliance: first.Appliance, t: t}
	s.people()
	var connections struct{ Items []struct{ ID string } }
	s.deployer.Do(http.MethodGet, "/v1/connections", nil, http.StatusOK, &connections)
	s.connection = connections.Items[0].ID
	s.createStack("1024")
	d := s.wait(s.deploy("up", false).ID, "awaiting_approval")
	s.approve(d)
	asked(t, sim)
	first.Kill()

	second := appliancetest.Spawn(t, told)
	s.Appliance = second.Appliance
	s.deployer = s.SignIn(t, "dora@example.com", s.Tenant)
	ended := s.waitLong(d.ID, 3*time.Minute, "succeeded", "failed")
	switch n := len(sim.Guests()); {
	case ended.Status == "succeeded" && n != 1:
		t.Errorf("%d machines instead of one", n)
	case ended.Status == "failed" && n > 0:
		t.Errorf("the run failed (%s) and left %d machines", ended.Error, n)
	}
	s.verifyChain()
}

// kills is how often TestRobustness01 kills the appliance.
const kills = 4

// TestRobustness01AcknowledgedWritesSurvive kills the appliance while callers
// write, several times over: whatever was acknowledged is there after the next
// start, and the audit chain has neither gap nor break.
func TestRobustness01AcknowledgedWritesSurvive(t *testing.T) {
	t.Parallel()
	_, connection := cluster(t, 1)
	told := appliancetest.Child{Dir: appliancetest.Dir(t), Connection: connection}
	process := appliancetest.Spawn(t, told)
	s := &story{Appliance: process.Appliance, t: t}
	var token struct{ Token string }
	s.SignIn(t, "ada@example.com", s.Tenant).Do(http.MethodPost, "/v1/tokens", map[string]any{"name": "writer", "expires_in_days": 1}, http.StatusCreated, &token)
	for round := range kills {
		w := &writers{url: process.URL, token: token.Token, round: round, enough: make(chan struct{})}
		ended := w.start(4)
		select {
		case <-w.enough:
		case <-time.After(time.Minute):
			t.Fatalf("only %d writes were acknowledged in a minute", w.count())
		}
		process.Kill()
		ended.Wait()
		process = appliancetest.Spawn(t, told)
		s.Appliance = process.Appliance
		admin := s.SignIn(t, "ada@example.com", s.Tenant)
		for _, group := range w.acknowledged {
			admin.Do(http.MethodGet, "/v1/groups/"+group, nil, http.StatusOK, nil)
		}
		s.verifyChain()
		t.Logf("round %d: %d acknowledged writes are there", round, len(w.acknowledged))
	}
}

// writers make groups until they are no longer answered.
type writers struct {
	url, token string
	round      int
	enough     chan struct{} // closed in the middle of the writing

	mu           sync.Mutex
	acknowledged []string
}

func (w *writers) start(callers int) *sync.WaitGroup {
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	var g sync.WaitGroup
	for caller := range callers {
		g.Go(func() {
			for n := 0; w.write(client, fmt.Sprintf("group %d-%d-%d", w.round, caller, n)); n++ {
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
func (w *writers) write(client *http.Client, name string) bool {
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
	answer, err := client.Do(r)
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
	if w.acknowledged = append(w.acknowledged, made.ID); len(w.acknowledged) == 100 {
		close(w.enough)
	}
	return true
}
