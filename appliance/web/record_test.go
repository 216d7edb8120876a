package web

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"nimbus/appliance/actor"
	"nimbus/appliance/fault"
)

// TestCallsAreRecordedBeforeTheAnswer lists which calls are recorded, that the
// record is there before the first byte, and that what cannot be recorded does
// not happen.
func TestCallsAreRecordedBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	api := New("test", slog.New(slog.DiscardHandler))
	ran := 0
	for _, r := range []Route{
		{Method: http.MethodPost, Path: "/v1/things/{id}", Permission: "thing:thing:update"},
		{Method: http.MethodGet, Path: "/v1/things/{id}", Permission: "thing:thing:read"},
		{Method: http.MethodGet, Path: "/v1/secrets/{id}", Permission: "thing:secret:read", Sensitive: true},
		{Method: http.MethodGet, Path: "/v1/refused/{id}", Permission: "thing:thing:refuse"},
	} {
		Handle(api, r, func(context.Context, *struct {
			ID string `path:"id"`
			Q  string `query:"q"`
		}) (map[string]string, error) {
			ran++
			if r.Path == "/v1/refused/{id}" {
				return nil, fault.New(fault.Forbidden, "No.")
			}
			return map[string]string{"a": "b"}, nil
		})
	}
	var calls []Call
	var full error
	var nobody bool
	var answer *httptest.ResponseRecorder
	trail := Trail{
		Takes: func(context.Context, bool) error { return full },
		Record: func(_ context.Context, c Call) error {
			if answer.Body.Len() > 0 {
				t.Error("the answer left before the record")
			}
			calls = append(calls, c)
			return full
		},
	}
	who := Authenticated(func(*http.Request) (actor.Actor, bool, error) {
		return actor.Actor{Kind: actor.User, Name: "ada"}, !nobody, nil
	})
	h := Chain(api, Identify, api.Recorded(trail), who)
	ask := func(method, path string) int {
		answer = httptest.NewRecorder()
		r := httptest.NewRequest(method, path+"?q=canary", nil)
		r.Header.Set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
		h.ServeHTTP(answer, r)
		return answer.Code
	}
	nobody = true
	for _, method := range []string{http.MethodPost, http.MethodGet} {
		if got := ask(method, "/v1/secrets/7"); len(calls) != 0 {
			t.Errorf("nobody's %s (%d) is recorded: %+v", method, got, calls)
		}
	}
	nobody = false
	for _, c := range []struct {
		method, path, route string
		status              int
		recorded            bool
		full                int // the status when the trail is full
	}{
		{http.MethodPost, "/v1/things/7", "/v1/things/{id}", 200, true, 503},
		{http.MethodGet, "/v1/things/7", "/v1/things/{id}", 200, false, 200},
		{http.MethodGet, "/v1/secrets/7", "/v1/secrets/{id}", 200, true, 503},
		{http.MethodGet, "/v1/refused/7", "/v1/refused/{id}", 403, true, 403},
	} {
		calls, full = nil, nil
		if got := ask(c.method, c.path); got != c.status || (len(calls) == 1) != c.recorded {
			t.Errorf("%s %s: %d, %+v", c.method, c.path, got, calls)
		}
		if len(calls) == 1 && (calls[0].Route != c.route || calls[0].Status != c.status || calls[0].Actor.Name != "ada" ||
			calls[0].Actor.RequestID == "" || calls[0].Actor.TraceID != "0af7651916cd43dd8448eb211c80319c") {
			t.Errorf("%+v", calls[0])
		}
		full, ran = fault.Wrap(fault.Unavailable, errors.New("disk full"), "Full."), 0
		if got := ask(c.method, c.path); got != c.full || c.full == 503 && ran > 0 {
			t.Errorf("%s %s with a full trail: %d, the handler ran %d times", c.method, c.path, got, ran)
		}
	}
}

func TestTraceParents(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01":       "0af7651916cd43dd8448eb211c80319c",
		"01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-later": "0af7651916cd43dd8448eb211c80319c",
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-later": "",
		"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01":       "",
		"00-00000000000000000000000000000000-b7ad6b7169203331-01":       "",
		"00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01":       "",
		"\r\nx": "",
		"":      "",
	} {
		if got := traceOf(header); got != want {
			t.Errorf("%q: %q, want %q", header, got, want)
		}
	}
}

// TestCallsThatPanicAreRecorded: a handler that panics may have changed
// something before.
func TestCallsThatPanicAreRecorded(t *testing.T) {
	t.Parallel()
	logger := slog.New(slog.DiscardHandler)
	var calls []Call
	trail := Trail{
		Takes:  func(context.Context, bool) error { return nil },
		Record: func(_ context.Context, c Call) error { calls = append(calls, c); return nil },
	}
	kind := func(*http.Request) Kind { return Kind{Route: "/v1/things"} }
	who := Authenticated(func(*http.Request) (actor.Actor, bool, error) {
		return actor.Actor{Kind: actor.User, Name: "ada"}, true, nil
	})
	h := Chain(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("on purpose") }), Identify, Recover(logger), Recorded(kind, trail), who)
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/v1/things", nil))
	if answer.Code != http.StatusInternalServerError || len(calls) != 1 || calls[0].Status != answer.Code || calls[0].Actor.Name != "ada" {
		t.Errorf("%d is answered, recorded are %+v", answer.Code, calls)
	}
}
