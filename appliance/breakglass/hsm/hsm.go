// Package hsm talks to a hardware security module through its PKCS#11 module.
//
// Such a module is somebody else's shared library: it may hang, crash, lose its
// token or run out of sessions. It is therefore loaded only by a child process of
// the same binary (see RunWorker), never by the appliance itself. Whatever it does
// is an error to the caller within Config.Timeout; the child is then replaced, with
// growing pauses, and the next call finds a fresh one. There is no plaintext
// fallback: an operation is done by the token or not at all.
//
// PINs are handled as if every token had three tries. See pin.go for the rules.
//
// Names and codes are those of PKCS #11 Base Specification 2.40 (OASIS).
package hsm

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"
)

// WorkerName is the base name of argv[0] under which the binary must call RunWorker.
const WorkerName = "nimbus-hsm-worker"

// Algorithm names what a signing key is for.
type Algorithm string

// The algorithms of signing keys.
const (
	ECDSAP256 Algorithm = "ecdsa-p256" // SHA-256; signatures are ASN.1 DER (RFC 3279, section 2.2.3)
	Ed25519   Algorithm = "ed25519"    // RFC 8032; signatures are 64 bytes
)

// Config says which token to use and how.
type Config struct {
	Module     string // path of the PKCS#11 module; empty means that there is no HSM
	TokenLabel string // label of the token; or
	Slot       *uint  // its slot, when the label is empty or not unique

	// PIN fetches the user PIN for an automatic login. Nil or an empty answer means that
	// the token stays sealed until Unlock.
	PIN func(ctx context.Context) (string, error)

	Dir string // keeps the record of rejected PINs, across restarts; made when missing

	Timeout        time.Duration // longest time one call of the module may take; default 10 s
	RestartPause   time.Duration // pause after the first fault of the module, doubled up to a minute; default 1 s
	PINPause       time.Duration // pause after the first rejected PIN, doubled up to an hour; default 5 s
	MaxPINFailures int           // rejected PINs after which Unlock wants an override; default 2

	Executable string   // the binary to start as worker; default this one
	WorkerEnv  []string // added to the worker's environment, as NAME=value

	Logger *slog.Logger // nil discards
}

func (c Config) withDefaults() Config {
	c.Timeout = orDefault(c.Timeout, 10*time.Second)
	c.RestartPause = orDefault(c.RestartPause, time.Second)
	c.PINPause = orDefault(c.PINPause, 5*time.Second)
	c.MaxPINFailures = orDefault(c.MaxPINFailures, 2)
	// The link stays valid when an upgrade has replaced the file that we run from.
	c.Executable = orDefault(c.Executable, "/proc/self/exe")
	c.Logger = orDefault(c.Logger, slog.New(slog.DiscardHandler))
	return c
}

func orDefault[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}

// check refuses what cannot work whatever the module does.
func (c Config) check() error {
	if !filepath.IsAbs(c.Module) {
		return fmt.Errorf("the PKCS#11 module %q must be given with its full path", c.Module)
	}
	if c.TokenLabel == "" && c.Slot == nil {
		return errors.New("name the token by its label or its slot")
	}
	if c.Dir == "" {
		return errors.New("a folder is needed that keeps the count of rejected PINs")
	}
	return nil
}

// State is what the token can do right now.
type State string

// The states of a token.
const (
	StateNone   State = "none"   // no module is configured
	StateSealed State = "sealed" // the token is there, nobody is logged in
	StateReady  State = "ready"  // logged in: it signs and unwraps
	StateAbsent State = "absent" // the module answers, the token is not there
	StateLocked State = "locked" // the token has locked its PIN
	StateHung   State = "hung"   // the module did not answer in time
	StateFailed State = "failed" // the module crashed, cannot be loaded or reports an error
)

// Status describes the token for a person.
type Status struct {
	State        State     `json:"state"`
	Reason       string    `json:"reason,omitempty"` // a sentence: what is wrong and what to do; empty when ready
	Label        string    `json:"label,omitempty"`
	Manufacturer string    `json:"manufacturer,omitempty"`
	Model        string    `json:"model,omitempty"`
	Serial       string    `json:"serial,omitempty"`
	Slot         uint      `json:"slot"`
	PINCountLow  bool      `json:"pinCountLow"` // a wrong PIN was entered since the last good one
	PINFinalTry  bool      `json:"pinFinalTry"` // the next wrong PIN locks the token
	PINLocked    bool      `json:"pinLocked"`
	Failures     int       `json:"failures"`             // rejected PINs since the last good one
	NeedOverride bool      `json:"needOverride"`         // Unlock wants its override
	NextTry      time.Time `json:"nextTry,omitzero"`     // no PIN is tried before
	NextStart    time.Time `json:"nextStart,omitzero"`   // the module is not started before
	CheckedAt    time.Time `json:"checkedAt,omitzero"`   // when the token last told us about itself
	Algorithms   []string  `json:"algorithms,omitempty"` // signing algorithms the token can make keys for
	Wraps        bool      `json:"wraps"`                // it can make wrapping keys
}

// Slot is one place of a module where a token can be.
type Slot struct {
	ID           uint   `json:"id"`
	Description  string `json:"description"`
	Present      bool   `json:"present"`
	Initialized  bool   `json:"initialized"`
	Label        string `json:"label,omitempty"`
	Manufacturer string `json:"manufacturer,omitempty"`
	Model        string `json:"model,omitempty"`
	Serial       string `json:"serial,omitempty"`
}

// PublicKey is the public half of a signing key in the token.
type PublicKey struct {
	Label     string
	Algorithm Algorithm
	Key       crypto.PublicKey // *ecdsa.PublicKey or ed25519.PublicKey
	DER       []byte           // SubjectPublicKeyInfo (RFC 5280)
}
