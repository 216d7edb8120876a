package hsm

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/miekg/pkcs11"
)

// What the worker does with keys. Every private and secret key is made sensitive and not
// extractable, and one that is not so is refused, whoever made it.

var (
	oidP256    = []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07} // 1.2.840.10045.3.1.7
	oidEd25519 = []byte{0x06, 0x03, 0x2b, 0x65, 0x70}                               // 1.3.101.112
)

// curve is how an Algorithm is called in PKCS#11.
type curve struct {
	params   []byte
	generate uint
	keyType  uint
	sign     uint
}

var curves = map[Algorithm]curve{
	ECDSAP256: {oidP256, pkcs11.CKM_EC_KEY_PAIR_GEN, pkcs11.CKK_EC, pkcs11.CKM_ECDSA},
	Ed25519:   {oidEd25519, ckmEdwardsKeyPairGen, ckkEdwards, ckmEdDSA},
}

// algorithms lists what the token can make signing keys for, preferred first.
func (m *module) algorithms(slot uint) []string {
	var names []string
	for _, a := range []Algorithm{ECDSAP256, Ed25519} {
		if m.has(slot, curves[a].generate, curves[a].sign) {
			names = append(names, string(a))
		}
	}
	return names
}

func (m *module) wraps(slot uint) bool {
	return m.has(slot, pkcs11.CKM_AES_KEY_GEN, pkcs11.CKM_AES_GCM)
}

// has tells whether the token knows all of the mechanisms.
func (m *module) has(slot uint, codes ...uint) bool {
	known, err := m.ctx.GetMechanismList(slot)
	missing := func(code uint) bool {
		return !slices.ContainsFunc(known, func(k *pkcs11.Mechanism) bool { return k.Mechanism == code })
	}
	return err == nil && !slices.ContainsFunc(codes, missing)
}

// lookupKey returns the one object with the class and label.
func (m *module) lookupKey(class uint, label string) (pkcs11.ObjectHandle, error) {
	template := []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, class),
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, label),
	}
	if err := m.ctx.FindObjectsInit(m.session, template); err != nil {
		return 0, err
	}
	found, _, err := m.ctx.FindObjects(m.session, 2)
	err = errors.Join(err, m.ctx.FindObjectsFinal(m.session))
	switch {
	case err != nil:
		return 0, err
	case len(found) == 0:
		return 0, fail(ErrKeyNotFound, fmt.Sprintf("The token has no key labelled %q, or is sealed.", label))
	case len(found) > 1:
		return 0, fail(ErrKeyAmbiguous, fmt.Sprintf("The token has several keys labelled %q; remove or rename the ones that are not ours.", label))
	}
	return found[0], nil
}

// secretKey finds a private or secret key and makes sure that it cannot leave the token.
func (m *module) secretKey(class uint, label string) (pkcs11.ObjectHandle, error) {
	key, err := m.lookupKey(class, label)
	if err != nil {
		return 0, err
	}
	attrs, err := m.ctx.GetAttributeValue(m.session, key, []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, nil),
		pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, nil),
	})
	if err != nil {
		return 0, err
	}
	if !isTrue(attrs[0]) || isTrue(attrs[1]) {
		return 0, fail(ErrKeyUnsafe, fmt.Sprintf("The key labelled %q could be read out of the token; use another label.", label))
	}
	return key, nil
}

func isTrue(a *pkcs11.Attribute) bool { return len(a.Value) > 0 && a.Value[0] != 0 }

// loggedInOrSealed keeps a sealed token from looking like one without keys: private objects
// are invisible before the login, and a second key with the same label would be made.
func (m *module) loggedInOrSealed() error {
	if m.loggedIn(m.slot) {
		return nil
	}
	return fail(ErrSealed, "Nobody is logged in to the token; unlock it with its PIN.")
}

func (m *module) ensureSigningKey(req request) (response, error) {
	if err := m.loggedInOrSealed(); err != nil {
		return response{}, err
	}
	_, err := m.secretKey(pkcs11.CKO_PRIVATE_KEY, req.Key)
	if errors.Is(err, ErrKeyNotFound) && req.Fresh {
		err = m.generateSigningKey(req)
	}
	if err != nil {
		return response{}, err
	}
	return m.publicKey(req.Key)
}

func (m *module) generateSigningKey(req request) error {
	able := m.algorithms(m.slot)
	for _, a := range req.Algorithms {
		if slices.Contains(able, string(a)) {
			_, _, err := m.generatePair(a, req.Key, true)
			return err
		}
	}
	return fail(ErrUnsupported, fmt.Sprintf("The token makes none of the keys asked for (%v).", req.Algorithms))
}

