package cmd

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"nimbus/appliance"
)

// TestRobustness07SecondIsRefused starts a second appliance on a data directory: it
// ends at once, with an exit code of its own and the reason.
func TestRobustness07SecondIsRefused(t *testing.T) {
	dir := t.TempDir()
	first := appliance.New(appliance.Config{DataDir: dir, Listen: "127.0.0.1:0"})
	if err := first.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer first.Stop(context.Background())
	for _, args := range [][]string{{"serve", "--listen", "127.0.0.1:0"}, {"upgrade"}} {
		root := Root()
		var out bytes.Buffer
		root.SetOut(&out)
		root.SetErr(&out)
		root.SetArgs(append(args, "--data-dir", dir))
		began := time.Now()
		err := root.ExecuteContext(t.Context())
		if err == nil || exitCode(err) != exitInUse || !strings.Contains(explain(err), "another Nimbus runs on this data directory") || time.Since(began) > 2*time.Second {
			t.Errorf("%v: %v after %v (exit code %d)", args, err, time.Since(began), exitCode(err))
		}
	}
}
