// Package samltest has the identity providers that tests sign in at: Forger
// writes any response, honest or not, and Server is a real one (crewjam's
// samlidp).
package samltest

import (
	"bytes"
	"compress/flate"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"
	"github.com/crewjam/saml/samlidp"
	"github.com/crewjam/saml/xmlenc"
	dsig "github.com/russellhaering/goxmldsig"
	"golang.org/x/crypto/bcrypt"
)

// Forger is an identity provider that says what it is told.
type Forger struct {
	EntityID, SSOURL string
	Key              *rsa.PrivateKey
	Certificate      *x509.Certificate
	// Method is the algorithm of its signatures.
	Method string
	// NoKeyInfo leaves the certificate out of signatures.
	NoKeyInfo bool
}

// New makes a forger with a key of its own.
func New(t testing.TB) *Forger {
	t.Helper()
	key, certificate := newKey(t)
	return &Forger{
		EntityID: "https://idp.example.com/metadata", SSOURL: "https://idp.example.com/sso",
		Key: key, Certificate: certificate, Method: dsig.RSASHA256SignatureMethod,
	}
}

func newKey(t testing.TB) (*rsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key, certificate, err := makeKey()
	if err != nil {
		t.Fatal(err)
	}
	return key, certificate
}

func makeKey() (*rsa.PrivateKey, *x509.Certificate, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "idp"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	return key, certificate, err
}

// PEM is the forger's certificate.
func (f *Forger) PEM() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.Certificate.Raw}))
}

// Response is what a forged response says. Honest fills it.
type Response struct {
	ID, Issuer, Destination, InResponseTo, Status string
	IssueInstant                                  time.Time
	Assertion                                     Assertion
	// What is signed, and to whom the assertion is encrypted.
	SignResponse, SignAssertion bool
	EncryptTo                   *x509.Certificate
}

// Assertion is the inner part of a Response. NameID is written as it is, so
// that it can carry a comment.
type Assertion struct {
	ID, Issuer, NameID, NameFormat, Audience, Recipient, InResponseTo, Method string
	IssueInstant, NotBefore, NotOnOrAfter, Confirmed, AuthnInstant            time.Time
	Context                                                                   string
	Attributes                                                                map[string][]string
	NoAudience, NoConfirmation, NoSubject, NoConditions                       bool
}

