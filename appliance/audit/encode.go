package audit

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"nimbus/appliance/id"
)

// plainTree copies what services usually hand over into what JSON decodes to,
// without the way over JSON; ok is false for anything else.
func plainTree(v any) (tree any, ok bool) {
	switch v := v.(type) {
	case nil, bool, string:
		return v, true
	case int:
		return json.Number(strconv.Itoa(v)), true
	case int64:
		return json.Number(strconv.FormatInt(v, 10)), true
	case id.ID:
		return v.String(), true
	case []string:
		if v == nil {
			return nil, true
		}
		list := make([]any, len(v))
		for i := range v {
			list[i] = v[i]
		}
		return list, true
	case map[string]any:
		return plainObject(v)
	}
	return nil, false
}

func plainObject(v map[string]any) (any, bool) {
	if v == nil {
		return nil, true
	}
	tree := make(map[string]any, len(v))
	for name, value := range v {
		inner, ok := plainTree(value)
		if !ok {
			return nil, false
		}
		tree[name] = inner
	}
	return tree, true
}

// appendTree writes what JSON decodes to, with sorted members, as
// encoding/json does.
func appendTree(b []byte, v any) []byte {
	switch v := v.(type) {
	case bool:
		return strconv.AppendBool(b, v)
	case string:
		return appendText(b, v)
	case json.Number:
		return append(b, v...)
	case []any:
		b = append(b, '[')
		for i := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendTree(b, v[i])
		}
		return append(b, ']')
	case map[string]any:
		b = append(b, '{')
		for i, name := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendText(b, name), ':')
			b = appendTree(b, v[name])
		}
		return append(b, '}')
	}
	return append(b, "null"...)
}

// appendText writes a JSON string.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, _ := json.Marshal(s) // a string can always be written
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// encode is the body of a record: what json.Marshal makes of it, in less time
// and with all control characters escaped.
func (r *Record) encode() ([]byte, error) {
	who, err := json.Marshal(r.Actor)
	if err != nil {
		return nil, err
	}
	b := make([]byte, 0, 512+len(r.Before)+len(r.After)+len(r.Details))
	b = strconv.AppendInt(append(b, `{"v":`...), int64(r.Version), 10)
	b = appendText(append(b, `,"id":`...), r.ID.String())
	b = append(r.Time.AppendFormat(append(b, `,"time":"`...), time.RFC3339Nano), '"')
	if !r.Tenant.IsZero() {
		b = appendText(append(b, `,"tenant":`...), r.Tenant.String())
	}
	b = appendText(append(b, `,"event":`...), r.Event)
	b = appendText(append(b, `,"outcome":`...), string(r.Outcome))
	b = appendText(append(b, `,"priority":`...), string(r.Priority))
	b = append(append(b, `,"actor":`...), who...)
	b = appendText(append(b, `,"target":{"kind":`...), r.Target.Kind)
	b = appendMember(b, `,"id":`, r.Target.ID)
	b = append(appendMember(b, `,"name":`, r.Target.Name), '}')
	b = appendMember(b, `,"reason":`, r.Reason)
	for _, part := range []struct {
		name string
		raw  json.RawMessage
	}{{`,"before":`, r.Before}, {`,"after":`, r.After}, {`,"details":`, r.Details}} {
		if len(part.raw) > 0 {
			b = append(append(b, part.name...), part.raw...)
		}
	}
	return controls(append(b, '}')), nil
}

// controls escapes the control characters that JSON may hold as they are: DEL
// and those of ISO 6429 beyond ASCII, which terminals obey.
func controls(body []byte) []byte {
	from := slices.IndexFunc(body, func(c byte) bool { return c == 0x7f || c == 0xc2 })
	if from < 0 {
		return body
	}
	var escaped []byte
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case c == 0x7f:
			escaped = fmt.Appendf(escaped, `\u%04x`, c)
		case c == 0xc2 && i+1 < len(body) && body[i+1] < 0xa0:
			i++
			escaped = fmt.Appendf(escaped, `\u%04x`, body[i])
		default:
			escaped = append(escaped, c)
		}
	}
	return escaped
}

// appendMember writes a member that is left out when it is empty.
func appendMember(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	return appendText(append(b, name...), value)
}
