package hsm_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"nimbus/appliance/breakglass/hsm"
	"nimbus/appliance/breakglass/hsm/hsmtest"
)

var buildDir string // holds the fake module; removed when the tests are over

func TestMain(m *testing.M) {
	hsmtest.Worker()
	if os.Getenv("GORACE") == "" {
		_ = os.Setenv("GORACE", "atexit_sleep_ms=0") // else each worker takes a second to end under -race
	}
	var err error
	if buildDir, err = os.MkdirTemp("", "fakehsm-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(buildDir)
	os.Exit(code)
}

// buildFake compiles testdata/fakehsm against the PKCS#11 headers of the binding.
var buildFake = sync.OnceValues(func() (string, error) {
	headers, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/miekg/pkcs11").Output()
	if err != nil {
		return "", fmt.Errorf("where are the PKCS#11 headers: %w", err)
	}
	module := filepath.Join(buildDir, "fakehsm.so")
	cc := exec.Command("cc", "-Wall", "-Werror", "-shared", "-fPIC", "-I"+strings.TrimSpace(string(headers)),
		"-o", module, "testdata/fakehsm/fakehsm.c", "-ldl")
	if out, err := cc.CombinedOutput(); err != nil {
		return "", fmt.Errorf("the fake module needs a C compiler (apt-get install gcc): %w\n%s", err, out)
	}
	return module, nil
})

// fake is a token whose faults a test switches on and off while it is in use.
type fake struct {
	t       *testing.T
	control string
}

// newFake returns a token with short pauses and the fake in front of SoftHSM.
func newFake(t *testing.T) (*fake, hsm.Config) {
	t.Helper()
	module, err := buildFake()
	if err != nil {
		t.Fatal(err)
	}
	cfg := hsmtest.SoftHSM(t)
	f := &fake{t: t, control: filepath.Join(t.TempDir(), "control")}
	f.set()
	cfg.WorkerEnv = append(cfg.WorkerEnv, "FAKEHSM_MODULE="+cfg.Module, "FAKEHSM_CONTROL="+f.control)
	cfg.Module = module
	cfg.Timeout = 5 * time.Second
	cfg.RestartPause = 50 * time.Millisecond
	cfg.PINPause = time.Millisecond
	return f, cfg
}

// set replaces the faults; see fakehsm.c for what they are called.
func (f *fake) set(faults ...string) {
	f.t.Helper()
	f.write("", strings.Join(faults, "\n")+"\n")
}

func (f *fake) write(suffix, content string) {
	f.t.Helper()
	temp := f.control + ".new"
	if err := os.WriteFile(temp, []byte(content), 0o600); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Rename(temp, f.control+suffix); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fake) read(suffix string) string {
	body, err := os.ReadFile(f.control + suffix)
	if err != nil && !os.IsNotExist(err) {
		f.t.Fatal(err)
	}
	return string(body)
}

// logins counts the PINs that reached the token.
func (f *fake) logins() int { return strings.Count(f.read(".calls"), "C_Login\n") }

// wrongPINs is what the token itself has counted.
func (f *fake) wrongPINs() string { return strings.TrimSpace(f.read(".tries")) }

// withoutPIN makes the token wait for Unlock.
func withoutPIN(cfg hsm.Config) hsm.Config {
	cfg.PIN = nil
	return cfg
}

func withPIN(cfg hsm.Config, pin string) hsm.Config {
	cfg.PIN = func(context.Context) (string, error) { return pin, nil }
	return cfg
}

// eventually retries until f succeeds and fails the test after five seconds.
func eventually(t *testing.T, f func() error) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("not in five seconds: ", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
