package pocketbase

import (
	"io/fs"
	"mime"
	"net/http"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// files serves the user interface: hashed assets for ever, compressed copies
// where the browser takes them, and index.html for every page of the client's
// router.
type files struct{ fs fs.FS }

func newFiles(f fs.FS) files { return files{f} }

// hashed matches names with a content hash, which never change.
var hashed = regexp.MustCompile(`[-.][A-Za-z0-9_]{8,}\.(js|css|woff2|svg|png)$`)

const missing = "The user interface is not part of this binary. Build it with `make ui` and compile again.\n"

func (f files) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		http.Error(w, "Method not allowed.", http.StatusMethodNotAllowed)
		return
	}
	name := strings.TrimPrefix(path.Clean(r.URL.Path), "/")
	switch {
	case f.fs == nil:
		http.Error(w, missing, http.StatusNotFound)
	case name != "" && f.isFile(name):
		f.serve(w, r, name)
	case path.Ext(name) == "" && f.isFile("index.html"):
		f.serve(w, r, "index.html")
	case !f.isFile("index.html"):
		http.Error(w, missing, http.StatusNotFound)
	default:
		http.NotFound(w, r)
	}
}

func (f files) isFile(name string) bool {
	info, err := fs.Stat(f.fs, name)
	return err == nil && info.Mode().IsRegular()
}

func (f files) serve(w http.ResponseWriter, r *http.Request, name string) {
	encoding, file := f.encoded(r, name)
	data, err := fs.ReadFile(f.fs, file)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Cache-Control", "no-cache")
	if hashed.MatchString(name) {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	if t := mime.TypeByExtension(path.Ext(name)); t != "" {
		h.Set("Content-Type", t)
	}
	h.Set("Vary", "Accept-Encoding")
	if encoding != "" {
		h.Set("Content-Encoding", encoding)
	}
	h.Set("Content-Length", strconv.Itoa(len(data)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(data)
	}
}

// encoded picks the best copy that the browser accepts and the build made.
func (f files) encoded(r *http.Request, name string) (encoding, file string) {
	accepted := r.Header.Get("Accept-Encoding")
	for _, e := range []struct{ encoding, suffix string }{{"br", ".br"}, {"gzip", ".gz"}} {
		if strings.Contains(accepted, e.encoding) && f.isFile(name+e.suffix) {
			return e.encoding, name + e.suffix
		}
	}
	return "", name
}
