package proxmox

import (
	"context"
	"testing"
	"time"

	"nimbus/appliance/provider"
	"nimbus/appliance/provider/proxmox/pvesim"
)

const tokenID = "nimbus@pve!nimbus"

// simulated starts a cluster over TLS and returns how to reach it with a token
// that has the named role on everything.
func simulated(t *testing.T, cfg pvesim.Config, role string) (*pvesim.Cluster, provider.Endpoint) {
	t.Helper()
	if cfg.Speed == 0 {
		cfg.Speed = 100
	}
	sim, err := pvesim.New(cfg)
	must(t, err)
	must(t, sim.Start(t.Context()))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := sim.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	if role == RoleName {
		must(t, sim.CreateRole(RoleName, allPrivileges()...))
	}
	secret, err := sim.CreateToken("nimbus@pve", "nimbus", false, role)
	must(t, err)
	return sim, provider.Endpoint{URL: sim.URL(), TokenID: tokenID, Secret: secret, Fingerprint: sim.Fingerprint(), Simulated: true}
}

func allPrivileges() []string {
	var all []string
	for _, n := range needs {
		all = append(all, n.privileges...)
	}
	return all
}

func open(t *testing.T, e provider.Endpoint) *cluster {
	t.Helper()
	c, err := Open(e)
	must(t, err)
	t.Cleanup(c.Close)
	return c.(*cluster)
}

// finish waits for a task to end.
func finish(t *testing.T, c *cluster, ref string) provider.TaskStatus {
	t.Helper()
	for range 500 {
		s, err := c.TaskStatus(t.Context(), ref)
		must(t, err)
		if !s.Running {
			return s
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("task %s does not end", ref)
	return provider.TaskStatus{}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
