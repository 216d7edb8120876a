package scim_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"nimbus/appliance/fault"
	"nimbus/appliance/identity/scim"
	"nimbus/appliance/identity/scim/scimtest"
)

const token = "nsc_test"

func newHandler(burst int) http.Handler {
	return scim.NewHandler(scim.Config{
		Directory: &scimtest.Memory{}, URL: func() string { return scimtest.Base }, Burst: burst,
		Authenticate: func(ctx context.Context, t, _, _ string) (context.Context, error) {
			if t != token {
				return nil, fault.New(fault.Unauthenticated, "This SCIM token is not valid, or it has expired.")
			}
			return ctx, nil
		},
		Logger: slog.New(slog.DiscardHandler),
	})
}

// TestScripts plays what the RFC, Entra ID and Okta send.
func TestScripts(t *testing.T) {
	t.Parallel()
	for _, script := range []string{"rfc7644", "entra", "okta"} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			scimtest.Run(t, "testdata/"+script+".txt", newHandler(1000), token)
		})
	}
}

// send returns the status and the answer.
func send(t testing.TB, h http.Handler, method, path, body string) (*httptest.ResponseRecorder, map[string]any) {
	t.Helper()
	r := httptest.NewRequest(method, scimtest.Base+scim.Prefix+path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	answer := map[string]any{}
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatalf("%s %s: %v in %s", method, path, err, w.Body)
		}
	}
	return w, answer
}

func populate(t testing.TB, h http.Handler, n int) {
	t.Helper()
	for i := range n {
		w, _ := send(t, h, "POST", "/Users", fmt.Sprintf(`{"userName": "user%03d@example.com", "externalId": "e%d", "active": %v}`, i, i, i%2 == 0))
		if w.Code != http.StatusCreated {
			t.Fatal(w.Code, w.Body)
		}
	}
}

// TestPages walks through all by index and by cursor, with and without filter.
func TestPages(t *testing.T) {
	t.Parallel()
	h := newHandler(5000)
	populate(t, h, 25)
	for _, question := range []string{"", "&filter=active%20eq%20true", "&sortBy=externalId", "&filter=userName%20co%20%221%22&sortBy=userName&sortOrder=descending"} {
		byIndex := walk(t, h, question, func(_ map[string]any, seen int) (string, bool) {
			return fmt.Sprintf("startIndex=%d", seen+1), true
		})
		byCursor := walk(t, h, question, func(answer map[string]any, seen int) (string, bool) {
			next, more := answer["nextCursor"].(string)
			return "cursor=" + next, more || seen == 0
		})
		if len(byIndex) == 0 || fmt.Sprint(byIndex) != fmt.Sprint(byCursor) {
			t.Errorf("%q: %v by index, %v by cursor", question, byIndex, byCursor)
		}
	}
}

// walk collects the user names of all pages.
func walk(t *testing.T, h http.Handler, question string, next func(map[string]any, int) (string, bool)) []string {
	t.Helper()
	var all []string
	answer := map[string]any{}
	for {
		where, more := next(answer, len(all))
		if !more {
			return all
		}
		_, answer = send(t, h, "GET", "/Users?count=4&"+where+question, "")
		page, _ := answer["Resources"].([]any)
		if len(page) == 0 {
			return all
		}
		for _, r := range page {
			all = append(all, r.(map[string]any)["userName"].(string))
		}
		if len(all) > int(answer["totalResults"].(float64)) {
			t.Fatalf("%d of %v", len(all), answer["totalResults"])
		}
	}
}

// TestCursorBelongsToItsQuestion refuses a cursor with another filter.
func TestCursorBelongsToItsQuestion(t *testing.T) {
	t.Parallel()
	h := newHandler(100)
	populate(t, h, 5)
	_, first := send(t, h, "GET", "/Users?cursor&count=2", "")
	next, _ := first["nextCursor"].(string)
	for _, query := range []string{"count=2&filter=active%20pr&cursor=" + next, "cursor=nonsense", "cursor=e30"} {
		if w, answer := send(t, h, "GET", "/Users?"+query, ""); w.Code != http.StatusBadRequest || answer["scimType"] != scim.InvalidCursor {
			t.Errorf("%s: %d %v", query, w.Code, answer)
		}
	}
}

