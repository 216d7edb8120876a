package saml

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/beevik/etree"
	lib "github.com/crewjam/saml"
	"github.com/crewjam/saml/xmlenc"
	dsig "github.com/russellhaering/goxmldsig"
	"github.com/russellhaering/goxmldsig/etreeutils"

	"nimbus/appliance/fault"
)

// Namespaces and algorithms.
const (
	protocolNS  = "urn:oasis:names:tc:SAML:2.0:protocol"
	assertionNS = "urn:oasis:names:tc:SAML:2.0:assertion"
	signatureNS = "http://www.w3.org/2000/09/xmldsig#"
	encryptNS   = "http://www.w3.org/2001/04/xmlenc#"

	aes128CBC = encryptNS + "aes128-cbc"
	aes192CBC = encryptNS + "aes192-cbc"
	aes256CBC = encryptNS + "aes256-cbc"
	aes128GCM = "http://www.w3.org/2009/xmlenc11#aes128-gcm"
	rsaOAEP   = encryptNS + "rsa-oaep-mgf1p"

	bearer        = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
	statusSuccess = "urn:oasis:names:tc:SAML:2.0:status:Success"
)

// What signatures and encryption may be made of: no SHA-1, no PKCS #1 v1.5
// encryption, no transform but the two that every profile uses.
var (
	signatureMethods = []string{
		dsig.RSASHA256SignatureMethod, dsig.RSASHA384SignatureMethod, dsig.RSASHA512SignatureMethod,
		dsig.ECDSASHA256SignatureMethod, dsig.ECDSASHA384SignatureMethod, dsig.ECDSASHA512SignatureMethod,
	}
	digestMethods = []string{encryptNS + "sha256", "http://www.w3.org/2001/04/xmldsig-more#sha384", encryptNS + "sha512"}
	transforms    = []string{
		string(dsig.EnvelopedSignatureAltorithmId), string(dsig.CanonicalXML10ExclusiveAlgorithmId), string(dsig.CanonicalXML10ExclusiveWithCommentsAlgorithmId),
	}
	canonicalizations = transforms[1:]
	encryptionMethods = []string{aes128CBC, aes192CBC, aes256CBC, aes128GCM, rsaOAEP}
	mfaContexts       = []string{
		"https://refeds.org/profile/mfa", "http://schemas.microsoft.com/claims/multipleauthn",
		"urn:oasis:names:tc:SAML:2.0:ac:classes:MobileTwoFactorContract", "urn:oasis:names:tc:SAML:2.0:ac:classes:MobileTwoFactorUnregistered",
	}
)

// Finish judges a response as a browser posts it. The caller decides about
// InResponseTo and refuses assertion ids that it has seen. What does not hold
// is fault.Unauthenticated, a provider that said no fault.Forbidden.
func (sp *ServiceProvider) Finish(posted string) (Result, error) {
	text, err := decode(posted)
	if err != nil {
		return Result{}, refused(err)
	}
	r, err := sp.judge(text)
	var no *statusError
	if errors.As(err, &no) {
		return Result{}, fault.Wrap(fault.Forbidden, err, "The sign-in provider refused: %s.", no.code)
	}
	if err != nil {
		return Result{}, refused(err)
	}
	return r, nil
}

func refused(cause error) error {
	return fault.Wrap(fault.Unauthenticated, cause, "The answer of the sign-in provider is not valid. Begin again; when it goes on, tell your administrator.")
}

// statusError is a provider that did not sign the person in.
type statusError struct{ code string }

func (e *statusError) Error() string { return "status " + e.code }

func decode(posted string) ([]byte, error) {
	if len(posted) > maxResponse*4/3+4096 {
		return nil, errors.New("the response is too large")
	}
	text, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(posted), ""))
	if err == nil && len(text) > maxResponse {
		err = errors.New("the response is too large")
	}
	return text, err
}

