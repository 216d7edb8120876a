package pvesim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// volatile are the keys whose values are never compared, only their presence and type.
var volatile = map[string]string{
	"ssl_fingerprint": "of the certificate", "cert": "certificate", "ticket": "signed with a time", "CSRFPreventionToken": "signed with a time",
	"value": "a token's secret", "digest": "checksum over random identifiers", "smbios1": "random", "vmgenid": "random", "meta": "holds the time", "upid": "process and time",
	"cpu": "load", "mem": "load", "memhost": "load", "netin": "load", "netout": "load", "diskread": "load", "diskwrite": "load", "uptime": "time",
	"free": "load", "available": "load", "loadavg": "load", "idle": "load", "wait": "load",
	"disk": "of the host", "used": "sparse files", "avail": "of the host", "used_fraction": "of the host",
	"time": "time", "localtime": "time", "starttime": "time", "endtime": "time", "snaptime": "time", "ctime": "time", "pstart": "time", "pid": "process",
	"kversion": "the recorder's kernel", "model": "the recorder's processor", "flags": "the recorder's processor", "hvm": "the recorder's processor",
	"serverid": "of the machine", "changes": "a diff in free form", "pbs-library-version": "a build detail", "saved": "number or text at whim",
}

// counters are objects in which no value is compared.
var counters = regexp.MustCompile(`\.(blockstat|current-kernel)\.`)

var (
	hardware = regexp.MustCompile(`BC:24:11(:[0-9A-F]{2}){3}`)
	uuids    = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
	upids    = regexp.MustCompile(`UPID:[^/"?\s]+:`)
)

// neutral replaces what is random inside a text.
func neutral(text string) string {
	text = hardware.ReplaceAllString(text, "MAC")
	text = uuids.ReplaceAllString(text, "UUID")
	return upids.ReplaceAllString(text, "UPID")
}

// compare reports where got differs from want: other keys, another type, another value.
func compare(path string, want, got any) []string {
	switch want := want.(type) {
	case map[string]any:
		got, ok := got.(map[string]any)
		if !ok {
			return []string{fmt.Sprintf("%s: want an object, got %v", path, got)}
		}
		return compareObjects(path, want, got)
	case []any:
		got, ok := got.([]any)
		if !ok {
			return []string{fmt.Sprintf("%s: want a list, got %v", path, got)}
		}
		return compareLists(path, want, got)
	}
	return compareScalars(path, want, got)
}

func compareObjects(path string, want, got map[string]any) []string {
	var diffs []string
	delete(want, "idle_time_ns") // there once a drive was read
	delete(got, "idle_time_ns")
	for _, k := range sortedKeys(want) {
		g, ok := got[k]
		if !ok {
			diffs = append(diffs, fmt.Sprintf("%s.%s: missing, want %v", path, k, want[k]))
			continue
		}
		name := k
		if option, ok := want["key"].(string); ok && k == "value" {
			name = option // of a list of pending options
		}
		diffs = append(diffs, compare(path+"."+name, want[k], g)...)
	}
	for _, k := range sortedKeys(got) {
		if _, ok := want[k]; !ok {
			diffs = append(diffs, fmt.Sprintf("%s.%s: not in the genuine answer, got %v", path, k, got[k]))
		}
	}
	return diffs
}

func compareLists(path string, want, got []any) []string {
	if len(want) != len(got) {
		return []string{fmt.Sprintf("%s: want %d elements, got %d", path, len(want), len(got))}
	}
	slices.SortStableFunc(want, byIdentity)
	slices.SortStableFunc(got, byIdentity)
	var diffs []string
	for i := range want {
		diffs = append(diffs, compare(fmt.Sprintf("%s[%d]", path, i), want[i], got[i])...)
	}
	return diffs
}

func byIdentity(a, b any) int { return strings.Compare(identity(a), identity(b)) }

func identity(v any) string {
	m, ok := v.(map[string]any)
	if !ok {
		return fmt.Sprint(v)
	}
	for _, key := range []string{"volid", "key", "id", "vmid", "iface", "roleid", "tokenid", "poolid", "userid", "storage", "pos", "n", "subdir", "path", "name", "node"} {
		if id, ok := m[key]; ok {
			if n, ok := id.(float64); ok {
				return fmt.Sprintf("%s%012.0f", key, n)
			}
			return key + fmt.Sprint(id)
		}
	}
	return ""
}

func compareScalars(path string, want, got any) []string {
	key := lastKey(path)
	if fmt.Sprintf("%T", want) != fmt.Sprintf("%T", got) {
		if volatile[key] != "" && (key == "saved" || key == "hvm") {
			return nil
		}
		return []string{fmt.Sprintf("%s: want %T %v, got %T %v", path, want, want, got, got)}
	}
	if volatile[key] != "" || counters.MatchString(path) {
		return nil
	}
	w, g := fmt.Sprint(want), fmt.Sprint(got)
	if key == "content" {
		w, g = strings.Join(sortedKeys(setOf(splitList(w))), ","), strings.Join(sortedKeys(setOf(splitList(g))), ",")
	}
	if neutral(w) != neutral(g) {
		return []string{fmt.Sprintf("%s: want %q, got %q", path, w, g)}
	}
	return nil
}

