package audit

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit/siem"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/web"
)

// TestRobustness14HostileTexts puts line ends, escape sequences, megabytes and
// bytes that are no text everywhere in a record. It is stored in bounds, as one
// line of valid JSON without control characters, in the database and at a collector;
// the chain holds.
func TestRobustness14HostileTexts(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	hostile := map[string]string{
		"lines":   "one\r\ntwo\nthree\u2028four\u0085five",
		"forged":  "x\r\n<110>1 2026-01-01T00:00:00Z forged nimbus - - - CEF:0|Forged|x",
		"ansi":    "\x1b[2J\x1b[31mred\x1b]0;title\x07\x9b31m",
		"bytes":   "\xff\xfe\x00\xc3\x28 \xed\xa0\x80 end",
		"long":    strings.Repeat("A\r\n", 350_000),
		"wide":    strings.Repeat("😀", 300_000),
		"quotes":  `"},"outcome":"success","x":{"` + "`$(id)`'; drop table audit_record; --",
		"spoofed": "gnp.\u202eexe \u200b\ufeff",
	}
	var written int64
	for name, text := range hostile {
		who := actor.With(t.Context(), actor.Actor{Kind: actor.User, ID: id.New(), Name: text, Address: text, TenantID: c.tenant})
		e := Entry{
			Event: "test.thing.done", Target: Target{Kind: text, ID: text, Name: text}, Reason: text, Before: text,
			After: map[string]any{text: text, "list": []any{text, map[string]any{"inner" + text: text}}}, Details: map[string]any{"case": name, "text": text},
		}
		if err := c.RecordAlone(who, c.tenant, e); err != nil {
			t.Errorf("%s alone: %v", name, err)
		}
		if err := c.in(who, c.tenant, func(ctx context.Context) error { return c.Record(ctx, e) }); err != nil {
			t.Errorf("%s in a transaction: %v", name, err)
		}
		written += 2
	}
	if err := c.seal(c.ctx, c.tenant); err != nil {
		t.Fatal(err)
	}
	reader := actor.AsSystem(t.Context(), "test", c.tenant)
	found := pages(t, c.Service, reader, Filter{}, 200)
	if int64(len(found)) != written {
		t.Fatalf("%d records of %d", len(found), written)
	}
	for _, r := range found {
		checkTame(t, string(r.Details), r.Body)
		if limit := 4*maxJSON + 16*maxText; len(r.Body) > limit {
			t.Errorf("a record of %d bytes is stored, more than %d", len(r.Body), limit)
		}
	}
	v, err := c.Verify(reader)
	if err != nil || !v.OK() || v.Checked != written {
		t.Errorf("%+v %v", v, err)
	}
	for _, format := range []siem.Format{siem.CEF, siem.RFC5424, siem.JSON} {
		t.Run(string(format), func(t *testing.T) { collectTame(t, c, found, format) })
	}
}

// checkTame looks that a body is one line of valid UTF-8 and JSON.
func checkTame(t *testing.T, what string, body []byte) {
	t.Helper()
	if !utf8.Valid(body) || !json.Valid(body) {
		t.Errorf("%.80s: the body is no JSON in UTF-8", what)
	}
	for _, r := range string(body) {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 {
			t.Errorf("%.80s: %U is in the body as it is", what, r)
			return
		}
	}
}

func local() []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }

// collectTame sends records as a sink does, one datagram each, and looks that
// each arrives as one line that nothing in it can end or forge.
func collectTame(t *testing.T, c *chain, found []Sealed, format siem.Format) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	w := delivery{&Deliverer{service: c.Service}, c.tenant, id.New(), id.New()}
	out, err := siem.Dial(t.Context(), siem.Target{Kind: siem.Syslog, Address: conn.LocalAddr().String(), Transport: siem.UDP, Format: format, Host: "h", Version: "1", Outbound: &web.Outbound{Allowed: local}})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	buffer := make([]byte, 1<<16)
	for _, m := range w.messages(found) {
		if err := out.Send(t.Context(), []siem.Message{m}); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, _, err := conn.ReadFrom(buffer)
		if err != nil {
			t.Fatal(err)
		}
		line := buffer[:n]
		if n > 2048 || !utf8.Valid(line) || bytes.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x2028 || format != siem.JSON && r >= 0x7f && r < 0xa0 }) || bytes.Contains(line[1:], []byte("\n<110>")) {
			t.Errorf("%d bytes: %.200q", n, line)
		}
	}
}

