package pvesim

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// certificates are the cluster's own authority and the certificate that it signed for the servers.
type certificates struct {
	caPEM, caKey string
	leaf         tls.Certificate
}

const (
	caFile   = "pve-root-ca.pem"
	caKey    = "pve-root-ca.key"
	leafFile = "pve-ssl.pem"
	leafKey  = "pve-ssl.key"
)

// loadCertificates reads the certificates beside the state file, or makes them.
func (c *Cluster) loadCertificates() error {
	certs, err := c.readCertificates()
	if err == nil {
		c.certs = certs
		return nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("read the simulated cluster's certificates: %w", err)
	}
	if certs, err = newAuthority(c.now()); err != nil {
		return err
	}
	return c.issue(certs)
}

func (c *Cluster) readCertificates() (*certificates, error) {
	if c.cfg.StateFile == "" {
		return nil, os.ErrNotExist
	}
	dir := filepath.Dir(c.cfg.StateFile)
	texts := make([]string, 4)
	for i, name := range []string{caFile, caKey, leafFile, leafKey} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		texts[i] = string(data)
	}
	leaf, err := tls.X509KeyPair([]byte(texts[2]), []byte(texts[3]))
	if err != nil {
		return nil, err
	}
	return &certificates{caPEM: texts[0], caKey: texts[1], leaf: leaf}, nil
}

// issue signs a new server certificate and keeps everything beside the state file.
func (c *Cluster) issue(certs *certificates) error {
	certPEM, keyPEM, err := certs.sign(c.cfg.Nodes, c.now())
	if err != nil {
		return err
	}
	if certs.leaf, err = tls.X509KeyPair([]byte(certPEM), []byte(keyPEM)); err != nil {
		return err
	}
	c.certs = certs
	if c.cfg.StateFile == "" {
		return nil
	}
	dir := filepath.Dir(c.cfg.StateFile)
	for name, text := range map[string]string{caFile: certs.caPEM, caKey: certs.caKey, leafFile: certPEM, leafKey: keyPEM} {
		if err := replaceFile(filepath.Join(dir, name), []byte(text)); err != nil {
			return fmt.Errorf("keep the simulated cluster's certificates: %w", err)
		}
	}
	return nil
}

func newAuthority(now time.Time) (*certificates, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		Subject:   pkix.Name{CommonName: "Proxmox Virtual Environment", OrganizationalUnit: []string{newUUID()}, Organization: []string{"PVE Cluster Manager CA"}},
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.AddDate(10, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	keyPEM, err := encodeKey(key)
	return &certificates{caPEM: encodePEM("CERTIFICATE", der), caKey: keyPEM}, err
}

// sign makes a certificate for the local addresses and the nodes' names.
func (c *certificates) sign(nodes []string, now time.Time) (certPEM, keyPEM string, err error) {
	authority, err := tls.X509KeyPair([]byte(c.caPEM), []byte(c.caKey))
	if err != nil {
		return "", "", err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: nodes[0] + ".lab.test", Organization: []string{"Proxmox Virtual Environment"}},
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.AddDate(2, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, DNSNames: append([]string{"localhost"}, nodes...),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, authority.Leaf, key.Public(), authority.PrivateKey)
	if err != nil {
		return "", "", err
	}
	keyPEM, err = encodeKey(key)
	return encodePEM("CERTIFICATE", der), keyPEM, err
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic("pvesim: no randomness: " + err.Error())
	}
	return n
}

func encodeKey(key *ecdsa.PrivateKey) (string, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return encodePEM("PRIVATE KEY", der), err
}

func encodePEM(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// fingerprint is the SHA-256 of the server certificate as Proxmox shows it: hexadecimal with colons.
func (c *certificates) fingerprint() string {
	sum := sha256.Sum256(c.leaf.Certificate[0])
	text := strings.ToUpper(hex.EncodeToString(sum[:]))
	parts := make([]string, 0, len(sum))
	for i := 0; i < len(text); i += 2 {
		parts = append(parts, text[i:i+2])
	}
	return strings.Join(parts, ":")
}

func (c *Cluster) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	leaf := c.certs.leaf
	return &leaf, nil
}

// Fingerprint is the SHA-256 fingerprint of the server certificate.
func (c *Cluster) Fingerprint() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.certs.fingerprint()
}

// CertificatePEM is the certificate of the cluster's authority: what a client has to trust.
func (c *Cluster) CertificatePEM() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.certs.caPEM
}

// RotateCertificate puts a new authority and server certificate in place, as after a reinstallation:
// neither the old fingerprint nor the old authority fits any more.
func (c *Cluster) RotateCertificate() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	certs, err := newAuthority(c.now())
	if err != nil {
		return err
	}
	return c.issue(certs)
}
