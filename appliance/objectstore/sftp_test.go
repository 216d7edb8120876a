package objectstore

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/pem"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"nimbus/appliance/fault"
)

// sshServer is a real SSH server with SFTP over a temporary directory.
type sshServer struct {
	listener net.Listener
	key      ssh.Signer
	second   ssh.Signer
	client   []byte // the private key that it lets in, PEM
	dir      string
}

func newSigner(t *testing.T) (ssh.Signer, []byte) {
	t.Helper()
	_, raw, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(raw)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(raw, "")
	if err != nil {
		t.Fatal(err)
	}
	return signer, pem.EncodeToMemory(block)
}

func newSSH(t *testing.T) *sshServer {
	t.Helper()
	s := &sshServer{dir: t.TempDir()}
	s.key, _ = newSigner(t)
	known, private := newSigner(t)
	s.client = private
	cfg := &ssh.ServerConfig{
		PasswordCallback: func(c ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
			if c.User() == "nimbus" && string(password) == "s3cret" {
				return nil, nil
			}
			return nil, os.ErrPermission
		},
		PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if string(key.Marshal()) == string(known.PublicKey().Marshal()) {
				return nil, nil
			}
			return nil, os.ErrPermission
		},
	}
	cfg.AddHostKey(s.key)
	raw, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if s.second, err = ssh.NewSignerFromKey(raw); err != nil {
		t.Fatal(err)
	}
	cfg.AddHostKey(s.second) // servers have several
	if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.listener.Close() })
	go func() {
		for {
			conn, err := s.listener.Accept()
			if err != nil {
				return
			}
			go serveSSH(conn, cfg)
		}
	}()
	return s
}

func serveSSH(conn net.Conn, cfg *ssh.ServerConfig) {
	_, channels, requests, err := ssh.NewServerConn(conn, cfg)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for c := range channels {
		channel, requests, err := c.Accept()
		if err != nil {
			return
		}
		go func() {
			for r := range requests {
				_ = r.Reply(r.Type == "subsystem", nil)
			}
		}()
		server, err := sftp.NewServer(channel)
		if err != nil {
			return
		}
		go func() { _ = server.Serve(); _ = channel.Close() }()
	}
}

func (s *sshServer) config() Config {
	return Config{
		Kind: SFTP, Host: "127.0.0.1", Port: s.listener.Addr().(*net.TCPAddr).Port, User: "nimbus", SecretKey: "s3cret",
		HostKey: ssh.FingerprintSHA256(s.key.PublicKey()), Path: s.dir,
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}
}

func TestSFTPAcceptsOnlyThePinnedKey(t *testing.T) {
	t.Parallel()
	s := newSSH(t)
	put := func(change func(*Config)) error {
		cfg := s.config()
		change(&cfg)
		store, err := Open(cfg)
		if err == nil {
			_, err = store.Put(t.Context(), "a/b", strings.NewReader("x"))
		}
		return err
	}
	line := string(ssh.MarshalAuthorizedKey(s.key.PublicKey()))
	for name, change := range map[string]func(*Config){
		"fingerprint": func(*Config) {}, "public key": func(c *Config) { c.HostKey = line },
		"another of its keys": func(c *Config) { c.HostKey = ssh.FingerprintSHA256(s.second.PublicKey()) },
		"known_hosts":         func(c *Config) { c.HostKey = "nas.lan " + line }, "private key": func(c *Config) { c.SecretKey = string(s.client) },
	} {
		if err := put(change); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	other, private := newSigner(t)
	for name, c := range map[string]struct {
		change func(*Config)
		kind   fault.Kind
		says   string
	}{
		"other host key":   {func(c *Config) { c.HostKey = ssh.FingerprintSHA256(other.PublicKey()) }, fault.Unavailable, "shows the key SHA256:"},
		"no host key":      {func(c *Config) { c.HostKey = "" }, fault.Invalid, "server's key"},
		"short print":      {func(c *Config) { c.HostKey = "SHA256:AAAA" }, fault.Invalid, "server's key"},
		"wrong password":   {func(c *Config) { c.SecretKey = "guess" }, fault.Unavailable, "refuses the user"},
		"other client":     {func(c *Config) { c.SecretKey = string(private) }, fault.Unavailable, "refuses the user"},
		"broken key":       {func(c *Config) { c.SecretKey = "-----BEGIN PRIVATE KEY-----\nx" }, fault.Invalid, "private key"},
		"no secret":        {func(c *Config) { c.SecretKey = "" }, fault.Invalid, "password"},
		"no directory":     {func(c *Config) { c.Path += "/absent" }, fault.Unavailable, "no directory"},
		"relative path":    {func(c *Config) { c.Path = "backups" }, fault.Invalid, "absolute"},
		"nobody there":     {func(c *Config) { c.Port = 1 }, fault.Unavailable, "cannot be reached"},
		"no user":          {func(c *Config) { c.User = "" }, fault.Invalid, "user"},
		"host with a path": {func(c *Config) { c.Host = "nas/backups" }, fault.Invalid, "host name"},
	} {
		if err := put(c.change); !fault.Is(err, c.kind) || !strings.Contains(fault.Message(err), c.says) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestSFTPFollowsNoLinkForObjects(t *testing.T) {
	t.Parallel()
	s := newSSH(t)
	if err := os.Symlink("/etc/passwd", s.dir+"/link"); err != nil {
		t.Fatal(err)
	}
	store, err := Open(s.config())
	if err != nil {
		t.Fatal(err)
	}
	if r, err := store.Get(t.Context(), "link"); !fault.Is(err, fault.NotFound) {
		_, _ = io.Copy(io.Discard, r)
		t.Errorf("a link is read: %v", err)
	}
}

// TestSFTPWithoutItsDirectoryKnowsNothing: what is not mounted is neither gone nor deleted.
func TestSFTPWithoutItsDirectoryKnowsNothing(t *testing.T) {
	t.Parallel()
	cfg := newSSH(t).config()
	cfg.Path += "/unmounted"
	store, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	_, got := store.Get(t.Context(), "a")
	_, stat := store.Stat(t.Context(), "a")
	for what, err := range map[string]error{"get": got, "stat": stat, "delete": store.Delete(t.Context(), "a")} {
		if !fault.Is(err, fault.Unavailable) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
