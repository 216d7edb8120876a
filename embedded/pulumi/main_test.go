package pulumi

import (
	"context"
	"os"
	"testing"
	"time"
)

// The test binary is the executable that the engine starts: under its other
// names it is the CLI and the provider.
func TestMain(m *testing.M) {
	if code, ok := Dispatch(os.Args); ok {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// startEngine gives a running engine on a fresh directory.
func startEngine(t *testing.T) *Engine {
	t.Helper()
	e := New(Config{Dir: t.TempDir()})
	if err := e.Start(t.Context()); err != nil {
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
