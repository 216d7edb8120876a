// Package appliancetest boots a whole appliance, with real Postgres, Temporal
// and Pulumi, for black-box tests through its HTTPS port.
package appliancetest

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"os"
	"strings"
	"testing"
	"time"

	"nimbus/appliance"
	"nimbus/appliance/actor"
	"nimbus/appliance/breakglass/hsm"
	"nimbus/appliance/id"
	"nimbus/appliance/identity"
	"nimbus/appliance/tenancy"
	"nimbus/embedded/pulumi"
)

// Main runs the tests of a binary that is also Pulumi, its provider and the
// HSM worker, as the product's binary is. Call it from TestMain.
func Main(m *testing.M) {
	if code, ok := pulumi.Dispatch(os.Args); ok {
		os.Exit(code)
	}
	if len(os.Args) > 0 && os.Args[0] == hsm.WorkerName {
		os.Exit(hsm.RunWorker())
	}
	if socket := os.Getenv(diskEnv); socket != "" {
		fmt.Fprintln(os.Stderr, "disk:", underDisk(socket))
		os.Exit(1)
	}
	if told := os.Getenv(childEnv); told != "" {
		os.Exit(runChild(told))
	}
	os.Exit(m.Run())
}

// Password of every person that this package makes.
const Password = "correct horse battery staple"

// Appliance is a running appliance with an administrator and one tenant.
type Appliance struct {
	*appliance.Appliance
	Root, Tenant id.ID
	Admin        identity.User
	URL          string
	Dir          string
}

// Dir makes a data directory whose parents other users may pass, as Postgres
// needs when the tests run as root.
func Dir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "nimbus-test-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// Logger writes warnings and errors into the test's output.
func Logger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	if w.t.Context().Err() == nil {
		w.t.Log(string(bytes.TrimSpace(p)))
	}
	return len(p), nil
}

// Start boots an appliance on an empty data directory and makes its first
// administrator. It stops when the test ends.
func Start(t testing.TB) *Appliance {
	t.Helper()
	return StartWith(t, Logger(t))
}

// StartWith is Start with a logger of the test's.
func StartWith(t testing.TB, logger *slog.Logger) *Appliance {
	t.Helper()
	a := appliance.New(appliance.Config{DataDir: Dir(t), Listen: "127.0.0.1:0", Version: "test", Logger: logger, Unsafe: true})
	t.Cleanup(func() {
		if err := a.Stop(context.Background()); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	ctx := actor.With(context.Background(), actor.Actor{Kind: actor.Setup, Name: "setup"})
	if err := a.Open(ctx); err != nil {
		t.Fatal(err)
	}
	if err := a.Boot(ctx); err != nil {
		t.Fatal(err)
	}
	made, err := populate(ctx, a)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// populate makes the root tenant, a first tenant and the administrator.
func populate(ctx context.Context, a *appliance.Appliance) (*Appliance, error) {
	c := a.Core()
	root, err := c.Tenants.CreateRoot(ctx)
	if err != nil {
		return nil, err
	}
	tenant, err := c.Tenants.Create(ctx, tenancy.Tenant{Name: "Acme", ParentID: root.ID})
	if err != nil {
		return nil, err
	}
	admin, err := c.Identity.CreateFirst(ctx, identity.NewUser{Name: "Ada Admin", Email: "ada@example.com", Password: Password}, root.ID, tenant.ID)
	return &Appliance{Appliance: a, Root: root.ID, Tenant: tenant.ID, Admin: admin, URL: "https://" + a.Front().Addr(), Dir: a.DataDir()}, err
}

// Client is a browser without pages: it keeps cookies and speaks JSON.
type Client struct {
	t    testing.TB
	http *http.Client
	base string
}

// Client returns a client that is not signed in.
func (a *Appliance) Client(t testing.TB) *Client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	t.Cleanup(transport.CloseIdleConnections)
	return &Client{t: t, base: a.URL, http: &http.Client{Jar: jar, Transport: transport, Timeout: time.Minute}}
}

// SignIn returns a client signed in as a person, acting in a tenant.
func (a *Appliance) SignIn(t testing.TB, email string, tenant id.ID) *Client {
	t.Helper()
	c := a.Client(t)
	c.Do(http.MethodPost, "/v1/session", map[string]any{"email": email, "password": Password}, http.StatusCreated, nil)
	c.Do(http.MethodPut, "/v1/session/tenant", map[string]any{"tenant_id": tenant}, http.StatusOK, nil)
	return c
}

// Do sends a request, insists on the status, and reads the answer into out
// unless it is nil.
func (c *Client) Do(method, path string, in any, status int, out any) {
	c.t.Helper()
	got, body := c.Try(method, path, in)
	if got != status {
		c.t.Fatalf("%s %s: status %d instead of %d: %s", method, path, got, status, body)
	}
	if out == nil {
		return
	}
	if err := json.Unmarshal(body, out); err != nil {
		c.t.Fatalf("%s %s: %v in %s", method, path, err, body)
	}
}

// Text sends a request with a body that is not JSON and returns whatever comes.
func (c *Client) Text(method, path, body string) (int, string) {
	c.t.Helper()
	r, err := http.NewRequest(method, c.base+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "text/plain;charset=UTF-8")
	r.Header.Set("Origin", c.base)
	resp, err := c.http.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp.StatusCode, string(answer)
}

// Try sends a request and returns whatever comes.
func (c *Client) Try(method, path string, in any) (int, []byte) {
	c.t.Helper()
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			c.t.Fatal(err)
		}
		body = bytes.NewReader(raw)
	}
	r, err := http.NewRequest(method, c.base+path, body)
	if err != nil {
		c.t.Fatal(err)
	}
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp.StatusCode, answer
}
