package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nimbus/appliance"
	"nimbus/appliance/doctor"
)

// run runs a command and returns what it printed and its exit code.
func runCommand(t *testing.T, args ...string) (string, int) {
	t.Helper()
	root := Root()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(args)
	err := root.ExecuteContext(t.Context())
	if err == nil {
		return out.String(), 0
	}
	return out.String(), exitCode(err)
}

// TestDoctorOfAStoppedAppliance looks at a data directory on which nothing
// runs, and says so; a key that others can read is a failure.
func TestDoctorOfAStoppedAppliance(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	args := []string{"doctor", "--data-dir", dir, "--listen", "127.0.0.1:0", "-o", "json"}
	out, code := runCommand(t, args...)
	var r doctor.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil || r.Running || len(r.Items) < 6 {
		t.Fatalf("%v %d %s", err, code, out)
	}
	status := func(name string) doctor.Status {
		for _, i := range r.Items {
			if i.Check == name {
				return i.Status
			}
		}
		return ""
	}
	if status("port") != doctor.OK || status("directory") != doctor.OK {
		t.Errorf("%s", out)
	}
	if err := os.Chmod(filepath.Join(dir, "keys"), 0o755); err != nil {
		t.Fatal(err)
	}
	out, code = runCommand(t, args...)
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != exitUnwell || status("directory") != doctor.Failed {
		t.Errorf("keys that others can read: %v, exit %d, %s", err, code, out)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	out, code = runCommand(t, "doctor", "--data-dir", dir, "--listen", taken.Addr().String())
	if code != exitUnwell || !strings.Contains(out, "does not run") || !strings.Contains(out, "→ Stop the other program") {
		t.Errorf("exit %d, %s", code, out)
	}
	bundle := filepath.Join(dir, "bundle.tar.gz")
	if out, code := runCommand(t, "support-bundle", "--data-dir", dir, "--file", bundle, "--listen", "127.0.0.1:0", "--valkey-url", "redis://:canary-password@h:1"); code != 0 {
		t.Errorf("exit %d, %s", code, out)
	}
	if info, err := os.Stat(bundle); err != nil || info.Mode().Perm() != 0o600 || info.Size() < 200 {
		t.Errorf("%v %v", info, err)
	}
	if out, code := runCommand(t, "certificate", "show", "--data-dir", dir); code != exitFailure {
		t.Errorf("a certificate of nothing: exit %d, %s", code, out)
	}
}

// TestDoctorAsksTheApplianceThatRuns answers over the socket of the machine.
func TestDoctorAsksTheApplianceThatRuns(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "nimbus-") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := appliance.LocalSocket(dir)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	answer := func(w http.ResponseWriter, status int, body string) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
	status, body := http.StatusOK, `{"running":true,"items":[{"check":"x","group":"data","status":"warning","summary":"So so.","advice":"Do it.","measured":{}}]}`
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/v1/system/doctor/run" {
			status = http.StatusNotFound
		}
		answer(w, status, body)
	})}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Shutdown(context.Background()) })
	args := []string{"doctor", "--data-dir", dir, "--listen", "127.0.0.1:0"}
	if out, code := runCommand(t, args...); code != 0 || !strings.Contains(out, "So so.") || !strings.Contains(out, "→ Do it.") {
		t.Errorf("exit %d, %s", code, out)
	}
	status, body = http.StatusForbidden, `{"code":"forbidden","detail":"No."}`
	if out, code := runCommand(t, args...); code != exitDenied {
		t.Errorf("exit %d, %s", code, out)
	}
	status, body = http.StatusServiceUnavailable, `{"code":"unavailable","detail":"Nimbus is starting."}`
	if out, _ := runCommand(t, args...); !strings.Contains(out, "Nimbus is starting.") || !strings.Contains(out, "directory") {
		t.Errorf("%s", out)
	}
	if err := server.Close(); err != nil && !errors.Is(err, http.ErrServerClosed) {
		t.Fatal(err)
	}
}
