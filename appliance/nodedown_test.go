package appliance_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestNodeGoesDownWhileAMachineIsMade cuts the power of a node of the cluster. The run
// fails and lists what is left, with the commands that only root there may give; until
// they were given every run says the same, and the next one makes the machine.
func TestNodeGoesDownWhileAMachineIsMade(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	sim := s.Simulator()
	s.createStack("1024")
	d := s.wait(s.deploy("up", false).ID, "awaiting_approval")
	sim.HangNextTask("qmcreate")
	s.approve(d)
	within(t, "the machine is being made", func() bool { return len(sim.Guests()) == 1 })
	must(t, sim.CutPower("pve1"))
	s.wait(d.ID, "failed")
	var failed struct {
		Leftovers []struct{ Name, Detail string }
	}
	s.deployer.Do(http.MethodGet, "/v1/deployments/"+d.ID, nil, http.StatusOK, &failed)
	const commands = "As root on pve1 run `qm unlock 100` and `qm destroy 100`"
	if len(failed.Leftovers) != 1 || !strings.Contains(failed.Leftovers[0].Detail, commands) {
		t.Errorf("left over: %+v", failed.Leftovers)
	}
	if again := s.wait(s.deploy("up", false).ID, "failed"); !strings.Contains(again.Error, commands) {
		t.Errorf("the next run says %s", again.Error)
	}
	must(t, sim.DeleteGuest(100)) // as those commands do
	s.through("up", false)
	if config := sim.GuestConfig(100); config["name"] != "web1" || config["lock"] != "" {
		t.Errorf("the machine is %v", config)
	}
	s.verifyChain()
}
