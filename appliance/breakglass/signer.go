package breakglass

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"nimbus/appliance/breakglass/hsm"
	"nimbus/appliance/durable"
	"nimbus/appliance/fault"
)

// KeyLabel is how the signing key is called in the token.
const KeyLabel = "nimbus-breakglass"

// Signer signs challenges with a key that it makes when there is none. Both
// the token and the key file do.
type Signer interface {
	// Sign returns fault.Unavailable with a sentence when the key cannot be used.
	Sign(ctx context.Context, challenge []byte) (Signature, error)
	// Status tells how the key is, within a second or so.
	Status(ctx context.Context) KeyStatus
}

// Signature is a signature with what it takes to verify it.
type Signature struct {
	Key    Key
	Public []byte // SubjectPublicKeyInfo (RFC 5280)
	Bytes  []byte
}

// KeyStatus describes the signing key for a person.
type KeyStatus struct {
	State   string `json:"state" doc:"none when a key file is used; else ready, sealed, absent, locked, hung or failed."`
	Reason  string `json:"reason"`
	Label   string `json:"label"`
	KeyType string `json:"key_type"`
}

// Verify checks the signature in software, with the key it names.
func (s Signature) Verify(challenge []byte) error {
	public, err := x509.ParsePKIXPublicKey(s.Public)
	if err != nil {
		return err
	}
	return hsm.PublicKey{Key: public}.Verify(challenge, s.Bytes)
}

type tokenSigner struct{ token *hsm.Token }

// NewTokenSigner signs with a key that never leaves the token. There is no
// other way when the token does not answer.
func NewTokenSigner(token *hsm.Token) Signer { return tokenSigner{token} }

// Sign implements Signer.
func (t tokenSigner) Sign(ctx context.Context, challenge []byte) (Signature, error) {
	key, err := t.token.EnsureSigningKey(ctx, KeyLabel, hsm.ECDSAP256, hsm.Ed25519)
	if err != nil {
		return Signature{}, unusable(err)
	}
	signed, err := t.token.Sign(ctx, KeyLabel, challenge)
	if err != nil {
		return Signature{}, unusable(err)
	}
	return Signature{Key: Key{Kind: "hsm", Label: KeyLabel, Algorithm: string(key.Algorithm)}, Public: key.DER, Bytes: signed}, nil
}

func unusable(err error) error {
	reason := "The hardware security module does not sign."
	var e *hsm.Error
	if errors.As(err, &e) {
		reason = e.Reason
	}
	return fault.Wrap(fault.Unavailable, err, "Break-glass stays closed because its key cannot be used. %s", reason)
}

// Status implements Signer.
func (t tokenSigner) Status(ctx context.Context) KeyStatus {
	s := t.token.Status(ctx)
	status := KeyStatus{State: string(s.State), Reason: s.Reason, Label: s.Label}
	if len(s.Algorithms) > 0 {
		status.KeyType = s.Algorithms[0]
	}
	if s.State != hsm.StateReady {
		return status
	}
	if key, err := t.token.PublicKey(ctx, KeyLabel); err == nil {
		status.KeyType = string(key.Algorithm)
	}
	return status
}

type fileSigner struct{ path string }

// NewFileSigner signs with an Ed25519 key (RFC 8032) in a file that only the
// appliance can read, for machines without a hardware security module.
func NewFileSigner(path string) Signer { return fileSigner{path} }

// Sign implements Signer.
func (f fileSigner) Sign(_ context.Context, challenge []byte) (Signature, error) {
	key, err := f.key()
	if err != nil {
		return Signature{}, fault.Wrap(fault.Unavailable, err, "Break-glass stays closed because its key file %s cannot be used. Restore it from a backup, or remove it to have a new one made.", f.path)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	return Signature{
		Key:    Key{Kind: "file", Label: filepath.Base(f.path), Algorithm: string(hsm.Ed25519)},
		Public: public, Bytes: ed25519.Sign(key, challenge),
	}, err
}

// Status implements Signer.
func (f fileSigner) Status(context.Context) KeyStatus {
	return KeyStatus{State: string(hsm.StateNone), Label: filepath.Base(f.path), KeyType: string(hsm.Ed25519),
		Reason: "No hardware security module is configured; a key file on this machine signs."}
}

func (f fileSigner) key() (ed25519.PrivateKey, error) {
	seed, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := createSeed(f.path); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		seed, err = os.ReadFile(f.path)
	}
	if err != nil {
		return nil, err
	}
	if len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("the key file has %d bytes instead of %d", len(seed), ed25519.SeedSize)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// createSeed makes a key: a crash leaves none or a whole one, and of two processes
// one wins.
func createSeed(path string) error {
	seed := make([]byte, ed25519.SeedSize)
	rand.Read(seed)
	return durable.Create(path, seed)
}
