package pulumi

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"
)

// In another process of this binary, run one Up: the appliance that is killed.
const (
	parentEnv = "NIMBUS_TEST_PARENT"     // the engine's directory
	parentRun = "NIMBUS_TEST_PARENT_RUN" // the Run as JSON
)

// The test binary is the executable that the engine starts: under its other
// names it is the CLI and the provider.
func TestMain(m *testing.M) {
	if code, ok := Dispatch(os.Args); ok {
		os.Exit(code)
	}
	if dir := os.Getenv(parentEnv); dir != "" {
		os.Exit(actAsParent(dir))
	}
	os.Exit(m.Run())
}

func actAsParent(dir string) int {
	var run Run
	err := json.Unmarshal([]byte(os.Getenv(parentRun)), &run)
	e := New(Config{Dir: dir})
	if err == nil {
		err = e.Start(context.Background())
	}
	if err == nil {
		_, err = e.Up(context.Background(), run, nil)
	}
	fmt.Fprintln(os.Stderr, "the parent was not killed:", err)
	return 1
}

// startEngine gives a running engine on a fresh directory.
func startEngine(t testing.TB) *Engine {
	t.Helper()
	e := New(Config{Dir: t.TempDir()})
	if err := e.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := e.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return e
}
