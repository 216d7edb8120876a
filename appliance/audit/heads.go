package audit

import (
	"context"
	"encoding/hex"

	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// ChainHead is the newest record of a chain.
type ChainHead struct {
	Chain    string // "provider", or a tenant's id
	Sequence int64  // 0 when the chain is empty
	Link     string // hexadecimal
}

// ChainHeads are those of all chains, for the appliance's own use: nobody is
// authorised.
func (s *Service) ChainHeads(ctx context.Context) ([]ChainHead, error) {
	chains, err := s.Chains(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]ChainHead, len(chains))
	for i, tenant := range chains {
		err := s.in(ctx, tenant, func(ctx context.Context) error {
			sequence, link, _, err := s.store.head(ctx)
			all[i] = ChainHead{chainName(tenant), sequence, hex.EncodeToString(link)}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Includes tells whether this database's chains go at least as far as the given
// heads and agree with them there. The fault says which one does not.
func (s *Service) Includes(ctx context.Context, heads []ChainHead) error {
	for _, h := range heads {
		tenant := id.ID{}
		if h.Chain != chainName(tenant) {
			var err error
			if tenant, err = id.Parse(h.Chain); err != nil {
				return err
			}
		}
		err := s.in(ctx, tenant, func(ctx context.Context) error {
			link, err := s.store.linkAt(ctx, h.Sequence)
			if err == nil && hex.EncodeToString(link) != h.Link {
				err = fault.New(fault.Unprocessable, "The audit trail %s does not hold the record %d that it had when the backup was made.", h.Chain, h.Sequence)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
