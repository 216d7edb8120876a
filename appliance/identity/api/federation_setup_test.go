package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"html"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/db"
	"nimbus/appliance/db/dbtest"
	"nimbus/appliance/event"
	"nimbus/appliance/id"
	"nimbus/appliance/identity"
	"nimbus/appliance/identity/api"
	"nimbus/appliance/identity/oidc/oidctest"
	"nimbus/appliance/permission"
	"nimbus/appliance/secret"
	"nimbus/appliance/tenancy"
	"nimbus/appliance/web"
)

// bench is the API of identity over a database of its own, with the first
// administrator Ann and the tenants Home (example.com) and Beta (beta.example).
type bench struct {
	t           *testing.T
	dsn         string
	database    *db.DB
	server      *httptest.Server
	people      *identity.Service
	federation  *identity.Federation
	permissions *permission.Service
	tenants     *tenancy.Service
	outbound    *web.Outbound
	domains     map[string]id.ID

	root, home, beta id.ID
	admin            *browser // Ann, in Home
	browsers         int
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, domains: map[string]id.ID{}}
	b.outbound = &web.Outbound{Allowed: func() []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }}
	b.server = httptest.NewUnstartedServer(nil)
	b.server.StartTLS()
	t.Cleanup(b.server.Close)
	b.wire()
	b.settle()
	return b
}

func (b *bench) wire() {
	quiet := slog.New(slog.DiscardHandler)
	bus := event.NewBus(quiet)
	database, history, dsn := dbtest.OpenDSN(b.t, audit.Migrations, tenancy.Migrations, permission.Migrations, identity.Migrations)
	b.dsn, b.database = dsn, database
	isRoot := func(tenant id.ID) bool { return b.tenants.IsRoot(tenant) }
	check := func(ctx context.Context, p string) error { return b.permissions.Check(ctx, p) }
	trail := audit.New(audit.Config{DB: database, Logger: quiet, Check: check, IsRoot: isRoot})
	b.permissions = permission.New(permission.Config{DB: database, Audit: trail, Events: bus, Logger: quiet, IsRoot: isRoot})
	b.tenants = tenancy.New(tenancy.Config{DB: database, History: history, Audit: trail, Check: check, Logger: quiet,
		Seed: func(ctx context.Context, tenant id.ID) error { return b.permissions.Seed(ctx, tenant) }})
	root, err := secret.OpenFileRoot(filepath.Join(b.t.TempDir(), "root.key"))
	b.must(err)
	keyring := secret.NewKeyring(root, tenancy.Keys{DB: database}, nil)
	b.people = identity.New(identity.Config{DB: database, Audit: trail, Permissions: b.permissions, Events: bus, Logger: quiet,
		URL: func() string { return b.server.URL }, Keyring: func() *secret.Keyring { return keyring },
		StepUpProviders: func(ctx context.Context) ([]identity.StepUpAtIdP, error) { return b.federation.StepUpProviders(ctx) }})
	b.federation = identity.NewFederation(identity.FederationConfig{
		Identity: b.people, Keyring: keyring, Outbound: b.outbound,
		TenantForEmail: func(_ context.Context, email string) (id.ID, bool, error) {
			_, domain, _ := strings.Cut(strings.ToLower(email), "@")
			tenant, ok := b.domains[domain]
			return tenant, ok, nil
		},
	})
	routes := web.New("test", quiet)
	api.Register(routes, api.Config{
		Identity: b.people, Permissions: b.permissions, Tenants: b.tenants, Federation: b.federation, Logger: quiet,
		Appliance: func() api.Appliance { return api.Appliance{} }, BreakGlass: func(context.Context) any { return nil },
	})
	b.server.Config.Handler = web.Chain(routes, web.Identify, web.Recover(quiet), routes.SameOrigin, web.Authenticated(api.Authenticate(b.people)))
}

