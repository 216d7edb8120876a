package pvesim

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

type sample struct {
	Request struct {
		Method      string `json:"method"`
		URL         string `json:"url"`
		Auth        string `json:"auth"`
		ContentType string `json:"content_type"`
		Body        string `json:"body"`
	} `json:"request"`
	Response struct {
		Status      int     `json:"status"`
		Reason      string  `json:"reason"`
		ContentType *string `json:"content_type"`
		JSON        any     `json:"json"`
	} `json:"response"`
}

// before holds what happened on the recorded server between the samples, by the number of the
// sample that needs it.
var before = map[string]func(*harness){
	"030": func(h *harness) { h.token(rootUser, "ci", false) },
	"038": func(h *harness) { h.token("dev@pve", "t2", true) },
	"121": func(h *harness) { h.must("PUT", "/nodes/pve1/qemu/100/config", "cores=1&memory=1024") },
	"141": func(h *harness) { h.must("POST", "/nodes/pve1/qemu/100/status/shutdown", "") },
	"191": func(h *harness) {
		h.must("POST", "/nodes/pve1/qemu/113/move_disk", "disk=scsi0&storage=local&format=raw")
	},
	"228": func(h *harness) { h.must("POST", "/storage", "storage=dir2&type=dir&path=%2Fdir2") },
	"237": func(h *harness) { h.must("POST", "/nodes/pve1/network", "iface=vmbr9&type=bridge&autostart=1") },
	"260": func(h *harness) { h.c.FailNextTask("vzdump", "job errors") },
	"324": func(h *harness) { h.token(rootUser, "s2", false) },
	"345": func(h *harness) { h.must("PUT", "/nodes/pve1/qemu/100/config", "protection=1&onboot=1&cores=2") },
}

// lenient are samples of which only part is compared, which part, and why.
var lenient = map[string]struct {
	part func(want, got any) (any, any)
	why  string
}{
	"202": {lastKeys, "the recorder had been up for a minute only, and its loads are its own"},
	"211": {lastElement, "the recorder's template was a stub without a shell"},
	"232": {lastKeys, "the recorder ran more tasks than were kept as samples"},
	"239": {nothing, "the recorder ran without systemd and had no services"},
	"262": {lastElement, "the recorder had no vma program, which is why its backup failed"},
	"301": {knownElements, "the recorder had no corosync, which lists offline nodes too"},
}

func (h *harness) token(userID, name string, privsep bool) {
	secret, err := h.c.CreateToken(userID, name, privsep, "")
	if err != nil {
		h.Fatal(err)
	}
	h.tokens[userID+"!"+name] = secret
}

// auth reads the sample's note of how it was signed in. Four samples are about doing it wrong.
func (h *harness) auth(number, note string) func(*http.Request) {
	switch number {
	case "006":
		return func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "PVEAuthCookie", Value: "garbage"}) }
	case "010":
		return func(r *http.Request) {
			h.asTicket(rootUser)(r)
			r.Header.Set("CSRFPreventionToken", "00000000:wrong")
		}
	case "009":
		return func(r *http.Request) {
			h.asTicket(rootUser)(r)
			r.Header.Del("CSRFPreventionToken")
		}
	case "031", "033":
		return func(r *http.Request) { r.Header.Set("Authorization", strings.TrimPrefix(note, "token ")) }
	}
	switch {
	case note == "none":
		return nil
	case strings.HasPrefix(note, "token PVEAPIToken="):
		id, _, _ := strings.Cut(strings.TrimPrefix(note, "token PVEAPIToken="), "=")
		return h.asToken(id)
	}
	return h.asTicket(note[strings.LastIndex(note, " ")+1:])
}

func samplesCluster(t *testing.T, nodes ...string) *harness {
	h := newHarness(t, Config{
		Nodes:    nodes,
		Storages: []Storage{{Name: "local", Type: "dir", Content: "rootdir,snippets,images,vztmpl,import,backup,iso", Size: 270553174016}},
		Images:   []Image{{Volume: "local:vztmpl/debian-12-standard_12.11-1_amd64.tar.zst", Size: 527}},
	})
	n := h.c.state.Nodes["pve1"]
	n.CPUs, n.Memory, n.Disk = 2, 25276514304, 270553174016
	return h
}

