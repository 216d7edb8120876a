// Package secret keeps what must never be read from the database alone:
// Proxmox tokens, stack passphrases, second factors. It is envelope
// encryption: each tenant has a data key, which is stored wrapped by the root
// key (in the HSM where there is one, else in a file) and, for recovery,
// encrypted to the recovery kit.
//
// Data is sealed with AES-256-GCM (NIST SP 800-38D) under a random nonce; the
// additional data binds it to its tenant and purpose, so that a sealed value
// copied to another row does not open.
package secret

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"sync"

	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// KeySize is the size of every symmetric key here, in bytes.
const KeySize = 32

const sealedVersion = 1

// RootKey wraps data keys. It is a file key or a key inside an HSM.
type RootKey interface {
	// Name tells which root key it is; it is stored beside what it wrapped.
	Name() string
	// Wrap encrypts a data key, bound to aad.
	Wrap(ctx context.Context, plaintext, aad []byte) ([]byte, error)
	// Unwrap reverses Wrap. It fails when the key is another or absent.
	Unwrap(ctx context.Context, wrapped, aad []byte) ([]byte, error)
}

// WrappedKey is a data key as it is stored.
type WrappedKey struct {
	Root    string // RootKey.Name
	Wrapped []byte
	Escrow  []byte // encrypted to the recovery kit; empty before there is one
}

// Store keeps wrapped keys, one per tenant; the zero id is the provider's.
type Store interface {
	// LoadKey returns false when the tenant has no key yet.
	LoadKey(ctx context.Context, tenant id.ID) (WrappedKey, bool, error)
	// AddKey stores k unless there is a key already, and returns the one stored.
	AddKey(ctx context.Context, tenant id.ID, k WrappedKey) (WrappedKey, error)
}

// Keyring seals and opens. It is safe for concurrent use.
type Keyring struct {
	root   RootKey
	store  Store
	escrow func(plaintext []byte) ([]byte, error)

	mu   sync.RWMutex
	open map[id.ID]dataKey
}

// dataKey is an unwrapped key.
type dataKey struct {
	raw  []byte
	aead cipher.AEAD
}

// NewKeyring returns a keyring over a root key and a store. escrow, which may
// be nil, encrypts a new data key to the recovery kit.
func NewKeyring(root RootKey, store Store, escrow func([]byte) ([]byte, error)) *Keyring {
	return &Keyring{root: root, store: store, escrow: escrow, open: map[id.ID]dataKey{}}
}

// Seal encrypts plaintext for a tenant and a purpose such as
// "connection/<id>/token". It returns fault.Unavailable when the root key
// cannot be used.
func (k *Keyring) Seal(ctx context.Context, tenant id.ID, purpose string, plaintext []byte) ([]byte, error) {
	key, err := k.dataKey(ctx, tenant)
	if err != nil {
		return nil, err
	}
	return key.aead.Seal([]byte{sealedVersion}, nil, plaintext, additional(tenant, purpose)), nil
}

// Open reverses Seal for the same tenant and purpose. Anything else, or a
// changed byte, is fault.Internal.
func (k *Keyring) Open(ctx context.Context, tenant id.ID, purpose string, sealed []byte) ([]byte, error) {
	if len(sealed) == 0 || sealed[0] != sealedVersion {
		return nil, fault.New(fault.Internal, "A stored secret has an unknown form. Restore it from a backup or enter it again.")
	}
	key, err := k.dataKey(ctx, tenant)
	if err != nil {
		return nil, err
	}
	plaintext, err := key.aead.Open(nil, nil, sealed[1:], additional(tenant, purpose))
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "A stored secret cannot be decrypted. Enter it again.")
	}
	return plaintext, nil
}

// Derive returns a key for one purpose, the same each time, by HKDF-SHA-256
// (RFC 5869) from the tenant's data key.
func (k *Keyring) Derive(ctx context.Context, tenant id.ID, purpose string) ([]byte, error) {
	key, err := k.dataKey(ctx, tenant)
	if err != nil {
		return nil, err
	}
	return hkdf.Key(sha256.New, key.raw, nil, string(additional(tenant, purpose)), KeySize)
}

func (k *Keyring) dataKey(ctx context.Context, tenant id.ID) (dataKey, error) {
	k.mu.RLock()
	key, ok := k.open[tenant]
	k.mu.RUnlock()
	if ok {
		return key, nil
	}
	wrapped, ok, err := k.store.LoadKey(ctx, tenant)
	if err != nil {
		return dataKey{}, err
	}
	if !ok {
		if wrapped, err = k.addKey(ctx, tenant); err != nil {
			return dataKey{}, err
		}
	}
	return k.unwrap(ctx, tenant, wrapped)
}

func (k *Keyring) addKey(ctx context.Context, tenant id.ID) (WrappedKey, error) {
	plaintext := make([]byte, KeySize)
	rand.Read(plaintext)
	wrapped, err := k.root.Wrap(ctx, plaintext, additional(tenant, "data key"))
	if err != nil {
		return WrappedKey{}, fault.Wrap(fault.Unavailable, err, "The root key cannot be used, so nothing can be encrypted. See System health.")
	}
	made := WrappedKey{Root: k.root.Name(), Wrapped: wrapped}
	if k.escrow != nil {
		if made.Escrow, err = k.escrow(plaintext); err != nil {
			return WrappedKey{}, err
		}
	}
	return k.store.AddKey(ctx, tenant, made)
}

func (k *Keyring) unwrap(ctx context.Context, tenant id.ID, w WrappedKey) (dataKey, error) {
	if w.Root != k.root.Name() {
		return dataKey{}, fault.New(fault.Unavailable, "Secrets are protected by the root key %q, and this appliance runs with %q. Attach the right key or restore with the recovery kit.", w.Root, k.root.Name())
	}
	plaintext, err := k.root.Unwrap(ctx, w.Wrapped, additional(tenant, "data key"))
	if err != nil {
		return dataKey{}, fault.Wrap(fault.Unavailable, err, "The root key cannot be used, so stored secrets cannot be read. See System health.")
	}
	aead, err := newAEAD(plaintext)
	if err != nil {
		return dataKey{}, err
	}
	key := dataKey{raw: plaintext, aead: aead}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.open[tenant] = key
	return key, nil
}

// Forget drops the open key of a tenant that is gone. One that comes again
// under its id gets a key of its own.
func (k *Keyring) Forget(tenant id.ID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.open, tenant)
}

// Reveal returns a tenant's data key itself, for escrow to a new recovery kit.
func (k *Keyring) Reveal(ctx context.Context, tenant id.ID, w WrappedKey) ([]byte, error) {
	return k.root.Unwrap(ctx, w.Wrapped, additional(tenant, "data key"))
}

// Rewrap wraps a tenant's data key, as Reveal or an escrow gave it, under
// another root key.
func Rewrap(ctx context.Context, root RootKey, tenant id.ID, plaintext []byte) (WrappedKey, error) {
	wrapped, err := root.Wrap(ctx, plaintext, additional(tenant, "data key"))
	return WrappedKey{Root: root.Name(), Wrapped: wrapped}, err
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// additional is unambiguous: both parts carry their length.
func additional(tenant id.ID, purpose string) []byte {
	return fmt.Appendf(nil, "nimbus/1 %s %d:%s", tenant.Hex(), len(purpose), purpose)
}
