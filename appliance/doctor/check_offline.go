package doctor

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// StoredCertificate looks at the certificate that the appliance will start with.
func StoredCertificate(path string) Check {
	return Check{"certificate", Network, func(context.Context) Finding {
		raw, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return unknown("There is no certificate yet; one is made at the first start.")
		}
		if err != nil {
			return unknown("The certificate cannot be read: " + err.Error())
		}
		pair, err := tls.X509KeyPair(raw, raw)
		if err != nil {
			return fail("The certificate in "+path+" cannot be used: "+err.Error(), "Remove the file: Nimbus starts with a self-signed one then.")
		}
		return certificateFinding(pair.Leaf, "", false, time.Now())
	}}
}

// Directory looks at the data directory: whether it is one, whether others can
// read its keys, and which Postgres made it.
func Directory(dir string) Check {
	return Check{"directory", Data, func(context.Context) Finding {
		keys := filepath.Join(dir, "keys")
		info, err := os.Stat(keys)
		switch {
		case os.IsNotExist(err):
			return unknown(dir + " holds no appliance yet.")
		case err != nil:
			return unknown(dir + " cannot be read: " + err.Error())
		case info.Mode().Perm()&0o077 != 0:
			return fail(fmt.Sprintf("Others than the service can read %s (mode %04o).", keys, info.Mode().Perm()), "chmod 700 "+keys+", and change what may have been read.")
		}
		return clusterFinding(filepath.Join(dir, "postgres", "data"))
	}}
}

func clusterFinding(dir string) Finding {
	entries, err := os.ReadDir(dir)
	if os.IsNotExist(err) || err == nil && len(entries) == 0 {
		return fine("The data directory is in order; there is no embedded Postgres in it.")
	}
	version, err := os.ReadFile(filepath.Join(dir, "PG_VERSION"))
	if err != nil {
		return fail("The version of the Postgres in "+dir+" cannot be read: "+err.Error(), "Restore the folder from a backup. Nimbus does not touch it.")
	}
	return fine("The data directory is in order.").with("postgres", strings.TrimSpace(string(version)))
}
