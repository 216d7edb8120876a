// Package s3test is a bucket for tests: the few calls of S3 that stores make,
// with their signatures (AWS Signature Version 4) and digests checked.
package s3test

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// What the bucket is called and opened with.
const (
	Bucket    = "archive"
	Region    = "eu-west-3"
	AccessKey = "AKIAEXAMPLE"
	SecretKey = "secret/key"
	page      = 2 // objects to a page of a list
)

// Server is the bucket, over TLS.
type Server struct {
	*httptest.Server
	mu      sync.Mutex
	objects map[string][]byte
	parts   map[string]map[int][]byte // by upload
	uploads int
	lose    bool
}

// New serves an empty bucket until the test ends.
func New(t testing.TB) *Server {
	f := &Server{objects: map[string][]byte{}, parts: map[string]map[int][]byte{}}
	f.Server = httptest.NewTLSServer(f)
	t.Cleanup(f.Close)
	return f
}

// Endpoint is the host and port.
func (f *Server) Endpoint() string { return f.Listener.Addr().String() }

// Authority is the certificate to trust, in PEM.
func (f *Server) Authority() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.Certificate().Raw}))
}

// Objects are those that there are, by their keys.
func (f *Server) Objects() map[string][]byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.objects)
}

// Keep puts an object there, as somebody else would.
func (f *Server) Keep(key string, body []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.keep(key, body)
}

// Lose has the bucket keep a byte less of every object than was sent.
func (f *Server) Lose() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lose = true
}

// Uploads are how many uploads in parts were begun, and how many of them are
// neither completed nor aborted.
func (f *Server) Uploads() (begun, left int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.uploads, len(f.parts)
}

// ServeHTTP implements http.Handler.
func (f *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client went away
	}
	if code := refusal(r, body); code != "" {
		answer(w, http.StatusForbidden, code)
		return
	}
	key, ok := strings.CutPrefix(r.URL.Path, "/"+Bucket+"/")
	q := r.URL.Query()
	switch {
	case !ok:
		answer(w, http.StatusNotFound, "NoSuchBucket")
	case r.Method == http.MethodGet && q.Has("list-type"):
		f.list(w, q)
	case r.Method == http.MethodPost && q.Has("uploads"):
		f.uploads++
		upload := strconv.Itoa(f.uploads)
		f.parts[upload] = map[int][]byte{}
		fmt.Fprintf(w, "<InitiateMultipartUploadResult><Bucket>%s</Bucket><Key>%s</Key><UploadId>%s</UploadId></InitiateMultipartUploadResult>", Bucket, key, upload)
	case q.Has("uploadId"):
		f.multipart(w, r, key, body)
	default:
		f.object(w, r, key, body)
	}
}

func answer(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message></Error>", code, code)
}

func etag(b []byte) string { sum := md5.Sum(b); return `"` + hex.EncodeToString(sum[:]) + `"` }

func (f *Server) keep(key string, body []byte) {
	if f.lose && len(body) > 0 {
		body = body[:len(body)-1]
	}
	f.objects[key] = body
}

func (f *Server) object(w http.ResponseWriter, r *http.Request, key string, body []byte) {
	switch r.Method {
	case http.MethodPut:
		f.keep(key, body)
		w.Header().Set("ETag", etag(body))
	case http.MethodDelete:
		delete(f.objects, key)
		w.WriteHeader(http.StatusNoContent)
	default:
		found, ok := f.objects[key]
		if !ok {
			answer(w, http.StatusNotFound, "NoSuchKey")
			return
		}
		w.Header().Set("ETag", etag(found))
		http.ServeContent(w, r, "", time.Unix(1_700_000_000, 0), bytes.NewReader(found))
	}
}

