// Package objectstore keeps large files outside the database: archives and
// backups, in a directory, in a bucket that speaks S3, or on a server that speaks
// SFTP.
//
// An object appears whole or not at all. Whoever stored one reads it back to be
// sure of it: a store's answer is not a proof.
package objectstore

import (
	"context"
	"io"
	"io/fs"
	"net"
	"strings"
	"time"

	"nimbus/appliance/fault"
)

// The kinds of stores.
const (
	Directory = "directory"
	S3        = "s3"
	SFTP      = "sftp"
)

// Config says where a store is. SecretKey is a secret; of SFTP it is the
// password or the private key.
type Config struct {
	Kind string
	Path string // of a directory, absolute; with SFTP on the server

	Endpoint  string // host, with a port where it is not 443; TLS is spoken always
	Region    string
	Bucket    string
	Prefix    string // before every key
	AccessKey string
	SecretKey string
	CAPEM     string // authorities to trust instead of the system's

	Host, User string // of SFTP
	Port       int    // 0 means 22
	HostKey    string // the only key that is accepted: as in known_hosts, or its fingerprint
	// Dial reaches the endpoint; that of web.Outbound guards the network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Info describes an object. Put alone tells the digest.
type Info struct {
	Key      string
	Size     int64
	SHA256   string // of what was read, in hexadecimal; "" when not known
	Modified time.Time
}

// Store keeps objects. Keys are names with slashes between them, of letters,
// digits, ".", "_" and "-"; no name begins with a dot. All methods return
// fault.Invalid for another key and fault.Unavailable when the store fails.
type Store interface {
	// Put stores what r has until its end and replaces what was there. When r
	// or the store fails, what was there stays.
	Put(ctx context.Context, key string, r io.Reader) (Info, error)
	// Get reads an object, or returns fault.NotFound. The caller closes it.
	Get(ctx context.Context, key string) (io.ReadCloser, error)
	// List returns the objects whose keys begin with prefix, in order of key.
	List(ctx context.Context, prefix string) ([]Info, error)
	// Stat describes an object, or returns fault.NotFound.
	Stat(ctx context.Context, key string) (Info, error)
	// Delete removes an object. One that is not there is no fault.
	Delete(ctx context.Context, key string) error
}

// Open returns the store that cfg describes. It returns fault.Invalid when the
// description cannot be right, and does not reach out.
func Open(cfg Config) (Store, error) {
	switch cfg.Kind {
	case Directory:
		return openDirectory(cfg)
	case S3:
		return openS3(cfg)
	case SFTP:
		return openSFTP(cfg)
	}
	return nil, fault.BadField("body.kind", "An object store is a directory, s3 or sftp, not %q.", cfg.Kind)
}

const (
	maxKey    = 512
	keyLetter = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/"
)

func checkKey(key string) error {
	if len(key) > maxKey || !fs.ValidPath(key) || key[0] == '.' || strings.Contains(key, "/.") {
		return fault.New(fault.Invalid, "%q is not a name for an object.", key)
	}
	for _, c := range key {
		if !strings.ContainsRune(keyLetter, c) {
			return fault.New(fault.Invalid, "%q is not a name for an object.", key)
		}
	}
	return nil
}

// checkPrefix is checkKey for the beginning of a key.
func checkPrefix(prefix string) error {
	if prefix == "" {
		return nil
	}
	return checkKey(strings.TrimSuffix(prefix, "/"))
}

func missing(key string) error {
	return fault.New(fault.NotFound, "The object %s is not in the store.", key)
}
