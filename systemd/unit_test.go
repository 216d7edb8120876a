package systemd

import (
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestRobustness48UnitIsHardened: the unit keeps what makes it safe, and where
// systemd-analyze is installed its judgement is at most 2.0.
func TestRobustness48UnitIsHardened(t *testing.T) {
	unit, err := os.ReadFile("nimbus.service")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"Type=notify", "NotifyAccess=main", "User=nimbus", "CapabilityBoundingSet=", "NoNewPrivileges=yes", "ProtectSystem=strict",
		"ProtectHome=yes", "PrivateTmp=yes", "PrivateDevices=yes", "MemoryDenyWriteExecute=yes", "RestrictNamespaces=yes",
		"SystemCallArchitectures=native", "UMask=0077", "KillMode=mixed",
	} {
		if !strings.Contains(string(unit), "\n"+line+"\n") {
			t.Errorf("the unit does not say %s", line)
		}
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		return
	}
	out, err := exec.Command(analyze, "security", "--offline=yes", "--no-pager", "nimbus.service").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	found := regexp.MustCompile(`exposure level for nimbus\.service: ([0-9.]+)`).FindSubmatch(out)
	if found == nil {
		t.Fatalf("no verdict in\n%s", out)
	}
	if exposure, err := strconv.ParseFloat(string(found[1]), 64); err != nil || exposure > 2.0 {
		t.Errorf("the exposure is %s", found[1])
	}
}
