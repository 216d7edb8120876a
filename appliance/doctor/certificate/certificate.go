// Package certificate looks after the certificate of the one port: self-signed,
// an own one, or one that an authority gives and renews by ACME (RFC 8555).
//
// Whatever goes wrong, the certificate in use stays in use.
package certificate

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"nimbus/appliance/doctor"
	"nimbus/appliance/fault"
)

// Permissions of this domain. They count at the provider level only.
const (
	Read   = "system:certificate:read"
	Update = "system:certificate:update"
)

// Source says where the certificate comes from.
type Source string

// The sources.
const (
	SelfSigned Source = "self-signed"
	Own        Source = "own"
	ByACME     Source = "acme"
)

// Challenge is how an authority finds out that we are who we say.
type Challenge string

// The challenges.
const (
	HTTP01    Challenge = "http-01"     // over plain HTTP, at port 80
	TLSALPN01 Challenge = "tls-alpn-01" // over TLS, at port 443
)

// ACME is how an authority is asked.
type ACME struct {
	Directory string    `json:"directory" maxLength:"1000" doc:"The address at which the authority describes itself."`
	Email     string    `json:"email,omitempty" maxLength:"254" doc:"Where the authority writes to; may be empty."`
	Domains   []string  `json:"domains" maxItems:"50" nullable:"false"`
	Challenge Challenge `json:"challenge" enum:"http-01,tls-alpn-01"`
	CAPEM     string    `json:"ca_pem,omitempty" maxLength:"65536" doc:"Whom to trust when the authority is an internal one; empty: those of the system."`
}

// Info is the certificate in use.
type Info struct {
	Source      Source     `json:"source" enum:"self-signed,own,acme"`
	Subject     string     `json:"subject"`
	Names       []string   `json:"names" nullable:"false"`
	Issuer      string     `json:"issuer"`
	NotBefore   time.Time  `json:"not_before"`
	NotAfter    time.Time  `json:"not_after"`
	Fingerprint string     `json:"fingerprint"`
	ACME        *ACME      `json:"acme"`
	RenewAt     *time.Time `json:"renew_at" doc:"When it is renewed by itself; null when it is not."`
	LastError   string     `json:"last_error" doc:"Why the last renewal failed; empty when it did not."`
}

// describe reads what a certificate says.
func describe(leaf *x509.Certificate) Info {
	i := Info{
		Source: Own, Subject: leaf.Subject.String(), Names: slices.Clone(leaf.DNSNames), Issuer: leaf.Issuer.String(),
		NotBefore: leaf.NotBefore.UTC(), NotAfter: leaf.NotAfter.UTC(), Fingerprint: doctor.Fingerprint(leaf.Raw),
	}
	for _, ip := range leaf.IPAddresses {
		i.Names = append(i.Names, ip.String())
	}
	if i.Names == nil {
		i.Names = []string{}
	}
	if bytes.Equal(leaf.RawIssuer, leaf.RawSubject) {
		i.Source = SelfSigned
	}
	return i
}

// renewAt is when two thirds of a certificate's life are over.
func renewAt(leaf *x509.Certificate) time.Time {
	return leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore) / 3 * 2)
}

