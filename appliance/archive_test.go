package appliance_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/appliancetest"
	"nimbus/appliance/audit"
	"nimbus/appliance/audit/ledger"
	"nimbus/appliance/db"
	"nimbus/appliance/id"
)

type segmentRow struct {
	ID, State           string
	First, Last, Pruned int64
}

// TestArchiveThroughTheDoor has the workflow archive and prune what is old of a
// tenant and of the provider, as their administrators ask for it, and reads it in
// the archive; the chains hold before and after.
func TestArchiveThroughTheDoor(t *testing.T) {
	t.Parallel()
	a := appliancetest.Start(t)
	admin, root := a.SignIn(t, "ada@example.com", a.Tenant), a.SignIn(t, "ada@example.com", a.Root)
	admin.Do(http.MethodPost, "/v1/audit/archive/run", nil, http.StatusConflict, nil)
	admin.Do(http.MethodPut, "/v1/audit/archive/target", map[string]any{"kind": "directory", "path": t.TempDir()}, http.StatusBadRequest, nil)
	root.Do(http.MethodPut, "/v1/audit/archive/target", map[string]any{"kind": "directory", "path": t.TempDir()}, http.StatusOK, nil)
	for c, schema := range map[*appliancetest.Client]string{admin: db.TenantSchema(a.Tenant), root: "core"} {
		if c == admin {
			c.Do(http.MethodPut, "/v1/audit/archive/target", map[string]any{"kind": "directory"}, http.StatusOK, nil)
		}
		c.Do(http.MethodPost, "/v1/audit/archive/target/test", nil, http.StatusNoContent, nil)
		oldRecords(t, a, c, schema)
		var hold struct{ ID string }
		c.Do(http.MethodPost, "/v1/audit/holds", map[string]any{"name": "Case 7", "reason": "The lawyers ask.", "filter": map[string]any{"target": "17"}}, http.StatusCreated, &hold)
		c.Do(http.MethodPut, "/v1/audit/retention", map[string]any{"default_days": 365, "archive_after_days": 0, "prune_enabled": true, "rules": []any{}}, http.StatusBadRequest, nil)
		c.Do(http.MethodPut, "/v1/audit/retention", map[string]any{"default_days": nil, "archive_after_days": 30, "prune_enabled": true,
			"rules": []any{map[string]any{"event": "test.thing", "days": 365}}}, http.StatusOK, nil)
		seg := archived(t, c)
		verifies(t, c)
		asAsked(t, c)
		readArchive(t, c, seg)
		var page struct {
			Items []struct{ Target struct{ ID string } }
		}
		c.Do(http.MethodGet, "/v1/audit/records?event=test.thing.done&target=17", nil, http.StatusOK, &page)
		if len(page.Items) != 1 || page.Items[0].Target.ID != "17" {
			t.Errorf("what is held is gone: %+v", page.Items)
		}
		c.Do(http.MethodDelete, "/v1/audit/holds/"+hold.ID+"?reason="+url.QueryEscape("It is over."), nil, http.StatusNoContent, nil)
		var d struct {
			Retention struct{ Archived, Pruned, Holds, Damaged int64 }
		}
		c.Do(http.MethodGet, "/v1/audit/compliance", nil, http.StatusOK, &d)
		if d.Retention.Archived < 512 || d.Retention.Pruned != seg.Pruned || d.Retention.Holds != 0 || d.Retention.Damaged != 0 {
			t.Errorf("the dashboard says %+v", d.Retention)
		}
	}
}

