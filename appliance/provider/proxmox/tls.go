package proxmox

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"nimbus/appliance/fault"
)

// trust decides whether a server is the one that was meant: by a pinned
// fingerprint, by authorities given for this connection, or by those of the
// system. With fingerprint and authorities both have to hold.
type trust struct {
	host    string
	pin     []byte
	roots   *x509.CertPool // nil: the system's, unless there is a pin
	offered atomic.Pointer[string]
	// accepted is the last certificate that was trusted.
	accepted atomic.Pointer[x509.Certificate]
}

// certificateError says that a certificate was not accepted.
type certificateError struct {
	offered string
	pinned  bool
	cause   error
}

func (e *certificateError) Error() string {
	if e.cause != nil {
		return "certificate " + e.offered + " is not trusted: " + e.cause.Error()
	}
	return "certificate " + e.offered + " is not the pinned one"
}

func newTrust(host, fingerprint, caPEM string) (*trust, error) {
	t := &trust{host: host}
	if fingerprint != "" {
		pin, err := hex.DecodeString(strings.NewReplacer(":", "", " ", "").Replace(fingerprint))
		if err != nil || len(pin) != sha256.Size {
			return nil, fault.BadField("body.fingerprint", "A fingerprint is the SHA-256 of the certificate: 32 pairs of hexadecimal digits.")
		}
		t.pin = pin
	}
	if caPEM != "" {
		t.roots = x509.NewCertPool()
		if !t.roots.AppendCertsFromPEM([]byte(caPEM)) {
			return nil, fault.BadField("body.ca_pem", "There is no certificate in this text. It begins with -----BEGIN CERTIFICATE-----.")
		}
	}
	return t, nil
}

// config leaves the verification to verify, which the library calls for every
// handshake, resumed ones included.
func (t *trust) config() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         t.host,
		InsecureSkipVerify: true, //nolint:gosec // replaced by VerifyConnection, not left out
		VerifyConnection:   t.verify,
	}
}

func (t *trust) verify(state tls.ConnectionState) error {
	err := t.judge(state)
	if err == nil {
		t.accepted.Store(state.PeerCertificates[0])
	}
	return err
}

func (t *trust) judge(state tls.ConnectionState) error {
	leaf := state.PeerCertificates[0]
	sum := sha256.Sum256(leaf.Raw)
	offered := colons(sum[:])
	t.offered.Store(&offered)
	if t.pin != nil && !bytes.Equal(t.pin, sum[:]) {
		return &certificateError{offered: offered, pinned: true}
	}
	if t.pin != nil && t.roots == nil {
		return nil
	}
	intermediates := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		intermediates.AddCert(c)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{DNSName: t.host, Roots: t.roots, Intermediates: intermediates}); err != nil {
		return &certificateError{offered: offered, cause: err}
	}
	return nil
}

// fingerprint is that of the last certificate offered, or "".
func (t *trust) fingerprint() string {
	if p := t.offered.Load(); p != nil {
		return *p
	}
	return ""
}

// colons writes bytes as Proxmox shows fingerprints.
func colons(sum []byte) string {
	pairs := make([]string, len(sum))
	for i, b := range sum {
		pairs[i] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(pairs, ":")
}

// newTransport is the one transport of a connection. It takes no proxy from
// the environment and keeps few connections.
func newTransport(t *trust, loopback bool) *http.Transport {
	dialer := &net.Dialer{
		Timeout: 5 * time.Second,
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			return checkAddress(address, loopback)
		},
	}
	return &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        t.config(),
		TLSHandshakeTimeout:    10 * time.Second,
		ResponseHeaderTimeout:  requestTimeout,
		MaxConnsPerHost:        8,
		MaxIdleConnsPerHost:    4,
		IdleConnTimeout:        time.Minute,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// blockedError says that an address is none that a cluster may have.
type blockedError struct{ address netip.Addr }

func (e *blockedError) Error() string {
	return fmt.Sprintf("%s is not an address of a cluster", e.address)
}

// checkAddress is the guard against reaching ourselves or a cloud's metadata
// service. It sees the address that is dialled, after name resolution, so that
// a name that changes its mind does not pass. Addresses of the local network
// are allowed: that is where clusters are, and an administrator named this one.
func checkAddress(address string, loopback bool) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	ip := at.Addr().Unmap().WithZone("")
	switch {
	case ip.IsLoopback() && loopback:
		return nil
	case ip.IsLoopback(), ip.IsUnspecified(), ip.IsMulticast(), ip.IsLinkLocalUnicast(), metadata[ip]:
		return &blockedError{ip}
	}
	return nil
}

// metadata are the addresses of clouds' metadata services outside link-local.
var metadata = map[netip.Addr]bool{
	netip.MustParseAddr("fd00:ec2::254"):   true,
	netip.MustParseAddr("100.100.100.200"): true,
}
