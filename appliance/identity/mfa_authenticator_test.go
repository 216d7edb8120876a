package identity_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"slices"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

// authenticator is a browser with an authenticator that keeps one discoverable
// ES256 key and lies when it is told to.
type authenticator struct {
	t      testing.TB
	origin string
	rpID   string
	key    *ecdsa.PrivateKey
	id     []byte
	handle []byte
	// What it says of itself.
	present, verified bool
	counter           uint32
}

func newAuthenticator(t testing.TB) *authenticator {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw := make([]byte, 32)
	rand.Read(raw)
	return &authenticator{
		t: t, origin: "https://nimbus.example.org:8443", rpID: "nimbus.example.org",
		key: key, id: raw, present: true, verified: true,
	}
}

// asked is what options of both kinds have in common, as a browser reads it.
type asked struct {
	Challenge string `json:"challenge"`
	RP        struct {
		ID string `json:"id"`
	} `json:"rp"`
	RPID string `json:"rpId"`
	User struct {
		ID string `json:"id"`
	} `json:"user"`
	UserVerification string `json:"userVerification"`
	AllowCredentials []struct {
		ID string `json:"id"`
	} `json:"allowCredentials"`
	ExcludeCredentials []struct {
		ID string `json:"id"`
	} `json:"excludeCredentials"`
}

func (a *authenticator) read(options any) asked {
	a.t.Helper()
	raw, err := json.Marshal(options)
	a.must(err)
	var o asked
	a.must(json.Unmarshal(raw, &o))
	if len(text64(a.t, o.Challenge)) < 16 {
		a.t.Fatalf("the challenge %q is short", o.Challenge)
	}
	return o
}

// create answers options for a new passkey with attestation "none".
func (a *authenticator) create(options any) json.RawMessage {
	a.t.Helper()
	o := a.read(options)
	a.handle = text64(a.t, o.User.ID)
	data := a.data(0x40)
	data = append(data, make([]byte, 16)...) // AAGUID
	data = binary.BigEndian.AppendUint16(data, uint16(len(a.id)))
	data = append(data, a.id...)
	data = append(data, a.cose()...)
	object, err := cbor.Marshal(map[string]any{"fmt": "none", "attStmt": map[string]any{}, "authData": data})
	a.must(err)
	return a.answer(map[string]any{
		"clientDataJSON": b64(a.client("webauthn.create", o.Challenge)), "attestationObject": b64(object), "transports": []string{"internal"},
	})
}

// get answers options for an assertion.
func (a *authenticator) get(options any) json.RawMessage {
	a.t.Helper()
	o := a.read(options)
	client := a.client("webauthn.get", o.Challenge)
	data := a.data(0)
	hash := sha256.Sum256(client)
	digest := sha256.Sum256(slices.Concat(data, hash[:]))
	signature, err := ecdsa.SignASN1(rand.Reader, a.key, digest[:])
	a.must(err)
	return a.answer(map[string]any{
		"clientDataJSON": b64(client), "authenticatorData": b64(data), "signature": b64(signature), "userHandle": b64(a.handle),
	})
}

// data is the authenticator data without attested credential data; its counter rises.
func (a *authenticator) data(flags byte) []byte {
	if a.present {
		flags |= 0x01
	}
	if a.verified {
		flags |= 0x04
	}
	a.counter++
	rp := sha256.Sum256([]byte(a.rpID))
	return binary.BigEndian.AppendUint32(append(rp[:], flags), a.counter)
}

func (a *authenticator) client(kind, challenge string) []byte {
	raw, err := json.Marshal(map[string]any{"type": kind, "challenge": challenge, "origin": a.origin, "crossOrigin": false})
	a.must(err)
	return raw
}

// cose is the public key as RFC 9052 writes it: EC2, ES256, P-256.
func (a *authenticator) cose() []byte {
	point, err := a.key.PublicKey.Bytes()
	a.must(err)
	mode, err := cbor.CTAP2EncOptions().EncMode()
	a.must(err)
	raw, err := mode.Marshal(map[int]any{1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]})
	a.must(err)
	return raw
}

func (a *authenticator) answer(response map[string]any) json.RawMessage {
	raw, err := json.Marshal(map[string]any{
		"id": b64(a.id), "rawId": b64(a.id), "type": "public-key", "response": response,
		"authenticatorAttachment": "platform", "clientExtensionResults": map[string]any{},
	})
	a.must(err)
	return raw
}

func (a *authenticator) must(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

func b64(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

func text64(t testing.TB, text string) []byte {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
