// Package lxc_test runs nimbus-lxc as a rehearsal and against stand-ins of the host's
// programs, and has Proxmox VE's own schema judge the container that it asks for.
package lxc_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"nimbus/appliance/provider/proxmox/pvesim"
)

const template = "debian-12-standard_12.12-1_amd64.tar.zst"

// try runs the script and returns the commands that it showed.
func try(t *testing.T, env []string, args ...string) ([]string, string, error) {
	t.Helper()
	command := exec.Command("bash", append([]string{"nimbus-lxc"}, args...)...)
	command.Env = append(os.Environ(), env...)
	out, err := command.CombinedOutput()
	var shown []string
	for line := range strings.Lines(string(out)) {
		if rest, ok := strings.CutPrefix(line, "+ "); ok {
			shown = append(shown, strings.TrimSuffix(rest, "\n"))
		}
	}
	return shown, string(out), err
}

func newPackage(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "nimbus_1.0.0-1_amd64.deb")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestRehearsalShowsEveryCommand: with --dry-run nothing runs, and what is shown is all.
func TestRehearsalShowsEveryCommand(t *testing.T) {
	t.Parallel()
	deb := newPackage(t)
	shown, out, err := try(t, []string{"PATH=/usr/bin:/bin"}, "--dry-run", "--id", "123", "--bridge", "vmbr1", "--address", "192.0.2.10/24", "--gateway", "192.0.2.1", deb)
	want := []string{
		"pveam update",
		"pveam download local " + template,
		"pct create 123 local:vztmpl/" + template + " --hostname nimbus --unprivileged 1 --features nesting=1 --cores 2 --memory 2048 --swap 512" +
			` --rootfs local-lvm:16 --net0 name=eth0\,bridge=vmbr1\,ip=192.0.2.10/24\,gw=192.0.2.1 --onboot 1 --description Nimbus\,\ the\ control\ plane\ for\ Proxmox\ VE`,
		"pct start 123",
		"pct exec 123 -- systemctl is-system-running --wait",
		"pct push 123 " + deb + " /root/nimbus.deb",
		"pct exec 123 -- apt-get -q update",
		"pct exec 123 -- env DEBIAN_FRONTEND=noninteractive apt-get -q -y install /root/nimbus.deb",
		"pct exec 123 -- rm /root/nimbus.deb",
		"pct exec 123 -- systemctl is-active nimbus",
		"pct exec 123 -- journalctl -u nimbus -o cat --no-pager -n 20",
	}
	if err != nil || !slices.Equal(shown, want) {
		t.Errorf("%v; shown:\n%s\nwant:\n%s", err, out, strings.Join(want, "\n"))
	}
}

// TestContainerIsWhatProxmoxTakes gives what `pct create` is told to a cluster that checks
// it by the schema of Proxmox VE 9; pct and that interface have the same options.
func TestContainerIsWhatProxmoxTakes(t *testing.T) {
	t.Parallel()
	cluster, err := pvesim.New(pvesim.Config{Speed: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if err := cluster.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer cluster.Stop(t.Context())
	secret, err := cluster.CreateToken("ct@pve", "test", false, "Administrator")
	if err != nil {
		t.Fatal(err)
	}
	for i, args := range [][]string{
		{},
		{"--address", "192.0.2.10/24", "--gateway", "192.0.2.1"},
		{"--storage", "local", "--memory", "4096", "--cores", "4", "--disk", "32"},
	} {
		shown, out, err := try(t, nil, append(append([]string{"--dry-run", "--id", []string{"123", "124", "125"}[i]}, args...), newPackage(t))...)
		if err != nil {
			t.Fatal(out)
		}
		at := slices.IndexFunc(shown, func(s string) bool { return strings.HasPrefix(s, "pct create ") })
		form := formOf(t, words(t, shown[at])[2:])
		if status, answer := create(t, cluster, secret, form); status != http.StatusOK {
			t.Errorf("%v: %d %s", form, status, answer)
		}
	}
	if status, _ := create(t, cluster, secret, url.Values{"vmid": {"126"}, "ostemplate": {"local:vztmpl/" + template}, "features": {"nestin=1"}}); status != http.StatusBadRequest {
		t.Errorf("a wrong option is taken: %d", status)
	}
}

// words splits a shown command as a shell does.
func words(t *testing.T, line string) []string {
	t.Helper()
	out, err := exec.Command("bash", "-c", `printf '%s\n' `+line).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
}

// formOf makes the request of what follows `pct create`.
func formOf(t *testing.T, args []string) url.Values {
	t.Helper()
	form := url.Values{"vmid": {args[0]}, "ostemplate": {args[1]}}
	for rest := args[2:]; len(rest) > 0; rest = rest[2:] {
		name, ok := strings.CutPrefix(rest[0], "--")
		if !ok || len(rest) < 2 {
			t.Fatalf("not an option with a value: %v", rest)
		}
		form.Set(name, rest[1])
	}
	return form
}

func create(t *testing.T, cluster *pvesim.Cluster, secret string, form url.Values) (int, string) {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(cluster.CertificatePEM()))
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, cluster.URL()+"/api2/json/nodes/pve1/lxc", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Authorization", "PVEAPIToken=ct@pve!test="+secret)
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// TestHostIsAskedForNumberAndTemplate runs the script for good, on a host of stand-ins.
func TestHostIsAskedForNumberAndTemplate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	for name, script := range map[string]string{
		"id":    "echo 0",
		"pvesh": "echo 107",
		"pct":   `echo "pct $*" >>` + log,
		"pveam": `echo "pveam $*" >>` + log + `
case $1 in
list) [ ! -e ` + dir + `/kept ] || printf 'NAME SIZE\nlocal:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst 120MB\nlocal:vztmpl/debian-12-standard_12.12-1_amd64.tar.zst 120MB\n' ;;
available) printf 'system debian-12-standard_12.2-1_amd64.tar.zst\nsystem debian-12-standard_12.10-1_amd64.tar.zst\nsystem debian-13-standard_13.1-2_amd64.tar.zst\n' ;;
esac`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	ran := func() string {
		t.Helper()
		_ = os.Remove(log)
		if _, out, err := try(t, []string{"PATH=" + dir + ":/usr/bin:/bin"}, newPackage(t)); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if got := ran(); !strings.Contains(got, "pveam download local debian-12-standard_12.10-1_amd64.tar.zst\npct create 107 local:vztmpl/debian-12-standard_12.10-1_amd64.tar.zst ") {
		t.Errorf("without a template:\n%s", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "kept"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := ran(); strings.Contains(got, "download") || !strings.Contains(got, "pct create 107 local:vztmpl/debian-12-standard_12.12-1_amd64.tar.zst ") {
		t.Errorf("with templates:\n%s", got)
	}
}

// TestWrongOptionsStopBeforeAnythingRuns: the exit code is not zero and no command is shown.
func TestWrongOptionsStopBeforeAnythingRuns(t *testing.T) {
	t.Parallel()
	deb := newPackage(t)
	for _, args := range [][]string{
		{}, {deb, deb}, {"/nowhere.deb"}, {"--colour", "red", deb}, {"--memory", "2G", deb}, {"--id", "-1", deb},
		{"--address", "192.0.2.10/24", deb}, {"--bridge", "vmbr0,firewall=0", deb}, {"--storage", "a b", deb},
	} {
		if shown, out, err := try(t, nil, append([]string{"--dry-run"}, args...)...); err == nil || len(shown) > 0 {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
}
