package firstrun

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // machines without the package tzdata know the zones too
	"unicode"
	"unicode/utf8"

	"nimbus/appliance/fault"
)

// Appliance is the answer to the first step.
type Appliance struct {
	Name        string      `json:"name" yaml:"name"`
	URL         string      `json:"url" yaml:"url"`
	TimeZone    string      `json:"time_zone" yaml:"time_zone"`
	Certificate Certificate `json:"certificate" yaml:"certificate"`
}

// Certificate says what the TLS server shows. With mode own and no PEM the own
// certificate that was given before stays.
type Certificate struct {
	Mode           string `json:"mode" enum:"self_signed,own" yaml:"mode"`
	CertificatePEM string `json:"certificate_pem,omitempty" yaml:"certificate_pem"`
	KeyPEM         string `json:"key_pem,omitempty" yaml:"key_pem"`
}

// SetAppliance checks and keeps name, address, time zone and certificate. The
// certificate is in use at once. It can be done again at any time.
func (s *Setup) SetAppliance(ctx context.Context, in Appliance) (Step, error) {
	s.steps.Lock()
	defer s.steps.Unlock()
	kept, err := checkAppliance(in)
	if err != nil {
		return Step{}, err
	}
	st, err := s.load(ctx)
	if err != nil {
		return Step{}, err
	}
	if err := s.useCertificate(st, in, kept); err != nil {
		return Step{}, err
	}
	if err := s.changeAndApply(ctx, func(st *state) { st.Appliance = &kept }); err != nil {
		return Step{}, err
	}
	return state{Appliance: &kept}.applianceStep(), nil
}

func checkAppliance(in Appliance) (appliance, error) {
	name, err := checkLine("body.name", "the appliance", in.Name)
	if err != nil {
		return appliance{}, err
	}
	address, err := checkURL(in.URL)
	if err != nil {
		return appliance{}, err
	}
	if err := checkZone(in.TimeZone); err != nil {
		return appliance{}, err
	}
	if in.Certificate.Mode != modeSelfSigned && in.Certificate.Mode != modeOwn {
		return appliance{}, fault.BadField("body.certificate.mode", "The certificate is self_signed or own.")
	}
	return appliance{Name: name, URL: address, TimeZone: in.TimeZone, Certificate: in.Certificate.Mode}, nil
}

// checkLine trims a name: one line of at most 100 characters.
func checkLine(location, what, text string) (string, error) {
	text = strings.TrimSpace(text)
	if n := utf8.RuneCountInString(text); n == 0 || n > 100 || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		return "", fault.BadField(location, "Give %s a name of at most 100 characters on one line.", what)
	}
	return text, nil
}

// checkURL accepts https, a host and perhaps a port, and nothing else, and
// returns it in the one form that later comparisons are made with.
func checkURL(text string) (string, error) {
	const hint = "Enter it as https://host or https://host:8443."
	text = strings.TrimSpace(text)
	u, err := url.Parse(text)
	if err != nil || len(text) > 300 || strings.ContainsAny(text, "\\@?#") {
		return "", fault.BadField("body.url", "The address cannot be read. %s", hint)
	}
	if u.Scheme != "https" {
		return "", fault.BadField("body.url", "The address must begin with https://. %s", hint)
	}
	host := strings.ToLower(u.Hostname())
	if !validHost(host) || u.Opaque != "" || strings.Trim(u.Path, "/") != "" || !validPort(u) {
		return "", fault.BadField("body.url", "The address must hold a host and a port only. %s", hint)
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port := u.Port(); port != "" && port != "443" {
		host += ":" + port
	}
	return "https://" + host, nil
}

func validPort(u *url.URL) bool {
	if u.Port() == "" {
		return !strings.HasSuffix(u.Host, ":")
	}
	n, err := strconv.Atoi(u.Port())
	return err == nil && n > 0 && n < 65536
}

// validHost accepts addresses and names of letters, digits and hyphens.
func validHost(host string) bool {
	if net.ParseIP(host) != nil {
		return true
	}
	if host == "" || len(host) > 253 {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		odd := strings.IndexFunc(label, func(r rune) bool { return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-') })
		if label == "" || len(label) > 63 || odd >= 0 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	return true
}

// checkZone accepts names of the IANA database.
func checkZone(name string) error {
	_, err := time.LoadLocation(name)
	if err != nil || name == "" || name == "Local" {
		return fault.BadField("body.time_zone", "%q is not a time zone. Choose one such as Europe/Vienna or UTC.", name)
	}
	return nil
}

// useCertificate puts the chosen certificate into use when it is another one.
func (s *Setup) useCertificate(st state, in Appliance, kept appliance) error {
	c := in.Certificate
	wasOwn := st.Appliance != nil && st.Appliance.Certificate == modeOwn
	switch {
	case c.Mode == modeSelfSigned && wasOwn:
		return s.cfg.SetCertificate(nil, nil)
	case c.Mode == modeSelfSigned:
		return nil
	case c.CertificatePEM == "" && c.KeyPEM == "" && wasOwn:
		return nil
	}
	if err := checkCertificate(c, kept.URL, s.cfg.Now()); err != nil {
		return err
	}
	if err := s.cfg.SetCertificate([]byte(c.CertificatePEM), []byte(c.KeyPEM)); err != nil {
		return fault.Wrap(fault.Invalid, err, "The certificate cannot be used: %v", err)
	}
	return nil
}

// checkCertificate wants a pair that matches, is valid now, and is made out to
// the host of the address.
func checkCertificate(c Certificate, address string, now time.Time) error {
	const location = "body.certificate.certificate_pem"
	if c.CertificatePEM == "" || c.KeyPEM == "" {
		return fault.BadField(location, "Paste the certificate with its chain, and its key, as PEM text.")
	}
	pair, err := tls.X509KeyPair([]byte(c.CertificatePEM), []byte(c.KeyPEM))
	if err != nil {
		return fault.BadField(location, "Certificate and key do not go together: put the server's certificate first, then its chain, and a key without a passphrase.")
	}
	return checkLeaf(pair.Leaf, address, now)
}

func checkLeaf(leaf *x509.Certificate, address string, now time.Time) error {
	const location = "body.certificate.certificate_pem"
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	switch {
	case now.After(leaf.NotAfter):
		return fault.BadField(location, "The certificate expired on %s.", leaf.NotAfter.Format(time.DateOnly))
	case now.Before(leaf.NotBefore):
		return fault.BadField(location, "The certificate is valid from %s on. Check the clock of this machine.", leaf.NotBefore.Format(time.DateOnly))
	case leaf.VerifyHostname(u.Hostname()) != nil:
		return fault.BadField(location, "The certificate is not made out to %s, so browsers would refuse it there.", u.Hostname())
	}
	return nil
}
