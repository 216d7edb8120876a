// Package proxmox implements provider.CloudProviderInterface for Proxmox VE.
// It is the only importer of github.com/luthermonson/go-proxmox, and uses of
// it what signs requests and reads answers; the typed calls of that library
// fail on some genuine answers, so the types are here.
//
// Everything that comes from outside (names of nodes, guests and tasks) is
// data: it is escaped into paths, sent as JSON, and never part of a command.
package proxmox

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	gopve "github.com/luthermonson/go-proxmox"

	"nimbus/appliance/fault"
	"nimbus/appliance/provider"
)

// defaultPort is where Proxmox VE serves its API.
const defaultPort = "8006"

// requestTimeout is the longest that one request may take. Proxmox itself
// gives up proxying to another node after 30 seconds.
const requestTimeout = 35 * time.Second

// cluster is one connection. It implements provider.CloudProviderInterface.
type cluster struct {
	client    *gopve.Client
	transport *http.Transport
	trust     *trust
	host      string // for sentences
	tokenID   string
}

var _ provider.CloudProviderInterface = (*cluster)(nil)

// Open is the provider.Opener of Proxmox VE. It does no I/O.
func Open(e provider.Endpoint) (provider.CloudProviderInterface, error) {
	base, err := baseURL(e.URL)
	if err != nil {
		return nil, err
	}
	if err := checkToken(e.TokenID, e.Secret); err != nil {
		return nil, err
	}
	t, err := newTrust(base.Hostname(), e.Fingerprint, e.CAPEM)
	if err != nil {
		return nil, err
	}
	transport := newTransport(t, e.Simulated)
	client := &http.Client{
		Transport: observer{transport},
		Timeout:   requestTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return errRedirect
		},
	}
	return &cluster{
		client: gopve.NewClient(base.String()+"/api2/json", gopve.WithHTTPClient(client),
			gopve.WithAPIToken(e.TokenID, e.Secret), gopve.WithUserAgent("nimbus"), gopve.WithLogger(silent{})),
		transport: transport, trust: t, host: base.Host, tokenID: e.TokenID,
	}, nil
}

// silent keeps the library from writing to standard error: it would print
// bodies of answers.
type silent struct{}

func (silent) Debugf(string, ...any) {}
func (silent) Infof(string, ...any)  {}
func (silent) Warnf(string, ...any)  {}
func (silent) Errorf(string, ...any) {}

var errRedirect = errors.New("the server answered with a redirect")

// baseURL reads the address of a cluster: https, a host, perhaps a port,
// nothing else.
func baseURL(text string) (*url.URL, error) {
	const location, hint = "body.url", "Enter the address as https://host:8006."
	u, err := url.Parse(strings.TrimSpace(text))
	if err != nil {
		return nil, fault.BadField(location, "The address cannot be read. %s", hint)
	}
	if u.Scheme != "https" {
		return nil, fault.BadField(location, "Only https is allowed: the token would travel unprotected. %s", hint)
	}
	if u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		return nil, fault.BadField(location, "The address must hold a host and a port only. %s", hint)
	}
	if u.Port() == "" {
		u.Host += ":" + defaultPort
	}
	return &url.URL{Scheme: "https", Host: u.Host}, nil
}

var (
	tokenPattern  = regexp.MustCompile(`^[^\s:/@!]+@[A-Za-z0-9._-]+![A-Za-z][A-Za-z0-9._-]+$`)
	secretPattern = regexp.MustCompile(`^[\x21-\x7e]{1,200}$`)
)

func checkToken(tokenID, secret string) error {
	if !tokenPattern.MatchString(tokenID) {
		return fault.BadField("body.token_id", "A token id looks like nimbus@pve!nimbus.")
	}
	if !secretPattern.MatchString(secret) {
		return fault.BadField("body.token_secret", "The token's secret is the UUID that Proxmox showed once when the token was made.")
	}
	return nil
}

// Close frees idle connections.
func (c *cluster) Close() { c.transport.CloseIdleConnections() }

// Certificate connects when there was no connection yet.
func (c *cluster) Certificate(ctx context.Context) (string, error) {
	if c.trust.accepted.Load() == nil {
		if _, err := c.version(ctx); err != nil {
			return "", err
		}
	}
	block := pem.Block{Type: "CERTIFICATE", Bytes: c.trust.accepted.Load().Raw}
	return string(pem.EncodeToMemory(&block)), nil
}

// get reads path, whose segments are escaped already, into out.
func (c *cluster) get(ctx context.Context, path string, query url.Values, out any) error {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return c.do(ctx, http.MethodGet, path, nil, out)
}

// do makes one request and turns what went wrong into our vocabulary.
func (c *cluster) do(ctx context.Context, method, path string, params map[string]any, out any) error {
	var seen exchange
	watched := context.WithValue(ctx, exchangeKey{}, &seen)
	var body []byte
	var err error
	if params != nil {
		if body, err = json.Marshal(params); err != nil {
			return err
		}
	}
	err = c.client.Req(watched, method, path, body, out)
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return c.explain(seen, err)
}

// route joins path segments, each escaped, dots included: no name leads out of
// its place.
func route(segments ...string) string {
	var b strings.Builder
	for _, s := range segments {
		b.WriteByte('/')
		if s == "." || s == ".." {
			b.WriteString(strings.ReplaceAll(s, ".", "%2E"))
			continue
		}
		b.WriteString(url.PathEscape(s))
	}
	return b.String()
}
