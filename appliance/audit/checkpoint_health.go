package audit

import (
	"context"
	"fmt"
	"maps"
	"slices"

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

// Ready is nil while checkpoints are signed and none contradicts a chain.
func (h CheckpointHealth) Ready(context.Context) error {
	g := &h.service.signing
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, chain := range slices.Sorted(maps.Keys(g.broken)) {
		return fault.New(fault.Unavailable, "The audit trail of %s is not signed any more. %s", chain, g.broken[chain])
	}
	if g.state.State == "failing" {
		return fmt.Errorf("checkpoints are not signed: %s", g.state.Reason)
	}
	return nil
}
