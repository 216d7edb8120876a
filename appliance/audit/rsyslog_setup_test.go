package audit

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const rsyslogd = "/usr/sbin/rsyslogd"

// rsyslog is Debian's own, run as a child with a configuration of its own. It
// opens nothing of the machine's logging: neither /dev/log nor /etc.
type rsyslog struct {
	t       *testing.T
	dir     string
	address string
	ca      authority
	child   *exec.Cmd
	errors  *lockedBuffer
}

// Whom a receiver takes messages of.
const (
	anybody  = `"anon"`
	nimbusCN = `"x509/name" permittedPeer=["nimbus"]` // whoever has a certificate of this name
)

// newRsyslog listens with TLS. Each test has a loopback address of its own, so
// that the port is free again when it is started again.
func newRsyslog(t *testing.T, clients string) *rsyslog {
	t.Helper()
	r := &rsyslog{t: t, dir: t.TempDir(), ca: newAuthority(t), errors: &lockedBuffer{}}
	ip := loopback(t)
	r.address = net.JoinHostPort(ip.String(), "6514")
	cert, key := r.ca.issue(t, "collector", ip)
	r.keep("ca.pem", r.ca.pem)
	r.keep("cert.pem", cert)
	r.keep("key.pem", key)
	r.keep("conf", fmt.Sprintf(rsyslogConfig, r.dir, ip, clients))
	r.start()
	t.Cleanup(r.kill)
	return r
}

// The main queue is direct: what was read is written before the next is read,
// so that nothing is in memory only when the daemon is killed.
const rsyslogConfig = `
global(workDirectory="%[1]s" maxMessageSize="64k" defaultNetstreamDriver="gtls"
  defaultNetstreamDriverCAFile="%[1]s/ca.pem" defaultNetstreamDriverCertFile="%[1]s/cert.pem" defaultNetstreamDriverKeyFile="%[1]s/key.pem")
main_queue(queue.type="Direct")
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode=%[3]s)
template(name="parsed" type="string" string="%%protocol-version%%\t%%pri%%\t%%app-name%%\t%%msgid%%\t%%structured-data%%\t%%msg%%\n")
input(type="imtcp" address="%[2]s" port="6514")
action(type="omfile" file="%[1]s/got" template="parsed" ioBufferSize="256k")
`

// loopback is an address of 127.0.0.0/8 at which nothing listens yet.
func loopback(t *testing.T) net.IP {
	t.Helper()
	ip := net.IP{127, 0, 0, 1}
	if _, err := rand.Read(ip[1:3]); err != nil {
		t.Fatal(err)
	}
	ip[1] |= 1
	return ip
}

func (r *rsyslog) keep(name, text string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// start returns when the daemon takes connections.
func (r *rsyslog) start() {
	r.t.Helper()
	if _, err := os.Stat(rsyslogd); err != nil {
		r.t.Fatal("rsyslogd is not installed: run make tools")
	}
	r.child = exec.Command(rsyslogd, "-n", "-f", filepath.Join(r.dir, "conf"), "-i", filepath.Join(r.dir, "pid"))
	r.child.Stderr, r.child.Stdout = r.errors, r.errors
	r.child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := r.child.Start(); err != nil {
		r.t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", r.address); err == nil {
			_ = c.Close()
			return
		}
	}
	r.t.Fatalf("rsyslogd does not listen: %s", r.errors)
}

// kill gives it no time for anything.
func (r *rsyslog) kill() {
	_ = r.child.Process.Kill()
	_ = r.child.Wait()
	_ = os.Remove(filepath.Join(r.dir, "pid"))
}

// received is a message as rsyslogd understood it.
type received struct{ version, priority, app, event, data, text string }

// text is the file that it wrote.
func (r *rsyslog) text() string {
	r.t.Helper()
	text, err := os.ReadFile(filepath.Join(r.dir, "got"))
	if err != nil && !os.IsNotExist(err) {
		r.t.Fatal(err)
	}
	return string(text)
}

func (r *rsyslog) received() (all []received) {
	r.t.Helper()
	for line := range strings.Lines(r.text()) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), "\t", 6)
		if len(f) != 6 {
			r.t.Fatalf("a line that is none: %q", line)
		}
		all = append(all, received{f[0], f[1], f[2], f[3], f[4], f[5]})
	}
	return all
}

// authority issues certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := certificateOf("authority")
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{cert, key, pemOf("CERTIFICATE", der)}
}

// issue returns a certificate for a name or an address, and its key.
func (a authority) issue(t *testing.T, name string, ips ...net.IP) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := certificateOf(name)
	template.DNSNames, template.IPAddresses = []string{name}, ips
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, private.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pemOf("CERTIFICATE", der), pemOf("PRIVATE KEY", secret)
}

func certificateOf(name string) *x509.Certificate {
	return &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature}
}

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