// Honest is a response for ada to a request.
func (f *Forger) Honest(audience, acs, request string) Response {
	now := time.Now()
	return Response{
		ID: "_r" + rand.Text(), Issuer: f.EntityID, Destination: acs, InResponseTo: request,
		Status: "urn:oasis:names:tc:SAML:2.0:status:Success", IssueInstant: now, SignAssertion: true,
		Assertion: Assertion{
			ID: "_a" + rand.Text(), Issuer: f.EntityID, NameID: "ada", NameFormat: "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent",
			Audience: audience, Recipient: acs, InResponseTo: request, Method: "urn:oasis:names:tc:SAML:2.0:cm:bearer",
			IssueInstant: now, NotBefore: now.Add(-time.Minute), NotOnOrAfter: now.Add(5 * time.Minute), Confirmed: now.Add(5 * time.Minute), AuthnInstant: now,
			Context:    "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport",
			Attributes: map[string][]string{"email": {"ada@example.com"}, "name": {"Ada Lovelace"}, "groups": {"engineers"}},
		},
	}
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func attr(name, value string) string {
	if value == "" {
		return ""
	}
	return fmt.Sprintf(" %s=%q", name, value)
}

const namespaces = ` xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion"`

func (a Assertion) xml() string {
	var b strings.Builder
	fmt.Fprintf(&b, `<saml:Assertion%s ID="%s" Version="2.0" IssueInstant="%s"><saml:Issuer>%s</saml:Issuer>`, namespaces, a.ID, stamp(a.IssueInstant), a.Issuer)
	if !a.NoSubject {
		fmt.Fprintf(&b, `<saml:Subject><saml:NameID Format="%s">%s</saml:NameID>`, a.NameFormat, a.NameID)
		if !a.NoConfirmation {
			fmt.Fprintf(&b, `<saml:SubjectConfirmation Method="%s"><saml:SubjectConfirmationData%s NotOnOrAfter="%s" Recipient="%s"/></saml:SubjectConfirmation>`,
				a.Method, attr("InResponseTo", a.InResponseTo), stamp(a.Confirmed), a.Recipient)
		}
		b.WriteString(`</saml:Subject>`)
	}
	if !a.NoConditions {
		fmt.Fprintf(&b, `<saml:Conditions NotBefore="%s" NotOnOrAfter="%s">`, stamp(a.NotBefore), stamp(a.NotOnOrAfter))
		if !a.NoAudience {
			fmt.Fprintf(&b, `<saml:AudienceRestriction><saml:Audience>%s</saml:Audience></saml:AudienceRestriction>`, a.Audience)
		}
		b.WriteString(`</saml:Conditions>`)
	}
	fmt.Fprintf(&b, `<saml:AuthnStatement AuthnInstant="%s" SessionIndex="s1"><saml:AuthnContext><saml:AuthnContextClassRef>%s</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement><saml:AttributeStatement>`,
		stamp(a.AuthnInstant), a.Context)
	for name, values := range a.Attributes {
		fmt.Fprintf(&b, `<saml:Attribute Name="%s">`, name)
		for _, v := range values {
			fmt.Fprintf(&b, `<saml:AttributeValue>%s</saml:AttributeValue>`, v)
		}
		b.WriteString(`</saml:Attribute>`)
	}
	b.WriteString(`</saml:AttributeStatement></saml:Assertion>`)
	return b.String()
}

func element(text string) *etree.Element {
	doc := etree.NewDocument()
	if err := doc.ReadFromString(text); err != nil {
		panic(err)
	}
	return doc.Root()
}

// Element writes the response as it says.
func (f *Forger) Element(r Response) *etree.Element {
	root := element(fmt.Sprintf(`<samlp:Response%s ID="%s" Version="2.0" IssueInstant="%s"%s%s><saml:Issuer>%s</saml:Issuer><samlp:Status><samlp:StatusCode Value="%s"/></samlp:Status></samlp:Response>`,
		namespaces, r.ID, stamp(r.IssueInstant), attr("Destination", r.Destination), attr("InResponseTo", r.InResponseTo), r.Issuer, r.Status))
	assertion := element(r.Assertion.xml())
	if r.SignAssertion {
		assertion = f.Sign(assertion)
	}
	if r.EncryptTo != nil {
		assertion = encrypt(assertion, r.EncryptTo)
	}
	root.AddChild(assertion)
	if r.SignResponse {
		root = f.Sign(root)
	}
	return root
}

// Sign signs an element in the enveloped way.
func (f *Forger) Sign(el *etree.Element) *etree.Element {
	ctx := dsig.NewDefaultSigningContext(dsig.TLSCertKeyStore(tls.Certificate{Certificate: [][]byte{f.Certificate.Raw}, PrivateKey: f.Key}))
	ctx.Canonicalizer = dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList("")
	if err := ctx.SetSignatureMethod(f.Method); err != nil {
		panic(err)
	}
	signed, err := ctx.SignEnveloped(el)
	if err != nil {
		panic(err)
	}
	if f.NoKeyInfo {
		sig := signed.FindElement("./Signature")
		sig.RemoveChild(sig.FindElement("./KeyInfo"))
	}
	return signed
}

func encrypt(el *etree.Element, to *x509.Certificate) *etree.Element {
	method := xmlenc.OAEP()
	method.BlockCipher = xmlenc.AES256CBC
	data, err := method.Encrypt(to, []byte(Text(el)), nil)
	if err != nil {
		panic(err)
	}
	data.CreateAttr("Type", "http://www.w3.org/2001/04/xmlenc#Element")
	encrypted := etree.NewElement("saml:EncryptedAssertion")
	encrypted.AddChild(data)
	return encrypted
}

// Text is an element as a document.
func Text(el *etree.Element) string {
	doc := etree.NewDocument()
	doc.SetRoot(el.Copy())
	text, err := doc.WriteToString()
	if err != nil {
		panic(err)
	}
	return text
}

// Post is text as a browser posts it.
func Post(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// XSW wraps an honest, signed response so that a careless reader sees an
// assertion for evil while the signature still holds: the eight variants of
// "On Breaking SAML: Be Whoever You Want to Be" (Somorovsky et al., 2012). The
// first two need a signed response, the others a signed assertion.
func XSW(variant int, honest *etree.Element, evil string) *etree.Element {
	if variant <= 2 {
		return wrapResponse(variant, honest, evil)
	}
	root := honest.Copy()
	original := root.FindElement("./Assertion")
	forged := forge(original, evil)
	switch variant {
	case 3:
		root.InsertChildAt(original.Index(), forged)
	case 4:
		root.RemoveChild(original)
		forged.AddChild(original)
		root.AddChild(forged)
	case 5:
		forged.AddChild(detach(original, "Signature"))
		root.RemoveChild(original)
		root.AddChild(forged)
		root.AddChild(original)
	case 6:
		signature := detach(original, "Signature")
		root.RemoveChild(original)
		signature.AddChild(original)
		forged.AddChild(signature)
		root.AddChild(forged)
	case 7:
		extensions := etree.NewElement("samlp:Extensions")
		forged.CreateAttr("ID", original.SelectAttrValue("ID", ""))
		extensions.AddChild(forged)
		root.InsertChildAt(original.Index(), extensions)
	case 8:
		signature := detach(original, "Signature")
		root.RemoveChild(original)
		object := etree.NewElement("ds:Object")
		object.AddChild(original)
		signature.AddChild(object)
		forged.AddChild(signature)
		root.AddChild(forged)
	}
	return root
}

func wrapResponse(variant int, honest *etree.Element, evil string) *etree.Element {
	root := honest.Copy()
	signature := detach(root, "Signature")
	original := honest.Copy()
	detach(original, "Signature")
	root.CreateAttr("ID", "_evilresponse")
	old := root.FindElement("./Assertion")
	forged := forge(old, evil)
	root.RemoveChild(old)
	if variant == 1 {
		signature.AddChild(original)
		root.AddChild(signature)
	} else {
		root.AddChild(original)
		root.AddChild(signature)
	}
	root.AddChild(forged)
	return root
}

// forge copies an assertion, without its signature, for somebody else.
func forge(original *etree.Element, evil string) *etree.Element {
	forged := original.Copy()
	detach(forged, "Signature")
	forged.CreateAttr("ID", "_evil")
	forged.FindElement("./Subject/NameID").SetText(evil)
	return forged
}

func detach(from *etree.Element, tag string) *etree.Element {
	el := from.FindElement("./" + tag)
	if el != nil {
		from.RemoveChild(el)
	}
	return el
}

// Metadata of the forger, with more certificates than its own if given.
func (f *Forger) Metadata(more ...*x509.Certificate) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, `<?xml version="1.0"?><!-- of the identity provider --><md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" entityID="%s"><md:IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">`, f.EntityID)
	for _, c := range append([]*x509.Certificate{f.Certificate}, more...) {
		fmt.Fprintf(&b, `<md:KeyDescriptor use="signing"><ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:X509Data><ds:X509Certificate>%s</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>`,
			base64.StdEncoding.EncodeToString(c.Raw))
	}
	fmt.Fprintf(&b, `<md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="%[1]s/post"/><md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="%[1]s"/></md:IDPSSODescriptor></md:EntityDescriptor>`, f.SSOURL)
	return b.String()
}

