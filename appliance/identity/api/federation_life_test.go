package api_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"nimbus/appliance/identity/oidc/oidctest"
	"nimbus/appliance/identity/saml/samltest"
)

func TestBackChannelLogout(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i := oidctest.New(t)
	p := b.issuer(i.Server, nil)
	logout := func(token string) int {
		_, res := b.browser().submit(b.server.URL+"/v1/session/oidc/"+p.ID+"/backchannel-logout", url.Values{"logout_token": {token}})
		return res.StatusCode
	}
	first, second := b.browser(), b.browser()
	first.come(p)
	i.Person(oidctest.Claims{"sub": "bob", "email": "bob@example.com"})
	second.come(p)
	h, claims := i.LogoutToken()
	if status := logout(oidctest.Unsigned(h, claims) + "."); status != http.StatusBadRequest {
		t.Errorf("an unsigned logout token: %d", status)
	}
	if _, ok := first.me(); !ok {
		t.Fatal("a forged logout ended a session")
	}
	token := i.Sign(h, claims)
	if status := logout(token); status != http.StatusOK {
		t.Fatalf("an honest logout token: %d", status)
	}
	if _, ok := first.me(); ok {
		t.Error("the session of the logout token goes on")
	}
	if _, ok := second.me(); !ok {
		t.Error("somebody else's session ended")
	}
	if status := logout(token); status != http.StatusBadRequest {
		t.Errorf("a logout token used twice: %d", status)
	}
	h, claims = i.LogoutToken()
	claims["sub"] = "bob"
	delete(claims, "sid")
	if status := logout(i.Sign(h, claims)); status != http.StatusOK {
		t.Errorf("by subject: %d", status)
	}
	if _, ok := second.me(); ok {
		t.Error("the subject's session goes on")
	}
	if b.audited(b.home, "identity.session.ended-by-provider") != 2 {
		t.Error("logouts are not recorded")
	}
}

func TestRefreshEndsWhatIsOverAtTheIssuer(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i := oidctest.New(t)
	p := b.issuer(i.Server, func(in body) {
		in["mapping"] = []body{{"claim": "groups", "value": "engineers", "role_id": b.role("Operator")}}
	})
	c := b.browser()
	c.come(p)
	me, _ := c.me()
	due := func() {
		b.exec(`update core.federated_session set refresh_at = now()`)
		b.must(b.federation.Refresh(t.Context()))
	}
	before := i.Requests()
	b.must(b.federation.Refresh(t.Context()))
	if i.Requests() != before {
		t.Error("a session was refreshed before its time")
	}
	i.Person(oidctest.Claims{"groups": []string{"sales"}})
	due()
	if got := b.roles(me.User.ID); got != "" {
		t.Errorf("after a refresh without the claim's value: %s", got)
	}
	i.Set(oidctest.Hooks{Refresh: func(w http.ResponseWriter) bool { w.WriteHeader(http.StatusBadGateway); return true }})
	due()
	if _, ok := c.me(); !ok {
		t.Error("an issuer that is down ended a session")
	}
	i.Set(oidctest.Hooks{Refresh: func(w http.ResponseWriter) bool { oidctest.Refuse(w); return true }})
	due()
	if _, ok := c.me(); ok {
		t.Error("a session that is over at the issuer goes on")
	}
}

func TestStepUpAtTheProvider(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i := oidctest.New(t)
	p := b.issuer(i.Server, nil)
	c := b.browser()
	c.come(p)
	old := func() {
		b.exec(`update core.session set authenticated_at = now() - interval '1 hour' where provider_id is not null`)
	}
	fresh := func() bool {
		return value[bool](b, `select authenticated_at > now() - interval '1 minute' from core.session where provider_id is not null`)
	}
	old()
	var how struct {
		Methods  []string
		Redirect string
	}
	c.call(http.MethodGet, "/v1/session/reauthenticate", nil, http.StatusOK, &how)
	if strings.Join(how.Methods, ",") != "oidc" || how.Redirect != p.start("")+"?reauthenticate=true" {
		t.Errorf("how: %+v", how)
	}
	end, _ := c.visit(how.Redirect + "&return_to=/stacks")
	if end.Path != "/stacks" || !fresh() {
		t.Errorf("ended at %s, fresh %v", end, fresh())
	}
	for range 2 * 5 { // proofs that succeed make nobody wait
		if end, _ := c.visit(how.Redirect + "&return_to=/stacks"); end.Path != "/stacks" {
			t.Fatalf("proving again and again ends at %s", end)
		}
	}
	old()
	i.Set(oidctest.Hooks{Token: func(_, c oidctest.Claims) { c["auth_time"] = time.Now().Add(-time.Hour).Unix() }})
	if end, _ := c.visit(p.start("/stacks") + "&reauthenticate=true"); end.Query().Get("error") == "" || fresh() {
		t.Errorf("an old proof at the issuer counts: %s", end)
	}
	i.Set(oidctest.Hooks{})
	i.Person(oidctest.Claims{"sub": "bob", "email": "bob@example.com"})
	b.browser().come(p)
	b.exec(`delete from core.session where user_id = (select id from core.account where email = 'bob@example.com')`)
	if end, _ := c.visit(p.start("/stacks") + "&reauthenticate=true"); end.Query().Get("error") != "not_allowed" || fresh() {
		t.Errorf("somebody else's proof counts: %s", end)
	}
	if end, _ := b.browser().visit(p.start("/stacks") + "&reauthenticate=true"); end.Query().Get("error") == "" {
		t.Errorf("a step-up without a session: %s", end)
	}
}

