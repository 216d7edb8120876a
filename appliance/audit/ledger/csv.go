package ledger

import (
	"bytes"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Columns are the columns of an export as CSV (RFC 4180). The last one is the
// body, which is what is proved; the others repeat what it says. A body that is
// no JSON stands as base64 after the word base64 and a colon. Values that a
// spreadsheet would take for a formula begin with an apostrophe.
var Columns = []string{
	"sequence", "time", "event", "outcome", "priority", "actor_kind", "actor_id", "actor_name",
	"behalf_kind", "behalf_id", "behalf_name",
	"target_kind", "target_id", "target_name", "address", "request_id", "reason", "record",
}

// The columns of on whose behalf somebody acted, which earlier exports do not have.
const behalfFrom, behalfTo = 8, 11

// earlier are the columns without them.
func earlier(row []string) []string {
	return slices.Delete(slices.Clone(row), behalfFrom, behalfTo)
}

// CSVWriter writes records as CSV. Its proof is a stream with Writer.Leaf for
// each of them.
type CSVWriter struct{ out *csv.Writer }

// NewCSVWriter begins with the names of the columns.
func NewCSVWriter(w io.Writer) (*CSVWriter, error) {
	c := &CSVWriter{csv.NewWriter(w)}
	return c, c.out.Write(Columns)
}

// MoreCSV goes on with a table that has its columns.
func MoreCSV(w io.Writer) *CSVWriter { return &CSVWriter{csv.NewWriter(w)} }

// Record writes one row.
func (c *CSVWriter) Record(n int64, body []byte) error { return c.out.Write(row(n, body)) }

// Flush writes what is buffered.
func (c *CSVWriter) Flush() error {
	c.out.Flush()
	return c.out.Error()
}

func row(n int64, body []byte) []string {
	var r struct {
		Time, Event, Outcome, Priority, Reason string
		Actor                                  struct {
			Kind, ID, Name, Address string
			RequestID               string                          `json:"request_id"`
			OnBehalfOf              struct{ Kind, ID, Name string } `json:"on_behalf_of"`
		}
		Target struct{ Kind, ID, Name string }
	}
	record := string(body)
	if json.Unmarshal(body, &r) != nil || bytes.ContainsAny(body, "\r\n") || !utf8.Valid(body) {
		record = "base64:" + base64.StdEncoding.EncodeToString(body)
	}
	fields := []string{
		strconv.FormatInt(n, 10), r.Time, r.Event, r.Outcome, r.Priority, r.Actor.Kind, r.Actor.ID, r.Actor.Name,
		r.Actor.OnBehalfOf.Kind, r.Actor.OnBehalfOf.ID, r.Actor.OnBehalfOf.Name,
		r.Target.Kind, r.Target.ID, r.Target.Name, r.Actor.Address, r.Actor.RequestID, r.Reason,
	}
	for i := range fields {
		fields[i] = harmless(fields[i])
	}
	return append(fields, record)
}

// harmless keeps a value from being a formula. A carriage return is not kept by CSV.
func harmless(value string) string {
	value = strings.ReplaceAll(value, "\r", " ")
	if value != "" && strings.ContainsRune("=+-@\t'", rune(value[0])) {
		return "'" + value
	}
	return value
}

// bodyOf is the body that a row repeats.
func bodyOf(record string) ([]byte, error) {
	if encoded, ok := strings.CutPrefix(record, "base64:"); ok {
		return base64.StdEncoding.Strict().DecodeString(encoded)
	}
	return []byte(record), nil
}

// VerifyCSV is VerifyStream for the proof of a CSV file, and compares each row
// with it.
func VerifyCSV(table, proof io.Reader, keys Keys, o Options) (Report, error) {
	v := &tableVerifier{in: csv.NewReader(table)}
	v.in.ReuseRecord = true
	head, err := v.in.Read()
	v.earlier = err == nil && slices.Equal(head, earlier(Columns))
	if err != nil || !v.earlier && !slices.Equal(head, Columns) {
		v.add(0, "the first row does not have the names of the columns of an export")
	}
	v.next()
	o.body = v.record
	report, err := VerifyStream(proof, keys, o)
	for ; v.row != nil; v.next() {
		v.add(v.n, "the row is not in the proof")
	}
	report.Breaks = append(v.breaks, report.Breaks...)
	report.More += v.more
	return report, err
}

// tableVerifier reads the rows beside their proof.
type tableVerifier struct {
	in      *csv.Reader
	earlier bool     // the table has no columns of behalf
	row     []string // nil after the last
	n       int64
	breaks  []Break
	more    int64
}

func (v *tableVerifier) add(n int64, detail string) {
	if len(v.breaks) >= 10_000 {
		v.more++
		return
	}
	v.breaks = append(v.breaks, Break{Sequence: n, Kind: BreakContent, Detail: detail})
}

func (v *tableVerifier) next() {
	for {
		row, err := v.in.Read()
		var malformed *csv.ParseError
		switch {
		case errors.As(err, &malformed):
			v.add(v.n, fmt.Sprintf("line %d of the table is not CSV: %v", malformed.Line, malformed.Err))
			continue
		case err != nil:
			v.row = nil
			if !errors.Is(err, io.EOF) {
				v.add(v.n, fmt.Sprintf("the table cannot be read any further: %v", err))
			}
			return
		}
		n, err := strconv.ParseInt(row[0], 10, 64)
		if err != nil || n < 1 {
			v.add(v.n, "a row has no sequence number")
			continue
		}
		v.row, v.n = row, n
		return
	}
}

// record compares the row that should be of record n, and returns its body.
func (v *tableVerifier) record(n int64, leaf Hash) []byte {
	for v.row != nil && v.n < n {
		v.add(v.n, "the row is not in the proof, is there twice or is at a wrong place")
		v.next()
	}
	if v.row == nil || v.n > n {
		v.add(n, "the row is missing")
		return nil
	}
	defer v.next()
	body, err := bodyOf(v.row[len(v.row)-1])
	switch {
	case err != nil || Leaf(body) != leaf:
		v.add(n, "the record was changed: it does not give the leaf of the proof")
		return nil
	case !slices.Equal(v.row, v.expected(n, body)):
		v.add(n, "a column does not say what the record says")
	}
	return body
}

func (v *tableVerifier) expected(n int64, body []byte) []string {
	if v.earlier {
		return earlier(row(n, body))
	}
	return row(n, body)
}