// generatePair makes a key pair, in the token when it is to stay and in the session otherwise.
func (m *module) generatePair(a Algorithm, label string, stays bool) (public, private pkcs11.ObjectHandle, err error) {
	c := curves[a]
	id := sha256.Sum256([]byte(label))
	common := func(more ...*pkcs11.Attribute) []*pkcs11.Attribute {
		return append(more,
			pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, c.keyType),
			pkcs11.NewAttribute(pkcs11.CKA_TOKEN, stays),
			pkcs11.NewAttribute(pkcs11.CKA_LABEL, label),
			pkcs11.NewAttribute(pkcs11.CKA_ID, id[:16]))
	}
	return m.ctx.GenerateKeyPair(m.session, []*pkcs11.Mechanism{pkcs11.NewMechanism(c.generate, nil)},
		common(
			pkcs11.NewAttribute(pkcs11.CKA_VERIFY, true),
			pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, c.params)),
		common(
			pkcs11.NewAttribute(pkcs11.CKA_SIGN, true),
			pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, true),
			pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, true),
			pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, false)))
}

func (m *module) publicKey(label string) (response, error) {
	handle, err := m.lookupKey(pkcs11.CKO_PUBLIC_KEY, label)
	if err != nil {
		return response{}, err
	}
	key, err := m.readPublicKey(handle)
	return response{Key: key}, err
}

func (m *module) readPublicKey(handle pkcs11.ObjectHandle) (*publicKey, error) {
	attrs, err := m.ctx.GetAttributeValue(m.session, handle, []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, nil),
		pkcs11.NewAttribute(pkcs11.CKA_EC_POINT, nil),
	})
	if err != nil {
		return nil, err
	}
	point := attrs[1].Value
	if slices.Equal(attrs[0].Value, pkcs11.NewAttribute(0, uint(ckkEdwards)).Value) {
		return edwardsKey(point)
	}
	return p256Key(point)
}

// p256Key reads CKA_EC_POINT: an uncompressed point, in an OCTET STRING as the
// specification says or bare as some tokens have it.
func p256Key(point []byte) (*publicKey, error) {
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), unwrapOctets(point, 65))
	if err != nil {
		return nil, fail(ErrUnsupported, "The key is not one on the curve P-256; use another label.")
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	return &publicKey{Algorithm: ECDSAP256, DER: der}, err
}

func edwardsKey(point []byte) (*publicKey, error) {
	raw := unwrapOctets(point, ed25519.PublicKeySize)
	if len(raw) != ed25519.PublicKeySize {
		return nil, fail(ErrUnsupported, "The key is not an Ed25519 key; use another label.")
	}
	der, err := x509.MarshalPKIXPublicKey(ed25519.PublicKey(raw))
	return &publicKey{Algorithm: Ed25519, DER: der}, err
}

func unwrapOctets(value []byte, bare int) []byte {
	var octets []byte
	if len(value) == bare {
		return value
	}
	if rest, err := asn1.Unmarshal(value, &octets); err != nil || len(rest) > 0 {
		return nil
	}
	return octets
}

func (m *module) signWith(req request) (response, error) {
	if err := m.loggedInOrSealed(); err != nil {
		return response{}, err
	}
	private, err := m.secretKey(pkcs11.CKO_PRIVATE_KEY, req.Key)
	if err != nil {
		return response{}, err
	}
	resp, err := m.publicKey(req.Key)
	if err != nil {
		return response{}, err
	}
	resp.Data, err = m.sign(resp.Key.Algorithm, private, req.Data)
	return resp, err
}

// sign signs the message. ECDSA gets its SHA-256, because few tokens hash for themselves,
// and its signature is turned from r‖s into ASN.1 DER.
func (m *module) sign(a Algorithm, key pkcs11.ObjectHandle, message []byte) ([]byte, error) {
	data := message
	if a == ECDSAP256 {
		digest := sha256.Sum256(message)
		data = digest[:]
	}
	if err := m.ctx.SignInit(m.session, []*pkcs11.Mechanism{pkcs11.NewMechanism(curves[a].sign, nil)}, key); err != nil {
		return nil, err
	}
	signature, err := m.ctx.Sign(m.session, data)
	if err != nil || a == Ed25519 {
		return signature, err
	}
	if len(signature) != 64 {
		return nil, fail(ErrModuleFailed, fmt.Sprintf("The token made a signature of %d bytes where 64 are right.", len(signature)))
	}
	type pair struct{ R, S *big.Int }
	return asn1.Marshal(pair{new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])})
}

