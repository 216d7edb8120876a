package temporal

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"math/big"
	"strings"
	"time"

	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/rpc/encryption"
)

const (
	header       = "authorization"
	internalName = "nimbus-temporal-internal"
	healthPrefix = "/grpc.health.v1.Health/"
)

// guard decides who may talk to the server: its own services, who hold the certificate,
// and callers who hold the secret. Both are made at each start and stay in memory.
type guard struct {
	secret string
	cert   tls.Certificate
	roots  *x509.CertPool
}

var (
	_ authorization.Authorizer                      = (*guard)(nil)
	_ authorization.ClaimMapper                     = (*guard)(nil)
	_ authorization.ClaimMapperWithAuthInfoRequired = (*guard)(nil)
	_ encryption.TLSConfigProvider                  = (*guard)(nil)
)

func newGuard() (*guard, error) {
	raw := make([]byte, 32)
	rand.Read(raw) // never fails, see crypto/rand
	cert, leaf, err := selfSigned()
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return &guard{secret: hex.EncodeToString(raw), cert: cert, roots: roots}, nil
}

// selfSigned makes the one certificate that all services serve and call with.
func selfSigned() (tls.Certificate, *x509.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: internalName},
		DNSNames:              []string{internalName},
		NotBefore:             time.Now().Add(-24 * time.Hour), // clocks are stepped back
		NotAfter:              time.Now().AddDate(100, 0, 0),   // it ends with the process
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, leaf, err
}

// callerTLS is for callers with the secret: they verify the server, so that the secret is
// never told to a program that took over the port.
func (g *guard) callerTLS() *tls.Config {
	return &tls.Config{RootCAs: g.roots, ServerName: internalName, MinVersion: tls.VersionTLS13}
}

func (g *guard) serverTLS(auth tls.ClientAuthType) *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{g.cert}, ClientCAs: g.roots, ClientAuth: auth,
		MinVersion: tls.VersionTLS13, NextProtos: []string{"h2"},
	}
}

func (g *guard) serviceTLS() *tls.Config {
	c := g.callerTLS()
	c.Certificates = []tls.Certificate{g.cert}
	return c
}

// GetInternodeServerConfig lets only the server's own services in.
func (g *guard) GetInternodeServerConfig() (*tls.Config, error) {
	return g.serverTLS(tls.RequireAndVerifyClientCert), nil
}

// GetInternodeClientConfig is what services call each other with.
func (g *guard) GetInternodeClientConfig() (*tls.Config, error) { return g.serviceTLS(), nil }

// GetFrontendServerConfig lets callers without a certificate in: those need the secret.
func (g *guard) GetFrontendServerConfig() (*tls.Config, error) {
	return g.serverTLS(tls.VerifyClientCertIfGiven), nil
}

// GetFrontendClientConfig is what services call the frontend with.
func (g *guard) GetFrontendClientConfig() (*tls.Config, error) { return g.serviceTLS(), nil }

// GetRemoteClusterClientConfig is not used: there is one cluster.
func (g *guard) GetRemoteClusterClientConfig(string) (*tls.Config, error) {
	return g.serviceTLS(), nil
}

// GetExpiringCerts reports none: the certificate ends with the process.
func (g *guard) GetExpiringCerts(time.Duration) (expiring, expired encryption.CertExpirationMap, err error) {
	return nil, nil, nil
}

// AuthInfoRequired asks to be called for calls without any credentials, too.
func (g *guard) AuthInfoRequired() bool { return false }

// GetClaims makes an administrator of who holds the certificate or the secret, and nobody
// of all others.
func (g *guard) GetClaims(info *authorization.AuthInfo) (*authorization.Claims, error) {
	internal := info.TLSSubject != nil && info.TLSSubject.CommonName == internalName // verified by TLS
	token := strings.TrimPrefix(info.AuthToken, "Bearer ")                           // as clients with an API key send it
	if internal || subtle.ConstantTimeCompare([]byte(token), []byte(g.secret)) == 1 {
		return &authorization.Claims{System: authorization.RoleAdmin}, nil
	}
	return &authorization.Claims{}, nil
}

// Authorize allows administrators everything and others the health check.
func (g *guard) Authorize(_ context.Context, claims *authorization.Claims, target *authorization.CallTarget) (authorization.Result, error) {
	allowed := claims != nil && claims.System == authorization.RoleAdmin
	if allowed || len(target.APIName) > len(healthPrefix) && target.APIName[:len(healthPrefix)] == healthPrefix {
		return authorization.Result{Decision: authorization.DecisionAllow}, nil
	}
	return authorization.Result{Decision: authorization.DecisionDeny}, nil
}

// bearer adds the secret to each call of an SDK client.
type bearer string

// GetHeaders implements client.HeadersProvider.
func (b bearer) GetHeaders(context.Context) (map[string]string, error) {
	return map[string]string{header: string(b)}, nil
}
