package pocketbase

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"
)

// shown is the certificate that a new connection is shown.
func shown(t *testing.T, s *Server) *x509.Certificate {
	t.Helper()
	conn, err := tls.Dial("tcp", s.Addr(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0]
}

func TestSelfSignedNamesThisMachine(t *testing.T) {
	t.Parallel()
	s, _ := started(t, Config{}, nil)
	for _, host := range []string{"localhost", "127.0.0.1", "::1"} {
		if err := shown(t, s).VerifyHostname(host); err != nil {
			t.Error(err)
		}
	}
	if f := s.Fingerprint(); len(f) != 95 || strings.Count(f, ":") != 31 {
		t.Errorf("fingerprint %q", f)
	}
}

func TestCertificateIsSwappedWithoutRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, _ := started(t, Config{Dir: dir}, nil)
	before := s.Fingerprint()
	certPEM, keyPEM, err := makeSelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	_, otherKey, err := makeSelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	for name, pair := range map[string][2][]byte{"another key": {certPEM, otherKey}, "no PEM": {[]byte("x"), keyPEM}, "no key": {certPEM, nil}} {
		if err := s.SetCertificate(pair[0], pair[1]); err == nil || s.Fingerprint() != before {
			t.Errorf("%s was accepted: %v", name, err)
		}
	}
	if err := s.SetCertificate(certPEM, keyPEM); err != nil {
		t.Fatal(err)
	}
	after := s.Fingerprint()
	if served, _ := tls.X509KeyPair(certPEM, keyPEM); after == before || !shown(t, s).Equal(served.Leaf) {
		t.Error("the old certificate is still served")
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again, _ := started(t, Config{Dir: dir}, nil); again.Fingerprint() != after {
		t.Error("a restart lost the certificate")
	}
}