func lastKey(path string) string {
	key, _, _ := strings.Cut(path[strings.LastIndex(path, ".")+1:], "[")
	return key
}

// materials finds ../shared/pve beside the repository, or skips the test.
func materials(t *testing.T, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
		found := filepath.Join(dir, "shared", "pve", name)
		if _, err := os.Stat(found); err == nil {
			return found
		}
	}
	t.Skipf("no shared/pve/%s beside the repository", name)
	return ""
}

func readJSON(t *testing.T, name string, v any) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// harness is a cluster under a test server and what is needed to speak to it.
type harness struct {
	*testing.T
	c      *Cluster
	client *http.Client
	url    *url.URL
	upids  map[string]string // recorded → ours
	tokens map[string]string // user!name → secret
}

func newHarness(t *testing.T, cfg Config) *harness {
	t.Helper()
	if cfg.Speed == 0 {
		cfg.Speed = 1e4
	}
	if cfg.RootPassword == "" {
		cfg.RootPassword = "example-password"
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(c.Handler())
	t.Cleanup(func() {
		server.Close()
		if err := c.Stop(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return &harness{T: t, c: c, client: server.Client(), url: u, upids: map[string]string{}, tokens: map[string]string{}}
}

// exchange is one request to make.
type exchange struct {
	method, path, contentType, body string
	auth                            func(*http.Request)
}

type answer struct {
	status int
	reason string
	kind   string
	body   []byte
	json   any
}

func (h *harness) do(e exchange) answer {
	h.Helper()
	req, err := http.NewRequestWithContext(h.Context(), e.method, h.url.String(), strings.NewReader(e.body))
	if err != nil {
		h.Fatal(err)
	}
	path, query, _ := strings.Cut(e.path, "?")
	req.URL.Opaque, req.URL.RawQuery = "//"+h.url.Host+path, query // as it stands, not cleaned
	if e.contentType != "" {
		req.Header.Set("Content-Type", e.contentType)
	}
	if e.auth != nil {
		e.auth(req)
	}
	res, err := h.client.Do(req)
	if err != nil {
		h.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		h.Fatal(err)
	}
	a := answer{status: res.StatusCode, kind: res.Header.Get("Content-Type"), body: body}
	_, a.reason, _ = strings.Cut(res.Status, " ")
	if strings.HasPrefix(a.kind, "application/json") {
		dec := json.NewDecoder(bytes.NewReader(body))
		if err := dec.Decode(&a.json); err != nil {
			h.Fatalf("%s %s: %v", e.method, e.path, err)
		}
	}
	return a
}

func (h *harness) asTicket(userID string) func(*http.Request) {
	return func(r *http.Request) {
		h.c.mu.Lock()
		defer h.c.mu.Unlock()
		r.AddCookie(&http.Cookie{Name: "PVEAuthCookie", Value: h.c.ticket("PVE", userID)})
		if r.Method != http.MethodGet {
			r.Header.Set("CSRFPreventionToken", h.c.csrfToken(userID))
		}
	}
}

func (h *harness) asToken(id string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "PVEAPIToken="+id+"="+h.tokens[id]) }
}

// must does a step that was not recorded and has to succeed.
func (h *harness) must(method, path, form string) answer {
	h.Helper()
	a := h.do(exchange{method: method, path: "/api2/json" + path, contentType: "application/x-www-form-urlencoded", body: form, auth: h.asTicket(rootUser)})
	if a.status != http.StatusOK {
		h.Fatalf("%s %s %s: %d %s", method, path, form, a.status, a.reason)
	}
	h.settle(a)
	return a
}

// settle waits for the task that an answer names.
func (h *harness) settle(a answer) string {
	h.Helper()
	doc, _ := a.json.(map[string]any)
	upid, _ := doc["data"].(string)
	if m, ok := doc["data"].(map[string]any); ok {
		upid, _ = m["upid"].(string)
		return upid // a console's task ends when nobody comes
	}
	if !strings.HasPrefix(upid, "UPID:") {
		return ""
	}
	deadline := time.Now().Add(20 * time.Second)
	for time.Now().Before(deadline) {
		if h.taskEnded(upid) {
			return upid
		}
		time.Sleep(200 * time.Microsecond)
	}
	h.Fatalf("task %s does not end", upid)
	return ""
}

func (h *harness) taskEnded(upid string) bool {
	h.c.mu.Lock()
	defer h.c.mu.Unlock()
	for _, t := range h.c.state.Tasks {
		if t.UPID == upid {
			return t.End != 0
		}
	}
	return true
}
