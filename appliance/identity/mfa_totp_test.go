package identity

import (
	"encoding/xml"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"nimbus/appliance/id"
)

// rfc6238 is the secret of the RFC's appendix B.
const rfc6238 = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"

func TestTOTPFollowsRFC6238(t *testing.T) {
	t.Parallel()
	for at, code := range map[int64]string{
		59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130",
	} {
		step, ok := matchStep(rfc6238, code, time.Unix(at, 0), 0)
		if !ok || step != at/30 {
			t.Errorf("at %d the code %s gives %d %v", at, code, step, ok)
		}
	}
}

func TestTOTPWindowAndReplay(t *testing.T) {
	t.Parallel()
	const code, step = "050471", int64(1111111111 / 30)
	at := func(steps int64) time.Time { return time.Unix((step+steps)*30+7, 0) }
	for name, c := range map[string]struct {
		code string
		now  time.Time
		last int64
		ok   bool
	}{
		"on time":                       {code, at(0), 0, true},
		"with a space":                  {"050 471", at(0), 0, true},
		"one step late":                 {code, at(1), 0, true},
		"one step early":                {code, at(-1), 0, true},
		"two steps late":                {code, at(2), 0, false},
		"two steps early":               {code, at(-2), 0, false},
		"after one before it":           {code, at(0), step - 1, true},
		"a second time":                 {code, at(0), step, false},
		"a second time, clock set back": {code, at(-1), step, false},
		"after a later one":             {code, at(0), step + 1, false},
		"wrong":                         {"050472", at(0), 0, false},
		"empty":                         {"", at(0), 0, false},
		"eight digits":                  {"14050471", at(0), 0, false},
	} {
		if got, ok := matchStep(rfc6238, c.code, c.now, c.last); ok != c.ok || ok && got != step {
			t.Errorf("%s: step %d %v", name, got, ok)
		}
	}
}

func TestTOTPSecretAndURI(t *testing.T) {
	t.Parallel()
	first, second := newTOTPSecret(), newTOTPSecret()
	if len(first) != 32 || first == second {
		t.Errorf("secrets %s %s", first, second)
	}
	u, err := url.Parse(totpURI("Nimbus lab:1", "ann+x@example.org", first))
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	if u.Scheme != "otpauth" || u.Host != "totp" || u.Path != "/Nimbus lab 1:ann+x@example.org" || q.Get("secret") != first || q.Get("issuer") != "Nimbus lab 1" {
		t.Errorf("URI %s", u)
	}
	if q.Get("digits") != "6" || q.Get("period") != "30" || q.Get("algorithm") != "SHA1" {
		t.Errorf("parameters %v", q)
	}
}

// TestQRCodeIsDrawn compares the path's area with the modules: a QR code of
// version n has 17+4n modules, and its three finders are 33 dark modules each.
func TestQRCodeIsDrawn(t *testing.T) {
	t.Parallel()
	svg, err := qrSVG(totpURI("Nimbus", "ann@example.org", rfc6238))
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		ViewBox string `xml:"viewBox,attr"`
		Paths   []struct {
			D string `xml:"d,attr"`
		} `xml:"path"`
	}
	if err := xml.Unmarshal([]byte(svg), &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Paths) != 2 || !regexp.MustCompile(`^0 0 (\d+) (\d+)$`).MatchString(doc.ViewBox) {
		t.Fatalf("svg %s", svg)
	}
	// The first row of the top left finder and of the top right one.
	if rows := strings.Count(doc.Paths[1].D, " 4h7v1h-7z"); rows != 2 || !strings.HasPrefix(doc.Paths[1].D, "M4 4h7v1h-7z") {
		t.Errorf("%d finders in the first row of %s", rows, doc.Paths[1].D)
	}
	if len(svg) > 40_000 {
		t.Errorf("the picture has %d bytes", len(svg))
	}
}

func TestRecoveryCodes(t *testing.T) {
	t.Parallel()
	ann, bob := id.New(), id.New()
	form := regexp.MustCompile(`^([0-9a-hjkmnp-tv-z]{4}-){3}[0-9a-hjkmnp-tv-z]{4}$`)
	seen := map[string]bool{}
	for _, code := range newRecoveryCodes() {
		if !form.MatchString(code) || seen[code] {
			t.Errorf("code %q", code)
		}
		seen[code] = true
		written := " " + strings.NewReplacer("-", " ", "0", "O", "1", "l").Replace(strings.ToUpper(code))
		if string(hashRecoveryCode(ann, code)) != string(hashRecoveryCode(ann, written)) {
			t.Errorf("%q does not read as %q", written, code)
		}
		if string(hashRecoveryCode(ann, code)) == string(hashRecoveryCode(bob, code)) {
			t.Error("two people with one code have one hash")
		}
	}
	if len(seen) != 10 {
		t.Errorf("%d codes", len(seen))
	}
}

func TestOnlyTheConfiguredAddressIsARelyingParty(t *testing.T) {
	t.Parallel()
	rp, err := relyingParty("https://lab.example.org:8443")
	if err != nil || rp.Config.RPID != "lab.example.org" || len(rp.Config.RPOrigins) != 1 || rp.Config.RPOrigins[0] != "https://lab.example.org:8443" {
		t.Fatalf("%+v %v", rp, err)
	}
	for _, address := range []string{"", "https://192.0.2.7:8443", "https://[2001:db8::1]:8443", "http://lab.example.org", "lab.example.org"} {
		if _, err := relyingParty(address); err == nil {
			t.Errorf("%q is a relying party", address)
		}
	}
}

func TestWhatALimitedSessionMayCall(t *testing.T) {
	t.Parallel()
	for path, may := range map[string]bool{
		"/v1/session": true, "/v1/session/tenant": true, "/v1/session/reauthenticate": true, "/v1/mfa": true, "/v1/mfa/totp/confirm": true,
		"/v1/sessions": false, "/v1/mfas": false, "/v1/users": false, "/v1/tokens": false, "/v1/sessionx/y": false, "/socket.io/": false, "/": false,
	} {
		if MayBeLimited(path) != may {
			t.Errorf("%s: %v", path, !may)
		}
	}
}

func TestFreshness(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	for age, want := range map[time.Duration]bool{0: true, 10 * time.Minute: true, 10*time.Minute + 1: false, -30 * time.Second: true, -31 * time.Second: false, -time.Hour: false} {
		if fresh(noon.Add(-age), noon, 10*time.Minute) != want {
			t.Errorf("a proof %s old: %v", age, !want)
		}
	}
}

func TestGuessingFromManyAddressesWaits(t *testing.T) {
	t.Parallel()
	now := time.Now()
	g := newThrottle()
	g.now = func() time.Time { return now }
	for range guessesOfOthers {
		if g.tally("ann", 1) > 0 {
			t.Fatal("it waits too early")
		}
	}
	if g.tally("ann", 1) <= 0 || g.tally("bob", 1) > 0 {
		t.Error("ann does not wait, or bob does")
	}
	now = now.Add(-time.Hour)
	if g.tally("ann", 1) <= 0 {
		t.Error("a clock set back forgets the guesses")
	}
	now = now.Add(time.Hour)
	g.tally("ann", -1)
	if g.tally("ann", 1) > 0 {
		t.Error("a right one is not taken back")
	}
	now = now.Add(maxWait + time.Second)
	if g.tally("ann", 1) > 0 {
		t.Error("it waits for ever")
	}
}
