package pvesim

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// apiError is an answer that is not a success. Without message the body is empty, as the server
// does for what it refuses before a method is reached.
type apiError struct {
	status  int
	reason  string
	message string
	fields  map[string]string
	text    string // a body that is not JSON
}

func (e *apiError) Error() string { return e.reason }

// bare is an answer with nothing but a status line.
func bare(status int, reason string) *apiError { return &apiError{status: status, reason: reason} }

// fail is the 500 that a method dies with.
func fail(format string, args ...any) *apiError {
	text := fmt.Sprintf(format, args...)
	return &apiError{status: http.StatusInternalServerError, reason: text, message: text + "\n"}
}

func forbidden(text string) *apiError {
	return &apiError{status: http.StatusForbidden, reason: text, message: text + "\n"}
}

func notImplemented(method, path string) *apiError {
	text := fmt.Sprintf("Method '%s %s' not implemented", method, path)
	return &apiError{status: http.StatusNotImplemented, reason: text, message: text}
}

func badParams(fields map[string]string) *apiError {
	const text = "Parameter verification failed."
	return &apiError{status: http.StatusBadRequest, reason: text, message: text + "\n", fields: fields}
}

func badParam(name, text string) *apiError { return badParams(map[string]string{name: text}) }

// listing is a result with members beside its data, such as total.
type listing struct {
	data   any
	beside map[string]any
}

// response is a finished answer.
type response struct {
	status int
	reason string
	kind   string // content type, "" for none
	body   []byte
}

const jsonType = "application/json;charset=UTF-8"

func success(result any) response {
	doc := map[string]any{"data": result}
	if l, ok := result.(listing); ok {
		doc["data"] = l.data
		for k, v := range l.beside {
			doc[k] = v
		}
	}
	return response{status: http.StatusOK, reason: "OK", kind: jsonType, body: encode(doc)}
}

func failure(err error) response {
	var e *apiError
	if !errors.As(err, &e) {
		e = fail("%s", err)
	}
	r := response{status: e.status, reason: oneLine(e.reason), body: []byte(e.text)}
	if e.message == "" {
		return r
	}
	doc := map[string]any{"data": nil, "message": e.message}
	if e.fields != nil {
		doc["errors"] = e.fields
	}
	r.kind, r.body = jsonType, encode(doc)
	return r
}

func oneLine(text string) string {
	first, _, _ := strings.Cut(text, "\n")
	return strings.ReplaceAll(first, "\r", "")
}

func encode(doc any) []byte {
	data, err := json.Marshal(doc)
	if err != nil {
		panic("pvesim: answer cannot be encoded: " + err.Error())
	}
	return data
}

// write sends the response. net/http always sends the standard reason phrase, so any other one
// is written on the hijacked connection, which is then closed.
func (r response) write(w http.ResponseWriter) error {
	hijacker, ok := w.(http.Hijacker)
	if !ok || r.reason == http.StatusText(r.status) {
		return r.writePlain(w)
	}
	conn, rw, err := hijacker.Hijack()
	if err != nil {
		return r.writePlain(w)
	}
	defer conn.Close()
	return r.writeRaw(conn, rw.Writer)
}

func (r response) writePlain(w http.ResponseWriter) error {
	h := w.Header()
	for k, v := range r.headers() {
		h.Set(k, v)
	}
	if r.kind == "" {
		h["Content-Type"] = nil
	}
	w.WriteHeader(r.status)
	_, err := w.Write(r.body)
	return err
}

func (r response) writeRaw(conn net.Conn, w *bufio.Writer) error {
	fmt.Fprintf(w, "HTTP/1.1 %d %s\r\n", r.status, r.reason)
	headers := r.headers()
	headers["Connection"] = "close"
	for _, k := range sortedKeys(headers) {
		fmt.Fprintf(w, "%s: %s\r\n", k, headers[k])
	}
	fmt.Fprint(w, "\r\n")
	if _, err := w.Write(r.body); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

func (r response) headers() map[string]string {
	h := map[string]string{
		"Cache-Control": "max-age=0", "Pragma": "no-cache", "Server": "pve-api-daemon/3.0",
		"Content-Length": strconv.Itoa(len(r.body)),
	}
	if r.kind != "" {
		h["Content-Type"] = r.kind
	}
	return h
}
