package siem

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// The largest messages. Receivers of UDP need not take more than 2 KiB
// (RFC 5426), those of TCP are commonly set to 64 KiB or can be.
const (
	maxDatagram = 2 << 10
	maxFrame    = 64 << 10
)

// facility is "log audit" of RFC 5424.
const facility = 13

// sdID names our structured data. 32473 is the number that RFC 5612 keeps for
// names without a registered one.
const sdID = "nimbus@32473"

// severities of syslog and CEF by priority.
var severities = map[string]struct{ syslog, cef int }{
	"debug": {7, 0}, "info": {6, 2}, "notice": {5, 4}, "warning": {4, 6}, "error": {3, 8}, "critical": {2, 10},
}

func (m Message) severity() (syslog, cef int) {
	s, ok := severities[m.Priority]
	if !ok {
		s = severities["info"]
	}
	return s.syslog, s.cef
}

// renderer writes messages for one target.
type renderer struct {
	format        Format
	host, version string
	limit         int
}

func newRenderer(t Target, limit int) renderer {
	r := renderer{format: t.Format, host: token(t.Host, 255), version: t.Version, limit: limit}
	if r.host == "-" {
		name, _ := os.Hostname()
		r.host = token(name, 255)
	}
	return r
}

// syslog writes one message. Texts are cut until it fits the limit; what tells
// a record from others (id, sequence, event, time) is never cut.
func (r renderer) syslog(m Message) []byte {
	var line []byte
	for _, most := range []int{r.limit, 1 << 10, 256, 64, 16} {
		line = r.line(m.cut(most), most == r.limit)
		if len(line) <= r.limit {
			return line
		}
	}
	return line[:r.limit]
}

func (r renderer) line(m Message, whole bool) []byte {
	severity, _ := m.severity()
	var b bytes.Buffer
	fmt.Fprintf(&b, "<%d>1 %s %s nimbus - %s ", facility*8+severity, m.Time.UTC().Format("2006-01-02T15:04:05.000000Z"), r.host, token(m.Event, 32))
	switch r.format {
	case CEF:
		b.WriteString("- " + r.cef(m))
	case JSON:
		b.WriteString("- ")
		b.Write(m.object(whole))
	default:
		m.structured(&b)
		b.WriteString(" " + plain(m.summary()))
	}
	return b.Bytes()
}

// cut shortens the texts that people or programs chose.
func (m Message) cut(most int) Message {
	for _, s := range []*string{&m.Actor.Name, &m.Behalf.Name, &m.Target.ID, &m.Target.Kind, &m.Target.Name, &m.Reason, &m.Request, &m.Address, &m.Event, &m.Category} {
		*s = shorten(*s, most)
	}
	m.More = append([]Field(nil), m.More...)
	for i := range m.More {
		m.More[i].Value = shorten(m.More[i].Value, most)
	}
	return m
}

func shorten(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "…"
}

// fields are the parts of a message under their names, without the empty ones.
func (m Message) fields() []Field {
	all := []Field{
		{"sequence", number(m.Sequence)}, {"id", m.ID}, {"chain", m.Chain}, {"event", m.Event}, {"category", m.Category},
		{"priority", m.Priority}, {"outcome", m.Outcome},
		{"actorId", m.Actor.ID}, {"actorKind", m.Actor.Kind}, {"actorName", m.Actor.Name},
		{"behalfId", m.Behalf.ID}, {"behalfKind", m.Behalf.Kind}, {"behalfName", m.Behalf.Name}, {"behalfClaimed", m.Behalf.claim()},
		{"targetKind", m.Target.Kind}, {"targetId", m.Target.ID}, {"targetName", m.Target.Name},
		{"address", m.Address}, {"requestId", m.Request}, {"reason", m.Reason}, {"leaf", encode(m.Leaf)},
	}
	all = append(all, m.More...)
	kept := all[:0]
	for _, f := range all {
		if f.Value != "" {
			kept = append(kept, f)
		}
	}
	return kept
}

// claim is a word for what nothing proves.
func (b Behalf) claim() string {
	if b.Claimed {
		return "true"
	}
	return ""
}

// text names somebody with a name, or with their id, and says what is a claim.
func (b Behalf) text() string {
	text := first(b.Name, b.ID)
	if text != "" && b.Claimed {
		text += " (claimed)"
	}
	return text
}

func number(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

func encode(leaf []byte) string {
	return base64.StdEncoding.EncodeToString(leaf)
}

// structured writes the SD-ELEMENT of RFC 5424.
func (m Message) structured(b *bytes.Buffer) {
	b.WriteString("[" + sdID)
	for _, f := range m.fields() {
		fmt.Fprintf(b, ` %s="%s"`, name(f.Name), paramEscape.Replace(plain(f.Value)))
	}
	b.WriteString("]")
}

// paramEscape is what RFC 5424, section 6.3.3 asks for.
var paramEscape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, `]`, `\]`)

// summary is one sentence for people.
func (m Message) summary() string {
	who, what := first(m.Actor.Name, m.Actor.ID, m.Actor.Kind, "nobody"), first(m.Target.Name, m.Target.ID)
	if other := m.Behalf.text(); other != "" {
		who += " on behalf of " + other
	}
	return strings.TrimSpace(strings.Join([]string{m.Event, first(m.Outcome, "success"), "by", who, "on", m.Target.Kind, what}, " "))
}

