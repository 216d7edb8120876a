package audit

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"nimbus/appliance/audit/siem"
	"nimbus/appliance/db"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// TestWebhookRestartedInTheMiddle: the collector goes away without an answer
// and comes back; it has every record in order, and twice at most what it took
// without saying so.
func TestWebhookRestartedInTheMiddle(t *testing.T) {
	t.Parallel()
	b, c := newSinkBench(t, "127.0.0.0/8"), newCollector(t)
	sink := b.webhook(c, 20, "test.thing")
	for round := range 3 {
		b.record("test.thing.done", "", 100)
		b.record("other.thing.done", "", 5)
		if round < 2 {
			c.kill()
			b.record("test.thing.done", "", 50)
			b.until(sink.ID, "a failure", func(s Sink) bool { return s.Health.State == SinkRetrying && s.Health.LastError != "" })
			c.start(c.at)
		}
	}
	want := b.inOrder("test.thing")
	b.until(sink.ID, "everything delivered", func(s Sink) bool { return s.Health.Lag == 0 && s.Health.State == SinkOK })
	if len(want) != 400 {
		t.Errorf("%d records", len(want))
	}
	inOrderAtLeastOnce(t, want, c.inOrder())
}

// TestAnswersOfACollector: 500, silence and 429 with Retry-After delay records
// and lose none.
func TestAnswersOfACollector(t *testing.T) {
	t.Parallel()
	b, c := newSinkBench(t, "127.0.0.0/8"), newCollector(t)
	sink := b.webhook(c, 10, "test.thing")
	for _, step := range []struct {
		says   string
		answer func(w http.ResponseWriter, r *http.Request) bool
	}{
		{"500", func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(500); return true }},
		{"in time", func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true }},
		{"429", func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Retry-After", "2")
			w.WriteHeader(429)
			return true
		}},
		{"302", func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
			return true
		}},
	} {
		var since atomic.Int64
		c.answers(func(w http.ResponseWriter, r *http.Request, _ []string) bool {
			if since.CompareAndSwap(0, time.Now().UnixNano()) {
				return step.answer(w, r)
			}
			return false
		})
		b.record("test.thing.done", "", 3)
		b.until(sink.ID, step.says, func(s Sink) bool {
			return strings.Contains(s.Health.LastError, step.says) || s.Health.Lag == 0 && since.Load() > 0
		})
		b.until(sink.ID, "delivery after "+step.says, func(s Sink) bool { return s.Health.Lag == 0 && s.Health.State == SinkOK })
		if took := time.Since(time.Unix(0, since.Load())); step.says == "429" && took < 2*time.Second {
			t.Errorf("Retry-After: 2 was not respected: %s", took)
		}
	}
	if want, got := b.ids("test.thing"), c.has(); len(got) != 12 || len(want) != 12 {
		t.Errorf("%d of %d arrived", len(got), len(want))
	}
}

// TestDeadLetters: what a collector refuses while it takes the rest is put
// aside, told, and delivered when it is replayed.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 413, 500} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			b, c := newSinkBench(t, "127.0.0.0/8"), newCollector(t)
			c.answers(poisoned(status))
			sink := b.webhook(c, 50, "test.thing")
			b.record("test.thing.done", "fine", 20)
			b.record("test.thing.bad", "poison", 1)
			b.record("test.thing.done", "fine", 20)
			b.record("test.thing.bad", "poison", 1)
			s := b.until(sink.ID, "two dead letters", func(s Sink) bool { return s.Health.Dead == 2 && s.Health.Lag == 0 })
			if got := c.has(); len(got) != 40 || s.Health.State != SinkOK {
				t.Errorf("%d arrived, %+v", len(got), s.Health)
			}
			letters, err := b.DeadLetters(b.ctx, sink.ID, id.ID{15: 1}, 10)
			if err != nil || len(letters) != 2 || letters[0].First != letters[0].Last || letters[0].Attempts < sinkPatience || !strings.Contains(letters[0].Reason, http.StatusText(status)) {
				t.Fatalf("%+v %v", letters, err)
			}
			if told := b.ids("audit.sink.dead_lettered"); len(told) == 0 {
				t.Error("the trail does not tell of dead letters")
			}
			// Refused again, it stays; taken, it is gone.
			if err := b.ReplayDeadLetters(b.ctx, sink.ID, letters[0].ID); err != nil {
				t.Fatal(err)
			}
			b.until(sink.ID, "the letter back", func(Sink) bool {
				l, err := b.DeadLetters(b.ctx, sink.ID, id.ID{15: 1}, 1)
				return err == nil && len(l) == 1 && !l[0].Due && l[0].Attempts > letters[0].Attempts
			})
			c.answers(nil)
			if err := b.ReplayDeadLetters(b.ctx, sink.ID, id.ID{}); err != nil {
				t.Fatal(err)
			}
			b.until(sink.ID, "no dead letters", func(s Sink) bool { return s.Health.Dead == 0 })
			for one, n := range c.has() {
				if n != 1 {
					t.Errorf("record %s arrived %d times", one, n)
				}
			}
			if got := c.has(); len(got) != 42 {
				t.Errorf("%d arrived after the replay", len(got))
			}
			if err := b.ReplayDeadLetters(b.ctx, sink.ID, letters[0].ID); !fault.Is(err, fault.NotFound) {
				t.Errorf("a letter that is gone: %v", err)
			}
		})
	}
}