// oldRecords has a chain hold 600 records of two years ago, and all others
// sealed then.
func oldRecords(t *testing.T, a *appliancetest.Appliance, c *appliancetest.Client, schema string) {
	t.Helper()
	owner := a.Connect(t, "nimbus_owner")
	var ids []string
	var bodies [][]byte
	for n := range 600 {
		r := audit.Record{Version: 1, ID: id.New(), Time: time.Now().UTC().AddDate(-2, 0, 0).Truncate(time.Microsecond), Event: "test.thing.done", Outcome: audit.Success,
			Priority: audit.Info, Actor: actor.Actor{Kind: actor.System, Name: "test"}, Target: audit.Target{Kind: "thing", ID: fmt.Sprint(n)}}
		body, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		ids, bodies = append(ids, r.ID.String()), append(bodies, body)
	}
	appliancetest.Exec(t, owner, `insert into `+schema+`.audit_record (id, event, body) select i, 'test.thing.done', b from unnest($1::uuid[], $2::bytea[]) u (i, b)`, ids, bodies)
	verifies(t, c) // which seals them
	appliancetest.Exec(t, owner, `update `+schema+`.audit_entry set sealed_at = now() - interval '2 years'`)
}

// asAsked looks that what the workflow did is recorded as its own, on behalf of
// who had it run.
func asAsked(t *testing.T, c *appliancetest.Client) {
	t.Helper()
	var page struct{ Items []forWhom }
	c.Do(http.MethodGet, "/v1/audit/records?event=audit.records.pruned&event=audit.segment.archived", nil, http.StatusOK, &page)
	if len(page.Items) < 2 {
		t.Errorf("%+v", page.Items)
	}
	for _, r := range page.Items {
		if r.Actor.Kind != "system" || r.Actor.Name != "AuditArchiveWorkflow" || r.OnBehalfOf.Kind != "user" || r.OnBehalfOf.Name != "Ada Admin" {
			t.Errorf("%+v", r)
		}
	}
}

func verifies(t *testing.T, c *appliancetest.Client) {
	t.Helper()
	var v struct {
		OK     bool
		Breaks []any
	}
	c.Do(http.MethodPost, "/v1/audit/verify", nil, http.StatusOK, &v)
	if !v.OK || len(v.Breaks) > 0 {
		t.Errorf("the chain does not hold: %+v", v.Breaks)
	}
}

// archived runs the workflow and waits until the first segment is pruned.
func archived(t *testing.T, c *appliancetest.Client) segmentRow {
	t.Helper()
	c.Do(http.MethodPost, "/v1/audit/archive/run", nil, http.StatusAccepted, nil)
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		var page struct{ Items []segmentRow }
		c.Do(http.MethodGet, "/v1/audit/archive/segments", nil, http.StatusOK, &page)
		if len(page.Items) > 0 && page.Items[len(page.Items)-1].State == "pruned" {
			return page.Items[len(page.Items)-1]
		}
	}
	var status any
	c.Do(http.MethodGet, "/v1/audit/archive/target", nil, http.StatusOK, &status)
	t.Fatalf("nothing is pruned: %+v", status)
	return segmentRow{}
}

// readArchive reads a pruned record in the trail, in the archive, and in the
// segment as it is downloaded.
func readArchive(t *testing.T, c *appliancetest.Client, seg segmentRow) {
	t.Helper()
	var found struct {
		Items []struct {
			Sequence   int64
			Body, Leaf string
		}
	}
	path := "/v1/audit/archive/segments/" + seg.ID
	c.Do(http.MethodGet, path+"/records?event=test.thing&target=19", nil, http.StatusOK, &found)
	if len(found.Items) != 1 {
		t.Fatalf("in the archive there is %+v", found)
	}
	var left struct {
		Pruned bool
		Leaf   string
		Body   *string
	}
	c.Do(http.MethodGet, fmt.Sprintf("/v1/audit/records/%d", found.Items[0].Sequence), nil, http.StatusOK, &left)
	if !left.Pruned || left.Body != nil || left.Leaf != found.Items[0].Leaf {
		t.Errorf("left of it is %+v", left)
	}
	status, content := c.Try(http.MethodGet, path+"/content", nil)
	plain, err := ledger.Plain(bytes.NewReader(content))
	if status != http.StatusOK || err != nil {
		t.Fatalf("the content: %d %v", status, err)
	}
	defer plain.Close()
	report, err := ledger.VerifyStream(plain, nil, ledger.Options{})
	if err != nil || report.Records != seg.Last-seg.First+1 {
		t.Errorf("%d records %v", report.Records, err)
	}
}
