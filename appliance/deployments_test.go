package appliance

import (
	"os"
	"path/filepath"
	"testing"

	"nimbus/appliance/id"
)

// TestProviderTrustsOneCertificate: what one connection accepted is no authority
// for another one's cluster.
func TestProviderTrustsOneCertificate(t *testing.T) {
	t.Parallel()
	a := &Appliance{cfg: Config{DataDir: t.TempDir()}}
	for _, authority := range []string{"first", "second"} {
		env, err := trustOnly(map[string]string{}, a.trustDir(id.New()), authority)
		if err != nil {
			t.Fatal(err)
		}
		trusted := []string{env["SSL_CERT_FILE"]}
		entries, err := os.ReadDir(env["SSL_CERT_DIR"])
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			trusted = append(trusted, filepath.Join(env["SSL_CERT_DIR"], e.Name()))
		}
		for _, path := range trusted {
			if got, err := os.ReadFile(path); err != nil || string(got) != authority {
				t.Errorf("%s is trusted for %s: %q, %v", path, authority, got, err)
			}
		}
	}
}
