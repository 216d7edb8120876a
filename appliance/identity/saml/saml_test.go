package saml

import (
	"compress/flate"
	"crypto/x509"
	"encoding/base64"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	dsig "github.com/russellhaering/goxmldsig"

	"nimbus/appliance/fault"
	"nimbus/appliance/identity/saml/samltest"
)

const (
	entityID = "https://nimbus.example.com/v1/session/saml/1/metadata"
	acsURL   = "https://nimbus.example.com/v1/session/saml/1/acs"
)

func key(t *testing.T) Key {
	t.Helper()
	k, err := NewKey("nimbus", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func provider(f *samltest.Forger, keys ...Key) *ServiceProvider {
	return &ServiceProvider{
		EntityID: entityID, ACSURL: acsURL, Keys: keys,
		IdP: IdP{EntityID: f.EntityID, SSOURL: f.SSOURL, Certificates: []*x509.Certificate{f.Certificate}},
	}
}

func post(f *samltest.Forger, r samltest.Response) string {
	return samltest.Post(samltest.Text(f.Element(r)))
}

func TestHonestResponses(t *testing.T) {
	t.Parallel()
	f, k := samltest.New(t), key(t)
	sp := provider(f, key(t), k) // the older of our keys still decrypts
	for name, change := range map[string]func(*samltest.Response){
		"signed assertion":    func(*samltest.Response) {},
		"signed response":     func(r *samltest.Response) { r.SignAssertion, r.SignResponse = false, true },
		"both signed":         func(r *samltest.Response) { r.SignResponse = true },
		"encrypted":           func(r *samltest.Response) { r.EncryptTo = k.Certificate },
		"encrypted in signed": func(r *samltest.Response) { r.EncryptTo, r.SignAssertion, r.SignResponse = k.Certificate, false, true },
		"no destination":      func(r *samltest.Response) { r.Destination = "" },
		"two factors":         func(r *samltest.Response) { r.Assertion.Context = "https://refeds.org/profile/mfa" },
	} {
		honest := f.Honest(entityID, acsURL, "id-1")
		change(&honest)
		r, err := sp.Finish(post(f, honest))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if r.NameID != "ada" || r.InResponseTo != "id-1" || r.AssertionID != honest.Assertion.ID || r.Attributes["email"][0] != "ada@example.com" || r.MFA != (name == "two factors") {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestKeyRolloverOfTheIdentityProvider(t *testing.T) {
	t.Parallel()
	old, next := samltest.New(t), samltest.New(t)
	idp, err := ParseMetadata([]byte(old.Metadata(next.Certificate)), time.Now())
	if err != nil || len(idp.Certificates) != 2 || idp.SSOURL != old.SSOURL {
		t.Fatalf("%+v, %v", idp, err)
	}
	sp := provider(old)
	sp.IdP = idp
	for _, signer := range []*samltest.Forger{old, next} {
		for _, signer.NoKeyInfo = range []bool{false, true} {
			if _, err := sp.Finish(post(signer, signer.Honest(entityID, acsURL, "id-1"))); err != nil {
				t.Errorf("certificate named: %v: %v", !signer.NoKeyInfo, err)
			}
		}
	}
	sp.IdP.Certificates = sp.IdP.Certificates[1:]
	if _, err := sp.Finish(post(old, old.Honest(entityID, acsURL, "id-1"))); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("a certificate that was taken away: %v", err)
	}
}

func TestRobustness31SignatureWrapping(t *testing.T) {
	t.Parallel()
	f := samltest.New(t)
	sp := provider(f)
	for variant := 1; variant <= 8; variant++ {
		honest := f.Honest(entityID, acsURL, "id-1")
		honest.SignResponse, honest.SignAssertion = variant <= 2, variant > 2
		el := f.Element(honest)
		if _, err := sp.Finish(samltest.Post(samltest.Text(el))); err != nil {
			t.Fatalf("the honest response before wrapping %d: %v", variant, err)
		}
		wrapped := samltest.Text(samltest.XSW(variant, el, "admin"))
		if !strings.Contains(wrapped, ">admin<") || !strings.Contains(wrapped, ">ada<") {
			t.Fatalf("variant %d is no wrapping: %s", variant, wrapped)
		}
		if r, err := sp.Finish(samltest.Post(wrapped)); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("variant %d: %+v, %v", variant, r, err)
		}
	}
}

func TestRobustness31ForgedResponses(t *testing.T) {
	t.Parallel()
	f, k, stranger := samltest.New(t), key(t), samltest.New(t)
	sp := provider(f, k)
	for name, change := range map[string]func(*samltest.Response){
		"unsigned":               func(r *samltest.Response) { r.SignAssertion = false },
		"encrypted, unsigned":    func(r *samltest.Response) { r.SignAssertion, r.EncryptTo = false, k.Certificate },
		"encrypted to another":   func(r *samltest.Response) { r.EncryptTo = stranger.Certificate },
		"audience":               func(r *samltest.Response) { r.Assertion.Audience = "https://other.example.com" },
		"no audience":            func(r *samltest.Response) { r.Assertion.NoAudience = true },
		"no conditions":          func(r *samltest.Response) { r.Assertion.NoConditions = true },
		"recipient":              func(r *samltest.Response) { r.Assertion.Recipient = "https://other.example.com/acs" },
		"destination":            func(r *samltest.Response) { r.Destination = "https://other.example.com/acs" },
		"signed, no destination": func(r *samltest.Response) { r.Destination, r.SignResponse = "", true },
		"issuer":                 func(r *samltest.Response) { r.Assertion.Issuer = "https://evil.example" },
		"response's issuer":      func(r *samltest.Response) { r.Issuer = "https://evil.example" },
		"no subject":             func(r *samltest.Response) { r.Assertion.NoSubject = true },
		"no confirmation":        func(r *samltest.Response) { r.Assertion.NoConfirmation = true },
		"not bearer":             func(r *samltest.Response) { r.Assertion.Method = "urn:oasis:names:tc:SAML:2.0:cm:sender-vouches" },
		"nobody":                 func(r *samltest.Response) { r.Assertion.NameID = " " },
		"other request":          func(r *samltest.Response) { r.InResponseTo = "id-2" },
		"old":                    func(r *samltest.Response) { r.IssueInstant = time.Now().Add(-time.Hour) },
		"old assertion":          func(r *samltest.Response) { r.Assertion.IssueInstant = time.Now().Add(-time.Hour) },
		"expired":                func(r *samltest.Response) { r.Assertion.NotOnOrAfter = time.Now().Add(-time.Hour) },
		"confirmation expired":   func(r *samltest.Response) { r.Assertion.Confirmed = time.Now().Add(-time.Hour) },
		"confirmed for ever":     func(r *samltest.Response) { r.Assertion.Confirmed = time.Now().AddDate(1, 0, 0) },
		"not yet":                func(r *samltest.Response) { r.Assertion.NotBefore = time.Now().Add(time.Hour) },
		"same id twice":          func(r *samltest.Response) { r.Assertion.ID = r.ID },
	} {
		honest := f.Honest(entityID, acsURL, "id-1")
		change(&honest)
		if r, err := sp.Finish(post(f, honest)); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	if r, err := sp.Finish(post(stranger, f.Honest(entityID, acsURL, "id-1"))); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("signed by a stranger with its certificate inside: %+v, %v", r, err)
	}
	f.Method = dsig.RSASHA1SignatureMethod
	if r, err := sp.Finish(post(f, f.Honest(entityID, acsURL, "id-1"))); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("SHA-1: %+v, %v", r, err)
	}
}

func TestRobustness31TextThatIsNoMessage(t *testing.T) {
	t.Parallel()
	f := samltest.New(t)
	sp := provider(f)
	honest := f.Honest(entityID, acsURL, "id-1")
	honest.Assertion.NameID = "ada.evil"
	text := samltest.Text(f.Element(honest))
	for name, bad := range map[string]string{
		"changed":     strings.Replace(text, ">ada.evil<", ">admin<", 1),
		"attribute":   strings.Replace(text, ">engineers<", ">administrators<", 1),
		"DTD":         `<!DOCTYPE x [<!ENTITY e "ada">]>` + text,
		"XXE":         `<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>` + strings.Replace(text, ">ada.evil<", ">&e;<", 1),
		"laughs":      `<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>` + text,
		"comment":     strings.Replace(text, ">ada.evil<", ">ada<!-- the signature still holds -->.evil<", 1),
		"entity":      strings.Replace(text, ">ada.evil<", ">ada<![CDATA[]]><!---->.evil<", 1),
		"instruction": strings.Replace(text, "<saml:Subject>", "<?x y?><saml:Subject>", 1),
		"two roots":   text + text,
		"stylesheet":  `<?xml-stylesheet href="https://evil.example/"?>` + text,
		"namespace":   strings.ReplaceAll(text, "SAML:2.0:protocol", "SAML:1.1:protocol"),
		"request":     `<samlp:AuthnRequest xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" ID="_1"/>`,
		"deep":        strings.Repeat("<a>", 100) + strings.Repeat("</a>", 100),
		"wide":        "<a>" + strings.Repeat("<b/>", maxElements) + "</a>",
		"empty":       "",
		"no XML":      "SAMLResponse",
		"large":       strings.Replace(text, "Ada Lovelace", strings.Repeat("x", maxResponse), 1),
	} {
		if r, err := sp.Finish(samltest.Post(bad)); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	if _, err := sp.Finish("not base64!"); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("no base64: %v", err)
	}
	if _, err := sp.Finish(samltest.Post(text)); err != nil {
		t.Errorf("the honest text: %v", err)
	}
}

func TestRequirementsAreHeld(t *testing.T) {
	t.Parallel()
	f, k := samltest.New(t), key(t)
	sp := provider(f, k)
	sp.RequireEncrypted, sp.RequireSignedAssertion = true, true
	for name, c := range map[string]struct {
		change func(*samltest.Response)
		ok     bool
	}{
		"clear":                 {func(*samltest.Response) {}, false},
		"encrypted":             {func(r *samltest.Response) { r.EncryptTo = k.Certificate }, true},
		"encrypted, one around": {func(r *samltest.Response) { r.EncryptTo, r.SignAssertion, r.SignResponse = k.Certificate, false, true }, false},
	} {
		honest := f.Honest(entityID, acsURL, "id-1")
		c.change(&honest)
		if _, err := sp.Finish(post(f, honest)); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAProviderThatSaysNo(t *testing.T) {
	t.Parallel()
	f := samltest.New(t)
	r := f.Honest(entityID, acsURL, "id-1")
	r.Status = "urn:oasis:names:tc:SAML:2.0:status:AuthnFailed"
	if _, err := provider(f).Finish(post(f, r)); !fault.Is(err, fault.Forbidden) || !strings.Contains(fault.Message(err), "AuthnFailed") {
		t.Errorf("got %v", err)
	}
}

func TestRequestsAreSigned(t *testing.T) {
	t.Parallel()
	f, k := samltest.New(t), key(t)
	sp := provider(f, k)
	sp.SignRequests = true
	at, id, err := sp.Start("state", true)
	if err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse(at)
	signed, signature, _ := strings.Cut(u.RawQuery, "&Signature=")
	raw, _ := url.QueryUnescape(signature)
	sum, err := base64.StdEncoding.DecodeString(raw)
	if err != nil || k.Certificate.CheckSignature(x509.SHA256WithRSA, []byte(signed), sum) != nil {
		t.Errorf("the request is not signed: %s", at)
	}
	deflated, _ := base64.StdEncoding.DecodeString(u.Query().Get("SAMLRequest"))
	text, _ := io.ReadAll(flate.NewReader(strings.NewReader(string(deflated))))
	for _, want := range []string{`ID="` + id + `"`, `ForceAuthn="true"`, acsURL, entityID, f.SSOURL} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
	if u.Query().Get("RelayState") != "state" {
		t.Error("the relay state is lost")
	}
}

func TestMetadataThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	f := samltest.New(t)
	text := f.Metadata()
	many := `<EntitiesDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata">` + strings.Repeat(strings.TrimPrefix(text, `<?xml version="1.0"?>`), 2) + `</EntitiesDescriptor>`
	for name, bad := range map[string]string{
		"empty": "", "html": "<html><body>sign in</body></html>", "DTD": `<!DOCTYPE x>` + text, "two": many,
		"large":       text + strings.Repeat(" ", maxMetadata),
		"old":         strings.Replace(text, "entityID=", `validUntil="2020-01-01T00:00:00Z" entityID=`, 1),
		"plain":       strings.ReplaceAll(text, `Location="https:`, `Location="http:`),
		"no redirect": strings.ReplaceAll(text, "HTTP-Redirect", "SOAP"),
		"no keys":     strings.ReplaceAll(text, `use="signing"`, `use="encryption"`),
		"script":      strings.ReplaceAll(text, `Location="https:`, `Location="javascript:`),
	} {
		if idp, err := ParseMetadata([]byte(bad), time.Now()); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %+v, %v", name, idp, err)
		}
	}
	for _, bad := range []string{"", "x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", f.PEM() + f.PEM()} {
		if _, err := ParseCertificates([]string{bad}); !fault.Is(err, fault.Invalid) {
			t.Errorf("certificate %q: %v", bad, err)
		}
	}
}

// TestRealIdentityProvider signs in at crewjam's samlidp through its page; it
// encrypts to the key in our metadata.
func TestRealIdentityProvider(t *testing.T) {
	t.Parallel()
	server := samltest.Server(t, entityID)
	client := server.Client()
	client.Jar, _ = cookiejar.New(nil)
	idp, err := ParseMetadata([]byte(fetch(t, client, server.URL+"/metadata")), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	sp := &ServiceProvider{EntityID: entityID, ACSURL: acsURL, IdP: idp, Keys: []Key{key(t)}, RequireEncrypted: true}
	metadata, err := sp.Metadata()
	if err != nil {
		t.Fatal(err)
	}
	put(t, client, server.URL+"/services/nimbus", string(metadata))
	at, id, err := sp.Start("state", false)
	if err != nil {
		t.Fatal(err)
	}
	form := formIn(t, fetch(t, client, at))
	form.Set("user", "ada")
	form.Set("password", "verysecure")
	send(t, client, server.URL+"/login", form)
	answer := formIn(t, fetch(t, client, at))
	r, err := sp.Finish(answer.Get("SAMLResponse"))
	if err != nil {
		t.Fatal(err)
	}
	if r.InResponseTo != id || r.NameID != "ada@example.com" || !r.Transient || r.Attributes["uid"][0] != "ada" || r.Attributes["eduPersonAffiliation"][0] != "engineers" {
		t.Errorf("got %+v", r)
	}
	if answer.Get("RelayState") != "state" {
		t.Errorf("relay state %q", answer.Get("RelayState"))
	}
	unsolicited, err := sp.Finish(formIn(t, fetch(t, client, server.URL+"/login/nimbus")).Get("SAMLResponse"))
	if err != nil || unsolicited.InResponseTo != "" {
		t.Errorf("an unsolicited response: %+v, %v", unsolicited, err)
	}
}

func fetch(t *testing.T, c *http.Client, at string) string {
	t.Helper()
	res, err := c.Get(at)
	return body(t, res, err)
}

func send(t *testing.T, c *http.Client, at string, form url.Values) string {
	t.Helper()
	res, err := c.PostForm(at, form)
	return body(t, res, err)
}

func put(t *testing.T, c *http.Client, at, text string) {
	t.Helper()
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodPut, at, strings.NewReader(text))
	res, err := c.Do(req)
	body(t, res, err)
}

func body(t *testing.T, res *http.Response, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode >= 300 {
		t.Fatalf("%s: %s, %v", res.Status, text, err)
	}
	return string(text)
}

var input = regexp.MustCompile(`name="([^"]+)"[^>]*value="([^"]*)"`)

// formIn reads the hidden fields of a page.
func formIn(t *testing.T, page string) url.Values {
	t.Helper()
	form := url.Values{}
	for _, m := range input.FindAllStringSubmatch(page, -1) {
		form.Set(m[1], html.UnescapeString(m[2]))
	}
	if len(form) == 0 {
		t.Fatalf("no form in %s", page)
	}
	return form
}
