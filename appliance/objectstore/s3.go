package objectstore

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"nimbus/appliance/fault"
)

// partSize is what is held in memory of an object on its way; 10,000 parts are
// the most, which makes 160 GB.
const partSize = 16 << 20

// errShort says that the store has less, or more, than was sent.
var errShort = errors.New("the store keeps another size than was sent")

// bucket keeps objects in a bucket that speaks S3.
type bucket struct {
	minio.Core
	name, prefix string
}

func openS3(cfg Config) (Store, error) {
	if err := checkPrefix(cfg.Prefix); err != nil {
		return nil, fault.BadField("body.prefix", "The prefix has letters, digits, dots, hyphens and slashes between names, such as nimbus/audit.")
	}
	if strings.Contains(cfg.Endpoint, "/") || cfg.Endpoint == "" {
		return nil, fault.BadField("body.endpoint", "Give the host of the endpoint without https:// and path, such as s3.example.com:9000.")
	}
	if cfg.Bucket == "" || cfg.AccessKey == "" || cfg.SecretKey == "" {
		return nil, fault.BadField("body.bucket", "A bucket needs a name, an access key and a secret key.")
	}
	transport, err := transportOf(cfg)
	if err != nil {
		return nil, err
	}
	region := cfg.Region
	if region == "" {
		region = "us-east-1" // else every call begins with a question for it
	}
	c, err := minio.New(cfg.Endpoint, &minio.Options{
		Creds: credentials.NewStaticV4(cfg.AccessKey, cfg.SecretKey, ""), Secure: true, Transport: transport,
		Region: region, BucketLookup: minio.BucketLookupPath, MaxRetries: 3,
	})
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "The endpoint %s cannot be right. Give a host and, where it is not 443, a port.", cfg.Endpoint)
	}
	return bucket{minio.Core{Client: c}, cfg.Bucket, cfg.Prefix}, nil
}

// transportOf bounds waiting for answers but not the length of objects. It
// takes no proxy from the environment.
func transportOf(cfg Config) (*http.Transport, error) {
	var roots *x509.CertPool
	if cfg.CAPEM != "" {
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM([]byte(cfg.CAPEM)) {
			return nil, fault.BadField("body.ca_pem", "There is no certificate in this text. It begins with -----BEGIN CERTIFICATE-----.")
		}
	}
	if cfg.Dial == nil {
		return nil, fault.New(fault.Internal, "An object store was opened without a way to reach it.")
	}
	return &http.Transport{
		DialContext:            cfg.Dial,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		TLSHandshakeTimeout:    5 * time.Second,
		ResponseHeaderTimeout:  time.Minute,
		MaxResponseHeaderBytes: 64 << 10,
		MaxIdleConnsPerHost:    4,
		IdleConnTimeout:        30 * time.Second,
	}, nil
}

// at is the name of an object in the bucket.
func (b bucket) at(key string) string { return path.Join(b.prefix, key) }

func (b bucket) fail(key string, err error) error {
	switch answer := minio.ToErrorResponse(err); {
	case answer.Code == minio.NoSuchKey:
		return missing(key)
	case answer.Code == minio.NoSuchBucket:
		return fault.Wrap(fault.Unavailable, err, "There is no bucket %s. Make it first.", b.name)
	case answer.StatusCode == http.StatusForbidden:
		return fault.Wrap(fault.Unavailable, err, "The store refuses the access key. Check both keys, the region and what they may do with the bucket %s.", b.name)
	}
	return fault.Wrap(fault.Unavailable, err, "The bucket %s cannot be reached. Check the endpoint, its certificate and the network.", b.name)
}

// Put sends large objects in parts, each with its digest.
func (b bucket) Put(ctx context.Context, key string, r io.Reader) (Info, error) {
	if err := checkKey(key); err != nil {
		return Info{}, err
	}
	digest, sent := sha256.New(), count(0)
	in := io.TeeReader(bound{ctx, r}, io.MultiWriter(digest, &sent))
	up, err := b.Client.PutObject(ctx, b.name, b.at(key), in, -1, minio.PutObjectOptions{PartSize: partSize, SendContentMd5: true, ContentType: "application/octet-stream"})
	if err != nil {
		return Info{}, b.fail(key, err)
	}
	stat, err := b.Stat(ctx, key)
	if err == nil && (stat.Size != int64(sent) || up.Size != int64(sent)) {
		err = b.fail(key, errShort)
	}
	stat.SHA256 = hex.EncodeToString(digest.Sum(nil))
	return stat, err
}

// count counts what is written to it.
type count int64

func (c *count) Write(p []byte) (int, error) {
	*c += count(len(p))
	return len(p), nil
}

func (b bucket) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	r, _, _, err := b.GetObject(ctx, b.name, b.at(key), minio.GetObjectOptions{})
	if err != nil {
		return nil, b.fail(key, err)
	}
	return r, nil
}

func (b bucket) Stat(ctx context.Context, key string) (Info, error) {
	if err := checkKey(key); err != nil {
		return Info{}, err
	}
	o, err := b.StatObject(ctx, b.name, b.at(key), minio.StatObjectOptions{})
	if err != nil {
		return Info{}, b.fail(key, err)
	}
	return Info{Key: key, Size: o.Size, Modified: o.LastModified.UTC()}, nil
}

func (b bucket) List(ctx context.Context, prefix string) ([]Info, error) {
	if err := checkPrefix(prefix); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	own := ""
	if b.prefix != "" {
		own = strings.TrimSuffix(b.prefix, "/") + "/"
	}
	all := []Info{}
	for o := range b.Client.ListObjects(ctx, b.name, minio.ListObjectsOptions{Prefix: own + prefix, Recursive: true}) {
		if o.Err != nil {
			return nil, b.fail(prefix, o.Err)
		}
		if key := strings.TrimPrefix(o.Key, own); checkKey(key) == nil {
			all = append(all, Info{Key: key, Size: o.Size, Modified: o.LastModified.UTC()})
		}
	}
	slices.SortFunc(all, func(a, b Info) int { return strings.Compare(a.Key, b.Key) })
	return all, ctx.Err()
}

func (b bucket) Delete(ctx context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	if err := b.RemoveObject(ctx, b.name, b.at(key), minio.RemoveObjectOptions{}); err != nil && !fault.Is(b.fail(key, err), fault.NotFound) {
		return b.fail(key, err)
	}
	return nil
}
