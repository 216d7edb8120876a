package scimtest

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"nimbus/appliance/identity/scim"
)

var update = flag.Bool("update", false, "write the answers that came into the scripts")

// Base is the address that a handler under test must have.
const Base = "https://nimbus.example.com"

// A script is a file of exchanges such as
//
//	### Title
//	POST /Users
//	If-Match: {{version}}
//	{"userName": "bjensen@example.com"}
//	---
//	201 as bjensen
//	{"id": "{{bjensen}}", …}
//
// What a 201 made gets the name after "as"; {{name}} stands for its id from
// then on. {{version}} in a request is the ETag of the answer before. Times
// and versions in answers become {{time}} and {{version}}.
type exchange struct {
	title, request, answer string
}

// Run sends the requests of a script one after the other and compares the
// answers.
func Run(t *testing.T, file string, h http.Handler, token string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	p := player{h: h, token: token, names: map[string]string{}}
	var out strings.Builder
	head, parts, _ := strings.Cut(string(text), "### ")
	out.WriteString(head)
	for part := range strings.SplitSeq(parts, "\n### ") {
		e := read(part)
		got := p.play(t, e)
		fmt.Fprintf(&out, "### %s\n%s\n---\n%s\n\n", e.title, e.request, got)
		if !*update && got != e.answer {
			t.Errorf("%s: %s\nwant %s\ngot  %s", file, e.title, e.answer, got)
		}
	}
	if *update {
		if err := os.WriteFile(file, []byte(strings.TrimRight(out.String(), "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func read(part string) exchange {
	title, rest, _ := strings.Cut(part, "\n")
	request, answer, _ := strings.Cut(rest, "\n---\n")
	return exchange{title, strings.TrimSpace(request), strings.TrimSpace(answer)}
}

type player struct {
	h       http.Handler
	token   string
	names   map[string]string // id → name
	version string
}

// play sends one request and returns the answer in the form of the script.
func (p *player) play(t *testing.T, e exchange) string {
	t.Helper()
	r, err := p.request(e.request)
	if err != nil {
		t.Fatalf("%s: %v", e.title, err)
	}
	w := httptest.NewRecorder()
	p.h.ServeHTTP(w, r)
	p.version = w.Header().Get("ETag")
	status, _, _ := strings.Cut(e.answer, "\n")
	_, name, named := strings.Cut(status, " as ")
	head := fmt.Sprint(w.Code)
	if named && w.Code == http.StatusCreated {
		var made struct{ ID string }
		_ = json.Unmarshal(w.Body.Bytes(), &made)
		p.names[made.ID] = name
		head += " as " + name
	}
	p.bulk(w.Body.Bytes())
	return strings.TrimSpace(head + "\n" + p.neutral(w.Body.Bytes()))
}

// bulk names what a bulk request made after its bulkIds.
func (p *player) bulk(body []byte) {
	var answer struct {
		Operations []struct{ BulkID, Location, Status string }
	}
	_ = json.Unmarshal(body, &answer)
	for _, o := range answer.Operations {
		if o.Status == "201" {
			p.names[o.Location[strings.LastIndexByte(o.Location, '/')+1:]] = o.BulkID
		}
	}
}

func (p *player) request(text string) (*http.Request, error) {
	for id, name := range p.names {
		text = strings.ReplaceAll(text, "{{"+name+"}}", id)
	}
	text = strings.ReplaceAll(text, "{{version}}", p.version)
	line, rest, _ := strings.Cut(text, "\n")
	method, path, ok := strings.Cut(line, " ")
	if !ok {
		return nil, fmt.Errorf("%q is not a method and a path", line)
	}
	header := http.Header{}
	for rest != "" && rest[0] != '{' {
		var field string
		field, rest, _ = strings.Cut(rest, "\n")
		name, value, _ := strings.Cut(field, ": ")
		header.Set(name, value)
	}
	r := httptest.NewRequest(method, Base+scim.Prefix+strings.ReplaceAll(strings.ReplaceAll(path, " ", "%20"), `"`, "%22"), strings.NewReader(rest))
	r.Header = header
	r.Header.Set("Authorization", "Bearer "+p.token)
	r.Header.Set("Content-Type", "application/scim+json")
	return r, nil
}

var (
	times    = regexp.MustCompile(`"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*Z"`)
	versions = regexp.MustCompile(`W/\\"[^"\\]*\\"`)
)

// neutral is the body, indented, without what differs from run to run.
func (p *player) neutral(body []byte) string {
	var indented bytes.Buffer
	if err := json.Indent(&indented, body, "", "  "); err != nil {
		return string(body)
	}
	text := strings.TrimSpace(indented.String())
	for id, name := range p.names {
		text = strings.ReplaceAll(text, id, "{{"+name+"}}")
	}
	text = times.ReplaceAllString(text, `"{{time}}"`)
	return versions.ReplaceAllString(text, "{{version}}")
}
