package objectstore

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"net"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"nimbus/appliance/fault"
)

// fileServer keeps each object as a file on a server that speaks SFTP. Every
// call has a connection of its own, which ends with it.
type fileServer struct {
	cfg  Config
	auth ssh.AuthMethod
	// hostKey is the only key that the server may have: its fingerprint as
	// OpenSSH shows it.
	hostKey string
}

const (
	sftpPort    = 22
	sftpConnect = 20 * time.Second
)

func openSFTP(cfg Config) (Store, error) {
	if cfg.Host == "" || cfg.User == "" || strings.ContainsAny(cfg.Host, "/ @") {
		return nil, fault.BadField("body.host", "An SFTP server needs a host name or address, and a user.")
	}
	if !path.IsAbs(cfg.Path) || path.Clean(cfg.Path) != cfg.Path || cfg.Path == "/" {
		return nil, fault.BadField("body.path", "Give the absolute path of a directory on the server, such as /backups/nimbus.")
	}
	if cfg.Port == 0 {
		cfg.Port = sftpPort
	}
	if cfg.Dial == nil {
		return nil, fault.New(fault.Internal, "An object store was opened without a way to reach it.")
	}
	pinned, err := fingerprint(cfg.HostKey)
	if err != nil {
		return nil, err
	}
	auth, err := authOf(cfg)
	return fileServer{cfg, auth, pinned}, err
}

// fingerprint reads a host's key: a line of known_hosts, a public key, or a
// fingerprint itself.
func fingerprint(text string) (string, error) {
	text = strings.TrimSpace(text)
	if sum, ok := strings.CutPrefix(text, "SHA256:"); ok {
		if raw, err := base64.RawStdEncoding.DecodeString(sum); err == nil && len(raw) == sha256.Size {
			return text, nil
		}
	}
	if key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(text)); err == nil {
		return ssh.FingerprintSHA256(key), nil
	}
	if _, _, key, _, _, err := ssh.ParseKnownHosts([]byte(text)); err == nil {
		return ssh.FingerprintSHA256(key), nil
	}
	return "", fault.BadField("body.host_key", "Give the server's key: the line that `ssh-keyscan` prints, or the fingerprint that begins with SHA256: as `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` shows it on the server.")
}

func authOf(cfg Config) (ssh.AuthMethod, error) {
	if cfg.SecretKey == "" {
		return nil, fault.BadField("body.secret", "An SFTP server needs a password or a private key.")
	}
	if !strings.Contains(cfg.SecretKey, "PRIVATE KEY-----") {
		return ssh.Password(cfg.SecretKey), nil
	}
	signer, err := ssh.ParsePrivateKey([]byte(strings.TrimSpace(cfg.SecretKey) + "\n"))
	if err != nil {
		return nil, fault.BadField("body.secret", "The private key cannot be read. Paste all of its file, and take one without a passphrase.")
	}
	return ssh.PublicKeys(signer), nil
}

// session is one connection.
type session struct {
	*sftp.Client
	end func()
}

// hostKeys are the kinds of keys that servers have, one or all of them. A server shows
// the first that is asked for, so each is asked for alone until the pinned one comes.
var hostKeys = [][]string{
	{ssh.KeyAlgoED25519}, {ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521}, {ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256},
}

// connect opens a connection, which also ends with ctx.
func (s fileServer) connect(ctx context.Context) (session, error) {
	var refused, none error
	for _, kind := range hostKeys {
		c, err := s.connectTo(ctx, kind)
		var other otherKey
		switch {
		case errors.As(err, &other):
			refused = err
		case err != nil && strings.Contains(err.Error(), "no common algorithm for host key"):
			none = err
		default:
			return c, err
		}
	}
	return session{}, cmp.Or(refused, none)
}