// Server is a real identity provider whose user is ada with the password
// "verysecure", in the group engineers. A service provider is added by putting
// its metadata to /services/{name}; /login/nimbus starts an unsolicited
// sign-in at the service that serviceProvider names.
func Server(t testing.TB, serviceProvider string) *httptest.Server {
	t.Helper()
	server, err := StartServer(serviceProvider)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server
}

// StartServer is Server for programs; the caller closes it.
func StartServer(serviceProvider string) (*httptest.Server, error) {
	key, certificate, err := makeKey()
	if err != nil {
		return nil, err
	}
	hash, err := bcrypt.GenerateFromPassword([]byte("verysecure"), bcrypt.MinCost)
	if err != nil {
		return nil, err
	}
	store := &samlidp.MemoryStore{}
	user := samlidp.User{Name: "ada", HashedPassword: hash, Groups: []string{"engineers"}, Email: "ada@example.com", CommonName: "Ada Lovelace"}
	if err := store.Put("/users/ada", &user); err != nil {
		return nil, err
	}
	if err := store.Put("/shortcuts/nimbus", &samlidp.Shortcut{Name: "nimbus", ServiceProviderID: serviceProvider}); err != nil {
		return nil, err
	}
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	at, err := url.Parse(server.URL)
	if err != nil {
		return server, err
	}
	idp, err := samlidp.New(samlidp.Options{URL: *at, Key: key, Certificate: certificate, Store: store, Logger: log.New(io.Discard, "", 0)})
	if err != nil {
		return server, err
	}
	idp.IDP.SignatureMethod = dsig.RSASHA256SignatureMethod
	server.Config.Handler = idp
	return server, nil
}

// RequestID is the id of the request in an address that a browser is sent to.
func RequestID(at *url.URL) string {
	text, err := base64.StdEncoding.DecodeString(at.Query().Get("SAMLRequest"))
	if err != nil {
		return ""
	}
	request, err := io.ReadAll(flate.NewReader(bytes.NewReader(text)))
	if err != nil {
		return ""
	}
	return element(string(request)).SelectAttrValue("ID", "")
}

// EncryptionCertificates are those in a service provider's metadata.
func EncryptionCertificates(t testing.TB, metadata string) []*x509.Certificate {
	t.Helper()
	var all []*x509.Certificate
	for _, el := range element(metadata).FindElements(".//KeyDescriptor[@use='encryption']//X509Certificate") {
		der, err := base64.StdEncoding.DecodeString(strings.TrimSpace(el.Text()))
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	return all
}