func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// cef writes a message of ArcSight's Common Event Format, version 0.
func (r renderer) cef(m Message) string {
	_, severity := m.severity()
	var b strings.Builder
	b.WriteString("CEF:0|Nimbus|Nimbus|")
	for _, header := range []string{first(r.version, "0"), m.Event, m.Event + " " + first(m.Outcome, "success")} {
		b.WriteString(headerEscape.Replace(plain(header)) + "|")
	}
	fmt.Fprintf(&b, "%d|rt=%d", severity, m.Time.UnixMilli())
	for _, f := range m.extension() {
		if f.Value != "" {
			b.WriteString(" " + f.Name + "=" + extensionEscape.Replace(controls(f.Value, "\r\n")))
		}
	}
	return b.String()
}

var (
	headerEscape    = strings.NewReplacer(`\`, `\\`, `|`, `\|`)
	extensionEscape = strings.NewReplacer(`\`, `\\`, `=`, `\=`, "\n", `\n`, "\r", `\r`)
)

// extension are the fields under the names of CEF's dictionary.
func (m Message) extension() []Field {
	all := []Field{
		{"externalId", m.ID}, {"cat", m.Category}, {"act", m.Event}, {"outcome", m.Outcome},
		{"suid", m.Actor.ID}, {"suser", m.Actor.Name}, {"duid", m.Target.ID}, {"duser", m.Target.Name},
		{"reason", m.Reason}, {"deviceExternalId", m.Chain},
	}
	if ip, err := netip.ParseAddr(m.Address); err == nil {
		key := "src"
		if ip.Unmap().Is6() {
			key = "c6a2"
		}
		all = append(all, Field{key, ip.Unmap().WithZone("").String()})
		if key == "c6a2" {
			all = append(all, Field{"c6a2Label", "Source IPv6 Address"})
		}
	}
	for key, f := range []Field{{"actorKind", m.Actor.Kind}, {"targetKind", m.Target.Kind}, {"requestId", m.Request}, {"leaf", encode(m.Leaf)}, {"onBehalfOf", m.Behalf.text()}, {"onBehalfOfId", m.Behalf.ID}} {
		if f.Value != "" {
			cs := "cs" + strconv.Itoa(key+1)
			all = append(all, Field{cs, f.Value}, Field{cs + "Label", f.Name})
		}
	}
	if m.Sequence > 0 {
		all = append(all, Field{"cn1", number(m.Sequence)}, Field{"cn1Label", "sequence"})
	}
	for _, f := range m.More {
		all = append(all, Field{name(f.Name), f.Value})
	}
	return all
}

// object is a message as JSON. The body is exactly what was given, so that its
// hash can be checked; when it is left out the object says how large it was.
func (m Message) object(whole bool) []byte {
	if whole && len(m.Body) > 0 {
		return m.wrap(m.Body, nil)
	}
	who := map[string]any{"id": m.Actor.ID, "kind": m.Actor.Kind, "name": m.Actor.Name, "address": m.Address, "request_id": m.Request}
	if b := m.Behalf; b != (Behalf{}) {
		who["on_behalf_of"] = map[string]any{"id": b.ID, "kind": b.Kind, "name": b.Name, "claimed": b.Claimed}
	}
	short, _ := json.Marshal(map[string]any{
		"id": m.ID, "time": m.Time.UTC().Format(time.RFC3339Nano), "event": m.Event, "priority": m.Priority, "outcome": m.Outcome,
		"actor":  who,
		"target": map[string]string{"kind": m.Target.Kind, "id": m.Target.ID, "name": m.Target.Name}, "reason": m.Reason,
	})
	return m.wrap(short, []byte(`,"truncated":`+strconv.Itoa(len(m.Body))))
}

func (m Message) wrap(body, more []byte) []byte {
	var b bytes.Buffer
	quote := func(s string) string { q, _ := json.Marshal(s); return string(q) }
	fmt.Fprintf(&b, `{"sequence":%d,"chain":%s,"category":%s,"leaf":%s%s`, m.Sequence, quote(m.Chain), quote(m.Category), quote(encode(m.Leaf)), more)
	for _, f := range m.More {
		fmt.Fprintf(&b, `,%s:%s`, quote(name(f.Name)), quote(f.Value))
	}
	b.WriteString(`,"record":`)
	b.Write(body)
	b.WriteString("}")
	return b.Bytes()
}

// plain makes one line of a text.
func plain(s string) string { return controls(s, "") }

// controls shows control characters, and what a terminal or a reader of lines
// takes for one, as visible signs (U+2400 and following). Those in keep stay.
func controls(s, keep string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case strings.ContainsRune(keep, r):
			return r
		case r < 0x20:
			return 0x2400 + r
		case r == 0x7f:
			return 0x2421
		case r == 0x85 || r == 0x2028 || r == 0x2029:
			return 0x2424
		case unicode.IsControl(r):
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// token is a header field of RFC 5424: printable ASCII without spaces, or "-".
func token(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '_'
		}
		return r
	}, s)
	if s == "" {
		return "-"
	}
	return s[:min(len(s), most)]
}

// name keeps the ASCII letters and digits of a field's name.
func name(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < 0x80 && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
			return r
		}
		return -1
	}, s)
	return first(s[:min(len(s), 32)], "field")
}
