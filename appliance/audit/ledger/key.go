package ledger

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// Algorithm is how a key signs.
type Algorithm string

// The algorithms of signed notes.
const (
	Ed25519   Algorithm = "ed25519"    // RFC 8032, note type 0x01
	ECDSAP256 Algorithm = "ecdsa-p256" // SHA-256, ASN.1 DER, note type 0x02
)

const (
	typeEd25519 = 0x01
	typeECDSA   = 0x02
)

// Key is a public key that signs checkpoints.
type Key struct {
	// Name is the origin the key signs for; empty: for any.
	Name      string
	Algorithm Algorithm
	Public    []byte // SubjectPublicKeyInfo (RFC 5280)
	Kind      string // hsm or file, where that is known
	Label     string // how it is called there
}

// NewKey returns the key of a SubjectPublicKeyInfo. Only Ed25519 and ECDSA on
// P-256 are taken.
func NewKey(name string, public []byte) (Key, error) {
	parsed, err := x509.ParsePKIXPublicKey(public)
	if err != nil {
		return Key{}, fmt.Errorf("the public key cannot be read: %w", err)
	}
	k := Key{Name: name, Public: public}
	switch p := parsed.(type) {
	case ed25519.PublicKey:
		k.Algorithm = Ed25519
	case *ecdsa.PublicKey:
		if p.Curve != elliptic.P256() {
			return Key{}, errors.New("the public key is on a curve other than P-256")
		}
		k.Algorithm = ECDSAP256
	default:
		return Key{}, errors.New("the public key is neither Ed25519 nor ECDSA P-256")
	}
	return k, nil
}

// ParseKey reads a verifier key as Text writes it, or a public key in PEM,
// which holds for any origin.
func ParseKey(text string) (Key, error) {
	text = strings.TrimSpace(text)
	if block, _ := pem.Decode([]byte(text)); block != nil {
		return NewKey("", block.Bytes)
	}
	name, rest, ok := strings.Cut(text, "+")
	hash, encoded, ok2 := strings.Cut(rest, "+")
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || !ok2 || err != nil || len(raw) < 2 || name == "" {
		return Key{}, errors.New("a key is given as name+id+base64, as `nimbus audit key` prints it, or as a public key in PEM")
	}
	k, err := keyOfType(name, raw)
	if err != nil {
		return Key{}, err
	}
	if fmt.Sprintf("%08x", k.id(name)) != hash {
		return Key{}, errors.New("the key does not have the id it is given with: it was changed or cut")
	}
	return k, nil
}

func keyOfType(name string, raw []byte) (Key, error) {
	switch {
	case raw[0] == typeEd25519 && len(raw) == 1+ed25519.PublicKeySize:
		public, err := x509.MarshalPKIXPublicKey(ed25519.PublicKey(raw[1:]))
		if err != nil {
			return Key{}, err
		}
		return NewKey(name, public)
	case raw[0] == typeECDSA:
		k, err := NewKey(name, raw[1:])
		if err == nil && k.Algorithm != ECDSAP256 {
			err = errors.New("the key says that it is ECDSA and is not")
		}
		return k, err
	}
	return Key{}, errors.New("the key is of a type that is not known here")
}

// ParseKeys reads one key per line, or PEM blocks. Empty lines and lines that
// begin with # are skipped.
func ParseKeys(text string) (Keys, error) {
	var all Keys
	for rest := []byte(text); ; {
		block, after := pem.Decode(rest)
		if block == nil {
			break
		}
		k, err := NewKey("", block.Bytes)
		if err != nil {
			return nil, err
		}
		all, rest = append(all, k), after
	}
	if len(all) > 0 {
		return all, nil
	}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		k, err := ParseKey(line)
		if err != nil {
			return nil, err
		}
		all = append(all, k)
	}
	return all, nil
}

// Text is the verifier key for an origin (C2SP signed-note): name+id+base64.
func (k Key) Text(origin string) string {
	return fmt.Sprintf("%s+%08x+%s", origin, k.id(origin), base64.StdEncoding.EncodeToString(k.typed()))
}

// PEM is the public key as a PEM block.
func (k Key) PEM() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: k.Public}))
}

// Fingerprint is the SHA-256 of the public key, in hexadecimal.
func (k Key) Fingerprint() string { return fmt.Sprintf("%x", sha256.Sum256(k.Public)) }

// typed is the type's number and the key in the form of that type.
func (k Key) typed() []byte {
	if k.Algorithm == ECDSAP256 {
		return append([]byte{typeECDSA}, k.Public...)
	}
	return append([]byte{typeEd25519}, k.Public[len(k.Public)-ed25519.PublicKeySize:]...)
}

