package audit

import (
	"context"
	"fmt"
	"strings"

	"nimbus/appliance/id"
)

// Waiting is what a collector keeps from being pruned: records whose time is
// over and that an enabled sink was not given yet. A dead letter was given; a
// sink that is paused or deleted keeps nothing.
type Waiting struct {
	Records int64    `json:"waiting" doc:"Records whose time is over and that are not pruned before the collectors in waits_for have them; as of the last run."`
	For     []string `json:"waits_for" doc:"Names of the sinks that are behind. Pause or delete one that will not come back."`
}

// said is a sentence about it; "" when nothing waits.
func (w Waiting) said() string {
	if w.Records == 0 {
		return ""
	}
	return fmt.Sprintf("%d records whose time is over are not pruned before %s took them. Pause or delete a sink that will not come back.",
		w.Records, strings.Join(w.For, ", "))
}

// noteWaiting keeps what collectors keep from being pruned. That something
// waits, and that nothing does any more, is recorded once each.
func (s *Service) noteWaiting(ctx context.Context, tenant id.ID) error {
	return s.in(ctx, tenant, func(ctx context.Context) error {
		now, err := s.store.withheld(ctx)
		if err != nil {
			return err
		}
		before, err := s.store.archive(ctx)
		if err != nil || before.Records == 0 && now.Records == 0 {
			return err
		}
		if err := s.store.setWaiting(ctx, now); err != nil || (before.Records == 0) == (now.Records == 0) {
			return err
		}
		e := Entry{Event: "audit.pruning.resumed", Priority: Notice, Target: s.chainTarget(tenant)}
		if now.Records > 0 {
			e.Event, e.Priority, e.Reason = "audit.pruning.waiting", Warning, now.said()
			e.Details = map[string]any{"records": now.Records, "sinks": now.For}
		}
		return s.Record(ctx, e)
	})
}

// Withheld is what collectors keep from being pruned, by chain, as of the last
// runs. It asks nobody: whoever calls it has.
func (s *Service) Withheld(ctx context.Context) (map[string]Waiting, error) {
	chains, err := s.Chains(ctx)
	found := map[string]Waiting{}
	for _, chain := range chains {
		if err != nil {
			return found, err
		}
		var a ArchiveStatus
		if a, err = s.archive(ctx, chain); err != nil && s.sealer.purged(ctx, chain) {
			err = nil
		}
		if a.Records > 0 {
			found[chainName(chain)] = a.Waiting
		}
	}
	return found, err
}

// waitingText is it in the cell of a report.
func waitingText(w Waiting) string {
	if w.Records == 0 {
		return "0"
	}
	return number(w.Records) + ": " + strings.Join(w.For, ", ")
}
