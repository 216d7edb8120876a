package postgres

import (
	"fmt"
	"os"
	"testing"
)

// sharedBin holds the binaries that all tests run.
var sharedBin string

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	if sharedBin = os.Getenv("NIMBUS_TEST_PG_BIN"); sharedBin != "" {
		return m.Run() // we are the helper of a test
	}
	dir, err := os.MkdirTemp("", "nimbus-pg-bin-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	sharedBin = dir
	return m.Run()
}
