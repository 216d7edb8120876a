package pocketbase

import (
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestDashboardIsForThisMachine serves PocketBase's dashboard to loopback.
func TestDashboardIsForThisMachine(t *testing.T) {
	t.Parallel()
	s := New(Config{Dir: t.TempDir(), Listen: "127.0.0.1:0"})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop(t.Context()) })
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	resp, err := client.Get("https://" + s.Addr() + "/_/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), "<title>") {
		t.Errorf("%d %v %.80s", resp.StatusCode, err, body)
	}
}
