package certificate

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/acme"
)

// authority is a certificate authority that speaks ACME (RFC 8555). Like a real
// one it asks the machine itself before it gives anything; all names lead to
// one address.
type authority struct {
	t    *testing.T
	http *httptest.Server
	at   string // where all names lead
	key  *ecdsa.PrivateKey
	root *x509.Certificate
	life time.Duration

	mu       sync.Mutex
	nonce    int
	accounts map[string]*ecdsa.PublicKey // by thumbprint
	names    []string
	proven   map[string]bool
	cert     []byte
	refuse   string // what every new order is answered
	orders   int
}

func newAuthority(t *testing.T, at string, life time.Duration) *authority {
	t.Helper()
	a := &authority{t: t, at: at, life: life, accounts: map[string]*ecdsa.PublicKey{}, proven: map[string]bool{}}
	a.key, a.root = makeRoot(t)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /directory", a.directory)
	mux.HandleFunc("HEAD /nonce", func(w http.ResponseWriter, _ *http.Request) { a.fresh(w) })
	for path, fn := range map[string]func(http.ResponseWriter, request){
		"/account": a.account, "/order": a.order, "/order/1": a.state, "/authorization/": a.authorization,
		"/challenge/": a.challenge, "/finalize": a.finalize, "/certificate": a.give,
	} {
		mux.HandleFunc("POST "+path, a.signed(fn))
	}
	a.http = httptest.NewTLSServer(mux)
	t.Cleanup(a.http.Close)
	return a
}

func makeRoot(t *testing.T) (*ecdsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key, sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "Test authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}, nil, &key.PublicKey, key)
}

// sign gives a certificate; without a parent it is self-signed.
func sign(t *testing.T, c, parent *x509.Certificate, public *ecdsa.PublicKey, by *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber = serial
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, public, by)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func (a *authority) directory(w http.ResponseWriter, _ *http.Request) {
	_ = json.NewEncoder(w).Encode(map[string]any{
		"newNonce": a.http.URL + "/nonce", "newAccount": a.http.URL + "/account", "newOrder": a.http.URL + "/order",
		"revokeCert": a.http.URL + "/revoke", "keyChange": a.http.URL + "/change",
	})
}

func (a *authority) fresh(w http.ResponseWriter) {
	a.nonce++
	w.Header().Set("Replay-Nonce", fmt.Sprint(a.nonce))
}

// request is a request whose signature holds.
type request struct {
	payload    []byte
	thumbprint string
	path       string
}

// signed checks the signature of a request (RFC 8555, 6.2).
func (a *authority) signed(fn func(http.ResponseWriter, request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.fresh(w)
		var jws struct{ Protected, Payload, Signature string }
		if err := json.NewDecoder(r.Body).Decode(&jws); err != nil {
			problem(w, 400, "malformed", err.Error())
			return
		}
		var head struct {
			JWK *struct{ X, Y string }
			Kid string
			URL string
		}
		if err := json.Unmarshal(decode(jws.Protected), &head); err != nil || !strings.HasSuffix(head.URL, r.URL.Path) {
			problem(w, 400, "malformed", "header")
			return
		}
		print := strings.TrimPrefix(head.Kid, a.http.URL+"/account/")
		key := a.accounts[print]
		if head.JWK != nil {
			point := slices.Concat([]byte{4}, decode(head.JWK.X), decode(head.JWK.Y)) // SEC 1, 2.3.3
			var err error
			if key, err = ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point); err != nil {
				problem(w, 400, "badPublicKey", err.Error())
				return
			}
			print, _ = acme.JWKThumbprint(key)
		}
		sum := sha256.Sum256([]byte(jws.Protected + "." + jws.Payload))
		raw := decode(jws.Signature)
		if key == nil || len(raw) != 64 || !ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])) {
			problem(w, 401, "unauthorized", "The signature does not hold.")
			return
		}
		if head.JWK != nil {
			a.accounts[print] = key
		}
		fn(w, request{decode(jws.Payload), print, r.URL.Path})
	}
}

func decode(text string) []byte {
	raw, _ := base64.RawURLEncoding.DecodeString(text)
	return raw
}

func problem(w http.ResponseWriter, status int, kind, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"type": "urn:ietf:params:acme:error:" + kind, "detail": detail, "status": status})
}

