package audit

import (
	"context"
	"maps"
	"slices"
	"time"

	"nimbus/appliance/id"
)

// Health is how the provider's chain is, for those who watch the appliance.
type Health struct {
	Checkpoint *time.Time // when the newest was signed
	Places     int        // where checkpoints are published
	Published  *time.Time // when one was last taken by a place
	Refused    string     // what a place said when it did not take the newest one
	Verified   *time.Time // when the chain was last verified to its end
	Sound      bool       // what that said
	Broken     []string   // chains that are not signed any more
	Signer     SignerState
}

// Health tells how the provider's chain is. It asks nobody: whoever calls it has.
func (s *Service) Health(ctx context.Context) (Health, error) {
	s.signing.mu.Lock()
	h := Health{Signer: s.signing.state, Broken: slices.Sorted(maps.Keys(s.signing.broken))}
	s.signing.mu.Unlock()
	err := s.in(ctx, id.ID{}, func(ctx context.Context) error { return s.store.health(ctx, &h) })
	return h, err
}

// Counts tells how many sinks are being delivered to, were refused at the last
// attempt, and have got nothing for an hour.
func (d *Deliverer) Counts() map[string]int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return map[string]int{"delivering": len(d.running), "retrying": len(d.refusal), "dead": len(d.dead)}
}