func TestKeysAreChanged(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := samltest.New(t)
	p := b.forged(f, func(in body) { in["saml"].(body)["require_encrypted"] = true })
	_, before := b.browser().visit("/v1/session/saml/" + p.ID + "/metadata")
	old := samltest.EncryptionCertificates(t, before)
	b.admin.call(http.MethodPost, p.path()+"/rotate-key", nil, http.StatusOK, nil)
	_, after := b.browser().visit("/v1/session/saml/" + p.ID + "/metadata")
	all := samltest.EncryptionCertificates(t, after)
	if len(old) != 1 || len(all) != 2 || !all[1].Equal(old[0]) {
		t.Fatalf("%d keys before, %d after", len(old), len(all))
	}
	for _, k := range all {
		c := b.browser()
		r := f.Honest(p.SAML.SPEntityID, p.SAML.ACSURL, c.ask(p, "/stacks"))
		r.EncryptTo = k
		if to := c.answer(p, samltest.Text(f.Element(r)), ""); to != "/stacks" {
			t.Errorf("encrypted to one of our keys: %s", to)
		}
	}
	next := samltest.New(t)
	next.EntityID = f.EntityID
	b.admin.call(http.MethodPatch, p.path(), body{"saml": body{"metadata_xml": f.Metadata(next.Certificate)}}, http.StatusOK, nil)
	c := b.browser()
	r := next.Honest(p.SAML.SPEntityID, p.SAML.ACSURL, c.ask(p, "/stacks"))
	r.EncryptTo = all[0]
	if to := c.answer(p, samltest.Text(next.Element(r)), ""); to != "/stacks" {
		t.Errorf("signed by the identity provider's next key: %s", to)
	}
}

// TestMetadataAreFetchedAgain lets an identity provider change its key, and
// somebody else take its address.
func TestMetadataAreFetchedAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f, next, stranger := samltest.New(t), samltest.New(t), samltest.New(t)
	next.EntityID, stranger.EntityID = f.EntityID, "https://stranger.example"
	served := f.Metadata()
	site := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, served) }))
	defer site.Close()
	p := b.forged(f, func(in body) { in["saml"] = body{"metadata_url": site.URL, "ca_pem": oidctest.CA(site)} })
	try := func(by *samltest.Forger) string {
		c := b.browser()
		return c.answer(p, samltest.Text(by.Element(by.Honest(p.SAML.SPEntityID, p.SAML.ACSURL, c.ask(p, "/stacks")))), "")
	}
	if to := try(next); to != "/sign-in?error=invalid" {
		t.Errorf("a key that is not known yet: %s", to)
	}
	served = f.Metadata(next.Certificate)
	b.must(b.federation.RefreshMetadata(t.Context()))
	for _, by := range []*samltest.Forger{f, next} {
		if to := try(by); to != "/stacks" {
			t.Errorf("one of both keys: %s", to)
		}
	}
	served = stranger.Metadata()
	b.must(b.federation.RefreshMetadata(t.Context()))
	if to := try(stranger); to != "/sign-in?error=invalid" {
		t.Errorf("a stranger at the address: %s", to)
	}
	var shown provider
	b.admin.call(http.MethodGet, p.path(), nil, http.StatusOK, &shown)
	if shown.Status.OK || !strings.Contains(shown.Status.Message, "another identity provider") {
		t.Errorf("status %+v", shown.Status)
	}
}

// TestSecondFactorAfterTheProvider asks people who have a factor here for it,
// whatever the provider asked.
func TestSecondFactorAfterTheProvider(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i := oidctest.New(t)
	p := b.issuer(i.Server, nil)
	c := b.browser()
	c.come(p)
	var begun struct{ Secret string }
	c.call(http.MethodPost, "/v1/mfa/totp", nil, http.StatusOK, &begun)
	code, err := totp.GenerateCode(begun.Secret, time.Now())
	b.must(err)
	var confirmed struct {
		RecoveryCodes []string `json:"recovery_codes"`
	}
	c.call(http.MethodPost, "/v1/mfa/totp/confirm", body{"code": code}, http.StatusOK, &confirmed)

	again := b.browser()
	end, _ := again.visit(p.start("/stacks"))
	token, ok := strings.CutPrefix(end.Fragment, "second_factor=")
	if !ok || end.Path != "/sign-in" || end.Query().Get("return_to") != "/stacks" {
		t.Fatalf("ended at %s", end)
	}
	if _, ok := again.me(); ok {
		t.Fatal("signed in without the second factor")
	}
	again.call(http.MethodPost, "/v1/session/second-factor", body{"token": token, "recovery_code": confirmed.RecoveryCodes[0]}, http.StatusCreated, nil)
	if _, ok := again.me(); !ok {
		t.Fatal("not signed in with the second factor")
	}
	if n := value[int](b, `select count(*) from core.federated_session f join core.session s on s.id = f.session_id where s.mfa and f.provider_id = $1`, p.ID); n != 2 {
		t.Errorf("%d sessions belong to the provider: the one that enrolled and the one after the second factor are two", n)
	}
	end, _ = b.browser().visit(p.start("/stacks"))
	b.admin.call(http.MethodPatch, p.path(), body{"enabled": false}, http.StatusOK, nil)
	if n := value[int](b, `select count(*) from core.mfa_ceremony where kind = 'second_factor'`); n != 0 || end.Fragment == "" {
		t.Errorf("%d sign-ins of a provider that is out of use wait for their second factor", n)
	}
	b.admin.call(http.MethodPatch, p.path(), body{"enabled": true}, http.StatusOK, nil)
	b.admin.call(http.MethodPatch, p.path(), body{"trust_mfa": true}, http.StatusOK, nil)
	i.Person(oidctest.Claims{"amr": []string{"mfa"}})
	trusted := b.browser()
	if to := trusted.come(p); to != "/stacks" {
		t.Errorf("a second factor at a provider that is trusted with it: %s", to)
	}
}
