// Package hsmtest gives tests a fresh token of SoftHSM, which Debian's package softhsm2
// brings. The test binary is its own PKCS#11 worker, so TestMain must be Main or begin with Worker.
package hsmtest

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"nimbus/appliance/breakglass/hsm"
)

// The PINs and the label of every token made here.
const (
	Label = "nimbus test"
	PIN   = "271828"
	SOPIN = "31415926"
)

// Main runs the tests, or the worker when the binary was started as it. It does not return.
func Main(m *testing.M) {
	Worker()
	os.Exit(m.Run())
}

// Worker runs the worker and exits when the binary was started as it, and returns otherwise.
func Worker() {
	if filepath.Base(os.Args[0]) == hsm.WorkerName {
		os.Exit(hsm.RunWorker())
	}
}

// SoftHSM makes a token in the test's own folder and returns how to use it, its PIN
// included. The test fails when SoftHSM is not installed.
func SoftHSM(t testing.TB) hsm.Config {
	t.Helper()
	module, err := hsm.FindSoftHSM()
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := hsm.InitSoftToken(context.Background(), hsm.SoftToken{
		Module: module, Dir: t.TempDir(), Label: Label, PIN: PIN, SOPIN: SOPIN,
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg.PIN = func(context.Context) (string, error) { return PIN, nil }
	return cfg
}

// Start starts a token and stops it when the test ends.
func Start(t testing.TB, cfg hsm.Config) *hsm.Token {
	t.Helper()
	token := hsm.New(cfg)
	if err := token.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := token.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return token
}