// connectTo opens a connection to a server that shows a key of a kind.
func (s fileServer) connectTo(ctx context.Context, kind []string) (session, error) {
	address := net.JoinHostPort(s.cfg.Host, strconv.Itoa(s.cfg.Port))
	conn, err := s.cfg.Dial(ctx, "tcp", address)
	if err != nil {
		return session{}, fault.Wrap(fault.Unavailable, err, "The SFTP server %s cannot be reached. Check host, port and network.", address)
	}
	unhook := context.AfterFunc(ctx, func() { _ = conn.Close() })
	fail := func(err error) (session, error) {
		unhook()
		_ = conn.Close()
		return session{}, err
	}
	if err := conn.SetDeadline(time.Now().Add(sftpConnect)); err != nil {
		return fail(err)
	}
	link, channels, requests, err := ssh.NewClientConn(conn, address, &ssh.ClientConfig{
		User: s.cfg.User, Auth: []ssh.AuthMethod{s.auth}, HostKeyCallback: s.checkHost, HostKeyAlgorithms: kind,
	})
	if err != nil {
		return fail(s.refused(err))
	}
	client, err := sftp.NewClient(ssh.NewClient(link, channels, requests))
	if err != nil {
		return fail(fault.Wrap(fault.Unavailable, err, "The server %s does not offer SFTP to this user.", address))
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return fail(err)
	}
	return session{client, func() { unhook(); _ = client.Close(); _ = conn.Close() }}, nil
}

// otherKey says that the server has not the key that is pinned.
type otherKey struct{ got string }

func (e otherKey) Error() string { return "the server's key is " + e.got }

func (s fileServer) checkHost(_ string, _ net.Addr, key ssh.PublicKey) error {
	if got := ssh.FingerprintSHA256(key); got != s.hostKey {
		return otherKey{got}
	}
	return nil
}

func (s fileServer) refused(err error) error {
	var other otherKey
	switch {
	case errors.As(err, &other):
		return fault.Wrap(fault.Unavailable, err, "The SFTP server shows the key %s, not the one that is configured. If the server was set up anew, enter its new key; if not, somebody stands between.", other.got)
	case strings.Contains(err.Error(), "unable to authenticate"):
		return fault.Wrap(fault.Unavailable, err, "The SFTP server refuses the user %s. Check the user, and the password or key.", s.cfg.User)
	}
	return fault.Wrap(fault.Unavailable, err, "The SFTP server %s does not speak SSH as expected.", s.cfg.Host)
}

func (s fileServer) at(key string) string { return path.Join(s.cfg.Path, key) }

func (s fileServer) fail(ctx context.Context, key string, err error) error {
	if ctx.Err() != nil {
		err = errors.Join(ctx.Err(), err)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return missing(key)
	}
	return fault.Wrap(fault.Unavailable, err, "The object %s on the SFTP server %s cannot be used. Check the directory's rights and its free space.", key, s.cfg.Host)
}

// absent says that there is no such object, when the directory is there: one that is not
// mounted says nothing of what is in it.
func (s fileServer) absent(ctx context.Context, c session, key string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		if err := s.root(c); err != nil {
			return err
		}
	}
	return s.fail(ctx, key, err)
}

// root is the directory, which has to be there: one that is not mounted must
// not be made anew on the disk below.
func (s fileServer) root(c session) error {
	if info, err := c.Stat(s.cfg.Path); err != nil || !info.IsDir() {
		return fault.Wrap(fault.Unavailable, err, "There is no directory %s on the SFTP server. Make it first, or check that it is mounted.", s.cfg.Path)
	}
	return nil
}

// Put writes beside the object, syncs where the server can, and renames.
func (s fileServer) Put(ctx context.Context, key string, r io.Reader) (Info, error) {
	if err := checkKey(key); err != nil {
		return Info{}, err
	}
	c, err := s.connect(ctx)
	if err != nil {
		return Info{}, err
	}
	defer c.end()
	if err := s.root(c); err != nil {
		return Info{}, err
	}
	if err := c.MkdirAll(path.Dir(s.at(key))); err != nil {
		return Info{}, s.fail(ctx, key, err)
	}
	s.sweep(c, path.Dir(s.at(key)))
	part := path.Join(path.Dir(s.at(key)), partPrefix+rand.Text())
	info, err := c.write(ctx, part, r)
	if err == nil {
		err = c.replace(part, s.at(key))
	}
	if err != nil {
		_ = c.Remove(part) // what stays is swept by a later put
		return Info{}, s.fail(ctx, key, err)
	}
	info.Key = key
	return info, nil
}

// sweep removes what puts left that were killed.
func (s fileServer) sweep(c session, dir string) {
	entries, _ := c.ReadDir(dir) // tried again by the next put
	for _, e := range entries {
		if e.Mode().IsRegular() && strings.HasPrefix(e.Name(), partPrefix) && time.Since(e.ModTime()) > partAge {
			_ = c.Remove(path.Join(dir, e.Name()))
		}
	}
}

