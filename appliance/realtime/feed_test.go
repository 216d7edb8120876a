package realtime_test

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"nimbus/appliance/audit"
	"nimbus/appliance/event"
	"nimbus/appliance/id"
)

// record writes n records into a tenant's trail.
func (b *bench) record(tenant id.ID, event string, n int) {
	b.t.Helper()
	for range n {
		b.must(b.trail.RecordAlone(b.system(tenant), tenant, audit.Entry{Event: event, Target: audit.Target{Kind: "thing"}}))
	}
}

// watchTrail asks for the feed and returns the answer.
func (w *browser) watchTrail(filter string) string {
	w.t.Helper()
	w.send(`420["audit:watch",{"filter":` + filter + `}]`)
	return w.hears("430")
}

// count waits for lines until as many records were seen or lost, and tells both.
func (w *browser) count(all int) (seen, lost int) {
	w.t.Helper()
	for seen+lost < all {
		heard := w.hears(`42["audit.recorded"`)
		var packet []json.RawMessage
		var lines struct {
			Records []struct{ Event string }
			Lost    int
		}
		at := strings.Index(heard, `42["audit.recorded"`)
		if err := json.Unmarshal([]byte(heard[at+2:]), &packet); err != nil {
			w.t.Fatal(err)
		}
		if err := json.Unmarshal(packet[1], &lines); err != nil {
			w.t.Fatal(err)
		}
		seen, lost = seen+len(lines.Records), lost+lines.Lost
	}
	return seen, lost
}

// TestLiveFeed sends what matches, of the session's tenant only, at most 50
// lines in a second, and says how many it left out.
func TestLiveFeed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ann, _ := b.person(b.tenant, audit.ReadPermission)
	w := b.browse(ann)
	if answer := w.watchTrail(`{"event":["test.thing"],"outcome":"success"}`); !strings.Contains(answer, `"ok":true`) {
		t.Fatal(answer)
	}
	b.record(b.other, "test.thing.foreign", 1)
	b.record(b.tenant, "test.other.done", 1)
	b.record(b.tenant, "test.thing.done", 1)
	if heard := w.hears("test.thing.done"); strings.Contains(heard, "foreign") || strings.Contains(heard, "test.other") {
		t.Errorf("heard %s", heard)
	}
	const many = 150
	began := time.Now()
	b.record(b.tenant, "test.thing.many", many)
	seen, lost := w.count(many)
	if most := int(50*time.Since(began).Seconds()) + 20; seen+lost != many || seen > most {
		t.Errorf("%d seen, at most %d, and %d lost of %d", seen, most, lost, many)
	}
	w.send(`421["audit:unwatch"]`)
	w.hears("431")
	b.record(b.tenant, "test.thing.after", 1)
	time.Sleep(1500 * time.Millisecond) // sealing takes up to a second
	b.record(b.tenant, "test.thing.later", 1)
	b.must(b.trail.Ready(t.Context()))
	select {
	case packet := <-w.heard:
		if strings.Contains(packet, "audit.recorded") {
			t.Errorf("after unwatch: %s", packet)
		}
	default:
	}
}

// TestLiveFeedNeedsTheRight refuses it, cuts it within a second, and refuses filters that are none.
func TestLiveFeedNeedsTheRight(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ann, grants := b.person(b.tenant, audit.ReadPermission, readOther)
	bob, _ := b.person(b.tenant, readOther)
	hers, his := b.browse(ann), b.browse(bob)
	if answer := his.watchTrail(`null`); strings.Contains(answer, `"ok":true`) {
		t.Errorf("without the right: %s", answer)
	}
	for i, bad := range []string{`{"sql":"1"}`, `{"event":7}`, `{"outcome":"well"}`, `{"q":"words"}`} {
		hers.send(fmt.Sprintf(`42%d["audit:watch",{"filter":%s}]`, 10+i, bad))
		if answer := hers.hears(fmt.Sprintf("43%d", 10+i)); strings.Contains(answer, `"ok":true`) {
			t.Errorf("%s: %s", bad, answer)
		}
	}
	if answer := hers.watchTrail(`{"event":"test"}`); !strings.Contains(answer, `"ok":true`) {
		t.Fatal(answer)
	}
	b.record(b.tenant, "test.thing.done", 1)
	hers.hears("test.thing.done")

	began := time.Now()
	b.must(b.rights.DeleteGrant(b.system(b.tenant), grants[0]))
	hers.hears(`42["watch.ended",{"kind":"audit"}]`)
	within(t, began, time.Second)
	b.record(b.tenant, "test.thing.after", 3)
	time.Sleep(1500 * time.Millisecond) // sealing takes up to a second
	b.publish(event.Event{Type: "other.updated", Tenant: b.tenant, Permission: readOther})
	if after := hers.hears("other.updated"); strings.Contains(after, "test.thing") {
		t.Errorf("after the end she hears %s", after)
	}
	hers.wantOpen()
}

// TestSlowReaderOfTheFeedIsNotCut stops to read: the connection stays, and
// what it missed is told when it reads again.
func TestSlowReaderOfTheFeedIsNotCut(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ann, _ := b.person(b.tenant, audit.ReadPermission)
	w := b.browse(ann)
	if answer := w.watchTrail(`{"event":"test"}`); !strings.Contains(answer, `"ok":true`) {
		t.Fatal(answer)
	}
	w.paused.Lock() // what its listener and the sockets' buffers hold is little beside it
	large := map[string]any{}
	for i := range 28 {
		large[fmt.Sprint("note", i)] = strings.Repeat(rand.Text()+" ", 140)
	}
	const many = 150
	for range many {
		b.must(b.trail.RecordAlone(b.system(b.tenant), b.tenant, audit.Entry{Event: "test.thing.large", Target: audit.Target{Kind: "thing"}, Details: large}))
		time.Sleep(20 * time.Millisecond)
	}
	time.Sleep(time.Second)
	w.wantOpen()
	w.paused.Unlock()
	b.record(b.tenant, "test.thing.last", 1)
	seen, lost := w.count(many + 1)
	if seen+lost != many+1 || lost == 0 {
		t.Errorf("%d seen and %d lost of %d", seen, lost, many+1)
	}
	w.wantOpen()
}
