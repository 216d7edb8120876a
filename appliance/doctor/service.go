package doctor

import (
	"context"
	"log/slog"
	"sync"
	"time"

	sdk "go.temporal.io/sdk/client"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/db"
)

// Config is what the service needs.
type Config struct {
	DB     *db.DB
	Audit  *audit.Service
	Logger *slog.Logger
	// Authorise is Check for what only the provider level may do.
	Authorise actor.Check
	// Checks are run at an examination, in the order in which they are shown.
	Checks []Check
	// Temporal lists workflows and schedules.
	Temporal sdk.Client
	// Support is what a support bundle holds.
	Support BundleConfig
}

// Service examines. Make it with New.
type Service struct {
	Config

	mu   sync.Mutex
	last Report
	busy sync.Mutex // one examination at a time
}

// New returns the service.
func New(cfg Config) *Service { return &Service{Config: cfg} }

// fresh is how long an examination answers who only wants to look.
const fresh = 5 * time.Minute

// Report returns the last examination, or makes one when that is old. It
// returns fault.Forbidden without system:doctor:read.
func (s *Service) Report(ctx context.Context) (Report, error) {
	if err := s.Authorise(ctx, ReadDoctor); err != nil {
		return Report{}, err
	}
	if last := s.latest(); time.Since(last.CheckedAt) < fresh {
		return last, nil
	}
	return s.examine(ctx, fresh), nil
}

// Run examines now. It returns fault.Forbidden without system:doctor:read.
func (s *Service) Run(ctx context.Context) (Report, error) {
	if err := s.Authorise(ctx, ReadDoctor); err != nil {
		return Report{}, err
	}
	return s.examine(ctx, 0), nil
}

// examine runs the checks, unless somebody else did while we waited.
func (s *Service) examine(ctx context.Context, age time.Duration) Report {
	asked := time.Now()
	s.busy.Lock()
	defer s.busy.Unlock()
	if last := s.latest(); last.CheckedAt.After(asked) || time.Since(last.CheckedAt) < age {
		return last
	}
	r := Report{CheckedAt: time.Now().UTC(), Running: true, Items: Examine(s.system(ctx), s.Checks)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = r
	return r
}

// system looks with the rights of the appliance: who asks may see the result,
// not everything that is looked at. It goes on when the caller leaves.
func (s *Service) system(ctx context.Context) context.Context {
	a, _ := actor.From(ctx)
	a = actor.Actor{Kind: actor.System, Name: "doctor", RequestID: a.RequestID, TraceID: a.TraceID, OnBehalfOf: a.Principal()}
	return actor.With(context.WithoutCancel(ctx), a)
}

func (s *Service) latest() Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// Counts are the results of the last examination by status; empty before one.
func (s *Service) Counts() map[string]int {
	last := s.latest()
	if last.CheckedAt.IsZero() {
		return nil
	}
	counts := map[string]int{string(OK): 0, string(Warning): 0, string(Failed): 0, string(Unknown): 0}
	for _, i := range last.Items {
		counts[string(i.Status)]++
	}
	return counts
}
