package siem

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func record(s string) Message {
	body, _ := json.Marshal(map[string]any{"event": "identity.user.updated", "reason": s})
	return Message{
		Sequence: 7, ID: "0193a000-0000-7000-8000-000000000001", Time: time.Unix(1700000000, 123456000), Chain: "provider",
		Event: "identity.user.updated", Category: "identity", Priority: "warning", Outcome: "denied",
		Actor: Party{"a", "user", s}, Target: Party{s, "user", s}, Address: "192.0.2.7", Request: s, Reason: s, Leaf: []byte{1, 2}, Body: body,
	}
}

func TestFormats(t *testing.T) {
	t.Parallel()
	m := record(`a|b=c\d]e"f` + "\r\ng")
	for format, want := range map[Format]string{
		RFC5424: `<108>1 2023-11-14T22:13:20.123456Z host nimbus - identity.user.updated [nimbus@32473 sequence="7" ` +
			`id="0193a000-0000-7000-8000-000000000001" chain="provider" event="identity.user.updated" category="identity" priority="warning" outcome="denied" ` +
			`actorId="a" actorKind="user" actorName="a|b=c\\d\]e\"f␍␊g" targetKind="user" targetId="a|b=c\\d\]e\"f␍␊g" targetName="a|b=c\\d\]e\"f␍␊g" ` +
			`address="192.0.2.7" requestId="a|b=c\\d\]e\"f␍␊g" reason="a|b=c\\d\]e\"f␍␊g" leaf="AQI="] ` +
			`identity.user.updated denied by a|b=c\d]e"f␍␊g on user a|b=c\d]e"f␍␊g`,
		CEF: `<108>1 2023-11-14T22:13:20.123456Z host nimbus - identity.user.updated - ` +
			`CEF:0|Nimbus|Nimbus|1\|2|identity.user.updated|identity.user.updated denied|6|rt=1700000000123 externalId=0193a000-0000-7000-8000-000000000001 ` +
			`cat=identity act=identity.user.updated outcome=denied suid=a suser=a|b\=c\\d]e"f\r\ng duid=a|b\=c\\d]e"f\r\ng duser=a|b\=c\\d]e"f\r\ng ` +
			`reason=a|b\=c\\d]e"f\r\ng deviceExternalId=provider src=192.0.2.7 cs1=user cs1Label=actorKind cs2=user cs2Label=targetKind ` +
			`cs3=a|b\=c\\d]e"f\r\ng cs3Label=requestId cs4=AQI\= cs4Label=leaf cn1=7 cn1Label=sequence`,
		JSON: `<108>1 2023-11-14T22:13:20.123456Z host nimbus - identity.user.updated - ` +
			`{"sequence":7,"chain":"provider","category":"identity","leaf":"AQI=","record":` + string(m.Body) + `}`,
	} {
		got := string(newRenderer(Target{Format: format, Host: "host", Version: "1|2"}, maxFrame).syslog(m))
		if got != want {
			t.Errorf("%s:\n got %s\nwant %s", format, got, want)
		}
	}
}

// TestForWhomIsTold has every format say for whom somebody acted, and that a
// claim is one.
func TestForWhomIsTold(t *testing.T) {
	t.Parallel()
	m := record("x")
	m.Behalf = Behalf{Party{"", "os_user", `ol"ga`}, true}
	m.Body = nil
	for format, want := range map[Format][]string{
		RFC5424: {` actorName="x" behalfKind="os_user" behalfName="ol\"ga" behalfClaimed="true" targetKind=`, `denied by x on behalf of ol"ga (claimed) on user x`},
		CEF:     {` cs5=ol"ga (claimed) cs5Label=onBehalfOf`},
		JSON:    {`"on_behalf_of":{"claimed":true,"id":"","kind":"os_user","name":"ol\"ga"}`},
	} {
		got := string(newRenderer(Target{Format: format, Host: "host"}, maxFrame).syslog(m))
		for _, text := range want {
			if !strings.Contains(got, text) {
				t.Errorf("%s: %s is missing in %s", format, text, got)
			}
		}
	}
	m.Behalf = Behalf{Party{"b", "user", "Bob"}, false}
	if got := string(newRenderer(Target{Format: CEF, Host: "host"}, maxFrame).syslog(m)); !strings.Contains(got, " cs5=Bob cs5Label=onBehalfOf cs6=b cs6Label=onBehalfOfId") {
		t.Error(got)
	}
}

