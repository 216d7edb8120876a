package firstrun

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"nimbus/appliance/breakglass/hsm"
	"nimbus/appliance/breakglass/hsm/hsmtest"
)

// TestMain lets the test binary be its own PKCS#11 worker.
func TestMain(m *testing.M) { hsmtest.Main(m) }

// pairFor makes a certificate for a host with its key, as PEM.
func pairFor(t *testing.T, host string, from time.Time) (certPEM, keyPEM string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{host}, NotBefore: from, NotAfter: from.Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

func TestOwnCertificateIsChecked(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	w := b.claimed(b.start())
	hour := b.clock.at.Add(-time.Hour)
	cert, key := pairFor(t, "lab.example", hour)
	_, other := pairFor(t, "lab.example", hour)
	old, oldKey := pairFor(t, "lab.example", hour.AddDate(0, 0, -9))
	elsewhere, elsewhereKey := pairFor(t, "other.example", hour)
	put := func(status int, cert, key string) string {
		in := map[string]any{"name": "Lab", "url": "https://lab.example", "time_zone": "UTC",
			"certificate": map[string]any{"mode": "own", "certificate_pem": cert, "key_pem": key}}
		detail, _ := w.want(status, "PUT", "/appliance", in).body["detail"].(string)
		return detail
	}
	for want, pair := range map[string][2]string{
		"do not go together": {cert, other}, "expired": {old, oldKey}, "not made out to": {elsewhere, elsewhereKey}, "Paste": {"", ""},
	} {
		if got := put(400, pair[0], pair[1]); !strings.Contains(got, want) {
			t.Errorf("%s: %q", want, got)
		}
	}
	if b.certificates != 0 {
		t.Error("a refused certificate was put into use")
	}
	put(200, cert, key)
	put(200, "", "") // the form filled again, without the key: it stays
	if b.certificates != 1 {
		t.Errorf("put into use %d times", b.certificates)
	}
	w.want(200, "PUT", "/appliance", goodAppliance)
	if b.certificates != 2 {
		t.Error("going back to self-signed was not told")
	}
	if strings.Contains(string(b.store.values[stateKey]), "PRIVATE KEY") {
		t.Error("the key lies in the store")
	}
}

func TestSoftHSMIsMadeOnceAndSigns(t *testing.T) {
	t.Parallel()
	if _, err := hsm.FindSoftHSM(); err != nil {
		t.Skip(err)
	}
	b := newBench(t)
	cfg := b.config()
	cfg.TestHSM = nil // the real token
	s := New(cfg)
	must(t, s.Start(t.Context()))
	defer func() { must(t, s.Stop(t.Context())) }()
	var first []byte
	for _, mode := range []string{modeSoftHSM, modeNone, modeSoftHSM} { // there and back keeps the token
		got, err := s.SetHSM(t.Context(), HSM{Mode: mode})
		if err != nil || !got.OK {
			t.Fatalf("%s: %+v %v", mode, got, err)
		}
		if mode == modeSoftHSM && (got.KeyType == "" || len(b.applied.HSMEnv) == 0) {
			t.Errorf("%+v %+v", got, b.applied)
		}
		if first == nil {
			first = b.applied.PIN
		}
	}
	if string(first) != string(b.applied.PIN) || b.applied.HSMTokenLabel != softLabel {
		t.Error("another token was made")
	}
}

func TestUnknownModulesAreSentences(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	w := b.claimed(b.start())
	for _, module := range []string{"relative.so", "/nonexistent/module.so"} {
		if a := w.want(400, "POST", "/hsm/slots", map[string]any{"module": module}); len(a.body["detail"].(string)) < 20 {
			t.Errorf("%s: %v", module, a.body)
		}
	}
}
