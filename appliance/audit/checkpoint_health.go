package audit

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"nimbus/appliance/db"
	"nimbus/appliance/fault"
)

// Checkpoints is the part of the appliance that signs chains, for its health:
// it runs by a schedule, so that there is nothing to start.
func (s *Service) Checkpoints() CheckpointHealth { return CheckpointHealth{s} }

// CheckpointHealth tells how signing is.
type CheckpointHealth struct{ service *Service }

// Start does nothing.
func (CheckpointHealth) Start(context.Context) error { return nil }

// Stop does nothing.
func (CheckpointHealth) Stop(context.Context) error { return nil }

// Ready is nil while checkpoints are signed and none contradicts a chain. What
// failed here may work at another node since: once in a minute it is tried here too.
func (h CheckpointHealth) Ready(ctx context.Context) error {
	if h.service.signing.due() {
		h.service.signAgain(ctx)
	}
	g := &h.service.signing
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, chain := range slices.Sorted(maps.Keys(g.broken)) {
		return fault.New(fault.Unavailable, "The audit trail of %s is not signed any more. %s", chain, g.broken[chain].reason)
	}
	if g.state.State == "failing" {
		return fmt.Errorf("checkpoints are not signed: %s", g.state.Reason)
	}
	return nil
}

// due tells whether something failed that was not tried for a minute, and that
// it is tried now.
func (g *signing) due() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state.State != "failing" && len(g.broken) == 0 || time.Since(g.tried) < tryAgain {
		return false
	}
	g.tried = time.Now()
	return true
}

// signAgain signs what nobody keeps, and compares the chains that were refused.
// What comes of it is noted as ever.
func (s *Service) signAgain(ctx context.Context) {
	s.signing.mu.Lock()
	failing, broken := s.signing.state.State == "failing", slices.Collect(maps.Values(s.signing.broken))
	s.signing.mu.Unlock()
	if failing {
		_, _ = s.signNote(ctx, "nimbus/health", "nimbus/health\n") // the state has the result
	}
	for _, b := range broken {
		_, _ = s.headOf(db.Apart(ctx), b.tenant)
	}
}