func TestHeaderFieldsAreBounded(t *testing.T) {
	t.Parallel()
	m := record("x")
	m.Event, m.Priority = strings.Repeat("long.event.code.", 4), "?"
	line := string(newRenderer(Target{Host: "a host\n"}, maxFrame).syslog(m))
	if want := "<110>1 2023-11-14T22:13:20.123456Z a_host_ nimbus - long.event.code.long.event.code. [nimbus@32473 "; !strings.HasPrefix(line, want) {
		t.Errorf("%s", line)
	}
	if !strings.Contains(line, `event="`+m.Event+`"`) {
		t.Errorf("the whole code is not in the structured data: %s", line)
	}
}

// TestLongRecordsAreCut keeps what identifies a record when its texts do not fit.
func TestLongRecordsAreCut(t *testing.T) {
	t.Parallel()
	m := record(strings.Repeat(`"é=`, 100_000))
	for _, limit := range []int{maxDatagram, maxFrame} {
		for _, format := range []Format{RFC5424, CEF, JSON} {
			line := string(newRenderer(Target{Format: format, Host: "host"}, limit).syslog(m))
			if len(line) > limit || !utf8.ValidString(line) || !strings.Contains(line, m.ID) || !strings.Contains(line, "7") {
				t.Errorf("%s in %d bytes: %d bytes, %.300s", format, limit, len(line), line)
			}
			if format != JSON {
				continue
			}
			var got struct {
				Sequence, Truncated int
				Record              struct{ ID, Event string }
			}
			if err := json.Unmarshal([]byte(line[strings.Index(line, "{"):]), &got); err != nil || got.Record.ID != m.ID || got.Truncated != len(m.Body) {
				t.Errorf("%+v %v", got, err)
			}
		}
	}
}

var (
	wellFormed5424 = regexp.MustCompile(`^<\d{1,3}>1 \S+ [!-~]{1,255} nimbus - [!-~]{1,32} \[nimbus@32473( [A-Za-z0-9]{1,32}="([^"\\\]]|\\["\\\]])*")*\] [^\x00-\x1f\x7f]*$`)
	wellFormedCEF  = regexp.MustCompile(`^CEF:0\|Nimbus\|Nimbus\|([^|\\]|\\[|\\])*\|([^|\\]|\\[|\\])*\|([^|\\]|\\[|\\])*\|\d+\|[A-Za-z0-9]+=([^=\\]|\\[=\\nr])*( [A-Za-z0-9]+=([^=\\]|\\[=\\nr])*)*$`)
	parameter      = regexp.MustCompile(`([A-Za-z0-9]+)="((?:[^"\\\]]|\\["\\\]])*)"`)
)

// FuzzEscaping puts any text in any place: the message stays one well-formed
// line, and a reader gets the text back.
func FuzzEscaping(f *testing.F) {
	for _, s := range []string{"", "a", "\r\n", `\`, `]`, `"`, `\"]`, "|", "=", `\n`, "a=b|c", "\x00\x1b[31m", "\xff\xfe", "\u2028\u0085\u009b", "é", "] [x@1 y=\"z\"", strings.Repeat("\\", 5000)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m := record(s)
		m.More = []Field{{s, s}}
		r := newRenderer(Target{Host: s, Version: s}, maxDatagram)
		line := string(r.syslog(m))
		if !wellFormed5424.MatchString(line) || !utf8.ValidString(line) {
			t.Fatalf("not RFC 5424: %q", line)
		}
		if len(s) < 50 {
			for _, p := range parameter.FindAllStringSubmatch(line, -1) {
				back := strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\]`, `]`).Replace(p[2])
				if p[1] == "reason" && back != plain(s) {
					t.Fatalf("%q came back as %q", s, back)
				}
			}
		}
		if text := r.cef(m); !wellFormedCEF.MatchString(text) || strings.ContainsAny(text, "\r\n\x00\x1b") {
			t.Fatalf("not CEF: %q", text)
		}
		r.format = JSON
		line = string(r.syslog(m))
		var got map[string]any
		if err := json.Unmarshal([]byte(line[strings.Index(line, " - {")+3:]), &got); err != nil || strings.ContainsAny(line, "\r\n") {
			t.Fatalf("not JSON in one line: %v %q", err, line)
		}
	})
}
