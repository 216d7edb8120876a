package audit

import (
	"bufio"
	"crypto/sha256"
	"encoding/base64"
	"encoding/csv"
	"fmt"
	"html/template"
	"io"
	"strings"
)

func newPrinter(format string, w io.Writer) printer {
	if format == "csv" {
		return csvPrinter{csv.NewWriter(w)}
	}
	return htmlPrinter{bufio.NewWriterSize(w, 32<<10)}
}

// csvPrinter writes what the report says of itself, an empty line, the rows
// with their heads, and a last line with their number.
type csvPrinter struct{ w *csv.Writer }

func (c csvPrinter) begin(p paper) error {
	for _, line := range p.lines() {
		if err := c.row(line[:]); err != nil {
			return err
		}
	}
	if err := c.w.Write([]string{""}); err != nil {
		return err
	}
	return c.row(p.Columns)
}

func (c csvPrinter) row(cells []string) error {
	safe := make([]string, len(cells))
	for i, cell := range cells {
		safe[i] = harmless(cell)
	}
	return c.w.Write(safe)
}

func (c csvPrinter) end(rows int) error {
	if err := c.w.Write([]string{fmt.Sprintf("End of the report: %d rows", rows)}); err != nil {
		return err
	}
	c.w.Flush()
	return c.w.Error()
}

// harmless keeps a spreadsheet from taking a cell for a formula.
func harmless(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r\n|%", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

// lines is what a report says of itself.
func (p paper) lines() [][2]string {
	return [][2]string{
		{"Report", p.Title}, {"About", p.About}, {"Tenant", p.Tenant}, {"Period", p.From + " until before " + p.To}, {"Time zone", p.Zone},
		{"Made", p.Made + " by Nimbus " + p.Version}, {"Chain", p.Chain}, {"Head", p.Head}, {"Checkpoint", p.Signed}, {"Data", p.Data},
	}
}

// htmlPrinter writes a page that needs nothing else and runs nothing.
type htmlPrinter struct{ w *bufio.Writer }

const reportStyle = `:root{color-scheme:light dark}body{font:14px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem;color:light-dark(#1b1f24,#e6e9ed);background:light-dark(#fff,#14171b)}` +
	`h1{font-size:1.6rem;margin:0}dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1rem;margin:1rem 0}dt{font-weight:600}dd{margin:0;overflow-wrap:anywhere}` +
	`pre{white-space:pre-wrap;overflow-wrap:anywhere;font-size:12px}table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.3rem .5rem;border-bottom:1px solid light-dark(#d5d9de,#363c44);overflow-wrap:anywhere}` +
	`thead{display:table-header-group}tr{break-inside:avoid}@media print{:root{color-scheme:light}body{margin:0;max-width:none;font-size:10pt}@page{margin:15mm}}`

// stylePolicy lets the page's own style in, and nothing else.
var stylePolicy = func() string {
	sum := sha256.Sum256([]byte(reportStyle))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}()

var (
	pageBegin = template.Must(template.New("begin").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{{.Policy}}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}} – {{.Tenant}}</title>
<style>{{.Style}}</style>
</head>
<body>
<main>
<h1>{{.Title}}</h1>
<dl>
{{range .Lines}}<dt>{{index . 0}}</dt><dd>{{index . 1}}</dd>
{{end}}</dl>
{{with .Note}}<details><summary>Signed checkpoint</summary><pre>{{.}}</pre></details>
{{end}}<table>
<thead><tr>{{range .Columns}}<th scope="col">{{.}}</th>{{end}}</tr></thead>
<tbody>
`))
	pageRow = template.Must(template.New("row").Parse(`<tr>{{range .}}<td>{{.}}</td>{{end}}</tr>
`))
	pageEnd = template.Must(template.New("end").Parse(`</tbody>
</table>
<p>End of the report: {{.}} rows</p>
</main>
</body>
</html>
`))
)

func (h htmlPrinter) begin(p paper) error {
	return pageBegin.Execute(h.w, struct {
		paper
		Policy string
		Style  template.CSS
		Lines  [][2]string
	}{p, stylePolicy, reportStyle, p.lines()})
}

func (h htmlPrinter) row(cells []string) error { return pageRow.Execute(h.w, cells) }

func (h htmlPrinter) end(rows int) error {
	if err := pageEnd.Execute(h.w, rows); err != nil {
		return err
	}
	return h.w.Flush()
}