// judge turns a panic of the libraries underneath into a refusal: they read
// what anybody may send.
func (sp *ServiceProvider) judge(text []byte) (r Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			r, err = Result{}, fmt.Errorf("the response cannot be read: %v", p)
		}
	}()
	response, err := parse(text)
	if err != nil {
		return Result{}, err
	}
	if err := checkShape(response, true); err != nil {
		return Result{}, err
	}
	if err := sp.checkResponse(response); err != nil {
		return Result{}, err
	}
	assertion, err := sp.signedAssertion(response)
	if err != nil {
		return Result{}, err
	}
	a, err := read(assertion)
	if err == nil {
		err = sp.checkAudience(assertion)
	}
	if err != nil {
		return Result{}, err
	}
	if to := response.SelectAttrValue("InResponseTo", ""); to != "" && to != inResponseTo(a) {
		return Result{}, errors.New("response and assertion answer different requests")
	}
	return sp.result(a)
}

// checkResponse checks what the envelope says. Unless it is signed nothing of
// this is trusted; it can only make us refuse.
func (sp *ServiceProvider) checkResponse(el *etree.Element) error {
	var r struct {
		Version      string     `xml:",attr"`
		Destination  string     `xml:",attr"`
		IssueInstant time.Time  `xml:",attr"`
		Issuer       *string    `xml:"urn:oasis:names:tc:SAML:2.0:assertion Issuer"`
		Status       lib.Status `xml:"urn:oasis:names:tc:SAML:2.0:protocol Status"`
	}
	if err := unmarshal(el, &r); err != nil {
		return err
	}
	signed := len(children(el, signatureNS, "Signature")) > 0
	switch {
	case r.Version != "2.0":
		return errors.New("the response has another version")
	case r.Issuer != nil && strings.TrimSpace(*r.Issuer) != sp.IdP.EntityID:
		return errors.New("the response is of another issuer")
	case r.Destination != sp.ACSURL && (signed || r.Destination != ""):
		return errors.New("the response is for another place")
	case !sp.current(r.IssueInstant):
		return errors.New("the response is not of now")
	case r.Status.StatusCode.Value != statusSuccess:
		return &statusError{statusName(r.Status.StatusCode)}
	}
	return nil
}

// statusName is the last part of the most exact status, as plain text.
func statusName(s lib.StatusCode) string {
	code := s.Value
	if s.StatusCode != nil {
		code = s.StatusCode.Value
	}
	code = code[strings.LastIndex(code, ":")+1:]
	if strings.ContainsFunc(code, func(r rune) bool { return r < '!' || r > '~' }) || len(code) > 40 {
		return "for a reason it did not name"
	}
	return code
}

func (sp *ServiceProvider) current(at time.Time) bool {
	now := sp.now()
	return at.After(now.Add(-maxAge-clockSkew)) && at.Before(now.Add(clockSkew))
}

// signedAssertion returns the assertion as it was signed: directly or, unless
// more is required, by the signature of the response around it.
func (sp *ServiceProvider) signedAssertion(response *etree.Element) (*etree.Element, error) {
	covered := len(children(response, signatureNS, "Signature")) > 0
	if covered {
		var err error
		if response, err = sp.verified(response); err != nil {
			return nil, err
		}
	}
	assertion, err := sp.assertionIn(response)
	if err != nil {
		return nil, err
	}
	if len(children(assertion, signatureNS, "Signature")) > 0 {
		return sp.verified(assertion)
	}
	if !covered || sp.RequireSignedAssertion {
		return nil, errors.New("the assertion is not signed")
	}
	return detached(assertion)
}

func (sp *ServiceProvider) assertionIn(response *etree.Element) (*etree.Element, error) {
	if clear := children(response, assertionNS, "Assertion"); len(clear) == 1 {
		if sp.RequireEncrypted {
			return nil, errors.New("the assertion is not encrypted")
		}
		return clear[0], nil
	}
	encrypted := children(response, assertionNS, "EncryptedAssertion")
	if len(encrypted) != 1 {
		return nil, errors.New("the response has no assertion")
	}
	text, err := sp.decrypt(encrypted[0])
	if err != nil {
		return nil, err
	}
	assertion, err := parse(text)
	if err != nil {
		return nil, err
	}
	return assertion, checkShape(assertion, false)
}

