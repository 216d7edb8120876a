package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"nimbus/appliance/audit/ledger"
	"nimbus/appliance/durable"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// What follows is for the console, which nobody authorises.

// VerifyAllOptions say how all chains are verified.
type VerifyAllOptions struct {
	Keys      ledger.Keys // empty: those that signed here
	Published []string    // notes
	// ResumeFile keeps how far it is, and goes on from there; "" keeps nothing.
	// It is removed when everything was verified.
	ResumeFile string
}

// Chains are all chains: zero for the provider's, and the tenants.
func (s *Service) Chains(ctx context.Context) ([]id.ID, error) {
	tenants, err := s.DB.Tenants(ctx)
	all := []id.ID{{}}
	for _, tenant := range tenants {
		if !s.IsRoot(tenant) {
			all = append(all, tenant)
		}
	}
	return all, err
}

// VerifyAll checks the provider's chain and every tenant's. A resume file that
// cannot be read is fault.Invalid.
func (s *Service) VerifyAll(ctx context.Context, o VerifyAllOptions) ([]Verification, error) {
	walks, err := readWalks(o.ResumeFile)
	if err != nil {
		return nil, err
	}
	chains, err := s.Chains(ctx)
	if err != nil {
		return nil, err
	}
	all := []Verification{}
	for _, tenant := range chains {
		name := chainName(tenant)
		v, err := s.verifyWith(ctx, tenant, VerifyOptions{Keys: o.Keys, Published: o.Published, Resume: walks[name], Save: func(w *Walk) error {
			walks[name] = w
			return writeWalks(o.ResumeFile, walks)
		}})
		if err != nil {
			return all, err
		}
		all = append(all, v)
	}
	if o.ResumeFile != "" {
		err = os.Remove(o.ResumeFile)
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	return all, err
}

func readWalks(path string) (map[string]*Walk, error) {
	walks := map[string]*Walk{}
	if path == "" {
		return walks, nil
	}
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return walks, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &walks)
	}
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "The file %s does not hold the progress of a verification. Remove it, or name another one.", path)
	}
	return walks, nil
}

func writeWalks(path string, walks map[string]*Walk) error {
	if path == "" {
		return nil
	}
	raw, err := json.Marshal(walks)
	if err != nil {
		return err
	}
	return durable.Write(path, raw)
}

// TrustedKeys are the keys that signed checkpoints here, and the present one.
func (s *Service) TrustedKeys(ctx context.Context) (ledger.Keys, error) { return s.trusted(ctx) }

// KeyTexts are the keys of each chain as verifiers want them.
func (s *Service) KeyTexts(ctx context.Context) ([]NamedKey, error) {
	chains, err := s.Chains(ctx)
	if err != nil {
		return nil, err
	}
	if key, _, err := s.signer(ctx); err == nil { // so that one that has not signed yet is told
		if err := s.DB.Core(ctx, func(ctx context.Context) error { return s.keyUsed(ctx, key) }); err != nil {
			return nil, err
		}
	}
	var all []NamedKey
	for _, tenant := range chains {
		origin, err := s.origin(ctx, chainName(tenant))
		if err != nil {
			return nil, err
		}
		err = s.DB.Core(ctx, func(ctx context.Context) error {
			keys, err := s.store.signingKeys(ctx)
			for _, k := range keys {
				all = append(all, NamedKey{SigningKey: k, Name: origin, Text: k.Text(origin)})
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// CheckpointAll signs the head of every chain that has records. What fails is
// told beside the checkpoints that were made.
func (s *Service) CheckpointAll(ctx context.Context) ([]Checkpoint, error) {
	chains, failed := s.Chains(ctx)
	var all []Checkpoint
	for _, chain := range chains {
		made, err := s.Checkpoint(ctx, chain)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("chain %s: %w", chainName(chain), err))
			continue
		}
		all = append(all, made)
	}
	return all, failed
}

// Zone is where a tenant is.
func (s *Service) Zone(ctx context.Context, tenant id.ID) *time.Location { return s.zone(ctx, tenant) }

// AcceptRestored puts this machine's copies of the last checkpoints aside, after
// a restore of an older database: they would contradict it for ever. It is recorded.
func (s *Service) AcceptRestored(ctx context.Context) error {
	chains, err := s.Chains(ctx)
	if err != nil {
		return err
	}
	for _, tenant := range chains {
		path := s.anchorPath(chainName(tenant))
		note, err := s.anchor(chainName(tenant))
		if err != nil || note == "" {
			continue
		}
		err = s.RecordAlone(ctx, tenant, Entry{Event: "audit.checkpoint.set-aside", Target: Target{Kind: "chain", ID: chainName(tenant)},
			Priority: Critical, Details: map[string]any{"note": note}})
		if err != nil {
			return err
		}
		if err := os.Rename(path, path+".set-aside"); err != nil {
			return err
		}
	}
	return nil
}
