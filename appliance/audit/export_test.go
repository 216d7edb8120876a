package audit

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"testing"

	"go.temporal.io/api/serviceerror"
	sdk "go.temporal.io/sdk/client"
	"go.temporal.io/sdk/testsuite"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit/ledger"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// starter keeps what is started, for the test to run.
type starter struct {
	sdk.Client
	started []ExportInput
	fail    error
}

// ExecuteWorkflow implements client.Client.
func (c *starter) ExecuteWorkflow(_ context.Context, _ sdk.StartWorkflowOptions, _ any, args ...any) (sdk.WorkflowRun, error) {
	c.started = append(c.started, args[0].(ExportInput))
	return nil, c.fail
}

// CancelWorkflow implements client.Client: nothing runs any more.
func (c *starter) CancelWorkflow(context.Context, string, string) error {
	return serviceerror.NewNotFound("done")
}

// exports is a chain whose workflows run when the test says so.
func exports(t *testing.T) (*chain, *starter) {
	t.Helper()
	c, s := newChain(t), &starter{}
	c.UseTemporal(s)
	return c, s
}

// write runs the step that writes the last export that was started.
func (s *starter) write(t *testing.T, c *chain) {
	t.Helper()
	in := s.started[len(s.started)-1]
	if err := c.writeExport(c.ctx, in.Tenant, in.Export); err != nil {
		t.Fatal(err)
	}
	if err := c.endExport(c.ctx, in.Tenant, in.Export, exportEnd{State: ExportDone}); err != nil {
		t.Fatal(err)
	}
}

func (c *chain) download(t *testing.T, ada context.Context, e Export, proof bool) []byte {
	t.Helper()
	_, file, err := c.OpenExport(ada, e.ID, proof)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	all, err := io.ReadAll(file)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestExport writes the whole chain and a part of it in both formats; the
// standalone verifier accepts each, and names what is changed in it.
func TestExport(t *testing.T) {
	t.Parallel()
	c, s := exports(t)
	c.record(t, 700)
	ada := c.user()
	for _, format := range []ExportFormat{JSONLines, CSV} {
		for name, f := range map[string]Filter{"all": {}, "one target": {Target: "17"}, "nothing": {Target: "nobody"}} {
			e, err := c.StartExport(ada, format, f)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := c.OpenExport(ada, e.ID, false); fault.KindOf(err) != fault.Conflict {
				t.Errorf("a running export can be read: %v", err)
			}
			s.write(t, c)
			if e, err = c.Export(ada, e.ID); err != nil || e.State != ExportDone || e.SHA256 == "" {
				t.Fatalf("%+v %v", e, err)
			}
			want := map[string]int64{"all": e.Total, "one target": 1, "nothing": 0}[name]
			if e.Records != want || want < 0 {
				t.Errorf("%s %s: %d records, want %d", format, name, e.Records, want)
			}
			c.checkExport(t, ada, e)
		}
	}
}

// checkExport verifies the files of an export, then changes a byte.
func (c *chain) checkExport(t *testing.T, ada context.Context, e Export) {
	t.Helper()
	keys, err := c.trusted(c.ctx)
	if err != nil {
		t.Fatal(err)
	}
	content, proof := c.download(t, ada, e, false), []byte(nil)
	if e.Format == CSV {
		proof = c.download(t, ada, e, true)
	}
	verify := func(content []byte) (ledger.Report, error) {
		if e.Format == CSV {
			return ledger.VerifyCSV(bytes.NewReader(content), bytes.NewReader(proof), keys, ledger.Options{})
		}
		return ledger.VerifyStream(bytes.NewReader(content), keys, ledger.Options{})
	}
	report, err := verify(content)
	if err != nil || !report.OK() || report.Records != e.Records {
		t.Fatalf("%s: %+v %v", e.Format, report, err)
	}
	if e.Records == 0 {
		return
	}
	at := bytes.LastIndex(content, []byte("Thing"))
	changed := bytes.Clone(content)
	changed[at] = 'S'
	if report, err := verify(changed); err == nil && report.OK() {
		t.Errorf("%s: a changed byte passes", e.Format)
	}
}

func TestExportsAreTheirCreators(t *testing.T) {
	t.Parallel()
	c, s := exports(t)
	c.record(t, 3)
	ada, bob := c.user(), c.user()
	c.Service.Check = func(_ context.Context, p string) error {
		if p == ReadExports {
			return fault.New(fault.Forbidden, "You may not.")
		}
		return nil
	}
	e, err := c.StartExport(ada, JSONLines, Filter{})
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, c)
	if _, _, err := c.OpenExport(bob, e.ID, false); fault.KindOf(err) != fault.NotFound {
		t.Errorf("somebody else reads it: %v", err)
	}
	if all, err := c.Exports(bob); err != nil || len(all) != 0 {
		t.Errorf("somebody else sees %v %v", all, err)
	}
	if all, err := c.Exports(ada); err != nil || len(all) != 1 {
		t.Errorf("its creator sees %v %v", all, err)
	}
	if err := c.DeleteExport(ada, e.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(c.exportPath(c.tenant, e.ID)); !os.IsNotExist(err) {
		t.Errorf("the file stays: %v", err)
	}
	if _, err := c.Export(ada, e.ID); fault.KindOf(err) != fault.NotFound {
		t.Errorf("a deleted export: %v", err)
	}
}

func TestExportThatCannotStart(t *testing.T) {
	t.Parallel()
	c, s := exports(t)
	s.fail = io.ErrUnexpectedEOF
	ada := c.user()
	if _, err := c.StartExport(ada, CSV, Filter{}); fault.KindOf(err) != fault.Unavailable {
		t.Fatal(err)
	}
	if all, err := c.Exports(ada); err != nil || len(all) != 1 || all[0].State != ExportFailed {
		t.Errorf("%+v %v", all, err)
	}
}

// TestExportWorkflow runs the workflow to its end, a week later, with a step
// that is lost once.
func TestExportWorkflow(t *testing.T) {
	t.Parallel()
	c, s := exports(t)
	c.record(t, 50)
	ada := c.user()
	e, err := c.StartExport(ada, JSONLines, Filter{})
	if err != nil {
		t.Fatal(err)
	}
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.SetStartTime(e.CreatedAt)
	Register(env, c.Service)
	var kept []byte
	env.RegisterDelayedCallback(func() { kept = c.download(t, ada, e, false) }, exportLife/2)
	env.ExecuteWorkflow(AuditExportWorkflow, s.started[0])
	if err := env.GetWorkflowError(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(kept), `"checkpoint"`) {
		t.Errorf("in between there are %d bytes", len(kept))
	}
	if _, err := c.Export(ada, e.ID); fault.KindOf(err) != fault.NotFound {
		t.Errorf("after it expired: %v", err)
	}
}

// TestCancelledExport leaves nothing behind.
func TestCancelledExport(t *testing.T) {
	t.Parallel()
	c, s := exports(t)
	c.record(t, 5)
	ada := actor.With(c.ctx, actor.Actor{Kind: actor.User, ID: id.New(), Name: "Ada", TenantID: c.tenant})
	e, err := c.StartExport(ada, JSONLines, Filter{})
	if err != nil {
		t.Fatal(err)
	}
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.SetStartTime(e.CreatedAt)
	Register(env, c.Service)
	env.RegisterDelayedCallback(env.CancelWorkflow, 0)
	env.ExecuteWorkflow(AuditExportWorkflow, s.started[0])
	if err := env.GetWorkflowError(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(c.exportPath(c.tenant, e.ID)); !os.IsNotExist(err) {
		t.Errorf("the file stays: %v", err)
	}
}
