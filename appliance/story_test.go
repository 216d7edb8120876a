package appliance_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/appliancetest"
	"nimbus/appliance/id"
)

const oneVM = `name: story
runtime: yaml
resources:
  web:
    type: proxmoxve:index/vmLegacy:VmLegacy
    properties:
      nodeName: pve1
      name: web1
      memory:
        dedicated: %MEMORY%
      cpu:
        cores: 2
      cdrom:
        fileId: none
      disks:
        - interface: scsi0
          datastoreId: local-lvm
          size: 8
      started: true
outputs:
  vmid: ${web.vmId}
`

func program(memory string) string { return strings.ReplaceAll(oneVM, "%MEMORY%", memory) }

type deploymentRow struct {
	ID, Status, Error string
	Plan              *struct {
		Digest  string
		Drift   bool
		Changes []struct{ Name, Op string }
	}
	Outputs map[string]any
}

// story is an appliance with its simulated cluster connected, a deployer and
// an approver.
type story struct {
	*appliancetest.Appliance
	t                  testing.TB
	deployer, approver *appliancetest.Client
	connection, stack  string
}

func newStory(t testing.TB) *story {
	s := &story{Appliance: appliancetest.Start(t), t: t}
	s.connect()
	s.people()
	return s
}

// people makes a deployer and an approver and signs them in.
func (s *story) people() {
	s.t.Helper()
	admin := s.SignIn(s.t, "ada@example.com", s.Tenant)
	s.person(admin, "Dora Deployer", "dora@example.com", "Deployer")
	s.person(admin, "Abel Approver", "abel@example.com", "Approver")
	s.deployer = s.SignIn(s.t, "dora@example.com", s.Tenant)
	s.approver = s.SignIn(s.t, "abel@example.com", s.Tenant)
}

// createStack stores a stack of one machine and returns its version.
func (s *story) createStack(memory string) int {
	s.t.Helper()
	var stack struct {
		ID      string
		Version int
	}
	s.deployer.Do(http.MethodPost, "/v1/stacks", map[string]any{
		"name": "web", "connection_id": s.connection, "program": program(memory), "config": map[string]any{},
	}, http.StatusCreated, &stack)
	s.stack = stack.ID
	return stack.Version
}

// changeStack stores the next version of the stack.
func (s *story) changeStack(memory string, version int) {
	s.t.Helper()
	s.deployer.Do(http.MethodPut, "/v1/stacks/"+s.stack, map[string]any{
		"name": "web", "connection_id": s.connection, "program": program(memory), "config": map[string]any{}, "version": version,
	}, http.StatusOK, nil)
}

// connected finds the connection that was made when the appliance was set up.
func (s *story) connected(by *appliancetest.Client) {
	s.t.Helper()
	var connections struct{ Items []struct{ ID string } }
	by.Do(http.MethodGet, "/v1/connections", nil, http.StatusOK, &connections)
	s.connection = connections.Items[0].ID
}

func (s *story) connect() {
	s.t.Helper()
	ctx := actor.With(context.Background(), actor.Actor{Kind: actor.Setup, Name: "setup", TenantID: s.Tenant})
	n, err := s.StartSimulated(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	c, err := s.Core().Provider.Create(ctx, n)
	if err != nil {
		s.t.Fatal(err)
	}
	s.connection = c.ID.String()
}

func (s *story) person(admin *appliancetest.Client, name, email, role string) {
	s.t.Helper()
	var roles struct {
		Items []struct{ ID, Name string }
	}
	admin.Do(http.MethodGet, "/v1/roles", nil, http.StatusOK, &roles)
	var ids []string
	for _, r := range roles.Items {
		if r.Name == role {
			ids = append(ids, r.ID)
		}
	}
	admin.Do(http.MethodPost, "/v1/users", map[string]any{
		"name": name, "email": email, "password": appliancetest.Password, "role_ids": ids,
	}, http.StatusCreated, nil)
}

func (s *story) deploy(operation string, refresh bool) deploymentRow {
	s.t.Helper()
	var d deploymentRow
	s.deployer.Do(http.MethodPost, "/v1/deployments",
		map[string]any{"stack_id": s.stack, "operation": operation, "refresh": refresh}, http.StatusAccepted, &d)
	return d
}

// wait polls a deployment until it has one of the states.
func (s *story) wait(deployment string, states ...string) deploymentRow {
	s.t.Helper()
	return s.waitLong(deployment, 90*time.Second, states...)
}

func (s *story) waitLong(deployment string, limit time.Duration, states ...string) deploymentRow {
	s.t.Helper()
	var d deploymentRow
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		s.deployer.Do(http.MethodGet, "/v1/deployments/"+deployment, nil, http.StatusOK, &d)
		for _, state := range states {
			if d.Status == state {
				return d
			}
		}
		if d.Status == "failed" {
			break
		}
	}
	s.t.Fatalf("the deployment is %s (%s) instead of %v", d.Status, d.Error, states)
	return d
}

func (s *story) approve(d deploymentRow) {
	s.t.Helper()
	s.approver.Do(http.MethodPost, "/v1/deployments/"+d.ID+"/approve", map[string]any{"digest": d.Plan.Digest}, http.StatusOK, nil)
}

