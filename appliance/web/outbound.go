package web

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"nimbus/appliance/fault"
)

// Limits of every call to an address that somebody configured.
const (
	outboundTimeout   = 10 * time.Second
	outboundBody      = 1 << 20
	outboundRedirects = 3
	outboundClients   = 256 // sets of authorities whose connections are kept
)

// Outbound is the one way to addresses that tenants configure, such as sign-in
// providers. It reaches public addresses only, besides the ranges that the
// provider allows, and decides when it dials: a name that changes its mind
// does not pass. Size, time and redirects are bounded; it speaks https only
// and takes no proxy from the environment.
type Outbound struct {
	// Allowed returns the ranges that are reached although they are not
	// public; nil means none.
	Allowed func() []netip.Prefix

	mu      sync.Mutex
	clients map[string]*http.Client
}

// BlockedAddressError says that an address is not reached from here.
type BlockedAddressError struct{ Address netip.Addr }

func (e *BlockedAddressError) Error() string {
	return fmt.Sprintf("%s is not a public address", e.Address)
}

// errTooLarge ends an answer that is longer than it may be.
var errTooLarge = errors.New("the answer is too large")

// errRedirect refuses where an answer sends us.
var errRedirect = errors.New("the address redirects to where we do not follow")

// errPlain refuses addresses without TLS.
var errPlain = errors.New("the address is not https")

// Client returns a client that trusts the given authorities (PEM), or those of
// the system when there are none. Text without a certificate is fault.Invalid.
func (o *Outbound) Client(authorities string) (*http.Client, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if c, ok := o.clients[authorities]; ok {
		return c, nil
	}
	var roots *x509.CertPool
	if authorities != "" {
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM([]byte(authorities)) {
			return nil, fault.BadField("body.ca_pem", "There is no certificate in this text. It begins with -----BEGIN CERTIFICATE-----.")
		}
	}
	if len(o.clients) >= outboundClients || o.clients == nil {
		o.clients = map[string]*http.Client{}
	}
	o.clients[authorities] = o.client(roots)
	return o.clients[authorities], nil
}

// Dial reaches an address (host and port) by tcp or udp, under the same rules.
func (o *Outbound) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return o.dialer().DialContext(ctx, network, address)
}

func (o *Outbound) dialer() *net.Dialer {
	return &net.Dialer{
		Timeout:        5 * time.Second,
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error { return o.check(address) },
	}
}

func (o *Outbound) client(roots *x509.CertPool) *http.Client {
	dialer := o.dialer()
	return &http.Client{
		Timeout:       outboundTimeout,
		CheckRedirect: followable,
		Transport: bounded{&http.Transport{
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
			TLSHandshakeTimeout:    5 * time.Second,
			MaxConnsPerHost:        8,
			MaxIdleConnsPerHost:    2,
			IdleConnTimeout:        30 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
			ForceAttemptHTTP2:      true,
		}},
	}
}

// followable lets a read follow a few redirects that stay encrypted. What was
// posted is never sent elsewhere.
func followable(req *http.Request, via []*http.Request) error {
	if len(via) > outboundRedirects || req.URL.Scheme != "https" || via[0].Method != http.MethodGet {
		return errRedirect
	}
	return nil
}

// bounded refuses plain http and cuts long answers.
type bounded struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" {
		return nil, errPlain
	}
	res, err := b.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	res.Body = &limited{ReadCloser: res.Body, left: outboundBody}
	return res, nil
}

// limited fails, rather than ends, when there is more than is allowed: a
// truncated answer is never taken for a whole one.
type limited struct {
	io.ReadCloser
	left int
}

func (l *limited) Read(p []byte) (int, error) {
	if len(p) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.ReadCloser.Read(p)
	if n > l.left {
		return l.left, errTooLarge
	}
	l.left -= n
	return n, err
}

// check decides about the address that is dialled, after name resolution.
func (o *Outbound) check(address string) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	ip := at.Addr().Unmap().WithZone("")
	if public(ip) || !metadata[ip] && o.allows(ip) {
		return nil
	}
	return &BlockedAddressError{ip}
}

func (o *Outbound) allows(ip netip.Addr) bool {
	if o.Allowed == nil {
		return false
	}
	for _, p := range o.Allowed() {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

func public(ip netip.Addr) bool {
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || metadata[ip] {
		return false
	}
	for _, p := range special {
		if p.Contains(ip) {
			return false
		}
	}
	return true
}

// metadata are addresses of clouds' metadata services. Nobody can allow them.
var metadata = map[netip.Addr]bool{
	netip.MustParseAddr("169.254.169.254"): true,
	netip.MustParseAddr("fd00:ec2::254"):   true,
	netip.MustParseAddr("100.100.100.200"): true,
}

// special are ranges that are unicast and not of the public internet (RFC
// 6890), and those that carry an IPv4 address inside.
var special = func() []netip.Prefix {
	var all []netip.Prefix
	for _, p := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "fec0::/10",
	} {
		all = append(all, netip.MustParsePrefix(p))
	}
	return all
}()

// ParseRanges reads ranges such as 192.168.1.0/24 for Outbound.Allowed; one
// that cannot be read, or that is everything, is fault.Invalid.
func ParseRanges(texts []string) ([]netip.Prefix, error) {
	all := make([]netip.Prefix, 0, len(texts))
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil || p.Bits() == 0 || p.Addr().Is4In6() {
			return nil, fault.BadField("body.ranges", "%q is not a range of addresses. Write it like 192.168.1.0/24 or fd00:1::/64.", text)
		}
		all = append(all, p.Masked())
	}
	return all, nil
}

// OutboundProblem says, for the person who configured the address, why a call
// failed. Anything but a refusal of ours is told in general.
func OutboundProblem(err error) string {
	var blocked *BlockedAddressError
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case errors.As(err, &blocked):
		return fmt.Sprintf("%s is not a public address. An administrator of the provider can allow its range in the settings of the appliance.", blocked.Address)
	case errors.Is(err, errTooLarge):
		return "Its answer is larger than 1 MiB."
	case errors.Is(err, errRedirect):
		return "It redirects to another place. Enter the final https address."
	case errors.Is(err, errPlain):
		return "Its address must begin with https://."
	case errors.As(err, &unknown):
		return "Its certificate is not from a known authority. Enter the authority's certificate."
	case errors.As(err, &name):
		return "Its certificate is for another name."
	case errors.As(err, &dns):
		return "Its name cannot be resolved."
	case errors.As(err, &timeout) && timeout.Timeout():
		return "It did not answer in time."
	}
	return "It does not answer as expected. Check its address."
}
