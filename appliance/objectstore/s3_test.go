package objectstore

import (
	"bytes"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"nimbus/appliance/fault"
	"nimbus/appliance/objectstore/s3test"
)

// configOf is how a bucket is opened.
func configOf(f *s3test.Server) Config {
	return Config{
		Kind: S3, Endpoint: f.Endpoint(), Region: s3test.Region, Bucket: s3test.Bucket, Prefix: "nimbus/audit",
		AccessKey: s3test.AccessKey, SecretKey: s3test.SecretKey, CAPEM: f.Authority(), Dial: (&net.Dialer{}).DialContext,
	}
}

func TestS3KeepsBelowItsPrefixAndAbortsUploads(t *testing.T) {
	t.Parallel()
	f := s3test.New(t)
	s, err := Open(configOf(f))
	if err != nil {
		t.Fatal(err)
	}
	f.Keep("other/x", []byte("x"))
	f.Keep("nimbus/audit-2/x", []byte("x"))
	for _, key := range []string{"a", "b", "c", "d/e", "f"} { // three pages
		if _, err := s.Put(t.Context(), key, strings.NewReader(key)); err != nil {
			t.Fatal(err)
		}
	}
	if got := keys(t, s, ""); !slices.Equal(got, []string{"a", "b", "c", "d/e", "f"}) {
		t.Errorf("the list has %v", got)
	}
	if string(f.Objects()["nimbus/audit/d/e"]) != "d/e" {
		t.Error("an object is not below the prefix")
	}
	if _, err := s.Put(t.Context(), "g", &broken{2*partSize + 1}); err == nil {
		t.Error("a broken source is stored")
	}
	if begun, left := f.Uploads(); begun == 0 || left > 0 {
		t.Errorf("%d uploads were begun, %d are left", begun, left)
	}
}

func TestS3TellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	f := s3test.New(t)
	for name, c := range map[string]struct {
		change func(*Config)
		says   string
	}{
		"secret":      {func(c *Config) { c.SecretKey = "wrong" }, "refuses the access key"},
		"access key":  {func(c *Config) { c.AccessKey = "AKIAOTHER" }, "refuses the access key"},
		"bucket":      {func(c *Config) { c.Bucket = "other" }, "no bucket other"},
		"certificate": {func(c *Config) { c.CAPEM = "" }, "Check the endpoint, its certificate"},
	} {
		cfg := configOf(f)
		c.change(&cfg)
		s, err := Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Put(t.Context(), "a", strings.NewReader("x"))
		if !fault.Is(err, fault.Unavailable) || !strings.Contains(fault.Message(err), c.says) {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Contains(fmt.Sprint(err), cfg.SecretKey) {
			t.Errorf("%s: the secret is in the message", name)
		}
	}
}

func TestS3ThatLosesBytesIsFound(t *testing.T) {
	t.Parallel()
	f := s3test.New(t)
	f.Lose()
	s, err := Open(configOf(f))
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{10, partSize + 10} {
		if _, err := s.Put(t.Context(), "a", bytes.NewReader(noise(size))); !fault.Is(err, fault.Unavailable) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}
