package audit

import (
	"context"
	"fmt"
	"time"

	"nimbus/appliance/audit/ledger"
	"nimbus/appliance/db"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// Permissions about checkpoints.
const (
	CheckpointPermission = "audit:checkpoint:create"
	PublishPermission    = "audit:checkpoint:publish"
)

// Checkpoint is a signed head of a chain: a statement that after Size records
// the root of its tree was Root.
type Checkpoint struct {
	ID          id.ID
	Size        int64
	Root        Hash
	Note        string // C2SP tlog-checkpoint
	Fingerprint string // of the key
	KeyKind     string // hsm or file
	KeyName     string
	Algorithm   string
	CreatedAt   time.Time
	Published   []Publication
}

// SigningKey is a key that signs or signed checkpoints.
type SigningKey struct {
	ledger.Key
	CreatedAt time.Time
	RetiredAt *time.Time
}

// SignerEvent tells that the signer failed or is back.
const SignerEvent = "audit.signer.updated"

// origin is the name of a chain in checkpoints.
func (s *Service) origin(ctx context.Context, chain string) (string, error) {
	s.signing.mu.Lock()
	name := s.signing.appliance
	s.signing.mu.Unlock()
	if name == "" {
		err := s.DB.Core(db.Apart(ctx), func(ctx context.Context) error {
			found, err := s.store.appliance(ctx)
			name = found.String()
			return err
		})
		if err != nil {
			return "", err
		}
		s.signing.mu.Lock()
		s.signing.appliance = name
		s.signing.mu.Unlock()
	}
	return "nimbus/" + name + "/" + chain, nil
}

// chainOf is the tenant whose scope holds the chain: zero for the provider's.
func (s *Service) chainOf(tenant id.ID) id.ID {
	if s.IsRoot(tenant) {
		return id.ID{}
	}
	return tenant
}

// head is what a checkpoint is made of.
type head struct {
	newest Checkpoint
	signed bool // newest is there
	size   int64
	root   Hash
}

// Checkpoint returns the newest signed head of a chain, which covers every
// sealed record: it signs a new one when there are records after the last. It
// returns fault.Unavailable when the signer does not sign, and fault.Conflict when the
// chain contradicts the last signed head; the latter is recorded.
func (s *Service) Checkpoint(ctx context.Context, tenant id.ID) (Checkpoint, error) {
	ctx, tenant = db.Apart(ctx), s.chainOf(tenant)
	if err := s.seal(ctx, tenant); err != nil {
		return Checkpoint{}, err
	}
	key, sign, err := s.signer(ctx)
	if err != nil {
		return Checkpoint{}, s.signed(ctx, key, err)
	}
	h, err := s.headOf(ctx, tenant)
	if err != nil {
		return Checkpoint{}, err
	}
	if h.signed && h.newest.Size == h.size && h.newest.Fingerprint == key.Fingerprint() {
		return h.newest, nil
	}
	return s.sign(ctx, tenant, h, key, sign)
}

// headOf reads the head and refuses one that contradicts what was signed.
func (s *Service) headOf(ctx context.Context, tenant id.ID) (h head, err error) {
	chain := chainName(tenant)
	err = s.in(ctx, tenant, func(ctx context.Context) error {
		if h.newest, h.signed, err = s.store.newestCheckpoint(ctx); err != nil {
			return err
		}
		if h.size, _, _, err = s.store.head(ctx); err != nil {
			return err
		}
		nodes := s.treeOf(ctx)
		if h.root, err = nodes.root(h.size); err != nil {
			return err
		}
		return s.contradiction(ctx, chain, h, nodes)
	})
	reason := ""
	if fault.Is(err, fault.Conflict) {
		reason = fault.Message(err)
	}
	if (err == nil || reason != "") && s.signing.contradict(tenant, reason) && reason != "" {
		s.refused(ctx, tenant, reason)
	}
	return h, err
}

// contradiction is fault.Conflict when the chain does not begin with what was
// signed last, as the database and as this machine's own copy have it.
func (s *Service) contradiction(ctx context.Context, chain string, h head, nodes *tree) error {
	if h.signed {
		if err := begins(nodes, h.size, h.newest.Size, h.newest.Root); err != nil {
			return err
		}
	}
	note, err := s.anchor(chain)
	if err != nil || note == "" {
		return err
	}
	c, err := ledger.ReadCheckpoint(note)
	origin, err2 := s.origin(ctx, chain)
	switch {
	case err2 != nil:
		return err2
	case err != nil:
		return fault.Wrap(fault.Conflict, err, "The copy of the last checkpoint, %s, is damaged. Compare the chain with a published one and remove the copy.", s.anchorPath(chain))
	case c.Origin != origin:
		return fault.New(fault.Conflict, "The copy of the last checkpoint, %s, is of another chain: %s.", s.anchorPath(chain), c.Origin)
	}
	return begins(nodes, h.size, int64(c.Size), c.Root)
}

// begins is nil when the tree of size records begins with the signed one.
func begins(nodes *tree, size, signed int64, root Hash) error {
	if signed > size {
		return fault.New(fault.Conflict, "The chain ends at record %d, and a checkpoint of %d records was signed: its end is missing.", size, signed)
	}
	got, err := nodes.root(signed)
	if err == nil && got != root {
		err = fault.New(fault.Conflict, "The first %d records do not give the root that was signed: they were changed.", signed)
	}
	return err
}

// refused records that a chain is not signed any more.
func (s *Service) refused(ctx context.Context, tenant id.ID, reason string) {
	s.Logger.Error("a checkpoint was refused", "chain", chainName(tenant), "reason", reason)
	err := s.RecordAlone(ctx, tenant, Entry{
		Event: "audit.checkpoint.refused", Target: Target{Kind: "chain", ID: chainName(tenant)},
		Outcome: Failure, Priority: Critical, Reason: reason,
	})
	if err != nil {
		s.Logger.Error("the refusal could not be recorded", "error", err)
	}
}

func (s *Service) sign(ctx context.Context, tenant id.ID, h head, key ledger.Key, sign ledger.SignFunc) (Checkpoint, error) {
	chain := chainName(tenant)
	origin, err := s.origin(ctx, chain)
	if err != nil {
		return Checkpoint{}, err
	}
	signed, err := ledger.SignCheckpoint(ctx, ledger.Checkpoint{Origin: origin, Size: uint64(h.size), Root: h.root}, key, sign)
	if err = s.signed(ctx, key, err); err != nil {
		return Checkpoint{}, err
	}
	c := Checkpoint{
		ID: id.New(), Size: h.size, Root: h.root, Note: signed.Note, Fingerprint: key.Fingerprint(), KeyKind: key.Kind, KeyName: key.Label,
		Algorithm: string(key.Algorithm), CreatedAt: time.Now().UTC().Truncate(time.Microsecond),
	}
	err = s.in(ctx, tenant, func(ctx context.Context) error {
		if err := s.keyUsed(ctx, key); err != nil {
			return err
		}
		if err := s.store.addCheckpoint(ctx, c); err != nil {
			return err
		}
		c, err = s.store.checkpointAt(ctx, c.Size)
		return err
	})
	if err != nil {
		return Checkpoint{}, err
	}
	return c, s.setAnchor(chain, c.Note)
}

// signer is the present key and what signs with it.
func (s *Service) signer(ctx context.Context) (ledger.Key, ledger.SignFunc, error) {
	var signer Signer
	if s.Signer != nil {
		signer = s.Signer()
	}
	if signer == nil {
		return ledger.Key{}, nil, fault.New(fault.Unavailable, "There is no key for checkpoints yet. It is there as soon as the appliance has started.")
	}
	key, err := signer.Key(ctx)
	return key, signer.Sign, err
}

// signNote signs a text under the name of a chain.
func (s *Service) signNote(ctx context.Context, origin, text string) (string, error) {
	key, sign, err := s.signer(ctx)
	if err != nil {
		return "", s.signed(ctx, key, err)
	}
	note, err := ledger.SignNote(ctx, text, origin, key, sign)
	return note, s.signed(ctx, key, err)
}

// signed notes how a signature went. That signing fails, and that it works
// again, is recorded once each.
func (s *Service) signed(ctx context.Context, key ledger.Key, err error) error {
	if err != nil && fault.KindOf(err) == fault.Internal {
		err = fault.Wrap(fault.Unavailable, err, "The key for checkpoints does not sign.")
	}
	if s.Signer == nil || s.Signer() == nil || !s.signing.outcome(key.Kind, err) {
		return err
	}
	e := Entry{Event: "audit.signer.recovered", Target: Target{Kind: "key", ID: KeyLabel}, Priority: Notice}
	if err != nil {
		e = Entry{Event: "audit.signer.failed", Target: e.Target, Outcome: Failure, Priority: Critical, Reason: fault.Message(err)}
		s.Logger.Error("checkpoints cannot be signed", "error", err)
	}
	if failed := s.tellSigner(ctx, e); failed != nil {
		s.Logger.Error("the state of the signer could not be recorded", "error", failed)
	}
	return err
}

func (s *Service) tellSigner(ctx context.Context, e Entry) error {
	return s.DB.Core(ctx, func(ctx context.Context) error {
		if err := s.Record(ctx, e); err != nil {
			return err
		}
		return s.Events.Publish(ctx, event.Event{Type: SignerEvent, Permission: VerifyPermission}, map[string]string{"outcome": string(e.Outcome), "reason": e.Reason})
	})
}

// keyUsed keeps the history of keys. A new one is recorded.
func (s *Service) keyUsed(ctx context.Context, key ledger.Key) error {
	fingerprint := key.Fingerprint()
	s.signing.mu.Lock()
	known := s.signing.known[fingerprint]
	s.signing.mu.Unlock()
	if known {
		return nil
	}
	err := s.DB.Core(ctx, func(ctx context.Context) error {
		isNew, err := s.store.useKey(ctx, key)
		if err != nil || !isNew {
			return err
		}
		return s.Record(ctx, Entry{
			Event: "audit.key.introduced", Target: Target{Kind: "key", ID: fingerprint, Name: key.Label}, Priority: Warning,
			Details: map[string]any{"kind": key.Kind, "algorithm": key.Algorithm},
		})
	})
	if err != nil {
		return err
	}
	db.OnCommit(ctx, func() {
		s.signing.mu.Lock()
		defer s.signing.mu.Unlock()
		s.signing.known = map[string]bool{fingerprint: true}
	})
	return nil
}

// trusted are the keys that signed checkpoints here, and the present one.
func (s *Service) trusted(ctx context.Context) (ledger.Keys, error) {
	var keys ledger.Keys
	err := s.DB.Core(db.Apart(ctx), func(ctx context.Context) error {
		all, err := s.store.signingKeys(ctx)
		for _, k := range all {
			keys = append(keys, k.Key)
		}
		return err
	})
	if key, _, err := s.signer(ctx); err == nil {
		keys = append(keys, key)
	}
	if err != nil {
		return nil, fmt.Errorf("the keys of checkpoints: %w", err)
	}
	return keys, nil
}
