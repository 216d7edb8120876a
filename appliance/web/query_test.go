package web

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

type things struct {
	Limit int    `query:"limit"`
	After string `query:"after"`
}

func TestUnknownQueryParameters(t *testing.T) {
	t.Parallel()
	a := New("test", slog.New(slog.DiscardHandler))
	asked := 0
	Handle(a, Route{Method: http.MethodGet, Path: "/v1/things", Summary: "Things", Tag: "T", Permission: Public},
		func(context.Context, *things) (map[string]int, error) { asked++; return map[string]int{}, nil })
	Handle(a, Route{Method: http.MethodDelete, Path: "/v1/things", Summary: "No things", Tag: "T", Permission: Public},
		func(context.Context, *None) (None, error) { asked++; return None{}, nil })
	for _, c := range []struct {
		method, query string
		status        int
		says          string
	}{
		{http.MethodGet, "", 200, ""},
		{http.MethodGet, "?limit=3&after=x", 200, ""},
		{http.MethodGet, "?limit=3&befor=x", 400, `There is no parameter "befor" here. There is: limit, after.`},
		{http.MethodDelete, "", 204, ""},
		{http.MethodDelete, "?force=true", 400, "this operation has none"},
	} {
		before, w := asked, httptest.NewRecorder()
		a.ServeHTTP(w, httptest.NewRequest(c.method, "/v1/things"+c.query, nil))
		if w.Code != c.status || !strings.Contains(said(w), c.says) || (asked > before) != (c.status < 400) {
			t.Errorf("%s %s: %d %s, asked %d times", c.method, c.query, w.Code, w.Body, asked-before)
		}
	}
}

func said(w *httptest.ResponseRecorder) string {
	var p Problem
	_ = json.Unmarshal(w.Body.Bytes(), &p)
	return p.Detail
}
