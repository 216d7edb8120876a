package web

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestOnlyDeclaredRoutesAreCalledFromOtherSites(t *testing.T) {
	t.Parallel()
	a := New("test", slog.New(slog.DiscardHandler))
	ok := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }
	Raw(a, Route{Method: http.MethodPost, Path: "/v1/other/{id}/acs", Summary: "Answers of others", Tag: "T", CrossSite: true}, ok)
	Raw(a, Route{Method: http.MethodPost, Path: "/v1/own", Summary: "Ours", Tag: "T"}, ok)
	Handle(a, Route{Method: http.MethodPost, Path: "/v1/json", Summary: "JSON", Tag: "T", Permission: Public},
		func(context.Context, *None) (None, error) { return None{}, nil })
	h := Chain(a, a.SameOrigin)
	for path, status := range map[string]int{
		"/v1/other/1/acs": http.StatusNoContent, "/v1/own": http.StatusForbidden, "/v1/json": http.StatusForbidden,
		"/v1/other/1/2/acs": http.StatusForbidden, "/v1/other/1/acs/": http.StatusForbidden, "/v1/none": http.StatusForbidden,
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader("a=b"))
		r.Header.Set("Origin", "https://idp.example.com")
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != status {
			t.Errorf("%s: %d, want %d", path, w.Code, status)
		}
	}
	if doc, err := a.OpenAPI(); err != nil || !strings.Contains(string(doc), "/v1/other/{id}/acs") || len(a.Routes()) != 3 || a.Routes()[0].Permission != Public {
		t.Errorf("raw routes are not described: %v", err)
	}
}
