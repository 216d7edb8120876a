// Package saml is the service provider of SAML 2.0: requests, metadata of
// both sides, and the judgement of responses. It knows the protocol and no
// account; who may sign in is decided by package identity.
//
// What it promises of a Result: every part of it was read from the element
// that a trusted certificate of the identity provider signed, and from no
// other. A response has to have one of the few shapes that honest providers
// send, so that wrapped, doubled or commented content is refused before any
// signature is looked at.
package saml

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"encoding/xml"
	"errors"
	"math/big"
	"net/url"
	"strings"
	"time"

	lib "github.com/crewjam/saml"
	dsig "github.com/russellhaering/goxmldsig"

	"nimbus/appliance/fault"
)

// Limits of what others send.
const (
	maxMetadata = 1 << 20
	maxResponse = 384 << 10
	maxDepth    = 40
	maxElements = 4000
)

// clockSkew is how far the identity provider's clock and ours may be apart;
// maxAge is how long after its making a response is taken.
const (
	clockSkew = 2 * time.Minute
	maxAge    = 5 * time.Minute
)

// IdP is an identity provider, as its metadata describe it.
type IdP struct {
	EntityID     string
	SSOURL       string // of the HTTP-Redirect binding
	Certificates []*x509.Certificate
}

// Key is a key of ours with its certificate.
type Key struct {
	Private     *rsa.PrivateKey
	Certificate *x509.Certificate
}

