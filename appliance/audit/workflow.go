package audit

import (
	"context"
	"errors"

	sdk "go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
)

// Register makes the workflows and steps of this domain known to a worker.
func Register(r worker.Registry, s *Service) {
	registerCheckpoint(r, s)
	registerAnomaly(r, s)
	registerExport(r, s)
	registerArchive(r, s)
}

// Schedule makes the schedules of this domain. Those that are there are kept.
func Schedule(ctx context.Context, c sdk.ScheduleClient) error {
	return errors.Join(
		scheduleCheckpoint(ctx, c),
		scheduleAnomaly(ctx, c),
		scheduleArchive(ctx, c),
	)
}

// UseTemporal gives the service what starts workflows, once it is there.
func (s *Service) UseTemporal(c sdk.Client) { s.temporal.Store(&c) }

func (s *Service) temporalClient() sdk.Client {
	if c := s.temporal.Load(); c != nil {
		return *c
	}
	return nil
}