// testSignature signs with a key that is gone afterwards.
func (m *module) testSignature(req request) (response, error) {
	if err := m.loggedInOrSealed(); err != nil {
		return response{}, err
	}
	able := m.algorithms(m.slot)
	if len(able) == 0 {
		return response{}, fail(ErrUnsupported, "The token can sign neither with ECDSA P-256 nor with Ed25519; choose another one.")
	}
	algorithm := Algorithm(able[0])
	public, private, err := m.generatePair(algorithm, "nimbus test", false)
	if err != nil {
		return response{}, err
	}
	defer func() { _, _ = m.ctx.DestroyObject(m.session, public), m.ctx.DestroyObject(m.session, private) }()
	key, err := m.readPublicKey(public)
	if err != nil {
		return response{}, err
	}
	signature, err := m.sign(algorithm, private, req.Data)
	return response{Key: key, Data: signature}, err
}

func (m *module) ensureWrappingKey(req request) error {
	if err := m.loggedInOrSealed(); err != nil {
		return err
	}
	_, err := m.secretKey(pkcs11.CKO_SECRET_KEY, req.Key)
	if !errors.Is(err, ErrKeyNotFound) || !req.Fresh {
		return err
	}
	id := sha256.Sum256([]byte(req.Key))
	_, err = m.ctx.GenerateKey(m.session, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_KEY_GEN, nil)}, []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY),
		pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_AES),
		pkcs11.NewAttribute(pkcs11.CKA_VALUE_LEN, 32),
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true),
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, req.Key),
		pkcs11.NewAttribute(pkcs11.CKA_ID, id[:16]),
		pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, true),
		pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, true),
		pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, false),
		pkcs11.NewAttribute(pkcs11.CKA_ENCRYPT, true),
		pkcs11.NewAttribute(pkcs11.CKA_DECRYPT, true),
	})
	return err
}

// Wrapped data is: the format's number, the nonce, and what AES-GCM made (NIST SP 800-38D):
// the ciphertext and a tag of 16 bytes. The number is authenticated with the caller's data.
const (
	wrapFormat = 1
	nonceSize  = 12
	tagSize    = 16
)

func wrapAAD(aad []byte) []byte { return append([]byte{wrapFormat}, aad...) }

func (m *module) wrap(req request) (response, error) {
	key, err := m.wrappingKey(req.Key)
	if err != nil {
		return response{}, err
	}
	nonce := make([]byte, nonceSize)
	_, _ = rand.Read(nonce) // never fails: crypto/rand ends the process instead
	params := pkcs11.NewGCMParams(nonce, wrapAAD(req.AAD), tagSize*8)
	defer params.Free()
	if err := m.ctx.EncryptInit(m.session, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_GCM, params)}, key); err != nil {
		return response{}, err
	}
	sealed, err := m.ctx.Encrypt(m.session, req.Data)
	if err != nil {
		return response{}, err
	}
	nonce = params.IV() // some tokens choose their own
	if len(nonce) != nonceSize || len(sealed) != len(req.Data)+tagSize {
		return response{}, fail(ErrUnsupported, "The token encrypts in a form that we cannot read back; choose another one.")
	}
	return response{Data: slices.Concat([]byte{wrapFormat}, nonce, sealed)}, nil
}

func (m *module) unwrap(req request) (response, error) {
	if len(req.Data) < 1+nonceSize+tagSize || req.Data[0] != wrapFormat {
		return response{}, fail(ErrUnwrap, "This was not wrapped by a token, or is damaged.")
	}
	key, err := m.wrappingKey(req.Key)
	if err != nil {
		return response{}, err
	}
	params := pkcs11.NewGCMParams(req.Data[1:1+nonceSize], wrapAAD(req.AAD), tagSize*8)
	defer params.Free()
	if err := m.ctx.DecryptInit(m.session, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_GCM, params)}, key); err != nil {
		return response{}, err
	}
	plaintext, err := m.ctx.Decrypt(m.session, req.Data[1+nonceSize:])
	if isCode(err, pkcs11.CKR_ENCRYPTED_DATA_INVALID, pkcs11.CKR_ENCRYPTED_DATA_LEN_RANGE, pkcs11.CKR_GENERAL_ERROR, pkcs11.CKR_DATA_INVALID, pkcs11.CKR_FUNCTION_FAILED) {
		return response{}, fail(ErrUnwrap, "The token cannot open this: it was wrapped by another key or for another purpose, or is damaged.")
	}
	return response{Data: plaintext}, err
}

func (m *module) wrappingKey(label string) (pkcs11.ObjectHandle, error) {
	if err := m.loggedInOrSealed(); err != nil {
		return 0, err
	}
	return m.secretKey(pkcs11.CKO_SECRET_KEY, label)
}