// secondRecording is the state of the samples from 301 on, made on another day.
func secondRecording(t *testing.T) *harness {
	h := samplesCluster(t, "pve1", "pve2")
	for _, g := range []ForeignGuest{
		{VMID: 100, Running: true, Config: map[string]string{"name": "", "memory": "64", "kvm": "0", "cores": "", "ostype": "", "meta": "creation-qemu=10.0.13,ctime=1"}},
		{VMID: 300, Node: "pve2"},
	} {
		if err := h.c.CreateForeignGuest(g); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.c.SetNodeOffline("pve2", true); err != nil {
		t.Fatal(err)
	}
	return h
}

// TestSamples replays the genuine requests in order and compares every answer.
func TestSamples(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob(filepath.Join(materials(t, "samples"), "*.json"))
	if err != nil || len(names) == 0 {
		t.Fatal("no samples", err)
	}
	first := samplesCluster(t, "pve1")
	first.c.state.addVolume(&volume{ID: "local:110/base-110-disk-0.qcow2", Node: "pve1", Content: "images", Format: "qcow2", Size: gib, VMID: 110, CTime: 1})
	second := secondRecording(t)
	for _, name := range names {
		number := filepath.Base(name)[:3]
		h := first
		if number >= "300" {
			h = second
		}
		var s sample
		readJSON(t, name, &s)
		if f := before[number]; f != nil {
			f(h)
		}
		diffs := h.replay(number, s)
		t.Run(filepath.Base(name), func(t *testing.T) {
			for _, diff := range diffs {
				t.Error(diff)
			}
		})
	}
}

func (h *harness) replay(number string, s sample) []string {
	path := s.Request.URL
	for recorded, ours := range h.upids {
		path = strings.ReplaceAll(path, recorded, ours)
	}
	a := h.do(exchange{method: s.Request.Method, path: path, contentType: s.Request.ContentType, body: s.Request.Body, auth: h.auth(number, s.Request.Auth)})
	if ours := h.settle(a); ours != "" {
		if recorded, ok := s.Response.JSON.(map[string]any)["data"].(string); ok {
			h.upids[recorded] = ours
		}
	}
	return s.differences(number, a)
}

func (s sample) differences(number string, a answer) []string {
	var diffs []string
	if a.status != s.Response.Status || a.reason != s.Response.Reason {
		diffs = append(diffs, "want "+http.StatusText(s.Response.Status)+" "+s.Response.Reason+", got "+http.StatusText(a.status)+" "+a.reason)
	}
	if s.Response.ContentType == nil {
		if a.kind != "" {
			diffs = append(diffs, "want no content type, got "+a.kind)
		}
		return diffs
	}
	if *s.Response.ContentType != a.kind {
		diffs = append(diffs, "want content type "+*s.Response.ContentType+", got "+a.kind)
	}
	want, got := s.Response.JSON, a.json
	if l, ok := lenient[number]; ok {
		want, got = l.part(want, got)
	}
	return append(diffs, compare("", want, got)...)
}

func dataList(doc any) []any {
	m, _ := doc.(map[string]any)
	list, _ := m["data"].([]any)
	return list
}

func nothing(any, any) (any, any) { return nil, nil }

// lastElement keeps the last element of both lists, without its number: the end of a log.
func lastElement(want, got any) (any, any) {
	last := func(list []any) any {
		if len(list) == 0 {
			return nil
		}
		m, _ := list[len(list)-1].(map[string]any)
		delete(m, "n")
		return m
	}
	return last(dataList(want)), last(dataList(got))
}

// lastKeys keeps only the keys of both lists' last elements.
func lastKeys(want, got any) (any, any) {
	w, g := lastElement(want, got)
	keys := func(v any) any {
		m, _ := v.(map[string]any)
		return strings.Join(sortedKeys(m), " ")
	}
	return keys(w), keys(g)
}

// knownElements drops from the second list what the first does not have.
func knownElements(want, got any) (any, any) {
	known := map[string]bool{}
	for _, v := range dataList(want) {
		known[identity(v)] = true
	}
	kept := slices.DeleteFunc(dataList(got), func(v any) bool { return !known[identity(v)] })
	return dataList(want), kept
}

// TestClaimsCoverTraffic checks that all methods which the provider and go-proxmox were seen to use are claimed.
func TestClaimsCoverTraffic(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(materials(t, "endpoints.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	r := newRouter()
	for _, line := range strings.Split(strings.TrimSpace(string(data)), "\n")[1:] {
		fields := strings.Split(line, "\t")
		path := strings.NewReplacer("{node}", "pve1", "{vmid}", "100", "{", "", "}", "").Replace(fields[1])
		if route, _ := r.find(fields[0], path); route == nil {
			t.Errorf("%s %s is used but not claimed", fields[0], fields[1])
		}
	}
}

// TestClaimsAreServed checks that the claims and the methods are the same.
func TestClaimsAreServed(t *testing.T) {
	t.Parallel()
	r := newRouter()
	served := 0
	for _, routes := range r.byVerb {
		served += len(routes)
	}
	list, err := os.ReadFile("claims.txt")
	if err != nil {
		t.Fatal(err)
	}
	claims := strings.Split(strings.TrimSpace(string(list)), "\n")
	if served != len(claims)+len(rootIndex) {
		t.Errorf("%d methods are served, %d claimed", served, len(claims))
	}
	for _, claim := range claims {
		verb, path, _ := strings.Cut(claim, " ")
		if route, _ := r.find(verb, path); route == nil {
			t.Errorf("%s is claimed but not served", claim)
		}
	}
}
