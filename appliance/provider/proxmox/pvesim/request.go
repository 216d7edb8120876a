package pvesim

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// params are the parameters of a request by name, those of its path included. Everything is text,
// as it is for the server; a value given more than once is joined with listSeparator.
type params map[string]string

func (p params) int(name string) int {
	n, err := strconv.Atoi(p[name])
	if err != nil {
		return 0
	}
	return n
}

func (p params) flag(name string) bool { return p[name] == "1" }

func (p params) has(name string) bool { _, ok := p[name]; return ok }

// call is one request on its way to a method. The cluster is locked while a method runs.
type call struct {
	*Cluster
	method, path string
	who          actor
	p            params
	nulls        []string // JSON members that were null
	file         *upload
	resumes      *task // that this request had begun before the process ended
	http         *http.Request
}

// upload is the file of a multipart body: counted and hashed, not kept.
type upload struct {
	name   string
	size   int64
	head   []byte
	sha256 hash.Hash
}

const maxBody = 16 << 20

// Request is a line of the journal.
type Request struct {
	Time      time.Time
	Method    string
	Path      string // with the query
	UserAgent string
	User      string // user or token that was recognised
	Status    int
}

const maxJournal = 2000

func (c *Cluster) serveHTTP(w http.ResponseWriter, r *http.Request) {
	req := &call{Cluster: c, method: r.Method, path: r.URL.EscapedPath(), http: r}
	if c.serveConsole(w, req) {
		return
	}
	res := c.answer(req)
	// what is left unread would reset the connection before the client has read the answer
	_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, maxBody))
	c.record(req, res.status)
	if err := res.write(w); err != nil {
		c.log.Debug("simulated cluster: answer not delivered", "path", req.path, "error", err)
	}
}

// context ends with who asked; that of a request that is gone on with has nobody.
func (req *call) context() context.Context {
	if req.http == nil {
		return req.ctx
	}
	return req.http.Context()
}

func (c *Cluster) record(req *call, status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.journal) >= maxJournal {
		c.journal = append(c.journal[:0:0], c.journal[maxJournal/2:]...)
	}
	c.journal = append(c.journal, Request{
		Time: c.now(), Method: req.method, Path: req.http.URL.RequestURI(), UserAgent: req.http.UserAgent(),
		User: req.who.name(), Status: status,
	})
}

func (c *Cluster) answer(req *call) response {
	res, err := c.handle(req)
	if err != nil {
		return failure(err)
	}
	return res
}

// handle takes a request through the steps of the genuine server: known verb, signed in, known
// method, allowed, node reachable, parameters in order, and then the method itself.
func (c *Cluster) handle(req *call) (response, error) {
	if status := c.plannedFault(); status != 0 {
		return response{}, bare(status, http.StatusText(status))
	}
	switch req.method {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete:
	default:
		return response{}, bare(http.StatusNotImplemented, fmt.Sprintf("method '%s' not available", req.method))
	}
	path, ok := strings.CutPrefix(req.path, "/api2/json")
	if !ok || path != "" && path[0] != '/' {
		return response{}, bare(http.StatusNotFound, fmt.Sprintf("no such file '%s'", req.path))
	}
	req.path = path
	if err := c.authenticate(req); err != nil {
		return response{}, err
	}
	if err := req.readParams(); err != nil {
		return response{}, err
	}
	return c.dispatch(req)
}