// TestACollectorThatRefusesEverything is not the records' fault: nothing
// becomes a dead letter, and a single bad record does when the collector takes
// a test message.
func TestACollectorThatRefusesEverything(t *testing.T) {
	t.Parallel()
	b, c := newSinkBench(t, "127.0.0.0/8"), newCollector(t)
	c.answers(func(w http.ResponseWriter, _ *http.Request, _ []string) bool { w.WriteHeader(400); return true })
	sink := b.webhook(c, 50, "test.thing")
	b.record("test.thing.done", "", 30)
	b.until(sink.ID, "many failures", func(s Sink) bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.calls > 25
	})
	s, err := b.Sink(b.ctx, sink.ID)
	if err != nil || s.Health.Dead != 0 || s.Health.State != SinkRetrying || s.Cursor >= s.Cursor+s.Health.Lag {
		t.Errorf("%+v %v", s, err)
	}
	c.answers(poisoned(400))
	b.record("test.thing.bad", "poison", 1)
	b.until(sink.ID, "one dead letter", func(s Sink) bool { return s.Health.Dead == 1 && s.Health.Lag == 0 })
	if told := b.ids("audit.sink.failed"); len(told) != 1 {
		t.Errorf("the trail tells of the failure %d times", len(told))
	}
	b.record("test.thing.bad", "poison alone", 1)
	b.until(sink.ID, "two dead letters", func(s Sink) bool { return s.Health.Dead == 2 && s.Health.Lag == 0 })
}

// TestReplayPauseAndFilter walks through what a person can do with a sink.
func TestReplayPauseAndFilter(t *testing.T) {
	t.Parallel()
	b, c := newSinkBench(t, "127.0.0.0/8"), newCollector(t)
	sink := b.webhook(c, 10, "test.thing", "other.thing.done")
	b.record("test.thing.done", "", 7)
	b.record("test.things.done", "", 3)
	b.until(sink.ID, "seven", func(s Sink) bool { return s.Health.Sent == 7 && s.Health.Lag == 0 })
	off, on := false, true
	paused, err := b.ChangeSink(b.ctx, sink.ID, SinkChange{Enabled: &off})
	if err != nil || paused.Health.State != SinkPaused {
		t.Fatalf("%+v %v", paused.Health, err)
	}
	b.record("other.thing.done", "", 4)
	b.ids("other.thing")
	time.Sleep(300 * time.Millisecond)
	if got := c.has(); len(got) != 7 {
		t.Errorf("%d arrived while paused", len(got))
	}
	if _, err := b.ChangeSink(b.ctx, sink.ID, SinkChange{Enabled: &on}); err != nil {
		t.Fatal(err)
	}
	s := b.until(sink.ID, "eleven", func(s Sink) bool { return s.Health.Sent == 11 && s.Health.Lag == 0 })
	if err := b.ReplaySink(b.ctx, sink.ID, 1); err != nil {
		t.Fatal(err)
	}
	b.until(sink.ID, "everything again", func(s Sink) bool { return s.Health.Sent == 22 && s.Health.Lag == 0 })
	for one, n := range c.has() {
		if n != 2 {
			t.Errorf("record %s arrived %d times", one, n)
		}
	}
	if err := b.ReplaySink(b.ctx, sink.ID, s.Cursor+1000); !fault.Is(err, fault.Invalid) {
		t.Errorf("replay from the future: %v", err)
	}
	if err := b.TestSink(b.ctx, sink.ID); err != nil {
		t.Error(err)
	}
	if err := b.RemoveSink(b.ctx, sink.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Sink(b.ctx, sink.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("a sink that is gone: %v", err)
	}
}

// TestOneNodeDelivers has two nodes at one database.
func TestOneNodeDelivers(t *testing.T) {
	t.Parallel()
	b, c := newSinkBench(t, "127.0.0.0/8"), newCollector(t)
	other := New(b.Config)
	other.deliverer.first = 20 * time.Millisecond
	if err := other.deliverer.Start(b.ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.deliverer.Stop(context.Background()) })
	sink := b.webhook(c, 7, "test.thing")
	for range 10 {
		b.record("test.thing.done", "", 20)
		other.deliverer.wake(b.tenant)
	}
	b.ids("test.thing")
	b.until(sink.ID, "all", func(s Sink) bool { return s.Health.Lag == 0 && s.Health.Sent == 200 })
	for one, n := range c.has() {
		if n != 1 {
			t.Errorf("record %s arrived %d times", one, n)
		}
	}
}

