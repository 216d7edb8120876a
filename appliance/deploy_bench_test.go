package appliance_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/appliancetest"
)

// benchedVM is the machine that BenchmarkPreviewAndUp of embedded/pulumi makes
// with the bare command line.
const benchedVM = `name: demo
runtime: yaml
resources:
  web:
    type: proxmoxve:index/vmLegacy:VmLegacy
    properties:
      nodeName: pve1
      name: web
      started: false
      memory: {dedicated: 1024}
      cdrom: {fileId: none}
      disks:
        - {interface: scsi0, datastoreId: local-lvm, size: 8}
      initialization:
        datastoreId: local-lvm
        userAccount: {username: debian, password: canary-d41d8cd98f00b204}
outputs:
  vm: ${web.vmId}
`

// BenchmarkDeploy times a deployment of one machine from the request to its
// end, verification included, with an approver who answers at once.
func BenchmarkDeploy(b *testing.B) {
	s := &story{Appliance: appliancetest.Start(b), t: b}
	_, connection := cluster(b, 50)
	ctx := actor.With(context.Background(), actor.Actor{Kind: actor.Setup, Name: "setup", TenantID: s.Tenant})
	c, err := s.Core().Provider.Create(ctx, connection)
	if err != nil {
		b.Fatal(err)
	}
	s.connection = c.ID.String()
	s.people()
	var spent time.Duration
	for i := range b.N {
		spent += s.timeDeploy(fmt.Sprintf("web%d", i))
	}
	b.ReportMetric(float64(spent.Milliseconds())/float64(b.N), "workflow-ms/op")
}

func (s *story) timeDeploy(name string) time.Duration {
	s.t.Helper()
	var stack struct{ ID string }
	s.deployer.Do(http.MethodPost, "/v1/stacks", map[string]any{
		"name": name, "connection_id": s.connection, "program": benchedVM, "config": map[string]any{},
	}, http.StatusCreated, &stack)
	s.stack = stack.ID
	s.wait(s.deploy("preview", false).ID, "succeeded") // the bare run's stack exists too
	began := time.Now()
	d := s.wait(s.deploy("up", false).ID, "awaiting_approval")
	s.approve(d)
	s.wait(d.ID, "succeeded")
	return time.Since(began)
}
