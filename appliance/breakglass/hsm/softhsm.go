package hsm

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// softHSMPaths is where distributions install SoftHSM's module.
var softHSMPaths = []string{
	"/usr/lib/softhsm/libsofthsm2.so",
	"/usr/lib/*-linux-gnu/softhsm/libsofthsm2.so",
	"/usr/lib64/pkcs11/libsofthsm2.so",
	"/usr/lib64/softhsm/libsofthsm2.so",
	"/usr/local/lib/softhsm/libsofthsm2.so",
}

// FindSoftHSM returns the path of SoftHSM's PKCS#11 module. Error: ErrModuleFailed.
func FindSoftHSM() (string, error) {
	for _, pattern := range softHSMPaths {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return found[0], nil
		}
	}
	return "", fail(ErrModuleFailed, "SoftHSM is not installed; install the Debian package softhsm2 (apt-get install softhsm2).")
}

// SoftToken describes a token of SoftHSM in a folder of its own.
type SoftToken struct {
	Module string // path of SoftHSM's module; FindSoftHSM finds it
	Dir    string // full path; holds the token, its configuration and the count of rejected PINs
	Label  string
	PIN    string
	SOPIN  string
}

// InitSoftToken makes the token and returns the Config to use it, without a PIN in it. An
// existing token is never overwritten: that is ErrInvalid, as is a folder name that SoftHSM's
// configuration cannot hold.
func InitSoftToken(ctx context.Context, s SoftToken) (Config, error) {
	cfg, err := s.configure()
	if err != nil {
		return Config{}, err
	}
	c := &child{cfg: cfg.withDefaults()}
	defer c.end(500 * time.Millisecond)
	_, err = c.call(ctx, request{Op: opInit, PIN: s.PIN, SOPIN: s.SOPIN})
	return cfg, err
}

func (s SoftToken) configure() (Config, error) {
	tokens := filepath.Join(s.Dir, "tokens")
	if !filepath.IsAbs(s.Dir) || clean(tokens) != tokens {
		return Config{}, fail(ErrInvalid, "The folder of the token must be a full path without special characters.")
	}
	if err := os.MkdirAll(tokens, 0o700); err != nil {
		return Config{}, fail(ErrInvalid, "The folder of the token cannot be made: "+err.Error())
	}
	conf := filepath.Join(s.Dir, "softhsm2.conf")
	body := fmt.Sprintf("directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n", tokens)
	if err := os.WriteFile(conf, []byte(body), 0o600); err != nil {
		return Config{}, fail(ErrInvalid, "The configuration of SoftHSM cannot be written: "+err.Error())
	}
	return Config{
		Module: s.Module, TokenLabel: s.Label, Dir: s.Dir, WorkerEnv: []string{"SOFTHSM2_CONF=" + conf},
	}, nil
}
