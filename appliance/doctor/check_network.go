package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"time"
)

// Certificate looks at the certificate of the one port. automatic says that it
// is renewed by itself.
func Certificate(leaf func() *x509.Certificate, address func() string, automatic func() bool) Check {
	return Check{"certificate", Network, func(context.Context) Finding {
		return certificateFinding(leaf(), address(), automatic(), time.Now())
	}}
}

func certificateFinding(leaf *x509.Certificate, address string, automatic bool, now time.Time) Finding {
	if leaf == nil {
		return unknown("There is no certificate yet.")
	}
	left := leaf.NotAfter.Sub(now)
	const renew = "Put another certificate into use under System, Certificate, or with `nimbus certificate set`."
	f := fine(fmt.Sprintf("The certificate is valid until %s.", leaf.NotAfter.UTC().Format(time.DateOnly)))
	switch host := hostOf(address); {
	case now.Before(leaf.NotBefore):
		f = fail("The certificate is not valid yet, so the clock or the certificate is wrong.", "Look at the clock first. "+renew)
	case left <= 0:
		f = fail("The certificate has expired.", renew)
	case left < 3*24*time.Hour, left < 21*24*time.Hour && !automatic:
		f = warn(fmt.Sprintf("The certificate expires in %s.", daysText(left)), renew)
	case host != "" && leaf.VerifyHostname(host) != nil:
		f = warn(fmt.Sprintf("The certificate does not name %s, which is the address of this appliance, so browsers warn.", host),
			"Use a certificate with that name, or correct the address under System, Certificate.")
	}
	return f.with("not_after", leaf.NotAfter.UTC()).with("days_left", int(left.Hours()/24))
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// Port connects to our own port and looks whether we answer.
func Port(addr, fingerprint func() string) Check {
	return Check{"port", Network, func(ctx context.Context) Finding {
		host, port, err := net.SplitHostPort(addr())
		if err != nil {
			return unknown("Nothing is listened on.")
		}
		if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
			host = "127.0.0.1"
		}
		shown, err := peer(ctx, net.JoinHostPort(host, port))
		switch {
		case err != nil:
			return fail("Port "+port+" does not answer: "+err.Error(), "Look whether a firewall of this machine blocks it (`nft list ruleset`).").with("port", port)
		case shown != fingerprint():
			return fail("Another program answers on port "+port+".", "Stop it, or choose another port with --listen.").with("port", port)
		}
		return fine("Port "+port+" answers with our certificate.").with("port", port)
	}}
}

// peer is the fingerprint of the certificate that is shown at an address.
func peer(ctx context.Context, address string) (string, error) {
	// The certificate is compared by its fingerprint, not by an authority.
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // see above
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	return Fingerprint(conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Raw), nil
}

// FreePort looks whether an appliance that does not run could take its port.
func FreePort(listen string) Check {
	return Check{"port", Network, func(ctx context.Context) Finding {
		var config net.ListenConfig
		l, err := config.Listen(ctx, "tcp", listen)
		if err != nil {
			return fail("The port of "+listen+" cannot be used: "+err.Error(), "Stop the other program, or choose another port with --listen.")
		}
		_ = l.Close()
		return fine("The port of " + listen + " is free.")
	}}
}