// dispatch finds the method and calls it. The answer is encoded while the cluster is still locked,
// because it may refer to its state.
func (c *Cluster) dispatch(req *call) (response, error) {
	route, values := c.routes.find(req.method, req.path)
	if route == nil {
		return response{}, notImplemented(req.method, shownPath(req.path))
	}
	for k, v := range values {
		req.p[k] = v
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := req.admit(route.schema); err != nil {
		return response{}, err
	}
	result, err := route.handle(req)
	if req.method != http.MethodGet {
		c.persist()
	}
	if err != nil {
		return response{}, err
	}
	return success(result), nil
}

// admit is everything that stands between a known method and its being called.
func (req *call) admit(schema *methodSchema) error {
	if req.stopped {
		return bare(http.StatusServiceUnavailable, "the simulated cluster is stopped")
	}
	if err := req.permitted(schema); err != nil {
		return err
	}
	if err := req.reachable(); err != nil {
		return err
	}
	if errs := schema.check(req.p); len(errs) > 0 {
		return badParams(errs)
	}
	return nil
}

func shownPath(path string) string {
	if path == "" {
		return "/"
	}
	return path
}

// reachable answers for the node in the path: unknown names do not resolve, offline ones have no route.
func (req *call) reachable() error {
	name, ok := req.p["node"]
	if !ok || !strings.HasPrefix(req.path, "/nodes/") {
		return nil
	}
	n := req.state.Nodes[name]
	if n == nil {
		return fail("hostname lookup '%s' failed - failed to get address info for: %s: Temporary failure in name resolution", name, name)
	}
	if n.Offline {
		return bare(595, "No route to host")
	}
	return nil
}

func (req *call) readParams() error {
	req.p = params{}
	if req.method == http.MethodPost || req.method == http.MethodPut {
		if err := req.readBody(); err != nil {
			return err
		}
	}
	return req.p.merge(req.http.URL.RawQuery)
}

// merge adds url-encoded parameters. Unlike url.ParseQuery it takes a semicolon for what it is, as
// the server does.
func (p params) merge(encoded string) error {
	values := url.Values{}
	for _, pair := range strings.Split(encoded, "&") {
		key, value, _ := strings.Cut(pair, "=")
		k, errKey := url.QueryUnescape(key)
		v, errValue := url.QueryUnescape(value)
		if errKey != nil || errValue != nil {
			return bare(http.StatusBadRequest, "bad url encoding")
		}
		if k != "" {
			values.Add(k, v)
		}
	}
	for k, v := range values {
		p[k] = strings.Join(v, listSeparator)
	}
	return nil
}

func (req *call) readBody() error {
	kind, attrs, err := mime.ParseMediaType(req.http.Header.Get("Content-Type"))
	if err == nil && kind == "multipart/form-data" {
		return req.readMultipart(attrs["boundary"])
	}
	body, err := io.ReadAll(io.LimitReader(req.http.Body, maxBody))
	if err != nil {
		return bare(http.StatusBadRequest, "bad request")
	}
	if kind == "application/json" {
		return req.readJSON(body)
	}
	return req.p.merge(string(body))
}

func (req *call) readJSON(body []byte) error {
	if len(strings.TrimSpace(string(body))) == 0 {
		return nil
	}
	var doc map[string]any
	dec := json.NewDecoder(strings.NewReader(string(body)))
	dec.UseNumber()
	if err := dec.Decode(&doc); err != nil {
		return malformed(string(body), err)
	}
	for k, v := range doc {
		if v == nil {
			req.nulls = append(req.nulls, k)
			continue
		}
		req.p[k] = scalar(v)
	}
	return nil
}

// malformed words a JSON error as the server's parser does. The body is that text, without a content type.
func malformed(body string, err error) error {
	offset := len(body)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		offset = max(int(syntax.Offset)-1, 0)
	}
	what := "malformed JSON string, neither tag, array, object, number, string or atom,"
	if strings.HasPrefix(body, "{") && offset == 1 {
		what = `'"' expected,`
	}
	rest := strings.TrimRight(body[min(offset, len(body)):], "}")
	text := fmt.Sprintf(`%s at character offset %d (before "%s") at /usr/share/perl5/PVE/APIServer/AnyEvent.pm line 934.`, what, offset, rest)
	return &apiError{status: http.StatusInternalServerError, reason: text, text: text + "\n"}
}

// scalar is a JSON value as the text that the server makes of it.
func scalar(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case bool:
		if v {
			return "1"
		}
		return "0"
	case json.Number:
		return v.String()
	case []any:
		items := make([]string, len(v))
		for i, item := range v {
			items[i] = scalar(item)
		}
		return strings.Join(items, listSeparator)
	}
	return fmt.Sprint(v)
}

func (req *call) readMultipart(boundary string) error {
	reader := multipart.NewReader(req.http.Body, boundary)
	for {
		part, err := reader.NextPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return bare(http.StatusBadRequest, "upload failed")
		}
		if err := req.readPart(part); err != nil {
			return err
		}
	}
}

func (req *call) readPart(part *multipart.Part) error {
	if part.FormName() != "filename" || part.FileName() == "" {
		value, err := io.ReadAll(io.LimitReader(part, maxBody))
		if err != nil {
			return bare(http.StatusBadRequest, "upload failed")
		}
		req.p[part.FormName()] = string(value)
		return nil
	}
	u := &upload{name: part.FileName(), head: make([]byte, 32), sha256: sha256.New()}
	n, err := io.ReadFull(part, u.head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return bare(http.StatusBadRequest, "upload failed")
	}
	u.head = u.head[:n]
	u.sha256.Write(u.head)
	rest, err := io.Copy(u.sha256, part)
	if err != nil {
		return bare(http.StatusBadRequest, "upload failed")
	}
	u.size = int64(n) + rest
	req.file, req.p["filename"] = u, u.name
	return nil
}

func (u *upload) digest() string { return hex.EncodeToString(u.sha256.Sum(nil)) }