// ServiceProvider is us towards one identity provider.
type ServiceProvider struct {
	EntityID string
	ACSURL   string
	IdP      IdP
	// Keys are ours, the newest first: it signs, all of them decrypt.
	Keys         []Key
	SignRequests bool
	// RequireEncrypted refuses assertions in clear; RequireSignedAssertion
	// those that only the response around them is signed for.
	RequireEncrypted       bool
	RequireSignedAssertion bool
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Result is what a response yields.
type Result struct {
	NameID       string
	Transient    bool // the name is another one each time
	Attributes   map[string][]string
	SessionIndex string
	// InResponseTo is the request's id; empty when nobody asked.
	InResponseTo string
	// AssertionID must not be seen a second time before Expires.
	AssertionID   string
	Expires       time.Time
	Authenticated time.Time
	SessionEnds   time.Time // zero when not said
	MFA           bool
}

func (sp *ServiceProvider) now() time.Time {
	if sp.Now != nil {
		return sp.Now()
	}
	return time.Now()
}

// NewKey makes a key of ours; its certificate only carries the key, so it is
// signed by itself and lives long.
func NewKey(name string, now time.Time) (Key, error) {
	private, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		return Key{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return Key{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(10, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return Key{}, err
	}
	certificate, err := x509.ParseCertificate(der)
	return Key{Private: private, Certificate: certificate}, err
}

// ParseCertificates reads certificates in PEM. Text without one, or a key that
// is too weak to trust, is fault.Invalid.
func ParseCertificates(texts []string) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for _, text := range texts {
		block, rest := pem.Decode([]byte(strings.TrimSpace(text)))
		if block == nil || block.Type != "CERTIFICATE" || len(strings.TrimSpace(string(rest))) > 0 {
			return nil, badCertificate("Each certificate is one block that begins with -----BEGIN CERTIFICATE-----.")
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, badCertificate("A certificate cannot be read.")
		}
		if err := strong(c); err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

func badCertificate(message string) error {
	return fault.BadField("body.saml.certificates", "%s", message)
}

func strong(c *x509.Certificate) error {
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() >= 2048 {
			return nil
		}
	case *ecdsa.PublicKey:
		if key.Curve.Params().BitSize >= 256 {
			return nil
		}
	}
	return badCertificate("The key of a certificate is too weak. It must be RSA of at least 2048 bits or ECDSA of at least 256.")
}

// PEM writes a certificate as ParseCertificates reads it.
func PEM(c *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}

// Start makes a request: the address to send the browser to and the id that
// the response has to name. force makes the identity provider ask again.
func (sp *ServiceProvider) Start(relay string, force bool) (address, request string, err error) {
	inner := lib.ServiceProvider{EntityID: sp.EntityID, ForceAuthn: &force}
	if acs, err := url.Parse(sp.ACSURL); err == nil {
		inner.AcsURL = *acs
	}
	if sp.SignRequests && len(sp.Keys) > 0 {
		inner.Key, inner.Certificate = sp.Keys[0].Private, sp.Keys[0].Certificate
		inner.SignatureMethod = dsig.RSASHA256SignatureMethod
	}
	req, err := inner.MakeAuthenticationRequest(sp.IdP.SSOURL, lib.HTTPRedirectBinding, lib.HTTPPostBinding)
	if err != nil {
		return "", "", fault.Wrap(fault.Internal, err, "The request to the sign-in provider could not be made.")
	}
	req.NameIDPolicy.Format = nil // which name it sends is configured there
	at, err := req.Redirect(url.QueryEscape(relay), &inner)
	if err != nil {
		return "", "", fault.Wrap(fault.Internal, err, "The request to the sign-in provider could not be made.")
	}
	return at.String(), req.ID, nil
}

// Metadata describes us to the identity provider, with all of our keys so that
// a new one is known before it is used.
func (sp *ServiceProvider) Metadata() ([]byte, error) {
	yes := true
	until := sp.now().Add(7 * 24 * time.Hour).UTC()
	descriptor := lib.SPSSODescriptor{
		AuthnRequestsSigned: &sp.SignRequests, WantAssertionsSigned: &yes,
		AssertionConsumerServices: []lib.IndexedEndpoint{{Binding: lib.HTTPPostBinding, Location: sp.ACSURL, Index: 1, IsDefault: &yes}},
	}
	descriptor.ProtocolSupportEnumeration = "urn:oasis:names:tc:SAML:2.0:protocol"
	descriptor.NameIDFormats = []lib.NameIDFormat{lib.PersistentNameIDFormat, lib.EmailAddressNameIDFormat, lib.UnspecifiedNameIDFormat}
	for _, use := range []string{"signing", "encryption"} {
		for _, k := range sp.Keys {
			descriptor.KeyDescriptors = append(descriptor.KeyDescriptors, keyDescriptor(use, k.Certificate))
		}
	}
	return xml.MarshalIndent(lib.EntityDescriptor{EntityID: sp.EntityID, ValidUntil: until, SPSSODescriptors: []lib.SPSSODescriptor{descriptor}}, "", "  ")
}

func keyDescriptor(use string, c *x509.Certificate) lib.KeyDescriptor {
	k := lib.KeyDescriptor{Use: use}
	k.KeyInfo.X509Data.X509Certificates = []lib.X509Certificate{{Data: base64.StdEncoding.EncodeToString(c.Raw)}}
	if use == "encryption" {
		for _, a := range []string{aes256CBC, aes128CBC, aes128GCM, rsaOAEP} {
			k.EncryptionMethods = append(k.EncryptionMethods, lib.EncryptionMethod{Algorithm: a})
		}
	}
	return k
}

var errMetadata = errors.New("metadata")

// ParseMetadata reads an identity provider's metadata. What cannot be used is
// fault.Invalid with the reason.
func ParseMetadata(text []byte, now time.Time) (IdP, error) {
	bad := func(format string, args ...any) error {
		return fault.BadField("body.saml.metadata_xml", format, args...)
	}
	if len(text) > maxMetadata {
		return IdP{}, bad("The metadata are larger than 1 MiB. Give the part about your identity provider.")
	}
	if err := wellFormed(text, commentsAllowed); err != nil {
		return IdP{}, bad("The metadata cannot be read: %s.", err)
	}
	entities, err := readEntities(text)
	if err != nil {
		return IdP{}, bad("These are not SAML metadata. Copy the whole XML document that the identity provider offers.")
	}
	var found []lib.EntityDescriptor
	for _, e := range entities {
		if len(e.IDPSSODescriptors) > 0 {
			found = append(found, e)
		}
	}
	if len(found) != 1 {
		return IdP{}, bad("The metadata describe %d identity providers. Give those of one.", len(found))
	}
	if until := found[0].ValidUntil; !until.IsZero() && now.After(until) {
		return IdP{}, bad("The metadata ended on %s. Get new ones.", until.Format(time.DateOnly))
	}
	return idpOf(found[0])
}

func readEntities(text []byte) ([]lib.EntityDescriptor, error) {
	var one lib.EntityDescriptor
	if err := xml.Unmarshal(text, &one); err == nil {
		return []lib.EntityDescriptor{one}, nil
	}
	var many lib.EntitiesDescriptor
	if err := xml.Unmarshal(text, &many); err != nil {
		return nil, errMetadata
	}
	return many.EntityDescriptors, nil
}

func idpOf(e lib.EntityDescriptor) (IdP, error) {
	idp := IdP{EntityID: e.EntityID}
	var certificates []string
	for _, d := range e.IDPSSODescriptors {
		for _, s := range d.SingleSignOnServices {
			if s.Binding == lib.HTTPRedirectBinding && idp.SSOURL == "" {
				idp.SSOURL = s.Location
			}
		}
		for _, k := range d.KeyDescriptors {
			if k.Use != "" && k.Use != "signing" {
				continue
			}
			for _, c := range k.KeyInfo.X509Data.X509Certificates {
				data := strings.Join(strings.Fields(c.Data), "\n")
				certificates = append(certificates, "-----BEGIN CERTIFICATE-----\n"+data+"\n-----END CERTIFICATE-----")
			}
		}
	}
	var err error
	if idp.Certificates, err = ParseCertificates(certificates); err != nil {
		return IdP{}, err
	}
	return idp, idp.Valid()
}

// Valid tells whether everything is there that signing in needs.
func (i IdP) Valid() error {
	u, err := url.Parse(i.SSOURL)
	switch {
	case i.EntityID == "" || len(i.EntityID) > 1024:
		return fault.BadField("body.saml.idp_entity_id", "Give the entity id of the identity provider.")
	case err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil:
		return fault.BadField("body.saml.sso_url", "Give the https address of the identity provider's single sign-on service with the HTTP-Redirect binding.")
	case len(i.Certificates) == 0:
		return badCertificate("Give at least one certificate that the identity provider signs with.")
	case len(i.Certificates) > 10:
		return badCertificate("At most ten certificates are trusted at a time.")
	}
	return nil
}

// OpenKey reads a key of ours as it is stored: PKCS #8 and X.509.
func OpenKey(private, certificate []byte) (Key, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(private)
	if err != nil {
		return Key{}, err
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return Key{}, errors.New("the stored key is not RSA")
	}
	c, err := x509.ParseCertificate(certificate)
	return Key{Private: key, Certificate: c}, err
}
