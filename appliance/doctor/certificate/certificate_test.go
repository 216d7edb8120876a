package certificate

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"nimbus/appliance/audit"
	"nimbus/appliance/doctor"
	"nimbus/appliance/fault"
	"nimbus/appliance/web"
	"nimbus/embedded/pocketbase"
)

// fixture is a front that serves, with what looks after its certificate.
type fixture struct {
	*Service
	front   *pocketbase.Server
	entries []audit.Entry
	allowed error
}

func start(t *testing.T) *fixture {
	t.Helper()
	front := pocketbase.New(pocketbase.Config{Dir: t.TempDir(), Listen: "127.0.0.1:0"})
	if err := front.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = front.Stop(context.Background()) })
	f := &fixture{front: front}
	turn := func(_ context.Context, purpose string, data []byte) ([]byte, error) {
		out := []byte(purpose[:0])
		for _, b := range data {
			out = append(out, b^0x55)
		}
		return out, nil
	}
	f.Service = New(Config{
		Front: Front{Current: front.Certificate, Set: front.SetCertificate, SelfSign: front.SelfSign,
			AnswerTLS: front.Challenges().AnswerTLS, AnswerHTTP: front.Challenges().AnswerHTTP},
		URL:  func() string { return "https://nimbus.test:8443" },
		Load: func(ctx context.Context, to *State) error { _, err := front.Get(ctx, "certificate", to); return err },
		Save: func(ctx context.Context, s State) error { return front.Put(ctx, "certificate", s) },
		Seal: turn, Open: turn, Outbound: &web.Outbound{Allowed: func() []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }},
		Record:    func(_ context.Context, e audit.Entry) error { f.entries = append(f.entries, e); return nil },
		Authorise: func(context.Context, string) error { return f.allowed },
		Logger:    slog.New(slog.DiscardHandler),
	})
	return f
}