func (c session) write(ctx context.Context, name string, r io.Reader) (Info, error) {
	f, err := c.Create(name)
	if err != nil {
		return Info{}, err
	}
	digest := sha256.New()
	size, err := f.ReadFromWithConcurrency(io.TeeReader(bound{ctx, r}, digest), 32)
	if err == nil {
		err = synced(f)
	}
	stat, err2 := f.Stat()
	if err := errors.Join(err, err2, f.Close()); err != nil {
		return Info{}, err
	}
	if stat.Size() != size {
		return Info{}, errShort
	}
	return Info{Size: size, SHA256: hex.EncodeToString(digest.Sum(nil)), Modified: stat.ModTime().UTC()}, nil
}

// synced writes a file to the server's disk. Servers other than OpenSSH cannot
// be asked to.
func synced(f *sftp.File) error {
	err := f.Sync()
	var status *sftp.StatusError
	if errors.As(err, &status) && status.FxCode() == sftp.ErrSSHFxOpUnsupported {
		return nil
	}
	return err
}

// replace renames over what is there.
func (c session) replace(from, to string) error {
	if _, ok := c.HasExtension("posix-rename@openssh.com"); ok {
		return c.PosixRename(from, to)
	}
	if err := c.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return c.Rename(from, to)
}

// download is an object that is read; its connection ends when it is closed.
type download struct {
	*sftp.File
	end func()
}

// Close ends the connection too.
func (d download) Close() error {
	err := d.File.Close()
	d.end()
	return err
}

func (s fileServer) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	c, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	if info, err := c.Lstat(s.at(key)); err == nil && !info.Mode().IsRegular() {
		c.end()
		return nil, missing(key)
	}
	f, err := c.Client.Open(s.at(key))
	if err != nil {
		defer c.end()
		return nil, s.absent(ctx, c, key, err)
	}
	return download{f, c.end}, nil
}

func (s fileServer) Stat(ctx context.Context, key string) (Info, error) {
	if err := checkKey(key); err != nil {
		return Info{}, err
	}
	c, err := s.connect(ctx)
	if err != nil {
		return Info{}, err
	}
	defer c.end()
	stat, err := c.Lstat(s.at(key))
	if err != nil {
		return Info{}, s.absent(ctx, c, key, err)
	}
	if !stat.Mode().IsRegular() {
		return Info{}, missing(key)
	}
	return Info{Key: key, Size: stat.Size(), Modified: stat.ModTime().UTC()}, nil
}

func (s fileServer) List(ctx context.Context, prefix string) ([]Info, error) {
	if err := checkPrefix(prefix); err != nil {
		return nil, err
	}
	c, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer c.end()
	if err := s.root(c); err != nil {
		return nil, err
	}
	// Only the folder that the prefix is in, and those below it, are looked at.
	all, from := []Info{}, s.cfg.Path
	if dir, _, ok := cutLast(prefix); ok {
		from = s.at(dir)
	}
	for walk := c.Walk(from); walk.Step(); {
		if err := walk.Err(); errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, s.fail(ctx, prefix, err)
		}
		key := strings.TrimPrefix(strings.TrimPrefix(walk.Path(), s.cfg.Path), "/")
		if walk.Stat().Mode().IsRegular() && strings.HasPrefix(key, prefix) && checkKey(key) == nil {
			all = append(all, Info{Key: key, Size: walk.Stat().Size(), Modified: walk.Stat().ModTime().UTC()})
		}
	}
	slices.SortFunc(all, func(a, b Info) int { return strings.Compare(a.Key, b.Key) })
	return all, ctx.Err()
}

// cutLast cuts text around its last slash.
func cutLast(text string) (before, after string, found bool) {
	i := strings.LastIndexByte(text, '/')
	if i < 0 {
		return "", text, false
	}
	return text[:i], text[i+1:], true
}

func (s fileServer) Delete(ctx context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	c, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer c.end()
	if err := c.Remove(s.at(key)); err != nil {
		err = s.absent(ctx, c, key, err)
		if !fault.Is(err, fault.NotFound) {
			return err
		}
	}
	return nil
}