// TestBounds holds the limits that protect the server.
func TestBounds(t *testing.T) {
	t.Parallel()
	h := newHandler(100)
	deep := strings.Repeat("(", 21) + `userName pr` + strings.Repeat(")", 21)
	operations := strings.Repeat(`{"method":"DELETE","path":"/Users/x"},`, 1000) + `{"method":"DELETE","path":"/Users/x"}`
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		kind               string
	}{
		"deep filter":  {"POST", "/Users/.search", `{"filter": "` + deep + `"}`, 400, scim.InvalidFilter},
		"long filter":  {"POST", "/Users/.search", `{"filter": "` + strings.Repeat("x", 4097) + `"}`, 400, scim.InvalidFilter},
		"many terms":   {"POST", "/Users/.search", `{"filter": "active pr` + strings.Repeat(" or active pr", 100) + `"}`, 400, scim.InvalidFilter},
		"large body":   {"POST", "/Users", `{"userName": "` + strings.Repeat("x", 1<<20) + `"}`, 413, ""},
		"large bulk":   {"POST", "/Bulk", `{"Operations": [` + operations + `]}`, 413, ""},
		"deep body":    {"POST", "/Users", strings.Repeat(`{"a":`, 30) + "1" + strings.Repeat("}", 30), 400, scim.InvalidSyntax},
		"long text":    {"POST", "/Users", `{"userName": "` + strings.Repeat("x", 4097) + `"}`, 400, scim.InvalidValue},
		"NUL":          {"POST", "/Users", `{"userName": "a\u0000b@example.com"}`, 400, scim.InvalidValue},
		"many values":  {"POST", "/Users", `{"userName": "a@example.com", "emails": [` + strings.Repeat(`"a",`, 200) + `"a"]}`, 400, scim.InvalidValue},
		"two primary":  {"POST", "/Users", `{"userName": "a@example.com", "emails": [{"value": "a", "primary": true}, {"value": "b", "primary": "True"}]}`, 400, scim.InvalidValue},
		"other schema": {"POST", "/Users", `{"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "userName": "a@example.com"}`, 400, scim.InvalidSyntax},
		"no list":      {"POST", "/Users", `[]`, 400, scim.InvalidSyntax},
		"two bodies":   {"POST", "/Users", `{"userName": "a@example.com"} {}`, 400, scim.InvalidSyntax},
		"bad count":    {"GET", "/Users?count=1.5", "", 400, scim.InvalidValue},
		"bad start":    {"GET", "/Users?startIndex=x", "", 400, scim.InvalidValue},
		"bad sort":     {"GET", "/Users?sortBy=nothing", "", 400, scim.InvalidPath},
		"bad order":    {"GET", "/Users?sortOrder=up", "", 400, scim.InvalidValue},
	} {
		w, answer := send(t, h, c.method, c.path, c.body)
		if got, _ := answer["scimType"].(string); w.Code != c.status || got != c.kind {
			t.Errorf("%s: %d %v", name, w.Code, answer)
		}
	}
	_, list := send(t, h, "GET", "/Users?count=-5&startIndex=-7", "")
	if list["startIndex"] != 1.0 || list["itemsPerPage"] != 0.0 {
		t.Errorf("negative numbers gave %v", list)
	}
}

// TestAuthentication wants a token for everything but the description of how
// to get in.
func TestAuthentication(t *testing.T) {
	t.Parallel()
	h := newHandler(5)
	for path, status := range map[string]int{"/ServiceProviderConfig": 200, "/Users": 401, "/Schemas": 401, "/Me": 401, "/Bulk": 401, "/nothing": 401} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", scimtest.Base+scim.Prefix+path, nil))
		if w.Code != status || status == 401 && w.Header().Get("WWW-Authenticate") == "" {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

// TestThrottle lets a burst pass and then slows down, each token for itself;
// wrong tokens count for their address.
func TestThrottle(t *testing.T) {
	t.Parallel()
	h := newHandler(5)
	for i := range 6 {
		w, _ := send(t, h, "GET", "/Users", "")
		if (w.Code == http.StatusOK) != (i < 5) {
			t.Errorf("request %d: %d", i, w.Code)
		}
		if i == 5 && (w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "1") {
			t.Errorf("%d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
		}
	}
	var last int
	for range 6 {
		r := httptest.NewRequest("GET", scimtest.Base+scim.Prefix+"/Users", nil)
		r.Header.Set("Authorization", "Bearer guess")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		last = w.Code
	}
	if last != http.StatusTooManyRequests {
		t.Errorf("the sixth wrong token got %d", last)
	}
}

// TestPasswordStaysIn looks for the password in every answer about its owner.
func TestPasswordStaysIn(t *testing.T) {
	t.Parallel()
	h := newHandler(100)
	w, made := send(t, h, "POST", "/Users?attributes=password,userName", `{"userName": "a@example.com", "password": "canary-canary-canary"}`)
	answers := w.Body.String()
	for _, path := range []string{"/Users", "/Users?attributes=password", fmt.Sprintf("/Users/%s?attributes=password", made["id"])} {
		w, _ := send(t, h, "GET", path, "")
		answers += w.Body.String()
	}
	if w.Code != http.StatusCreated || strings.Contains(answers, "canary") {
		t.Errorf("%d %s", w.Code, answers)
	}
}
