package pulumi

import (
	"encoding/pem"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"nimbus/appliance/provider/proxmox/pvesim"
)

// world is a running engine and a simulated cluster that trusts our token.
type world struct {
	*Engine
	cluster *pvesim.Cluster
	env     map[string]string
}

func newWorld(t testing.TB) *world {
	t.Helper()
	cluster, err := pvesim.New(pvesim.Config{Nodes: []string{"pve1"}, Speed: 50, Images: []pvesim.Image{}})
	if err != nil {
		t.Fatal(err)
	}
	return &world{Engine: startEngine(t), cluster: cluster, env: serve(t, cluster)}
}

// serve puts the cluster behind TLS and gives the provider's settings for it.
// Verification stays on: the certificate is passed by SSL_CERT_FILE.
func serve(t testing.TB, cluster *pvesim.Cluster) map[string]string {
	t.Helper()
	srv := httptest.NewTLSServer(cluster.Handler())
	t.Cleanup(srv.Close)
	token, err := cluster.CreateToken("nimbus@pve", "engine", false, "Administrator")
	if err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"PROXMOX_VE_ENDPOINT":  srv.URL + "/",
		"PROXMOX_VE_API_TOKEN": "nimbus@pve!engine=" + token,
		"SSL_CERT_FILE":        ca,
	}
}

const vmProgram = `name: demo
runtime: yaml
config:
  memory: {type: integer}
  password: {type: string}
resources:
  web:
    type: proxmoxve:index/vmLegacy:VmLegacy
    properties:
      nodeName: pve1
      vmId: %d
      name: web
      started: false
      memory: {dedicated: "${memory}"}
      cdrom: {fileId: none}
      disks:
        - {interface: scsi0, datastoreId: local-lvm, size: 8}
      initialization:
        datastoreId: local-lvm
        userAccount: {username: debian, password: "${password}"}
outputs:
  vm: ${web.vmId}
  password: ${password}
`

const canary = "canary-d41d8cd98f00b204"

// vm is a run over a stack with one VM.
func (w *world) vm(stack string, id, memory int) Run {
	return Run{
		Project: "demo", Stack: stack, Passphrase: "correct horse", Env: w.env,
		Program: fmt.Appendf(nil, vmProgram, id),
		Config: map[string]ConfigValue{
			"memory":   {Value: memory},
			"password": {Value: canary, Secret: true},
		},
	}
}

// changed lists a plan's changes as "op name".
func changed(p Plan) []string {
	out := []string{}
	for _, c := range p.Changes {
		out = append(out, fmt.Sprintf("%s %s", c.Op, c.Name))
	}
	return out
}

func wantChanges(t *testing.T, p Plan, want ...string) {
	t.Helper()
	if got := changed(p); !slices.Equal(got, want) {
		t.Fatalf("changes are %q, want %q; plan %+v", got, want, p)
	}
}

// creates counts the requests that create a VM.
func (w *world) creates() int { return w.asked("POST", "/qemu") }

// asked counts the requests with a verb and the end of a path.
func (w *world) asked(verb, end string) int {
	n := 0
	for _, r := range w.cluster.Requests() {
		path, _, _ := strings.Cut(r.Path, "?")
		if r.Method == verb && strings.HasSuffix(strings.TrimSuffix(path, "/"), end) {
			n++
		}
	}
	return n
}
