package pocketbase

import (
	"bytes"
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
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
)

const (
	selfSignedLife = 825 * 24 * time.Hour // what Apple's clients accept at most
	renewBefore    = 30 * 24 * time.Hour
	certFile       = "server.pem" // chain and key in one file, replaced in one step
)

// certificate is the one in use, kept in a file of the directory.
type certificate struct {
	dir        string
	current    atomic.Pointer[tls.Certificate]
	challenges Challenges
}

// load reads the certificate, or makes a self-signed one when there is none or
// it is ours and about to expire.
func (c *certificate) load() error {
	data, err := os.ReadFile(filepath.Join(c.dir, certFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil {
		pair, err := tls.X509KeyPair(data, data)
		if err != nil {
			return fmt.Errorf("certificate %s: %w; remove the file to get a self-signed one", filepath.Join(c.dir, certFile), err)
		}
		if !selfSigned(pair.Leaf) || time.Until(pair.Leaf.NotAfter) > renewBefore {
			c.current.Store(&pair)
			return nil
		}
	}
	certPEM, keyPEM, err := makeSelfSigned()
	if err != nil {
		return err
	}
	return c.set(certPEM, keyPEM)
}

func selfSigned(leaf *x509.Certificate) bool {
	return bytes.Equal(leaf.RawIssuer, leaf.RawSubject)
}

func (c *certificate) set(certPEM, keyPEM []byte) error {
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return fmt.Errorf("certificate and key do not fit: %w", err)
	}
	if now := time.Now(); now.After(pair.Leaf.NotAfter) || now.Add(time.Hour).Before(pair.Leaf.NotBefore) {
		return fmt.Errorf("the certificate is valid from %s to %s, not now", pair.Leaf.NotBefore.Format(time.DateOnly), pair.Leaf.NotAfter.Format(time.DateOnly))
	}
	if err := c.write(append(append(bytes.Clone(certPEM), '\n'), keyPEM...)); err != nil {
		return err
	}
	c.current.Store(&pair)
	return nil
}

func (c *certificate) write(data []byte) error {
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	temp, err := os.CreateTemp(c.dir, ".server-")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(data)
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	return os.Rename(temp.Name(), filepath.Join(c.dir, certFile))
}

func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		NextProtos:         []string{"h2", "http/1.1"},
		GetConfigForClient: c.challenges.config,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.current.Load(), nil
		},
	}
}

func (c *certificate) fingerprint() string {
	pair := c.current.Load()
	if pair == nil {
		return ""
	}
	sum := sha256.Sum256(pair.Certificate[0])
	text := strings.ToUpper(hex.EncodeToString(sum[:]))
	var parts []string
	for i := 0; i < len(text); i += 2 {
		parts = append(parts, text[i:i+2])
	}
	return strings.Join(parts, ":")
}

// makeSelfSigned makes an ECDSA P-256 certificate for all names and addresses
// of this machine, and more.
func makeSelfSigned(more ...string) (certPEM, keyPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, nil, err
	}
	host, _ := os.Hostname()
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "Nimbus on " + host},
		NotBefore:    time.Now().Add(-time.Hour), NotAfter: time.Now().Add(selfSignedLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		DNSNames:              names(host), IPAddresses: addresses(),
	}
	for _, name := range more {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else if name != "" {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, nil, err
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}), nil
}

func names(host string) []string {
	if host == "" || host == "localhost" {
		return []string{"localhost"}
	}
	return []string{"localhost", host}
}

func addresses() []net.IP {
	all := []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	found, _ := net.InterfaceAddrs()
	for _, a := range found {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() {
			all = append(all, n.IP)
		}
	}
	return all
}