// TestRobustness05HangingSinks: collectors that never answer, more than the
// database has connections, hold up neither records nor other sinks.
func TestRobustness05HangingSinks(t *testing.T) {
	t.Parallel()
	b, c, silent := newSinkBench(t, "127.0.0.0/8"), newCollector(t), newCollector(t)
	silent.answers(func(_ http.ResponseWriter, r *http.Request, _ []string) bool { <-r.Context().Done(); return true })
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	for range 3 {
		b.webhook(silent, 10)
	}
	name, at, tcp := "Mute", mute.Addr().String(), siem.TCP
	if _, err := b.NewSink(b.ctx, siem.Syslog, 0, SinkChange{Name: &name, Address: &at, Transport: &tcp}); err != nil {
		t.Fatal(err)
	}
	good := b.webhook(c, 10, "test.thing")
	slowest := time.Duration(0)
	for range 50 {
		began := time.Now()
		b.record("test.thing.done", "", 1)
		slowest = max(slowest, time.Since(began))
	}
	began := time.Now()
	b.until(good.ID, "the good sink", func(s Sink) bool { return s.Health.Sent == 50 })
	t.Logf("slowest record %s, the good sink had all after %s", slowest, time.Since(began))
	if slowest > 3*time.Second || time.Since(began) > 8*time.Second {
		t.Errorf("hanging sinks hold others up: a record took %s, delivery %s", slowest, time.Since(began))
	}
	began = time.Now()
	if err := b.deliverer.Stop(b.ctx); err != nil || time.Since(began) > 5*time.Second {
		t.Errorf("stopping took %s: %v", time.Since(began), err)
	}
}

