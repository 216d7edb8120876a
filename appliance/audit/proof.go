package audit

import (
	"context"

	"nimbus/appliance/audit/ledger"
	"nimbus/appliance/fault"
)

// InclusionProof shows that a record is in the tree that a checkpoint signs.
type InclusionProof struct {
	Leaf       Hash
	Index      int64 // of the leaf: the sequence number less one
	Size       int64
	Hashes     []Hash
	Checkpoint string // the note
	Body       []byte // nil when the record was pruned
}

// ProveInclusion proves a record of the actor's tenant in the checkpoint of
// size records; 0 is the newest. It returns fault.NotFound when there is no such record or
// checkpoint, and fault.Conflict when no checkpoint covers the record yet.
func (s *Service) ProveInclusion(ctx context.Context, sequence, size int64) (p InclusionProof, err error) {
	a, err := s.authorise(ctx, ReadPermission)
	if err != nil {
		return p, err
	}
	err = s.in(ctx, a.TenantID, func(ctx context.Context) error {
		last, err := s.store.lastSequence(ctx)
		if err != nil {
			return err
		}
		if sequence < 1 || sequence > last {
			return fault.New(fault.NotFound, "There is no record %d.", sequence)
		}
		c, err := s.checkpointFor(ctx, size)
		if err != nil {
			return err
		}
		if sequence > c.Size {
			return fault.New(fault.Conflict, "The checkpoint of %d records does not cover record %d. The next one does, within ten minutes.", c.Size, sequence)
		}
		nodes := s.treeOf(ctx)
		p = InclusionProof{Index: sequence - 1, Size: c.Size, Checkpoint: c.Note}
		if p.Leaf, err = nodes.Node(0, uint64(p.Index)); err != nil {
			return err
		}
		if p.Hashes, err = ledger.Inclusion(nodes, uint64(p.Index), uint64(p.Size)); err != nil {
			return err
		}
		found, err := s.store.stretch(ctx, sequence, sequence, 1)
		if len(found) == 1 {
			p.Body = found[0].Body
		}
		return err
	})
	return p, err
}

func (s *Service) checkpointFor(ctx context.Context, size int64) (Checkpoint, error) {
	if size > 0 {
		return s.store.checkpointAt(ctx, size)
	}
	c, found, err := s.store.newestCheckpoint(ctx)
	if err == nil && !found {
		err = fault.New(fault.Conflict, "No checkpoint was signed yet. The first one is, within ten minutes.")
	}
	return c, err
}

// ProveConsistency proves that the chain of to records begins with the one of
// from records. It returns fault.Invalid for sizes that are not there.
func (s *Service) ProveConsistency(ctx context.Context, from, to int64) (hashes []Hash, err error) {
	a, err := s.authorise(ctx, ReadPermission)
	if err != nil {
		return nil, err
	}
	err = s.in(ctx, a.TenantID, func(ctx context.Context) error {
		last, err := s.store.lastSequence(ctx)
		if err != nil {
			return err
		}
		if from < 0 || from > to || to > last {
			return fault.New(fault.Invalid, "The sizes must be in order and not above %d, where the chain ends.", last)
		}
		hashes, err = ledger.Consistency(s.treeOf(ctx), uint64(from), uint64(to))
		return err
	})
	return hashes, err
}

// ListCheckpoints returns signed heads of the actor's tenant, the newest first;
// before is the size that the page before ended with, or 0.
func (s *Service) ListCheckpoints(ctx context.Context, before int64, limit int) (all []Checkpoint, err error) {
	a, err := s.authorise(ctx, ReadPermission)
	if err != nil {
		return nil, err
	}
	err = s.in(ctx, a.TenantID, func(ctx context.Context) error {
		if all, err = s.store.checkpoints(ctx, before, min(max(limit, 1), 200)); err != nil {
			return err
		}
		return s.store.publications(ctx, all)
	})
	return all, err
}

// LatestCheckpoint is the newest signed head of the actor's tenant, or fault.NotFound.
func (s *Service) LatestCheckpoint(ctx context.Context) (c Checkpoint, err error) {
	all, err := s.ListCheckpoints(ctx, 0, 1)
	if err == nil && len(all) == 0 {
		err = fault.New(fault.NotFound, "No checkpoint was signed yet.")
	}
	if err != nil {
		return c, err
	}
	return all[0], nil
}

// CreateCheckpoint signs the head of the actor's tenant now and publishes it
// where that is due. It returns what Checkpoint returns.
func (s *Service) CreateCheckpoint(ctx context.Context) (Checkpoint, error) {
	a, err := s.authorise(ctx, CheckpointPermission)
	if err != nil {
		return Checkpoint{}, err
	}
	err = s.RecordAlone(ctx, a.TenantID, Entry{Event: "audit.checkpoint.requested", Target: Target{Kind: "chain", ID: chainName(s.chainOf(a.TenantID))}})
	if err != nil {
		return Checkpoint{}, err
	}
	return s.Checkpoint(ctx, a.TenantID)
}

// NamedKey is a key with the text that verifiers want.
type NamedKey struct {
	SigningKey
	Name string // the origin of the chain
	Text string
}

// Keys are the keys that signed checkpoints, for the actor's chain, the newest first.
func (s *Service) Keys(ctx context.Context) ([]NamedKey, error) {
	a, err := s.authorise(ctx, ReadPermission)
	if err != nil {
		return nil, err
	}
	origin, err := s.origin(ctx, chainName(s.chainOf(a.TenantID)))
	if err != nil {
		return nil, err
	}
	all := []NamedKey{}
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		keys, err := s.store.signingKeys(ctx)
		for _, k := range keys {
			all = append(all, NamedKey{SigningKey: k, Name: origin, Text: k.Text(origin)})
		}
		return err
	})
	return all, err
}

// SignerState tells how signing is, and how many chains wait for it: of the
// actor's tenant, or of all for the provider.
func (s *Service) SignerState(ctx context.Context) (SignerState, error) {
	a, err := s.authorise(ctx, ReadPermission)
	if err != nil {
		return SignerState{}, err
	}
	key, _, err := s.signer(ctx)
	if s.Signer != nil && s.Signer() != nil {
		_ = s.signed(ctx, key, err)
	}
	s.signing.mu.Lock()
	state := s.signing.state
	s.signing.mu.Unlock()
	if state.State == "" {
		state.State, state.Reason = "none", "There is no key for checkpoints yet."
	}
	chains, err := s.pending(ctx, false)
	for _, chain := range chains {
		if mine := s.chainOf(a.TenantID); mine.IsZero() || mine == chain {
			state.Pending++
		}
	}
	return state, err
}