func reply(w http.ResponseWriter, status int, location string, v any) {
	if location != "" {
		w.Header().Set("Location", location)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func (a *authority) account(w http.ResponseWriter, r request) {
	reply(w, 201, a.http.URL+"/account/"+r.thumbprint, map[string]any{"status": "valid"})
}

func (a *authority) order(w http.ResponseWriter, r request) {
	a.orders++
	if a.refuse != "" {
		problem(w, 403, "rejectedIdentifier", a.refuse)
		return
	}
	var wanted struct{ Identifiers []struct{ Value string } }
	_ = json.Unmarshal(r.payload, &wanted)
	a.names, a.proven, a.cert = nil, map[string]bool{}, nil
	for _, one := range wanted.Identifiers {
		a.names = append(a.names, one.Value)
	}
	a.state(w, r)
}

// state is the order's.
func (a *authority) state(w http.ResponseWriter, r request) {
	status, code := "pending", 200
	if len(a.proven) == len(a.names) {
		status = "ready"
	}
	if a.cert != nil {
		status = "valid"
	}
	if r.path == "/order" {
		code = 201
	}
	var asked []string
	var who []map[string]string
	for _, name := range a.names {
		asked = append(asked, a.http.URL+"/authorization/"+name)
		who = append(who, map[string]string{"type": "dns", "value": name})
	}
	reply(w, code, a.http.URL+"/order/1", map[string]any{
		"status": status, "identifiers": who, "authorizations": asked, "finalize": a.http.URL + "/finalize", "certificate": a.http.URL + "/certificate",
	})
}

func (a *authority) authorization(w http.ResponseWriter, r request) {
	name := strings.TrimPrefix(r.path, "/authorization/")
	status := "pending"
	if ok, asked := a.proven[name]; asked {
		status = map[bool]string{true: "valid", false: "invalid"}[ok]
	}
	challenges := []map[string]any{}
	for _, kind := range []string{"http-01", "tls-alpn-01"} {
		one := map[string]any{"type": kind, "url": a.http.URL + "/challenge/" + kind + "/" + name, "token": "token-" + name, "status": status}
		if status == "invalid" {
			one["error"] = map[string]any{"type": "urn:ietf:params:acme:error:connection", "detail": "nobody answered as expected"}
		}
		challenges = append(challenges, one)
	}
	reply(w, 200, "", map[string]any{"status": status, "identifier": map[string]string{"type": "dns", "value": name}, "challenges": challenges})
}

// challenge asks the machine.
func (a *authority) challenge(w http.ResponseWriter, r request) {
	parts := strings.Split(r.path, "/")
	kind, name := parts[2], parts[3]
	expected := "token-" + name + "." + r.thumbprint
	a.proven[name] = kind == "http-01" && a.overHTTP(name, expected) || kind == "tls-alpn-01" && a.overTLS(name, expected)
	reply(w, 200, "", map[string]any{"type": kind, "url": a.http.URL + r.path, "token": "token-" + name, "status": "processing"})
}

func (a *authority) overHTTP(name, expected string) bool {
	client := &http.Client{Timeout: 5 * time.Second}
	question, err := http.NewRequest(http.MethodGet, "http://"+a.at+"/.well-known/acme-challenge/token-"+name, nil)
	if err != nil {
		return false
	}
	question.Host = name
	answer, err := client.Do(question)
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return err == nil && answer.StatusCode == 200 && string(body) == expected
}

var acmeIdentifier = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 31} // RFC 8737

func (a *authority) overTLS(name, expected string) bool {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", a.at,
		&tls.Config{ServerName: name, NextProtos: []string{"acme-tls/1"}, InsecureSkipVerify: true})
	if err != nil {
		return false
	}
	defer conn.Close()
	shown := conn.ConnectionState().PeerCertificates[0]
	sum := sha256.Sum256([]byte(expected))
	for _, e := range shown.Extensions {
		var value []byte
		if e.Id.Equal(acmeIdentifier) {
			_, err := asn1.Unmarshal(e.Value, &value)
			return err == nil && bytes.Equal(value, sum[:]) && conn.ConnectionState().NegotiatedProtocol == "acme-tls/1" && shown.VerifyHostname(name) == nil
		}
	}
	return false
}

func (a *authority) finalize(w http.ResponseWriter, r request) {
	var in struct{ CSR string }
	_ = json.Unmarshal(r.payload, &in)
	asked, err := x509.ParseCertificateRequest(decode(in.CSR))
	if err != nil || asked.CheckSignature() != nil {
		problem(w, 400, "badCSR", "The request cannot be read.")
		return
	}
	for _, name := range asked.DNSNames {
		if !a.proven[name] {
			problem(w, 403, "orderNotReady", name+" is not proven.")
			return
		}
	}
	leaf := sign(a.t, &x509.Certificate{
		DNSNames: asked.DNSNames, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(a.life), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, a.root, asked.PublicKey.(*ecdsa.PublicKey), a.key)
	a.cert = append(encode(leaf), encode(a.root)...)
	a.state(w, r)
}

func (a *authority) give(w http.ResponseWriter, _ request) {
	w.Header().Set("Content-Type", "application/pem-certificate-chain")
	_, _ = w.Write(a.cert)
}

func encode(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

func encodePrivate(t *testing.T, key crypto.PrivateKey) []byte {
	t.Helper()
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})
}