// TestRobustness39SinksReachWhatIsAllowed: addresses that are not public are
// refused at dial time, unless the provider allows them.
func TestRobustness39SinksReachWhatIsAllowed(t *testing.T) {
	t.Parallel()
	b, c := newSinkBench(t), newCollector(t)
	var reached atomic.Int64
	c.answers(func(http.ResponseWriter, *http.Request, []string) bool { reached.Add(1); return false })
	_, port, _ := net.SplitHostPort(c.at)
	ca, key := c.ca, sinkSecret
	for i, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433", "169.254.169.254", "[fe80::1]", "10.0.0.1"} {
		for kind, change := range map[string]SinkChange{"webhook": {Secret: &key}, "tcp": {}, "udp": {}, "tls": {}} {
			name, url, address, transport := kind+host, "https://"+host+":"+port, host+":"+port, siem.Transport(kind)
			change.Name, change.Enabled = &name, new(bool)
			sort := siem.Syslog
			if kind == "webhook" {
				sort, change.URL, change.CAPEM = siem.Webhook, &url, &ca
			} else {
				change.Address, change.Transport = &address, &transport
			}
			s, err := b.NewSink(b.ctx, sort, 0, change)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if err := b.TestSink(b.ctx, s.ID); !fault.Is(err, fault.Unavailable) || i == 0 && !strings.Contains(fault.Message(err), "not a public address") {
				t.Errorf("%s: %v", name, err)
			}
			if err := b.RemoveSink(b.ctx, s.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	if reached.Load() != 0 {
		t.Errorf("%d calls came through", reached.Load())
	}
	for _, bad := range []string{"http://collector.example", "ftp://x", "https://user:pw@collector.example", "https://", "file:///etc/passwd"} {
		name := "Bad"
		if _, err := b.NewSink(b.ctx, siem.Webhook, 0, SinkChange{Name: &name, URL: &bad, Secret: &key}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// TestSinksKeepTheirSecrets looks for canaries in everything that leaves but
// the calls to the collector itself.
func TestSinksKeepTheirSecrets(t *testing.T) {
	t.Parallel()
	b, c := newSinkBench(t, "127.0.0.0/8"), newCollector(t)
	sink := b.webhook(c, 10)
	c.kill()
	b.record("test.thing.done", "", 1)
	b.until(sink.ID, "a failure", func(s Sink) bool { return s.Health.State == SinkRetrying })
	_ = b.TestSink(b.ctx, sink.ID)
	c.start(c.at)
	b.until(sink.ID, "delivery", func(s Sink) bool { return s.Health.Lag == 0 })
	elsewhere := "https://elsewhere.example/"
	if _, err := b.ChangeSink(b.ctx, sink.ID, SinkChange{URL: &elsewhere}); !fault.Is(err, fault.Invalid) {
		t.Errorf("secrets would go to another place: %v", err)
	}
	s, err := b.Sink(b.ctx, sink.ID)
	if err != nil || !s.HasSecret || !s.HasAuthorization {
		t.Fatalf("%+v %v", s, err)
	}
	answer, _ := json.Marshal(s)
	var trail strings.Builder
	var stored string
	err = b.in(b.ctx, b.tenant, func(ctx context.Context) error {
		found, err := selected(ctx, SinkFilter{}, 1, 1<<40, 1<<20)
		for _, r := range found {
			trail.Write(r.Body)
		}
		if err == nil {
			row, failed := b.store.sink(ctx, sink.ID, false)
			stored, err = string(row.secrets), failed
		}
		return err
	})
	if err != nil || !strings.Contains(trail.String(), "audit.sink.created") {
		t.Fatal(err)
	}
	for where, text := range map[string]string{"the answer": string(answer), "the trail": trail.String(), "the log": b.log.String(), "the table": stored} {
		for _, canary := range []string{sinkSecret, "canary-of-the-authorization"} {
			if strings.Contains(text, canary) {
				t.Errorf("%s holds %s", where, canary)
			}
		}
	}
	if strings.Contains(trail.String()+b.log.String(), "path-canary") {
		t.Error("the path of a webhook, which may be a secret, is in the trail or the log")
	}
}

// TestDeadSinkIsForgotten: a dead sink that is paused or deleted does not keep the
// appliance from being ready, nor does one that another node could not reach.
func TestDeadSinkIsForgotten(t *testing.T) {
	t.Parallel()
	b, c := newSinkBench(t, "127.0.0.0/8"), newCollector(t)
	ready := func(want bool, when string) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); (b.deliverer.Ready(b.ctx) == nil) != want; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: %v", when, b.deliverer.Ready(b.ctx))
			}
		}
	}
	for name, end := range map[string]func(id.ID) error{
		"paused": func(sink id.ID) error {
			off := false
			_, err := b.ChangeSink(b.ctx, sink, SinkChange{Enabled: &off})
			return err
		},
		"deleted": func(sink id.ID) error { return b.RemoveSink(b.ctx, sink) },
	} {
		sink := b.webhook(c, 50, "test.thing")
		err := b.DB.Tenant(b.ctx, b.tenant, func(ctx context.Context) error {
			_, err := db.Tx(ctx).Exec(ctx, `update audit_sink set name = $2, failures = 9, failing_since = now() - interval '2 hours', retry_at = now() + interval '1 hour' where id = $1`, sink.ID, name)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		b.deliverer.wake(b.tenant)
		ready(false, "dead")
		if err := end(sink.ID); err != nil {
			t.Fatal(err)
		}
		ready(true, name)
	}
}
