package audit

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"time"
)

// columnNames are what a difference is told by.
var columnNames = [columnCount]string{
	colRecord: "record_id", colRecordEvent: "audit_record.event", colTime: "time", colEvent: "event", colOutcome: "outcome", colPriority: "priority",
	colActorID: "actor_id", colActorKind: "actor_kind", colActorName: "actor_name", colTargetKind: "target_kind",
	colTargetID: "target_id", colTargetName: "target_name", colAddress: "address", colRequestID: "request_id",
	colBehalfID: "behalf_id", colBehalfKind: "behalf_kind", colBehalfName: "behalf_name",
}

// shape is what is read of an object: the columns of its strings, and the
// objects in it that are read too. Of an object with a last one nothing is read after it.
type shape struct {
	columns map[string]int
	inner   map[string]*shape
	last    string
}

// bodyShape are the members of a body that columns repeat.
var bodyShape = &shape{
	columns: map[string]int{"id": colRecord, "time": colTime, "event": colEvent, "outcome": colOutcome, "priority": colPriority},
	inner: map[string]*shape{
		"actor": {
			columns: map[string]int{"id": colActorID, "kind": colActorKind, "name": colActorName, "address": colAddress, "request_id": colRequestID},
			inner:   map[string]*shape{"on_behalf_of": {columns: map[string]int{"id": colBehalfID, "kind": colBehalfKind, "name": colBehalfName}}},
		},
		"target": {columns: map[string]int{"kind": colTargetKind, "id": colTargetID, "name": colTargetName}},
	},
	last: "target",
}

// differs names the first column that does not say what the body says; "body"
// when that cannot be read. It reads the body's JSON only as far as the columns need.
func differs(columns *[columnCount][]byte) string {
	var values [columnCount][]byte // JSON strings as they are written, with their quotes
	s := scanner{rest: columns[colBody]}
	if !s.members(bodyShape, &values) {
		return "body"
	}
	values[colRecordEvent] = values[colEvent]
	for i, name := range columnNames {
		if name != "" && !same(i, values[i], columns[i]) {
			return name
		}
	}
	return ""
}

// same compares a JSON string with a column.
func same(column int, value, stored []byte) bool {
	text, ok := unquote(value)
	if !ok {
		return false
	}
	switch column {
	case colTime:
		at, err := time.Parse(time.RFC3339Nano, string(text))
		return err == nil && len(stored) == 8 && at.UnixMicro()-postgresEpoch == int64(binary.BigEndian.Uint64(stored))
	case colRecord, colActorID, colBehalfID:
		if len(text) == 0 {
			return stored == nil
		}
		var raw [16]byte
		if len(stored) != len(raw) || len(text) != 36 {
			return false
		}
		_, err := hex.Decode(raw[:], bytes.ReplaceAll(text, []byte("-"), nil))
		return err == nil && bytes.Equal(raw[:], stored)
	}
	return bytes.Equal(text, stored)
}

// postgresEpoch is 2000-01-01 in microseconds of Unix time.
const postgresEpoch = 946_684_800_000_000

// unquote is the text of a JSON string; nothing for a member that is not there.
func unquote(value []byte) ([]byte, bool) {
	if len(value) < 2 {
		return nil, value == nil
	}
	if bytes.IndexByte(value, '\\') < 0 {
		return value[1 : len(value)-1], true
	}
	var text string
	err := json.Unmarshal(value, &text)
	return []byte(text), err == nil
}

// scanner reads compact JSON from left to right.
type scanner struct{ rest []byte }

// members reads an object and keeps the strings that are wanted.
func (s *scanner) members(of *shape, values *[columnCount][]byte) bool {
	if !s.eat('{') {
		return false
	}
	for {
		key, ok := s.text()
		if !ok || !s.eat(':') {
			return false
		}
		name := key[1 : len(key)-1]
		if below, ok := of.inner[string(name)]; ok {
			if !s.members(below, values) {
				return false
			}
			if string(name) == of.last {
				return true
			}
		} else if at, ok := of.columns[string(name)]; ok {
			if values[at], ok = s.text(); !ok {
				return false
			}
		} else if !s.skip() {
			return false
		}
		if s.eat('}') {
			return of.last == ""
		}
		if !s.eat(',') {
			return false
		}
	}
}

func (s *scanner) eat(c byte) bool {
	if len(s.rest) == 0 || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

// text reads a string, with its quotes.
func (s *scanner) text() ([]byte, bool) {
	if len(s.rest) == 0 || s.rest[0] != '"' {
		return nil, false
	}
	for at := 1; ; at++ {
		end := bytes.IndexByte(s.rest[at:], '"')
		if end < 0 {
			return nil, false
		}
		at += end
		slashes := 0
		for s.rest[at-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			text := s.rest[:at+1]
			s.rest = s.rest[at+1:]
			return text, true
		}
	}
}

// skip reads any value.
func (s *scanner) skip() bool {
	depth := 0
	for len(s.rest) > 0 {
		switch s.rest[0] {
		case '"':
			if _, ok := s.text(); !ok {
				return false
			}
		case '{', '[':
			depth++
			s.rest = s.rest[1:]
		case '}', ']':
			if depth == 0 {
				return true
			}
			depth--
			s.rest = s.rest[1:]
		case ',':
			if depth == 0 {
				return true
			}
			s.rest = s.rest[1:]
		default:
			s.rest = s.rest[1:]
		}
	}
	return false
}
