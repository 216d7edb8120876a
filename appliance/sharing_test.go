package appliance

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"testing"
	"time"

	"nimbus/appliance/db"
	"nimbus/appliance/db/dbtest"
	"nimbus/appliance/event"
	"nimbus/appliance/node"
)

// webNode is one of several on a database: its port, and what it shares.
type webNode struct {
	*Appliance
	*sharing
	core *Core
}

func newWebNode(t *testing.T, shared *node.Shared) webNode {
	t.Helper()
	a := New(Config{DataDir: t.TempDir(), Listen: "127.0.0.1:0", DatabaseURL: "postgres://shared"})
	if err := a.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Stop(context.Background()) })
	c := &Core{Shared: shared}
	return webNode{a, newSharing(a, c), c}
}

// TestEveryWebNodeAnswersTheAuthority has one node ask for a certificate: the
// authority, which comes to the other, gets its answer there until it has it.
func TestEveryWebNodeAnswersTheAuthority(t *testing.T) {
	t.Parallel()
	d, _ := dbtest.Open(t, node.Migrations)
	shared := node.NewShared(d, event.NewBus(slog.New(slog.DiscardHandler)))
	asking, other := newWebNode(t, shared), newWebNode(t, shared)
	front := asking.certificateFront(asking.core)
	const path, name = "/.well-known/acme-challenge/token", "nimbus.example.com"
	answer := challengeCertificate(t)
	for kind, question := range map[string]struct {
		ask  func() func()
		gets func() bool
	}{
		"http-01":     {func() func() { return front.AnswerHTTP(path, "proof") }, func() bool { return overHTTP(t, other.Front().Addr(), path) == "proof" }},
		"tls-alpn-01": {func() func() { return front.AnswerTLS(name, answer) }, func() bool { return overTLS(t, other.Front().Addr(), name, answer.Leaf) }},
	} {
		if question.gets() {
			t.Errorf("%s is answered before it is asked", kind)
		}
		done := question.ask()
		if err := other.take(t.Context()); err != nil || !question.gets() {
			t.Errorf("%s is not answered at the other node: %v", kind, err)
		}
		done()
		if err := other.take(t.Context()); err != nil || question.gets() {
			t.Errorf("%s is answered for ever: %v", kind, err)
		}
	}
}

func challengeCertificate(t *testing.T) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func overHTTP(t *testing.T, at, path string) string {
	t.Helper()
	client := http.Client{Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Get("http://" + at + path)
	if err != nil {
		return ""
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Error(err)
	}
	return string(text)
}

func overTLS(t *testing.T, at, name string, want *x509.Certificate) bool {
	t.Helper()
	conn, err := tls.Dial("tcp", at, &tls.Config{ServerName: name, NextProtos: []string{"acme-tls/1"}, InsecureSkipVerify: true})
	if err != nil {
		return false
	}
	defer conn.Close()
	return bytes.Equal(conn.ConnectionState().PeerCertificates[0].Raw, want.Raw)
}

// TestTheCertificateIsOfAllWebNodes sets one at a node, and takes it back.
func TestTheCertificateIsOfAllWebNodes(t *testing.T) {
	t.Parallel()
	d, _ := dbtest.Open(t, node.Migrations)
	shared := node.NewShared(d, event.NewBus(slog.New(slog.DiscardHandler)))
	one, two := newWebNode(t, shared), newWebNode(t, shared)
	two.local = one.local // as `nimbus node join` brings it
	authority := challengeCertificate(t)
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parent := &x509.Certificate{SerialNumber: big.NewInt(7), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	parent.RawSubject = []byte{0x30, 0x0d, 0x31, 0x0b, 0x30, 0x09, 0x06, 0x03, 0x55, 0x04, 0x03, 0x0c, 0x02, 'C', 'A'}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(8), NotBefore: parent.NotBefore, NotAfter: parent.NotAfter, DNSNames: []string{"nimbus.example.com"}}
	der, err := x509.CreateCertificate(rand.Reader, leaf, parent, &leafKey.PublicKey, authority.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	certPEM, keyPEM := apart(pemOf(&tls.Certificate{Certificate: [][]byte{der}, PrivateKey: leafKey}))
	if err := one.certificateFront(one.core).Set(certPEM, keyPEM); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := two.take(t.Context()); err != nil || !bytes.Equal(two.Front().Certificate().Raw, der) {
			t.Fatalf("the other node has another certificate: %v", err)
		}
	}
	if err := one.certificateFront(one.core).SelfSign("nimbus.example.com"); err != nil {
		t.Fatal(err)
	}
	if err := two.take(t.Context()); err != nil || bytes.Equal(two.Front().Certificate().Raw, der) {
		t.Errorf("the other node keeps it: %v", err)
	}
}

// opened makes a web node one that has its database.
func (n webNode) opened(t *testing.T, d *db.DB) webNode {
	t.Helper()
	n.core.DB = d
	if err := n.share(t.Context(), n.core); err != nil {
		t.Fatal(err)
	}
	n.Appliance.core.Store(n.core)
	t.Cleanup(func() { n.Appliance.core.Store(nil) }) // the database is the test's
	return n
}

// TestWhatAnotherNodeChangedStays changes a setting at one node while the other does
// not hear of it, and another setting there.
func TestWhatAnotherNodeChangedStays(t *testing.T) {
	t.Parallel()
	d, _ := dbtest.Open(t, node.Migrations)
	shared := node.NewShared(d, event.NewBus(slog.New(slog.DiscardHandler)))
	one, two := newWebNode(t, shared).opened(t, d), newWebNode(t, shared).opened(t, d)
	for _, change := range []struct {
		at webNode
		do func(*Settings)
	}{
		{one, func(s *Settings) { s.Name = "Renamed" }}, {two, func(s *Settings) { s.TimeZone = "Europe/Vienna" }},
	} {
		if err := change.at.Change(t.Context(), change.do); err != nil {
			t.Fatal(err)
		}
	}
	var all common
	if _, err := shared.Get(t.Context(), settingsKey, &all); err != nil || all.Name != "Renamed" || all.TimeZone != "Europe/Vienna" {
		t.Errorf("all nodes share %+v %v", all, err)
	}
	if now := two.Appliance.settings.Load(); now.Name != "Renamed" || now.TimeZone != "Europe/Vienna" {
		t.Errorf("the second node has %+v", now.common())
	}
}

// TestRenewalOfTheCertificateMovesToTheFirstNode: what a machine alone knew about how
// its certificate is renewed is known on a server outside, too.
func TestRenewalOfTheCertificateMovesToTheFirstNode(t *testing.T) {
	t.Parallel()
	d, _ := dbtest.Open(t, node.Migrations)
	shared := node.NewShared(d, event.NewBus(slog.New(slog.DiscardHandler)))
	first, late := newWebNode(t, shared), newWebNode(t, shared)
	for n, authority := range map[webNode]string{first: "of the machine", late: "of a stranger"} {
		if err := n.front.Put(t.Context(), certificateKey, map[string]string{"authority": authority}); err != nil {
			t.Fatal(err)
		}
	}
	first.opened(t, d)
	late.opened(t, d)
	var kept json.RawMessage
	if found, err := first.keeps(first.core).Get(t.Context(), certificateKey, &kept); !found || err != nil || !bytes.Contains(kept, []byte("of the machine")) {
		t.Errorf("the renewal is %s %v", kept, err)
	}
}