// served is the fingerprint of what the port shows.
func (f *fixture) served(t *testing.T) string {
	t.Helper()
	conn, err := tls.Dial("tcp", f.front.Addr(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return doctor.Fingerprint(conn.ConnectionState().PeerCertificates[0].Raw)
}

// TestOwnCertificate refuses what cannot be used, with what was used before
// still in use, and takes what can.
func TestOwnCertificate(t *testing.T) {
	t.Parallel()
	f := start(t)
	key, root := makeRoot(t)
	other, otherRoot := makeRoot(t)
	mine, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	give := func(change func(*x509.Certificate)) *x509.Certificate {
		c := &x509.Certificate{DNSNames: []string{"nimbus.test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
		change(c)
		return sign(t, c, root, &mine.PublicKey, key)
	}
	good := give(func(*x509.Certificate) {})
	chain := string(encode(good)) + string(encode(root))
	private := string(encodePrivate(t, mine))
	before := f.served(t)
	for name, c := range map[string]struct{ cert, key, says string }{
		"no certificate": {"hello", private, "no certificate"},
		"no key":         {chain, "hello", "no private key"},
		"another's key":  {chain, string(encodePrivate(t, other)), "does not belong"},
		"another chain":  {string(encode(good)) + string(encode(otherRoot)), private, "was not given by"},
		"wrong order":    {string(encode(root)) + string(encode(good)), string(encodePrivate(t, key)), "an authority"},
		"expired":        {string(encode(give(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }))), private, "expired"},
		"of tomorrow": {string(encode(give(func(c *x509.Certificate) {
			c.NotBefore = time.Now().Add(24 * time.Hour)
			c.NotAfter = c.NotBefore.Add(time.Hour)
		}))), private, "not valid before"},
		"another name": {string(encode(give(func(c *x509.Certificate) { c.DNSNames = []string{"other.test"} }))), private, "does not name nimbus.test"},
		"for clients":  {string(encode(give(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }))), private, "not for servers"},
	} {
		_, err := f.Change(t.Context(), Change{Source: Own, CertPEM: c.cert, KeyPEM: c.key})
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
		if f.served(t) != before {
			t.Fatalf("%s: another certificate is in use", name)
		}
	}
	info, err := f.Change(t.Context(), Change{Source: Own, CertPEM: chain, KeyPEM: private})
	if err != nil || info.Source != Own || info.Fingerprint != f.served(t) || info.Fingerprint == before || info.Names[0] != "nimbus.test" {
		t.Errorf("%+v %v", info, err)
	}
	info, err = f.Change(t.Context(), Change{Source: SelfSigned})
	if err != nil || info.Source != SelfSigned || f.front.Certificate().VerifyHostname("nimbus.test") != nil {
		t.Errorf("%+v %v", info, err)
	}
	if n := len(f.entries); n != 11 || f.entries[0].Outcome != audit.Failure || f.entries[10].Outcome == audit.Failure {
		t.Errorf("%d records: %+v", n, f.entries)
	}
	f.allowed = fault.New(fault.Forbidden, "No.")
	if _, err := f.Change(t.Context(), Change{Source: SelfSigned}); !fault.Is(err, fault.Forbidden) {
		t.Errorf("%v", err)
	}
}

// TestACME gets a certificate by both challenges, renews it when it is time,
// and keeps the old one when the authority refuses or is away.
func TestACME(t *testing.T) {
	t.Parallel()
	for _, challenge := range []Challenge{HTTP01, TLSALPN01} {
		t.Run(string(challenge), func(t *testing.T) {
			t.Parallel()
			f := start(t)
			ca := newAuthority(t, f.front.Addr(), time.Hour)
			settings := ACME{Directory: ca.http.URL + "/directory", Email: "ada@example.org", Domains: []string{"Nimbus.test.", "www.nimbus.test"},
				Challenge: challenge, CAPEM: string(encode(ca.http.Certificate()))}
			info, err := f.Change(t.Context(), Change{Source: ByACME, ACME: &settings})
			if err != nil {
				t.Fatal(err)
			}
			if info.Source != ByACME || len(info.Names) != 2 || info.Fingerprint != f.served(t) || info.RenewAt == nil || info.ACME.Challenge != challenge {
				t.Errorf("%+v", info)
			}
			if err := f.Renew(t.Context()); err != nil || ca.orders != 1 {
				t.Errorf("renewed before it is time: %v, %d orders", err, ca.orders)
			}
			ca.life = 3 * time.Second // two thirds of its life are over at once
			if info, err = f.Change(t.Context(), Change{Source: ByACME, ACME: &settings}); err != nil {
				t.Fatal(err)
			}
			f.renews(t, ca, info)
		})
	}
}

func (f *fixture) renews(t *testing.T, ca *authority, first Info) {
	t.Helper()
	if !f.Automatic(t.Context()) {
		t.Error("it is not renewed by itself")
	}
	orders, address := ca.orders, f.URL
	f.URL = func() string { return "https://moved.test:8443" } // what it would give could not be used
	if err := f.Renew(t.Context()); !fault.Is(err, fault.Invalid) || ca.orders != orders {
		t.Errorf("after a move: %v, %d orders", err, ca.orders-orders)
	}
	f.URL, f.entries = address, nil
	ca.refuse = "This name is not ours."
	for range 3 {
		if err := f.Renew(t.Context()); !fault.Is(err, fault.Unavailable) {
			t.Fatal(err)
		}
	}
	now, err := f.Certificate(t.Context())
	if err != nil || now.Fingerprint != first.Fingerprint || f.served(t) != first.Fingerprint || !strings.Contains(now.LastError, "This name is not ours.") {
		t.Errorf("after refusals: %+v %v", now, err)
	}
	failures := 0
	for _, e := range f.entries {
		if e.Event == "system.certificate.renewed" && e.Outcome == audit.Failure {
			failures++
		}
	}
	if failures != 1 || ca.orders != orders+3 {
		t.Errorf("%d records of the same failure, %d orders", failures, ca.orders-orders)
	}
	ca.refuse = ""
	accounts := len(ca.accounts)
	if err := f.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	now, err = f.Certificate(t.Context())
	if err != nil || now.Fingerprint == first.Fingerprint || f.served(t) != now.Fingerprint || now.LastError != "" || len(ca.accounts) != accounts {
		t.Errorf("after a renewal: %+v %v, %d accounts", now, err, len(ca.accounts))
	}
}

// TestACMERefusals changes nothing when the settings are wrong, the names lead
// elsewhere, or the authority cannot be reached or trusted.
func TestACMERefusals(t *testing.T) {
	t.Parallel()
	f := start(t)
	ca := newAuthority(t, "127.0.0.1:1", time.Hour) // the names lead nowhere
	good := ACME{Directory: ca.http.URL + "/directory", Domains: []string{"nimbus.test"}, Challenge: HTTP01, CAPEM: string(encode(ca.http.Certificate()))}
	before := f.served(t)
	for name, c := range map[string]struct {
		change func(*ACME)
		kind   fault.Kind
		says   string
	}{
		"plain":             {func(a *ACME) { a.Directory = "http://ca.test/" }, fault.Invalid, "https"},
		"no domains":        {func(a *ACME) { a.Domains = nil }, fault.Invalid, "at least one"},
		"wildcard":          {func(a *ACME) { a.Domains = []string{"*.nimbus.test"} }, fault.Invalid, "own certificate"},
		"address":           {func(a *ACME) { a.Domains = []string{"10.0.0.1"} }, fault.Invalid, "own certificate"},
		"other host":        {func(a *ACME) { a.Domains = []string{"other.test"} }, fault.Invalid, "not among"},
		"challenge":         {func(a *ACME) { a.Challenge = "dns-01" }, fault.Invalid, "http-01"},
		"email":             {func(a *ACME) { a.Email = "ada" }, fault.Invalid, "e-mail"},
		"authorities":       {func(a *ACME) { a.CAPEM = "hello" }, fault.Unavailable, ""},
		"not trusted":       {func(a *ACME) { a.CAPEM = "" }, fault.Unavailable, "stays in use"},
		"names lead away":   {func(*ACME) {}, fault.Unavailable, "nobody answered as expected"},
		"away":              {func(a *ACME) { a.Directory = "https://127.0.0.1:1/" }, fault.Unavailable, "stays in use"},
		"not to be reached": {func(a *ACME) { a.Directory = "https://10.255.255.1/" }, fault.Unavailable, "Private addresses"},
	} {
		a := good
		c.change(&a)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		_, err := f.Change(ctx, Change{Source: ByACME, ACME: &a})
		cancel()
		if c.says == "" {
			c.kind = fault.KindOf(err)
		}
		if err == nil || !fault.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
		if f.served(t) != before || f.Automatic(t.Context()) {
			t.Fatalf("%s: something changed", name)
		}
	}
	if _, err := tls.Dial("tcp", f.front.Addr(), &tls.Config{ServerName: "nimbus.test", NextProtos: []string{"acme-tls/1"}, InsecureSkipVerify: true}); err == nil {
		t.Error("a question that nobody asked is answered")
	}
}
