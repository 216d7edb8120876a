package appliance_test

import (
	"context"
	"net/http"
	"strings"
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
