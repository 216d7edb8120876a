package audit

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/db"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// VerificationEvent tells how far a verification is.
const VerificationEvent = "audit.verification"

// smallChain is verified while the caller waits.
const smallChain = 50_000

// abandoned is how long a verification may say nothing before its process must
// be taken for gone.
const abandoned = time.Minute

// VerificationRun is a verification that was started over the API.
type VerificationRun struct {
	ID          id.ID     `json:"id"`
	State       string    `json:"state" enum:"running,done,cancelled,failed"`
	Checked     int64     `json:"checked"`
	Total       int64     `json:"total"`
	OK          bool      `json:"ok"`
	First       int64     `json:"first"`
	Last        int64     `json:"last"`
	Head        string    `json:"head"`
	Root        string    `json:"root"`
	Breaks      []Break   `json:"breaks"`
	Checkpoints heads     `json:"checkpoints"`
	DurationMS  int64     `json:"duration_ms"`
	Error       string    `json:"error"`
	StartedBy   string    `json:"started_by"`
	StartedAt   time.Time `json:"started_at"`
}

// heads are the signed heads that were compared.
type heads struct {
	Checked int64 `json:"checked"`
	Failed  int64 `json:"failed"`
}

var errCancelled = errors.New("the verification was cancelled")

// StartVerification verifies the chain of the actor's tenant. With wait, or
// when it is small, the result is returned; else it runs on, tells its progress and can
// be cancelled. It returns fault.Forbidden without audit:chain:verify.
func (s *Service) StartVerification(ctx context.Context, wait bool) (VerificationRun, error) {
	a, err := s.authorise(ctx, VerifyPermission)
	if err != nil {
		return VerificationRun{}, err
	}
	r := VerificationRun{ID: id.New(), State: "running", Breaks: []Break{}, StartedBy: a.Name, StartedAt: time.Now().UTC().Truncate(time.Microsecond)}
	err = s.in(ctx, a.TenantID, func(ctx context.Context) error {
		if r.Total, err = s.store.lastSequence(ctx); err != nil {
			return err
		}
		return s.store.addVerification(ctx, r)
	})
	if err != nil {
		return r, err
	}
	if wait || r.Total <= smallChain {
		return s.runVerification(ctx, a, r)
	}
	go func() {
		if _, err := s.runVerification(context.WithoutCancel(ctx), a, r); err != nil {
			s.Logger.Error("a verification ended early", "error", err)
		}
	}()
	return r, nil
}

// runVerification keeps the result, whatever it is, and records it.
func (s *Service) runVerification(ctx context.Context, a actor.Actor, r VerificationRun) (VerificationRun, error) {
	v, err := s.verifyWith(ctx, a.TenantID, VerifyOptions{Save: func(w *Walk) error {
		r.Checked, r.Total = w.Checked, w.Total
		return s.progress(ctx, a, r)
	}})
	r.Checked, r.OK, r.First, r.Last, r.Breaks = v.Checked, v.OK() && err == nil, v.First, v.Last, v.Breaks
	r.Head, r.Root = hex.EncodeToString(v.Head[:]), hex.EncodeToString(v.Root[:])
	r.Checkpoints, r.DurationMS, r.State = heads{v.Checkpoints, v.CheckpointsFailed}, v.Duration.Milliseconds(), "done"
	if r.Breaks == nil {
		r.Breaks = []Break{}
	}
	switch {
	case errors.Is(err, errCancelled):
		r.State, r.Error, err = "cancelled", "It was cancelled.", nil
	case err != nil:
		r.State, r.Error = "failed", fault.Message(err)
	}
	return r, errors.Join(err, s.endVerification(context.WithoutCancel(ctx), a, r, v))
}

func (s *Service) endVerification(ctx context.Context, a actor.Actor, r VerificationRun, v Verification) error {
	return s.in(db.Apart(ctx), a.TenantID, func(ctx context.Context) error {
		if err := s.store.setVerification(ctx, r); err != nil {
			return err
		}
		if r.State == "done" {
			if err := s.Record(ctx, verified(v)); err != nil {
				return err
			}
		}
		return s.tellVerification(ctx, a, r)
	})
}

// progress tells how far it is, and ends it when somebody cancelled.
func (s *Service) progress(ctx context.Context, a actor.Actor, r VerificationRun) error {
	return s.in(ctx, a.TenantID, func(ctx context.Context) error {
		cancelled, err := s.store.verificationProgress(ctx, r)
		if err == nil && cancelled {
			err = errCancelled
		}
		if err != nil {
			return err
		}
		return s.tellVerification(ctx, a, r)
	})
}

func (s *Service) tellVerification(ctx context.Context, a actor.Actor, r VerificationRun) error {
	return s.Events.Publish(ctx, event.Event{Type: VerificationEvent, ID: r.ID, Tenant: a.TenantID, Permission: VerifyPermission}, map[string]any{
		"id": r.ID, "state": r.State, "checked": r.Checked, "total": r.Total, "ok": r.OK, "breaks": len(r.Breaks),
	})
}

// Verification returns one that was started in the actor's tenant.
func (s *Service) Verification(ctx context.Context, run id.ID) (r VerificationRun, err error) {
	a, err := s.authorise(ctx, VerifyPermission)
	if err != nil {
		return r, err
	}
	err = s.in(ctx, a.TenantID, func(ctx context.Context) error {
		r, err = s.store.verification(ctx, run)
		return err
	})
	return r, err
}

// CancelVerification ends one that runs. It returns fault.NotFound for one
// that is not there and fault.Conflict for one that is over.
func (s *Service) CancelVerification(ctx context.Context, run id.ID) error {
	a, err := s.authorise(ctx, VerifyPermission)
	if err != nil {
		return err
	}
	return s.in(ctx, a.TenantID, func(ctx context.Context) error {
		r, err := s.store.verification(ctx, run)
		if err != nil {
			return err
		}
		if r.State != "running" {
			return fault.New(fault.Conflict, "The verification is over already.")
		}
		if err := s.store.cancelVerification(ctx, run); err != nil {
			return err
		}
		return s.Record(ctx, Entry{Event: "audit.verification.cancelled", Target: Target{Kind: "verification", ID: run.String()}})
	})
}