// check returns fault.Invalid when certificate and key cannot be used at an
// address: they do not fit, the chain is broken, the time or the names are wrong.
func check(certPEM, keyPEM []byte, address string, now time.Time) error {
	chain, err := parse(certPEM)
	if err != nil {
		return err
	}
	if block, _ := pem.Decode(keyPEM); block == nil {
		return fault.BadField("body.key_pem", "There is no private key in this text. It begins with -----BEGIN PRIVATE KEY----- and has no passphrase.")
	}
	if _, err := tls.X509KeyPair(certPEM, keyPEM); err != nil {
		return fault.BadField("body.key_pem", "This key does not belong to the first certificate: %s.", err)
	}
	leaf := chain[0]
	switch host := hostOf(address); {
	case leaf.IsCA && len(chain) == 1 && !bytes.Equal(leaf.RawIssuer, leaf.RawSubject), leaf.IsCA && len(chain) > 1:
		return fault.BadField("body.certificate_pem", "The first certificate is that of an authority. Put the server's own first, then those above it.")
	case now.After(leaf.NotAfter):
		return fault.BadField("body.certificate_pem", "The certificate expired on %s.", leaf.NotAfter.UTC().Format(time.DateOnly))
	case now.Add(time.Hour).Before(leaf.NotBefore):
		return fault.BadField("body.certificate_pem", "The certificate is not valid before %s. Look at the clock of this machine.", leaf.NotBefore.UTC().Format(time.DateTime))
	case !forServers(leaf):
		return fault.BadField("body.certificate_pem", "The certificate is not for servers: its extended key usage lacks server authentication.")
	case host != "" && leaf.VerifyHostname(host) != nil:
		return fault.BadField("body.certificate_pem", "The certificate does not name %s, which is the address of this appliance. Change the address first, or use another certificate.", host)
	}
	return linked(chain)
}

// parse reads a chain of certificates.
func parse(text []byte) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		one, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fault.BadField("body.certificate_pem", "Certificate %d cannot be read: %s.", len(chain)+1, err)
		}
		chain = append(chain, one)
	}
	if len(chain) == 0 {
		return nil, fault.BadField("body.certificate_pem", "There is no certificate in this text. It begins with -----BEGIN CERTIFICATE-----.")
	}
	return chain, nil
}

// linked checks that each certificate was given by the one that follows.
func linked(chain []*x509.Certificate) error {
	for i := range len(chain) - 1 {
		if err := chain[i].CheckSignatureFrom(chain[i+1]); err != nil {
			return fault.BadField("body.certificate_pem", "Certificate %d was not given by certificate %d: put the server's own first, and below each the one that gave it.", i+1, i+2)
		}
	}
	return nil
}

func forServers(leaf *x509.Certificate) bool {
	return len(leaf.ExtKeyUsage) == 0 || slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth) || slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny)
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

var domainName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// validate cleans the settings and returns fault.Invalid for the first that
// cannot be used at an address.
func (a *ACME) validate(address string) error {
	u, err := url.Parse(strings.TrimSpace(a.Directory))
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return fault.BadField("body.acme.directory", "The directory is an https address, such as https://acme-v02.api.letsencrypt.org/directory.")
	}
	a.Directory = u.String()
	if a.Email != "" {
		if found, err := mail.ParseAddress(a.Email); err != nil || found.Name != "" {
			return fault.BadField("body.acme.email", "This is no e-mail address. It looks like ada@example.org.")
		}
	}
	if a.Challenge != HTTP01 && a.Challenge != TLSALPN01 {
		return fault.BadField("body.acme.challenge", "The challenge is http-01 or tls-alpn-01.")
	}
	return a.validateDomains(hostOf(address))
}

func (a *ACME) validateDomains(host string) error {
	for i, d := range a.Domains {
		a.Domains[i] = strings.ToLower(strings.TrimSuffix(strings.TrimSpace(d), "."))
		if len(a.Domains[i]) > 253 || !domainName.MatchString(a.Domains[i]) || net.ParseIP(a.Domains[i]) != nil {
			return fault.BadField("body.acme.domains", "%q is no name that can be asked for here. Names with * and IP addresses need an own certificate.", d)
		}
	}
	slices.Sort(a.Domains)
	a.Domains = slices.Compact(a.Domains)
	if len(a.Domains) == 0 {
		return fault.BadField("body.acme.domains", "Name at least one domain, that of the appliance's address.")
	}
	if host != "" && !slices.Contains(a.Domains, strings.ToLower(host)) {
		return fault.BadField("body.acme.domains", "%s, the address of this appliance, is not among the domains. Add it, or change the address first.", host)
	}
	return nil
}