// id is the number by which a signature names its key. ECDSA's depends on the
// key only, as the specification has it.
func (k Key) id(name string) uint32 {
	in := k.Public
	if k.Algorithm == Ed25519 {
		in = append([]byte(name+"\n"), k.typed()...)
	}
	sum := sha256.Sum256(in)
	return binary.BigEndian.Uint32(sum[:4])
}

// Verify reports whether signature is the key's over message.
func (k Key) Verify(message, signature []byte) bool {
	parsed, err := x509.ParsePKIXPublicKey(k.Public)
	if err != nil {
		return false
	}
	switch p := parsed.(type) {
	case ed25519.PublicKey:
		return ed25519.Verify(p, message, signature)
	case *ecdsa.PublicKey:
		sum := sha256.Sum256(message)
		return p.Curve == elliptic.P256() && ecdsa.VerifyASN1(p, sum[:], signature)
	}
	return false
}

// Keys are the keys that are trusted.
type Keys []Key

// verifiers are the keys that may sign for an origin, each once.
func (k Keys) verifiers(origin string) note.Verifiers {
	var list []note.Verifier
	seen := map[uint32]bool{}
	for _, key := range k {
		if key.Name != "" && key.Name != origin || seen[key.id(origin)] {
			continue
		}
		seen[key.id(origin)] = true
		list = append(list, verifier{key, origin})
	}
	return note.VerifierList(list...)
}

// find is the key that a signature names.
func (k Keys) find(origin string, id uint32) Key {
	for _, key := range k {
		if (key.Name == "" || key.Name == origin) && key.id(origin) == id {
			return key
		}
	}
	return Key{}
}

// canonical is false when a signature could be written in another way.
func canonical(n *note.Note) bool {
	for _, s := range n.Sigs {
		if _, err := base64.StdEncoding.Strict().DecodeString(s.Base64); err != nil {
			return false
		}
	}
	return true
}

// verifier is a key as package note wants it.
type verifier struct {
	key  Key
	name string
}

// Name implements note.Verifier.
func (v verifier) Name() string { return v.name }

// KeyHash implements note.Verifier.
func (v verifier) KeyHash() uint32 { return v.key.id(v.name) }

// Verify implements note.Verifier.
func (v verifier) Verify(message, signature []byte) bool { return v.key.Verify(message, signature) }

// SignFunc signs a message with a private key that is elsewhere.
type SignFunc func(ctx context.Context, message []byte) ([]byte, error)

// SignNote returns text with the signature of key under the name origin.
// What was signed is verified before it is returned.
func SignNote(ctx context.Context, text, origin string, key Key, sign SignFunc) (string, error) {
	signed, err := note.Sign(&note.Note{Text: text}, signer{verifier{key, origin}, ctx, sign})
	return string(signed), err
}

type signer struct {
	verifier
	ctx  context.Context
	sign SignFunc
}

// Sign implements note.Signer.
func (s signer) Sign(message []byte) ([]byte, error) {
	signature, err := s.sign(s.ctx, message)
	if err == nil && !s.Verify(message, signature) {
		err = errors.New("the signature does not fit the key that should have made it")
	}
	return signature, err
}

// The ways in which a note is not one that a trusted key signed.
var (
	ErrUnsigned  = errors.New("it carries no signature")
	ErrForeign   = errors.New("none of its signatures is of a key that was given")
	ErrSignature = errors.New("its signature does not fit: the text was changed after signing, or the signature is damaged")
)

// openNote returns the text of a note that one of the keys signed for origin,
// and the key; else ErrUnsigned, ErrForeign or ErrSignature.
func openNote(signed, origin string, keys Keys) (string, Key, error) {
	n, err := note.Open([]byte(signed), keys.verifiers(origin))
	var unverified *note.UnverifiedNoteError
	var invalid *note.InvalidSignatureError
	switch {
	case err == nil && canonical(n):
		return n.Text, keys.find(origin, n.Sigs[0].Hash), nil
	case err == nil:
		return "", Key{}, ErrSignature
	case errors.As(err, &unverified):
		return "", Key{}, ErrForeign
	case errors.As(err, &invalid):
		return "", Key{}, ErrSignature
	case !bytes.Contains([]byte(signed), []byte("\n\n— ")):
		return "", Key{}, ErrUnsigned
	}
	return "", Key{}, fmt.Errorf("%w (%w)", ErrSignature, err)
}