// through runs a deployment to its end, with its approval.
func (s *story) through(operation string, refresh bool) {
	s.t.Helper()
	d := s.wait(s.deploy(operation, refresh).ID, "awaiting_approval")
	s.approve(d)
	s.wait(d.ID, "succeeded")
}

// TestStory deploys, changes and destroys a machine with the real engine and
// provider, with an approval by somebody else, a drift found on the way, and a
// chain that holds at the end.
func TestStory(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	version := s.createStack("1024")
	d := s.wait(s.deploy("up", false).ID, "awaiting_approval")
	if status, _ := s.deployer.Try(http.MethodPost, "/v1/deployments/"+d.ID+"/approve", map[string]any{"digest": d.Plan.Digest}); status != http.StatusForbidden {
		t.Errorf("who asked could approve: status %d", status)
	}
	s.approve(d)
	s.wait(d.ID, "succeeded")
	if n := len(s.Simulator().Guests()); n != 1 {
		t.Fatalf("%d guests instead of one", n)
	}
	vmid := s.Simulator().Guests()[0]

	quiet := s.wait(s.deploy("up", false).ID, "succeeded")
	if len(quiet.Plan.Changes) != 0 {
		t.Errorf("a second run is not quiet: %+v", quiet.Plan.Changes)
	}

	s.changeStack("2048", version)
	s.through("up", false)
	if memory := s.Simulator().GuestConfig(vmid)["memory"]; memory != "2048" {
		t.Errorf("memory is %s", memory)
	}

	if err := s.Simulator().SetGuestConfig(vmid, "memory", "4096"); err != nil {
		t.Fatal(err)
	}
	if drift := s.wait(s.deploy("preview", true).ID, "succeeded"); !drift.Plan.Drift {
		t.Errorf("the drift was not seen: %+v", drift.Plan)
	}

	s.through("destroy", true)
	if n := len(s.Simulator().Guests()); n != 0 {
		t.Errorf("%d guests are left", n)
	}
	s.verifyChain()
	s.verifyTrail()
}

// verifyTrail looks that each step of each run is recorded as the workflow's, on
// behalf of who asked for it, the decisions with who made them, and the tasks in
// Proxmox with their UPIDs.
func (s *story) verifyTrail() {
	s.t.Helper()
	var found struct {
		Items []struct {
			Event      string
			Actor      struct{ Kind, Name string }
			OnBehalfOf *struct{ Kind, Name string } `json:"on_behalf_of"`
			Details    map[string]any
		}
	}
	admin := s.SignIn(s.t, "ada@example.com", s.Tenant)
	admin.Do(http.MethodGet, "/v1/audit/records?limit=200&event=deployment.run&event=provider.task&event=approval", nil, http.StatusOK, &found)
	by, tasks := map[string]int{}, 0
	for _, r := range found.Items {
		who := r.Actor.Name
		if r.OnBehalfOf != nil {
			who += " for " + r.OnBehalfOf.Name
		}
		by[r.Event+" by "+who]++
		if r.Actor.Kind != "user" && (r.OnBehalfOf == nil || r.OnBehalfOf.Kind != "user") {
			s.t.Errorf("%s is by %+v for %+v: nobody knows for whom", r.Event, r.Actor, r.OnBehalfOf)
		}
		if strings.HasPrefix(r.Event, "provider.task.") {
			tasks++
			if upid, _ := r.Details["upid"].(string); !strings.HasPrefix(upid, "UPID:") {
				s.t.Errorf("%s without a UPID: %v", r.Event, r.Details)
			}
		}
	}
	for _, step := range []string{"requested by Dora Deployer", "previewed by PulumiDeployWorkflow for Dora Deployer",
		"executed by PulumiDeployWorkflow for Dora Deployer", "succeeded by PulumiDeployWorkflow for Dora Deployer"} {
		if by["deployment.run."+step] < 3 {
			s.t.Errorf("%s: %v", step, by)
		}
	}
	if tasks < 3 {
		s.t.Errorf("%d tasks are recorded: %v", tasks, by)
	}
}

// verifyChain insists that the tenant's audit chain holds, and returns its length.
func (s *story) verifyChain() int {
	s.t.Helper()
	return s.verifyChainOf(s.Tenant)
}

func (s *story) verifyChainOf(tenant id.ID) int {
	s.t.Helper()
	var v struct {
		ID, State string
		OK        bool
		Checked   int
		Breaks    []any
	}
	admin := s.SignIn(s.t, "ada@example.com", tenant)
	status, body := admin.Try(http.MethodPost, "/v1/audit/verify", nil)
	must(s.t, json.Unmarshal(body, &v))
	for status == http.StatusAccepted && v.State == "running" { // a long chain takes its time
		time.Sleep(50 * time.Millisecond)
		admin.Do(http.MethodGet, "/v1/audit/verify/"+v.ID, nil, http.StatusOK, &v)
	}
	if !v.OK || v.Checked < 10 {
		s.t.Errorf("the chain: %d %+v", status, v)
	}
	return v.Checked
}
