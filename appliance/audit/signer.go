package audit

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
	"sync"
	"time"

	"nimbus/appliance/audit/ledger"
	"nimbus/appliance/durable"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// KeyLabel is how the key that signs checkpoints is called in a token.
const KeyLabel = "nimbus-audit"

// Signer signs checkpoints: a key in a hardware security module where there is
// one, else one in a file.
type Signer interface {
	// Sign returns the signature over message as the key's algorithm has it.
	Sign(ctx context.Context, message []byte) ([]byte, error)
	// Key is the public key, with its kind and label.
	Key(ctx context.Context) (ledger.Key, error)
}

type fileSigner struct{ path string }

// NewFileSigner signs with an Ed25519 key in a file that only the appliance can
// read; it is made at the first signature.
func NewFileSigner(path string) Signer { return fileSigner{path} }

// Sign implements Signer.
func (f fileSigner) Sign(_ context.Context, message []byte) ([]byte, error) {
	key, err := f.key()
	if err != nil {
		return nil, err
	}
	return ed25519.Sign(key, message), nil
}

// Key implements Signer.
func (f fileSigner) Key(context.Context) (ledger.Key, error) {
	private, err := f.key()
	if err != nil {
		return ledger.Key{}, err
	}
	der, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		return ledger.Key{}, err
	}
	key, err := ledger.NewKey("", der)
	key.Kind, key.Label = "file", filepath.Base(f.path)
	return key, err
}

func (f fileSigner) key() (ed25519.PrivateKey, error) {
	seed, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := createSeed(f.path); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, f.unusable(err)
		}
		seed, err = os.ReadFile(f.path)
	}
	if err == nil && len(seed) != ed25519.SeedSize {
		err = fmt.Errorf("the key file has %d bytes instead of %d", len(seed), ed25519.SeedSize)
	}
	if err != nil {
		return nil, f.unusable(err)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

func (f fileSigner) unusable(err error) error {
	return fault.Wrap(fault.Unavailable, err, "The key file %s cannot be used. Restore it from a backup, or remove it to have a new key made.", f.path)
}

// createSeed makes a key: a crash leaves none or a whole one, and of two processes
// one wins.
func createSeed(path string) error {
	seed := make([]byte, ed25519.SeedSize)
	rand.Read(seed)
	return durable.Create(path, seed)
}

// SignerState tells how the signer is.
type SignerState struct {
	Kind    string    `json:"kind" doc:"hsm or file; empty when none was seen yet."`
	State   string    `json:"state" enum:"ready,failing,none"`
	Reason  string    `json:"reason"`
	Since   time.Time `json:"since"`
	Pending int64     `json:"pending_checkpoints" doc:"Chains whose newest records are not covered by a checkpoint."`
}

// signing remembers how signing went last, and which chains contradict what
// was signed.
type signing struct {
	mu        sync.Mutex
	state     SignerState
	tried     time.Time         // when it was found out last
	broken    map[string]broken // by the chain's name
	known     map[string]bool   // fingerprints that are stored
	appliance string
}

// outcome notes the result of a signature and tells whether the state changed.
func (g *signing) outcome(kind string, err error) (changed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tried = time.Now()
	next := SignerState{Kind: kind, State: "ready"}
	if err != nil {
		next.State, next.Reason = "failing", fault.Message(err)
		if kind == "" {
			next.Kind = g.state.Kind
		}
	}
	changed = next.State != g.state.State && (next.State == "failing" || g.state.State == "failing")
	if next.State != g.state.State {
		next.Since = time.Now().UTC()
	} else {
		next.Since = g.state.Since
	}
	g.state = next
	return changed
}

// broken is a chain that contradicts what was signed.
type broken struct {
	tenant id.ID
	reason string
}

// tryAgain is how long a node leaves alone what failed.
const tryAgain = time.Minute

// contradict notes what is wrong with a chain, or that nothing is.
func (g *signing) contradict(tenant id.ID, reason string) (changed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.broken == nil {
		g.broken = map[string]broken{}
	}
	chain := chainName(tenant)
	_, was := g.broken[chain]
	if reason == "" {
		delete(g.broken, chain)
		return was
	}
	g.tried = time.Now()
	g.broken[chain] = broken{tenant, reason}
	return !was
}
