package web

import (
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"nimbus/appliance/fault"
)

func outbound(ranges ...string) *Outbound {
	allowed, err := ParseRanges(ranges)
	if err != nil {
		panic(err)
	}
	return &Outbound{Allowed: func() []netip.Prefix { return allowed }}
}

func authority(s *httptest.Server) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
}

func get(t *testing.T, o *Outbound, s *httptest.Server, url string) (string, error) {
	t.Helper()
	c, err := o.Client(authority(s))
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Get(url)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return string(body), err
}

func TestRobustness39OutboundChecksTheDialledAddress(t *testing.T) {
	t.Parallel()
	o := outbound("192.168.1.0/24", "169.254.0.0/16", "fd00::/8")
	for address, ok := range map[string]bool{
		"93.184.216.34:443": true, "[2606:4700::1111]:443": true,
		"192.168.1.5:443": true, "[::ffff:192.168.1.5]:443": true, "[fd00::7]:443": true,
		"192.168.2.5:443": false, "10.0.0.1:443": false, "172.16.0.1:443": false, "100.64.0.1:443": false,
		"127.0.0.1:443": false, "[::1]:443": false, "[::ffff:127.0.0.1]:443": false, "0.0.0.0:443": false, "[::]:443": false,
		"[::127.0.0.1]:443": false, "[64:ff9b::7f00:1]:443": false, "[2002:7f00:1::]:443": false, "[fec0::1]:443": false,
		"[fe80::1%eth0]:443": false, "224.0.0.1:443": false, "255.255.255.255:443": false,
		"169.254.169.254:80": false, "[::ffff:169.254.169.254]:80": false, "[fd00:ec2::254]:80": false,
	} {
		if err := o.check(address); (err == nil) != ok {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestRobustness39OutboundReachesNoLoopbackByAnyName(t *testing.T) {
	t.Parallel()
	reached := false
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer s.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(s.URL, "https://"), ":")
	for _, host := range []string{"127.0.0.1", "localhost", "2130706433", "0x7f000001", "127.1", "[::ffff:127.0.0.1]"} {
		if _, err := get(t, outbound(), s, "https://"+host+":"+port); err == nil || reached {
			t.Errorf("%s was reached", host)
		}
	}
	_, err := get(t, outbound(), s, s.URL)
	if m := OutboundProblem(err); !strings.Contains(m, "127.0.0.1 is not a public address") {
		t.Errorf("the person is told %q for %v", m, err)
	}
	if _, err := get(t, outbound("127.0.0.0/8"), s, s.URL); err != nil || !reached {
		t.Errorf("an allowed range is not reached: %v", err)
	}
}

func TestRobustness39OutboundFollowsNoDowngradeAndNoPost(t *testing.T) {
	t.Parallel()
	reached := 0
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached++ }))
	defer plain.Close()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/plain":
			http.Redirect(w, r, plain.URL, http.StatusTemporaryRedirect)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/once":
			http.Redirect(w, r, "/end", http.StatusTemporaryRedirect)
		case "/end":
			reached++
		}
	}))
	defer s.Close()
	o := outbound("127.0.0.0/8")
	for _, path := range []string{"/plain", "/loop"} {
		if _, err := get(t, o, s, s.URL+path); err == nil || !strings.Contains(OutboundProblem(err), "redirects") {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := get(t, o, s, plain.URL); err == nil || !strings.Contains(OutboundProblem(err), "https://") {
		t.Errorf("plain http: %v", err)
	}
	c, _ := o.Client(authority(s))
	if _, err := c.Post(s.URL+"/once", "text/plain", strings.NewReader("secret")); err == nil {
		t.Error("a posted secret was sent on")
	}
	if reached != 0 {
		t.Fatalf("reached %d times", reached)
	}
	if _, err := get(t, o, s, s.URL+"/once"); err != nil || reached != 1 {
		t.Errorf("one redirect of a read: %v", err)
	}
}

func TestOutboundAnswersAreBounded(t *testing.T) {
	t.Parallel()
	size := outboundBody
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("x", size))
	}))
	defer s.Close()
	o := outbound("127.0.0.0/8")
	if body, err := get(t, o, s, s.URL); err != nil || len(body) != size {
		t.Errorf("the largest answer: %d bytes, %v", len(body), err)
	}
	size++
	if _, err := get(t, o, s, s.URL); err == nil || !strings.Contains(OutboundProblem(err), "larger") {
		t.Errorf("a larger answer: %v", err)
	}
}

func TestOutboundTrustsWhatIsGivenOnly(t *testing.T) {
	t.Parallel()
	s := httptest.NewTLSServer(http.NotFoundHandler())
	defer s.Close()
	c, err := outbound("127.0.0.0/8").Client("")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get(s.URL); err == nil || !strings.Contains(OutboundProblem(err), "authority") {
		t.Errorf("an unknown authority: %v", err)
	}
	if _, err := outbound().Client("no certificate"); !fault.Is(err, fault.Invalid) {
		t.Errorf("text without a certificate: %v", err)
	}
	for _, bad := range []string{"0.0.0.0/0", "::/0", "192.168.1.1", "x", "::ffff:10.0.0.0/104"} {
		if _, err := ParseRanges([]string{bad}); !fault.Is(err, fault.Invalid) {
			t.Errorf("range %q: %v", bad, err)
		}
	}
}
