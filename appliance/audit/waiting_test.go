package audit

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"nimbus/appliance/actor"
	"nimbus/appliance/id"
)

// behindSink makes an enabled sink that was given the records up to one.
func behindSink(name string, cursor int64) string {
	return fmt.Sprintf(`insert into audit_sink (id, name, kind, enabled, filter, batch_size, format, url, address, transport, ca_pem, client_cert_pem, secrets, has, cursor)
		values (gen_random_uuid(), '%s', 'webhook', true, '{}', 100, 'json', 'https://siem.example', '', '', '', '', '', '{}', %d)`, name, cursor)
}

// nightly is a run of the archive that also says what waits.
func (c *chain) nightly(t testing.TB) ArchiveStatus {
	t.Helper()
	c.run(t)
	if err := c.noteWaiting(c.ctx, c.tenant); err != nil {
		t.Fatal(err)
	}
	status, err := c.archive(c.ctx, c.tenant)
	if err != nil {
		t.Fatal(err)
	}
	return status
}

// TestPruningWaitsForCollectors: what an enabled sink was not given stays, and
// the run says so once. Dead letters and sinks that are paused keep nothing.
func TestPruningWaitsForCollectors(t *testing.T) {
	t.Parallel()
	c, ada := newLife(t)
	c.old(t, 600, 400)
	c.record(t, 5)
	c.keep(t, ada, days(365))
	c.superuser(t, behindSink("Splunk", 100), behindSink("Graylog", 600), behindSink("Loki", 300),
		"insert into audit_dead_letter (id, sink_id, first, last, reason, attempts) select gen_random_uuid(), id, 50, 50, 'x', 5 from audit_sink where name = 'Splunk'")
	for range 2 {
		status := c.nightly(t)
		if got := c.sequences(t); got[0] != [2]int64{1, 1} || got[1][0] != 101 {
			t.Fatalf("there is %v", got)
		}
		if status.Records != 412 || !slices.Equal(status.For, []string{"Loki", "Splunk"}) {
			t.Errorf("%+v", status.Waiting)
		}
	}
	c.holdsEverywhere(t)
	held, err := c.Withheld(c.ctx)
	if err != nil || len(held) != 1 || held[c.tenant.String()].Records != 412 {
		t.Errorf("%+v %v", held, err)
	}
	if d, err := c.Compliance(ada, Period{}); err != nil || d.Retention.Records != 412 || !slices.ContainsFunc(d.Score, func(k Check) bool {
		return k.Check == "archive_works" && !k.OK && strings.Contains(k.Detail, "412 records") && strings.Contains(k.Detail, "Loki, Splunk")
	}) {
		t.Errorf("%+v %+v %v", d.Retention.Waiting, d.Score, err)
	}
	c.superuser(t, "update audit_sink set enabled = false where name = 'Splunk'")
	if status := c.nightly(t); status.Records != 212 || !slices.Equal(status.For, []string{"Loki"}) || c.sequences(t)[1][0] != 301 {
		t.Errorf("%+v %v", status.Waiting, c.sequences(t))
	}
	c.superuser(t, "update audit_sink set cursor = 605 where name = 'Loki'")
	if status := c.nightly(t); status.Records != 0 || len(status.For) != 0 || c.sequences(t)[1][0] != 513 {
		t.Errorf("%+v %v", status.Waiting, c.sequences(t))
	}
	if events := c.events(t, c.tenant); strings.Count(events, "audit.pruning.waiting") != 1 || strings.Count(events, "audit.pruning.resumed") != 1 {
		t.Errorf("recorded are %s", events)
	}
	c.holdsEverywhere(t)
}

// TestHoldCoversWhatIsDoneForSomebody: a hold on a person keeps what a workflow
// did for them, by id and by name.
func TestHoldCoversWhatIsDoneForSomebody(t *testing.T) {
	t.Parallel()
	c, ada := newLife(t)
	eve := actor.Actor{Kind: actor.User, ID: id.New(), Name: "Eve Holt", TenantID: c.tenant}
	c.old(t, 100, 400)
	c.oldBy(t, eve.Through("PulumiDeployWorkflow"), 50, 400)
	c.old(t, 450, 400)
	c.record(t, 5)
	c.keep(t, ada, days(365))
	for _, who := range []string{eve.ID.String(), "eve h"} {
		h, err := c.AddHold(ada, NewHold{Name: who, Reason: "Case", Filter: HoldFilter{Actor: who}})
		if err != nil {
			t.Fatal(err)
		}
		c.run(t)
		if got := c.sequences(t); len(got) != 3 || got[1] != [2]int64{102, 151} || got[2][0] != 513 {
			t.Errorf("held by %s: %v", who, got)
		}
		if who == eve.ID.String() {
			continue // the next one is added before this one ends
		}
		if err := c.ReleaseHold(ada, h.ID, "Closed."); err != nil {
			t.Fatal(err)
		}
	}
	c.holdsEverywhere(t)
}