// decrypt tries our keys. Its faults tell nothing about the plaintext.
func (sp *ServiceProvider) decrypt(el *etree.Element) ([]byte, error) {
	for _, method := range el.FindElements(".//EncryptionMethod") {
		if a := method.SelectAttrValue("Algorithm", ""); !slices.Contains(encryptionMethods, a) {
			return nil, fmt.Errorf("the assertion is encrypted by %q", a)
		}
	}
	data := children(el, encryptNS, "EncryptedData")
	if len(data) != 1 {
		return nil, errors.New("the assertion is not encrypted as it should be")
	}
	for _, k := range sp.Keys {
		if text, err := decryptWith(k, el, data[0]); err == nil {
			return text, nil
		}
	}
	return nil, errors.New("the assertion is encrypted to no key of ours")
}

// decryptWith turns a panic on bad ciphertext into a failure, so that the next
// key is tried.
func decryptWith(k Key, el, data *etree.Element) (text []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("decrypt: %v", p)
		}
	}()
	var key any = k.Private
	if beside := children(el, encryptNS, "EncryptedKey"); len(beside) > 0 {
		if key, err = xmlenc.Decrypt(k.Private, beside[0]); err != nil {
			return nil, err
		}
	}
	return xmlenc.Decrypt(key, data)
}

// verified returns the part of the element that a trusted certificate signed.
func (sp *ServiceProvider) verified(el *etree.Element) (*etree.Element, error) {
	el, err := detached(el)
	if err != nil {
		return nil, err
	}
	for _, sig := range children(el, signatureNS, "Signature") {
		for _, info := range children(sig, signatureNS, "KeyInfo") {
			sig.RemoveChild(info) // which certificates are trusted is ours to say
		}
	}
	err = errors.New("no certificate of the identity provider is trusted")
	for _, c := range sp.IdP.Certificates {
		check := dsig.NewDefaultValidationContext(&dsig.MemoryX509CertificateStore{Roots: []*x509.Certificate{c}})
		check.IdAttribute = "ID"
		check.Clock = dsig.NewFakeClockAt(sp.now())
		var signed *etree.Element
		if signed, err = check.Validate(el); err == nil {
			return signed, nil
		}
	}
	return nil, err
}

// detached is a copy of the element with the namespaces that it inherits.
func detached(el *etree.Element) (*etree.Element, error) {
	ctx, err := etreeutils.NSBuildParentContext(el)
	if err != nil {
		return nil, err
	}
	return etreeutils.NSDetatch(ctx, el)
}

func unmarshal(el *etree.Element, v any) error {
	el, err := detached(el)
	if err != nil {
		return err
	}
	doc := etree.NewDocument()
	doc.SetRoot(el)
	text, err := doc.WriteToBytes()
	if err != nil {
		return err
	}
	return xml.Unmarshal(text, v)
}

func read(el *etree.Element) (lib.Assertion, error) {
	var a lib.Assertion
	for _, once := range []string{"Issuer", "Subject", "Conditions"} {
		if n := len(children(el, assertionNS, once)); n != 1 {
			return a, fmt.Errorf("the assertion has %d of %s", n, once)
		}
	}
	return a, unmarshal(el, &a)
}

func inResponseTo(a lib.Assertion) string {
	if c := confirmation(a); c != nil {
		return c.InResponseTo
	}
	return ""
}

// confirmation is the one bearer confirmation of the assertion, or nil.
func confirmation(a lib.Assertion) *lib.SubjectConfirmationData {
	var found *lib.SubjectConfirmationData
	for _, c := range a.Subject.SubjectConfirmations {
		if c.Method != bearer {
			continue
		}
		if found != nil || c.SubjectConfirmationData == nil {
			return nil
		}
		found = c.SubjectConfirmationData
	}
	return found
}

