package ledger

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

func tableOf(t *testing.T, p pair, size int64) (table, proof string) {
	t.Helper()
	var rows, out bytes.Buffer
	c, err := NewCSVWriter(&rows)
	if err != nil {
		t.Fatal(err)
	}
	w := NewWriter(&out, Header{Origin: origin, From: 1, To: size, Size: uint64(size)})
	for n := int64(1); n <= size; n++ {
		b := body(n)
		if n > 6 {
			b = fmt.Appendf(nil, `{"time":"t","event":"a.b.c","actor":{"kind":"system","name":"=cmd()|%d\nx","on_behalf_of":{"kind":"user","id":"u","name":"@ann"}},"target":{"kind":"thing"}}`, n)
		}
		if err := c.Record(n, b); err != nil {
			t.Fatal(err)
		}
		if err := w.Leaf(n, Leaf(b)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(t.Context(), checkpointOf(t, p, uint64(size), w.tree.Root()).Note, signing(p)); err != nil {
		t.Fatal(err)
	}
	return rows.String(), out.String()
}

// TestTablesAreProved changes a table in every way and finds the row.
func TestTablesAreProved(t *testing.T) {
	t.Parallel()
	p := newPair(t, ECDSAP256)
	table, proof := tableOf(t, p, 12)
	check := func(table string) Report {
		r, err := VerifyCSV(strings.NewReader(table), strings.NewReader(proof), Keys{p.Key}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := check(table); !r.OK() || r.Records != 12 {
		t.Fatalf("%+v", r.Breaks)
	}
	if strings.Contains(table, `,"=cmd`) || !strings.Contains(table, `"'=cmd`) {
		t.Error("a formula is in the table")
	}
	begin := strings.Index(table, "\n8,") + 1
	end := strings.Index(table, "\n9,") + 1
	row := table[begin:end]
	for name, try := range map[string]struct {
		table string
		n     int64
	}{
		"record":    {strings.Replace(table, row, strings.Replace(row, `""a.b.c""`, `""a.b.d""`, 1), 1), 8},
		"column":    {strings.Replace(table, row, strings.Replace(row, `a.b.c`, `a.b.d`, 1), 1), 8},
		"deleted":   {strings.Replace(table, row, "", 1), 8},
		"twice":     {strings.Replace(table, row, row+row, 1), 8},
		"added":     {table + strings.Replace(row, "8,", "13,", 1), 13},
		"last gone": {table[:strings.Index(table, "\n12,")+1], 12},
		"no number": {strings.Replace(table, row, "x"+row, 1), 8},
		"not csv":   {strings.Replace(table, row, "8,\"\n", 1), 8},
		"columns":   {strings.Replace(table, "outcome", "income", 1), 0},
	} {
		r := check(try.table)
		wantBreak(t, name, r, try.n, BreakContent)
	}
}

// TestEarlierTablesAreProved: tables that were exported before records told on
// whose behalf somebody acted have fewer columns, and are as good.
func TestEarlierTablesAreProved(t *testing.T) {
	t.Parallel()
	p := newPair(t, ECDSAP256)
	table, proof := tableOf(t, p, 12)
	if !strings.Contains(table, ",user,u,'@ann,thing,") {
		t.Error("the columns of behalf are missing")
	}
	rows, err := csv.NewReader(strings.NewReader(table)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var before bytes.Buffer
	w := csv.NewWriter(&before)
	for _, row := range rows {
		if err := w.Write(earlier(row)); err != nil {
			t.Fatal(err)
		}
	}
	w.Flush()
	check := func(table string) Report {
		r, err := VerifyCSV(strings.NewReader(table), strings.NewReader(proof), Keys{p.Key}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := check(before.String()); !r.OK() || r.Records != 12 || strings.Contains(before.String(), "behalf_name") {
		t.Errorf("%d records: %+v", r.Records, r.Breaks)
	}
	wantBreak(t, "changed", check(strings.Replace(before.String(), ",thing,", ",thong,", 1)), 7, BreakContent)
	wantBreak(t, "for whom", check(strings.Replace(table, ",user,u,'@ann,thing,", ",user,u,'@bob,thing,", 1)), 7, BreakContent)
}

// torn is a table whose end cannot be read.
type torn struct{ io.Reader }

func (r torn) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		err = errors.New("the disk is broken")
	}
	return n, err
}

// TestTableThatBreaksOff tells that the end of a table could not be read,
// although every row was.
func TestTableThatBreaksOff(t *testing.T) {
	t.Parallel()
	p := newPair(t, Ed25519)
	table, proof := tableOf(t, p, 12)
	r, err := VerifyCSV(torn{strings.NewReader(table)}, strings.NewReader(proof), Keys{p.Key}, Options{})
	if err != nil || len(r.Breaks) != 1 || !strings.Contains(r.Breaks[0].Detail, "the disk is broken") {
		t.Errorf("%+v %v", r.Breaks, err)
	}
}
