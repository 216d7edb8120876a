package cmd

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nimbus/appliance/appliancetest"
)

// TestReadyToTheManagerMeansThatPeopleCanSignIn: the service manager hears the phases of a
// start, and that the service is ready no sooner than somebody can sign in.
func TestReadyToTheManagerMeansThatPeopleCanSignIn(t *testing.T) {
	dir := appliancetest.Dir(t)
	setUp(t, dir)
	path := filepath.Join(t.TempDir(), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	root := Root()
	root.SetArgs([]string{"serve", "--data-dir", dir, "--listen", "127.0.0.1:0"})
	root.SetOut(io.Discard)
	go func() { ended <- root.ExecuteContext(ctx) }()

	status, phases := awaitReady(t, manager)
	_, url, found := strings.Cut(status, "STATUS=Serving at ")
	if !found {
		t.Fatalf("ready with %q", status)
	}
	if !strings.Contains(phases, "STATUS=Starting: starting Temporal\n") {
		t.Errorf("the manager heard of these phases only:\n%s", phases)
	}
	signIn(t, url)
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// setUp does the first run of an appliance on dir.
func setUp(t *testing.T, dir string) {
	t.Helper()
	answers := filepath.Join(t.TempDir(), "answers.yaml")
	text := `appliance: {name: Test, url: "https://127.0.0.1:8443", time_zone: UTC, certificate: {mode: self_signed}}
database: {mode: embedded}
hsm: {mode: none}
organisation: {tenant_name: Acme, admin_name: Ada Admin, admin_email: ada@example.com, admin_password: "` + appliancetest.Password + `"}
proxmox: {mode: later}
recovery_kit: {path: kit.txt}
`
	if err := os.WriteFile(answers, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	console{t, dir}.run("setup", "--listen", "127.0.0.1:0", "--answers", answers)
}

// awaitReady returns the message that tells readiness, and all before it.
func awaitReady(t *testing.T, manager *net.UnixConn) (ready, before string) {
	t.Helper()
	buffer := make([]byte, 4096)
	_ = manager.SetReadDeadline(time.Now().Add(2 * time.Minute))
	for {
		n, err := manager.Read(buffer)
		if err != nil {
			t.Fatalf("%v; heard:\n%s", err, before)
		}
		message := string(buffer[:n])
		if strings.HasPrefix(message, "READY=1\n") {
			return message, before
		}
		before += message + "\n"
	}
}

// signIn insists that somebody can, without another try.
func signIn(t *testing.T, url string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	body := []byte(`{"email":"ada@example.com","password":"` + appliancetest.Password + `"}`)
	resp, err := client.Post(url+"/v1/session", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		text, _ := io.ReadAll(resp.Body)
		t.Errorf("sign-in: %d %s", resp.StatusCode, text)
	}
}