// result checks what the signed assertion says (SAML 2.0 Profiles, section
// 4.1.4.3).
func (sp *ServiceProvider) result(a lib.Assertion) (Result, error) {
	if err := sp.checkAssertion(a); err != nil {
		return Result{}, err
	}
	c := confirmation(a)
	if err := sp.checkConfirmation(c); err != nil {
		return Result{}, err
	}
	if len(a.AuthnStatements) == 0 || a.Subject.NameID == nil {
		return Result{}, errors.New("the assertion does not say who signed in")
	}
	name, statement := a.Subject.NameID, a.AuthnStatements[0]
	r := Result{
		NameID: strings.TrimSpace(name.Value), Transient: name.Format == string(lib.TransientNameIDFormat),
		Attributes: attributes(a), SessionIndex: statement.SessionIndex, InResponseTo: c.InResponseTo,
		AssertionID: a.ID, Expires: c.NotOnOrAfter.Add(clockSkew), Authenticated: statement.AuthnInstant,
	}
	if ends := statement.SessionNotOnOrAfter; ends != nil {
		r.SessionEnds = *ends
	}
	if ref := statement.AuthnContext.AuthnContextClassRef; ref != nil {
		r.MFA = slices.Contains(mfaContexts, strings.TrimSpace(ref.Value))
	}
	if r.NameID == "" || len(r.NameID) > 255 || r.AssertionID == "" {
		return Result{}, errors.New("the assertion does not name the person")
	}
	return r, nil
}

func (sp *ServiceProvider) checkAssertion(a lib.Assertion) error {
	now := sp.now()
	switch c := a.Conditions; {
	case a.Version != "2.0":
		return errors.New("the assertion has another version")
	case strings.TrimSpace(a.Issuer.Value) != sp.IdP.EntityID:
		return errors.New("the assertion is of another issuer")
	case !sp.current(a.IssueInstant):
		return errors.New("the assertion is not of now")
	case !c.NotBefore.IsZero() && c.NotBefore.After(now.Add(clockSkew)):
		return errors.New("the assertion does not hold yet")
	case !c.NotOnOrAfter.IsZero() && !c.NotOnOrAfter.After(now.Add(-clockSkew)):
		return errors.New("the assertion does not hold any more")
	}
	return nil
}

// checkAudience wants us in every restriction, and at least one restriction.
func (sp *ServiceProvider) checkAudience(el *etree.Element) error {
	var restrictions []*etree.Element
	for _, c := range children(el, assertionNS, "Conditions") {
		restrictions = append(restrictions, children(c, assertionNS, "AudienceRestriction")...)
	}
	if len(restrictions) == 0 {
		return errors.New("the assertion names no audience")
	}
	for _, r := range restrictions {
		if !slices.ContainsFunc(children(r, assertionNS, "Audience"), func(a *etree.Element) bool { return strings.TrimSpace(a.Text()) == sp.EntityID }) {
			return errors.New("the assertion is for another audience")
		}
	}
	return nil
}

func (sp *ServiceProvider) checkConfirmation(c *lib.SubjectConfirmationData) error {
	now := sp.now()
	switch {
	case c == nil:
		return errors.New("the assertion has no bearer confirmation")
	case c.Recipient != sp.ACSURL:
		return errors.New("the assertion is for another recipient")
	case !c.NotOnOrAfter.After(now.Add(-clockSkew)):
		return errors.New("the assertion is not confirmed any more")
	case c.NotOnOrAfter.After(now.Add(24 * time.Hour)):
		return errors.New("the assertion is confirmed for too long")
	case !c.NotBefore.IsZero():
		return errors.New("a bearer confirmation has no beginning")
	}
	return nil
}

// attributes are by name and by friendly name; the name wins.
func attributes(a lib.Assertion) map[string][]string {
	all := map[string][]string{}
	friendly := map[string][]string{}
	for _, s := range a.AttributeStatements {
		for _, attribute := range s.Attributes {
			for _, v := range attribute.Values {
				value := strings.TrimSpace(v.Value)
				all[attribute.Name] = append(all[attribute.Name], value)
				if attribute.FriendlyName != "" {
					friendly[attribute.FriendlyName] = append(friendly[attribute.FriendlyName], value)
				}
			}
		}
	}
	for name, values := range friendly {
		if _, taken := all[name]; !taken {
			all[name] = values
		}
	}
	return all
}
