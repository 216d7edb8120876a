package audit

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"nimbus/appliance/audit/siem"
	"nimbus/appliance/fault"
)

// rsyslogSink is a sink for a receiver, in a format.
func (b *sinkBench) rsyslogSink(r *rsyslog, format siem.Format, cert, key string) Sink {
	b.t.Helper()
	name, transport, batch := "rsyslog "+string(format), siem.TLS, 20
	s, err := b.NewSink(b.ctx, siem.Syslog, 0, SinkChange{Name: &name, Address: &r.address, Transport: &transport, Format: &format, BatchSize: &batch,
		CAPEM: &r.ca.pem, ClientCertPEM: &cert, ClientKeyPEM: &key, Filter: &SinkFilter{Events: []string{"test.thing"}}})
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// TestRsyslogKilledInTheMiddle has Debian's rsyslog as the receiver over TLS,
// killed again and again while records come: it has every record in the end,
// in the order of the chain, whatever came twice.
func TestRsyslogKilledInTheMiddle(t *testing.T) {
	t.Parallel()
	for _, format := range []siem.Format{siem.RFC5424, siem.CEF, siem.JSON} {
		t.Run(string(format), func(t *testing.T) {
			t.Parallel()
			b, r := newSinkBench(t, "127.0.0.0/8"), newRsyslog(t, nimbusCN)
			cert, key := r.ca.issue(t, "nimbus")
			sink := b.rsyslogSink(r, format, cert, key)
			for round := range 4 {
				b.record("test.thing.done", fmt.Sprintf("round %d: ]\" =|\\\n\tü", round), 60)
				b.record("other.thing.done", "", 5)
				if round == 3 {
					break
				}
				r.kill()
				b.record("test.thing.done", "while it was away", 20)
				b.until(sink.ID, "a failure", func(s Sink) bool { return s.Health.State == SinkRetrying && s.Health.LastError != "" })
				r.start()
			}
			want := b.inOrder("test.thing")
			b.until(sink.ID, "everything delivered", func(s Sink) bool { return s.Health.Lag == 0 && s.Health.State == SinkOK })
			if len(want) != 300 {
				t.Fatalf("%d records", len(want))
			}
			inOrderAtLeastOnce(t, want, sequencesOf(t, format, r.received()))
		})
	}
}

// inOrder are the sequence numbers of an event's records.
func (b *sinkBench) inOrder(event string) (all []int64) {
	b.t.Helper()
	for _, s := range b.sealed(event) {
		all = append(all, s.Sequence)
	}
	return all
}

var sequenceIn = map[siem.Format]*regexp.Regexp{
	siem.RFC5424: regexp.MustCompile(`^\[nimbus@32473 sequence="(\d+)" id="[0-9a-f-]{36}" .*leaf="[^"]{44}"\]$`),
	siem.CEF:     regexp.MustCompile(`^CEF:0\|Nimbus\|Nimbus\|.*\bcn1=(\d+) cn1Label=sequence$`),
	siem.JSON:    regexp.MustCompile(`^\{"sequence":(\d+),.*\}$`),
}

// sequencesOf reads them where a receiver would, and fails for a message that
// rsyslog did not understand as one of RFC 5424.
func sequencesOf(t *testing.T, format siem.Format, all []received) (sequences []int64) {
	t.Helper()
	for _, m := range all {
		text := strings.TrimSpace(m.text)
		if format == siem.RFC5424 {
			text = m.data
		}
		found := sequenceIn[format].FindStringSubmatch(text)
		if found == nil || m.version != "1" || m.app != "nimbus" || m.event != "test.thing.done" || m.priority != "110" {
			t.Fatalf("not understood: %+v", m)
		}
		n, err := strconv.ParseInt(found[1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		sequences = append(sequences, n)
	}
	return sequences
}

// inOrderAtLeastOnce: the first arrivals are exactly what is wanted, in order.
func inOrderAtLeastOnce(t *testing.T, want, got []int64) {
	t.Helper()
	seen, next := map[int64]bool{}, 0
	for _, n := range got {
		if seen[n] {
			continue
		}
		seen[n] = true
		if next >= len(want) || want[next] != n {
			t.Fatalf("record %d arrived out of turn, after %d of %d", n, next, len(want))
		}
		next++
	}
	if next != len(want) {
		t.Fatalf("%d of %d records arrived", next, len(want))
	}
	if twice := len(got) - len(want); twice > len(want)/2 {
		t.Errorf("%d of %d came twice", twice, len(want))
	}
}

// TestRsyslogWantsACertificate: a receiver that refuses our certificate only
// after the handshake took nothing, and gets everything once it knows us.
func TestRsyslogWantsACertificate(t *testing.T) {
	t.Parallel()
	b, r := newSinkBench(t, "127.0.0.0/8"), newRsyslog(t, nimbusCN)
	foreign, foreignKey := newAuthority(t).issue(t, "nimbus")
	stranger, strangerKey := r.ca.issue(t, "stranger")
	sink := b.rsyslogSink(r, siem.RFC5424, "", "")
	b.record("test.thing.done", "", 10)
	for _, with := range [][2]string{{"", ""}, {foreign, foreignKey}, {stranger, strangerKey}} {
		if _, err := b.ChangeSink(b.ctx, sink.ID, SinkChange{ClientCertPEM: &with[0], ClientKeyPEM: &with[1]}); err != nil {
			t.Fatal(err)
		}
		if err := b.TestSink(b.ctx, sink.ID); !fault.Is(err, fault.Unavailable) {
			t.Errorf("a receiver that does not know us took a test message: %v", err)
		}
		s := b.until(sink.ID, "a failure", func(s Sink) bool { return s.Health.State == SinkRetrying && s.Health.LastError != "" })
		if s.Health.Sent != 0 || s.Health.LastSuccess != nil || len(r.received()) != 0 {
			t.Fatalf("delivered to a receiver that does not know us: %+v", s.Health)
		}
	}
	mine, mineKey := r.ca.issue(t, "nimbus")
	if _, err := b.ChangeSink(b.ctx, sink.ID, SinkChange{ClientCertPEM: &mine, ClientKeyPEM: &mineKey}); err != nil {
		t.Fatal(err)
	}
	b.until(sink.ID, "everything delivered", func(s Sink) bool { return s.Health.Lag == 0 && s.Health.State == SinkOK && s.Health.Sent == 10 })
	inOrderAtLeastOnce(t, b.inOrder("test.thing"), sequencesOf(t, siem.RFC5424, r.received()))
}