// TestRobustness10ClockStepsBack records, steps an hour back as a clock does
// that is set, and records again: the chain has the order of its sequence, checkpoints
// go on from one another, readers see the newest first by sequence.
func TestRobustness10ClockStepsBack(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	reader := actor.AsSystem(t.Context(), "test", c.tenant)
	var heads []Checkpoint
	for step := range 4 {
		back := time.Duration(step%2) * time.Hour
		var lines []line
		for n := range 20 {
			l := c.agoLine(t, back, fmt.Sprintf("step %d, %d", step, n))
			lines = append(lines, l)
		}
		for _, l := range lines {
			if err := c.in(c.ctx, c.tenant, func(ctx context.Context) error { return c.insert(ctx, c.tenant, nil, l) }); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.seal(c.ctx, c.tenant); err != nil {
			t.Fatal(err)
		}
		head, err := c.Checkpoint(c.ctx, c.tenant)
		if err != nil {
			t.Fatal(err)
		}
		heads = append(heads, head)
	}
	found := pages(t, c.Service, reader, Filter{}, 7)
	for i, r := range found {
		at := len(found) - 1 - i
		if want := fmt.Sprintf("step %d, %d", at/20, at%20); r.Sequence != int64(at+1) || r.Target.Name != want {
			t.Fatalf("record %d is %d %q, want %q", at+1, r.Sequence, r.Target.Name, want)
		}
	}
	for i, head := range heads {
		if head.Size != int64(20*(i+1)) {
			t.Errorf("checkpoint %d is of %d records", i, head.Size)
		}
	}
	if v, err := c.Verify(reader); err != nil || !v.OK() || v.Checked != 80 || v.CheckpointsFailed != 0 {
		t.Errorf("%+v %v", v, err)
	}
}

// agoLine is a record as it is made while the clock is behind.
func (c *chain) agoLine(t *testing.T, behind time.Duration, name string) line {
	t.Helper()
	r, err := build(actor.Actor{Kind: actor.User, Name: "Ada"}, c.tenant, Entry{Event: "test.thing.done", Target: Target{Kind: "thing", Name: name}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Time = r.Time.Add(-behind)
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(r.Time.UnixMilli()))
	copy(r.ID[:6], ms[2:]) // the time of a uuid v7
	body, err := r.encode()
	if err != nil {
		t.Fatal(err)
	}
	return line{r.ID, r.Event, body}
}

// TestSealingThatFailsIsRecorded keeps one chain from being sealed: the
// provider's chain says so, once, and says when it is sealed again.
func TestSealingThatFailsIsRecorded(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	reader := actor.AsSystem(t.Context(), "test", id.ID{})
	schema := "tenant_" + c.tenant.Hex()
	if err := c.RecordAlone(c.user(), c.tenant, Entry{Event: "test.thing.done", Target: Target{Kind: "thing"}}); err != nil {
		t.Fatal(err)
	}
	superuser(t, c.dsn, "revoke insert on "+schema+".audit_entry from "+schema)
	for range 3 {
		c.sealer.wake(c.tenant)
		c.sealer.round(c.ctx)
	}
	if err := c.Ready(c.ctx); !fault.Is(err, fault.Internal) {
		t.Errorf("while sealing fails: %v", err)
	}
	superuser(t, c.dsn, "grant insert on "+schema+".audit_entry to "+schema)
	c.sealer.round(c.ctx)
	if err := c.Ready(c.ctx); err != nil {
		t.Error(err)
	}
	c.sealer.round(c.ctx)
	found := pages(t, c.Service, reader, Filter{Events: []string{"audit.sealing"}}, 10)
	if len(found) != 2 || found[1].Event != "audit.sealing.failed" || found[1].Priority != Critical || found[0].Event != "audit.sealing.recovered" || found[0].Target.Name != c.tenant.String() {
		t.Errorf("%+v", found)
	}
	if last := pages(t, c.Service, actor.AsSystem(t.Context(), "test", c.tenant), Filter{}, 10); len(last) != 1 {
		t.Errorf("%d records are sealed", len(last))
	}
}