func (f *Server) multipart(w http.ResponseWriter, r *http.Request, key string, body []byte) {
	upload := r.URL.Query().Get("uploadId")
	parts, ok := f.parts[upload]
	if !ok {
		answer(w, http.StatusNotFound, "NoSuchUpload")
		return
	}
	switch r.Method {
	case http.MethodPut:
		n, _ := strconv.Atoi(r.URL.Query().Get("partNumber"))
		parts[n] = body
		w.Header().Set("ETag", etag(body))
	case http.MethodDelete:
		delete(f.parts, upload)
		w.WriteHeader(http.StatusNoContent)
	case http.MethodPost:
		var order struct {
			Part []struct {
				PartNumber int
				ETag       string
			}
		}
		if err := xml.Unmarshal(body, &order); err != nil {
			answer(w, http.StatusBadRequest, "MalformedXML")
			return
		}
		var whole []byte
		for _, p := range order.Part {
			if strings.Trim(p.ETag, `"`) != strings.Trim(etag(parts[p.PartNumber]), `"`) {
				answer(w, http.StatusBadRequest, "InvalidPart")
				return
			}
			whole = append(whole, parts[p.PartNumber]...)
		}
		delete(f.parts, upload)
		f.keep(key, whole)
		fmt.Fprintf(w, "<CompleteMultipartUploadResult><Bucket>%s</Bucket><Key>%s</Key><ETag>%s</ETag></CompleteMultipartUploadResult>", Bucket, key, etag(whole))
	}
}

func (f *Server) list(w http.ResponseWriter, q url.Values) {
	var names []string
	for key := range f.objects {
		if strings.HasPrefix(key, q.Get("prefix")) && key > q.Get("continuation-token") {
			names = append(names, key)
		}
	}
	slices.Sort(names)
	more := len(names) > page
	names = names[:min(len(names), page)]
	fmt.Fprintf(w, "<ListBucketResult><Name>%s</Name><IsTruncated>%t</IsTruncated>", Bucket, more)
	if more {
		fmt.Fprintf(w, "<NextContinuationToken>%s</NextContinuationToken>", names[len(names)-1])
	}
	for _, key := range names {
		fmt.Fprintf(w, "<Contents><Key>%s</Key><Size>%d</Size><LastModified>2023-11-14T22:13:20.000Z</LastModified></Contents>", key, len(f.objects[key]))
	}
	fmt.Fprint(w, "</ListBucketResult>")
}

// refusal is the error code for a request whose signature (AWS Signature
// Version 4) or digest is wrong, or "".
func refusal(r *http.Request, body []byte) string {
	var signed, signature, credential string
	fields, ok := strings.CutPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ")
	for _, part := range strings.Split(fields, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "SignedHeaders":
			signed = value
		case "Signature":
			signature = value
		case "Credential":
			credential = value
		}
	}
	scope := strings.Split(credential, "/")
	if !ok || len(scope) != 5 || scope[0] != AccessKey || scope[2] != Region {
		return "InvalidAccessKeyId"
	}
	payload := r.Header.Get("X-Amz-Content-Sha256")
	if sum := sha256.Sum256(body); payload != "UNSIGNED-PAYLOAD" && payload != hex.EncodeToString(sum[:]) {
		return "XAmzContentSHA256Mismatch"
	}
	if sum := md5.Sum(body); r.Header.Get("Content-Md5") != "" && r.Header.Get("Content-Md5") != base64.StdEncoding.EncodeToString(sum[:]) {
		return "BadDigest"
	}
	var headers strings.Builder
	for _, name := range strings.Split(signed, ";") {
		value := r.Header.Get(name)
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = strconv.FormatInt(r.ContentLength, 10)
		}
		fmt.Fprintf(&headers, "%s:%s\n", name, strings.Join(strings.Fields(value), " "))
	}
	query := strings.ReplaceAll(r.URL.Query().Encode(), "+", "%20")
	request := strings.Join([]string{r.Method, r.URL.EscapedPath(), query, headers.String(), signed, payload}, "\n")
	sum := sha256.Sum256([]byte(request))
	text := strings.Join([]string{"AWS4-HMAC-SHA256", r.Header.Get("X-Amz-Date"), strings.Join(scope[1:], "/"), hex.EncodeToString(sum[:])}, "\n")
	key := []byte("AWS4" + SecretKey)
	for _, part := range append(scope[1:], text) {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	if hex.EncodeToString(key) != signature {
		return "SignatureDoesNotMatch"
	}
	return ""
}