func (b *bench) settle() {
	ctx := actor.With(b.t.Context(), actor.Actor{Kind: actor.Setup, Name: "setup"})
	root, err := b.tenants.CreateRoot(ctx)
	b.must(err)
	home, err := b.tenants.Create(ctx, tenancy.Tenant{Name: "Home", ParentID: root.ID})
	b.must(err)
	beta, err := b.tenants.Create(ctx, tenancy.Tenant{Name: "Beta", ParentID: root.ID})
	b.must(err)
	b.root, b.home, b.beta = root.ID, home.ID, beta.ID
	b.domains["example.com"], b.domains["beta.example"] = b.home, b.beta
	_, err = b.people.CreateFirst(ctx, identity.NewUser{Name: "Ann", Email: "ann@example.com", Password: password}, b.root, b.home)
	b.must(err)
	b.admin = b.signIn("ann@example.com", b.home)
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// member makes a local account in a tenant.
func (b *bench) member(email string, tenant id.ID, roles ...string) id.ID {
	b.t.Helper()
	u := identity.NewUser{Name: "Local " + email, Email: email, Password: password}
	for _, r := range roles {
		u.Roles = append(u.Roles, permission.SystemRoleID(tenant, r))
	}
	made, err := b.people.CreateUser(actor.AsSystem(b.t.Context(), "test", tenant), u)
	b.must(err)
	return made.ID
}

// value reads one value as the database's superuser.
func value[T any](b *bench, sql string, args ...any) (v T) {
	b.t.Helper()
	conn, err := pgx.Connect(b.t.Context(), b.dsn)
	b.must(err)
	defer conn.Close(context.Background())
	b.must(conn.QueryRow(b.t.Context(), sql, args...).Scan(&v))
	return v
}

func (b *bench) exec(sql string, args ...any) {
	b.t.Helper()
	conn, err := pgx.Connect(b.t.Context(), b.dsn)
	b.must(err)
	defer conn.Close(context.Background())
	_, err = conn.Exec(b.t.Context(), sql, args...)
	b.must(err)
}

// audited counts a tenant's records of an event.
func (b *bench) audited(tenant id.ID, event string) int {
	return value[int](b, `select count(*) from tenant_`+tenant.Hex()+`.audit_record where convert_from(body, 'UTF8')::jsonb ->> 'event' = $1`, event)
}

// browser is a person's browser: cookies by site, redirects followed by hand.
type browser struct {
	*http.Client
	b *bench
}

func (b *bench) browser() *browser {
	jar, err := cookiejar.New(nil)
	b.must(err)
	transport := b.server.Client().Transport.(*http.Transport).Clone()
	transport.TLSClientConfig.InsecureSkipVerify = true // of the providers of the test
	transport.DialContext = (&net.Dialer{LocalAddr: b.address()}).DialContext
	return &browser{b: b, Client: &http.Client{
		Jar: &sites{jar}, Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// address is another one of this machine each time: the throttle counts by it.
func (b *bench) address() net.Addr {
	b.browsers++
	return &net.TCPAddr{IP: net.IPv4(127, 0, byte(1+b.browsers/200), byte(1+b.browsers%200))}
}

// sites keeps cookies apart by port, as the servers of a test share a host.
type sites struct{ *cookiejar.Jar }

func apart(u *url.URL) *url.URL {
	c := *u
	c.Host = "port" + u.Port() + ".example"
	return &c
}

func (s *sites) SetCookies(u *url.URL, cookies []*http.Cookie) { s.Jar.SetCookies(apart(u), cookies) }
func (s *sites) Cookies(u *url.URL) []*http.Cookie             { return s.Jar.Cookies(apart(u)) }

func (b *bench) signIn(email string, tenant id.ID) *browser {
	b.t.Helper()
	c := b.browser()
	c.call(http.MethodPost, "/v1/session", map[string]any{"email": email, "password": password}, http.StatusCreated, nil)
	c.call(http.MethodPut, "/v1/session/tenant", map[string]any{"tenant_id": tenant}, http.StatusOK, nil)
	return c
}

// call sends JSON to our API.
func (c *browser) call(method, path string, in any, status int, out any) {
	c.b.t.Helper()
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		c.b.must(err)
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(c.b.t.Context(), method, c.b.server.URL+path, body)
	c.b.must(err)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.Do(req)
	c.b.must(err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	c.b.must(err)
	if res.StatusCode != status {
		c.b.t.Fatalf("%s %s: %d instead of %d: %s", method, path, res.StatusCode, status, text)
	}
	if out != nil {
		c.b.must(json.Unmarshal(text, out))
	}
}

// visit follows redirects until a page answers or our pages are reached, and
// returns where it ended and what is there.
func (c *browser) visit(at string) (*url.URL, string) {
	c.b.t.Helper()
	if strings.HasPrefix(at, "/") {
		at = c.b.server.URL + at
	}
	for range 10 {
		res, err := c.Get(at)
		c.b.must(err)
		text, err := io.ReadAll(res.Body)
		res.Body.Close()
		c.b.must(err)
		next, err := res.Location()
		if err != nil {
			return res.Request.URL, string(text)
		}
		at = next.String()
		if strings.HasPrefix(at, c.b.server.URL) && !strings.HasPrefix(next.Path, "/v1/") {
			return next, ""
		}
	}
	c.b.t.Fatal("too many redirects")
	return nil, ""
}

// submit posts a form as a page of another site does and returns where the
// answer leads.
func (c *browser) submit(at string, form url.Values) (*url.URL, *http.Response) {
	c.b.t.Helper()
	req, err := http.NewRequestWithContext(c.b.t.Context(), http.MethodPost, at, strings.NewReader(form.Encode()))
	c.b.must(err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", "https://idp.example.com")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	res, err := c.Do(req)
	c.b.must(err)
	text, _ := io.ReadAll(res.Body)
	res.Body.Close()
	res.Body = io.NopCloser(bytes.NewReader(text))
	to, _ := res.Location()
	return to, res
}

// me is the session of the browser, or nothing.
func (c *browser) me() (s struct {
	User        struct{ ID, Name, Email string }
	Tenant      struct{ ID, Name string }
	Permissions []string
}, ok bool) {
	c.b.t.Helper()
	res, err := c.Get(c.b.server.URL + "/v1/session")
	c.b.must(err)
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return s, false
	}
	c.b.must(json.NewDecoder(res.Body).Decode(&s))
	return s, true
}

var field = regexp.MustCompile(`name="([^"]+)"[^>]*value="([^"]*)"`)

func formIn(t *testing.T, page string) url.Values {
	t.Helper()
	form := url.Values{}
	for _, m := range field.FindAllStringSubmatch(page, -1) {
		form.Set(m[1], html.UnescapeString(m[2]))
	}
	if len(form) == 0 {
		t.Fatalf("no form in %s", page)
	}
	return form
}

// provider is a provider as the API shows it.
type provider struct {
	ID      string
	Name    string
	Enabled bool
	OIDC    *struct {
		RedirectURI string `json:"redirect_uri"`
		HasSecret   bool   `json:"has_secret"`
	}
	SAML *struct {
		SPEntityID   string   `json:"sp_entity_id"`
		ACSURL       string   `json:"acs_url"`
		Certificates []string `json:"certificates"`
	}
	Status struct {
		OK      bool
		Message string
	}
}

type body = map[string]any

// issuer adds an OpenID Connect provider to Home; change may alter the body.
func (b *bench) issuer(s *httptest.Server, change func(body)) provider {
	b.t.Helper()
	in := body{
		"kind": "oidc", "name": "Login " + s.URL, "jit": body{"users": true, "groups": false, "link_by_email": "never"},
		"oidc": body{"issuer": s.URL, "client_id": oidctest.ClientID, "client_secret": oidctest.ClientSecret, "ca_pem": oidctest.CA(s),
			"scopes": []string{"openid", "profile", "email", "offline_access"}},
	}
	if change != nil {
		change(in)
	}
	var p provider
	b.admin.call(http.MethodPost, "/v1/identity-providers", in, http.StatusCreated, &p)
	return p
}

func (p provider) start(returnTo string) string {
	kind := "oidc"
	if p.SAML != nil {
		kind = "saml"
	}
	at := "/v1/session/" + kind + "/" + p.ID + "/start"
	if returnTo != "" {
		at += "?return_to=" + url.QueryEscape(returnTo)
	}
	return at
}

func (p provider) path() string { return "/v1/identity-providers/" + p.ID }

// role is a system role of Home.
func (b *bench) role(name string) string { return permission.SystemRoleID(b.home, name).String() }

// system is a context in which the appliance acts in Home.
func (b *bench) system() context.Context { return actor.AsSystem(b.t.Context(), "test", b.home) }
