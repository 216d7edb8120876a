package firstrun

import (
	"context"
	"net/http"
	"time"

	"nimbus/appliance/backup"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/web"
)

// The states of a restore.
const (
	restoreIdle    = "idle"
	restoreRunning = "running"
	restoreDone    = "done"
	restoreFailed  = "failed"
)

// Restoring is how far a restore is. Done, the appliance starts anew with what
// was restored, and the wizard's addresses answer 404.
type Restoring struct {
	State   string        `json:"state" enum:"idle,running,done,failed"`
	Stage   string        `json:"stage"`
	Percent int           `json:"percent" minimum:"0" maximum:"100"`
	Error   string        `json:"error,omitempty"`
	Proof   *backup.Proof `json:"proof,omitempty" doc:"What was restored, and was checked."`
}

// RestoreFrom says where backups are and what opens them.
type RestoreFrom struct {
	Target backup.Target `json:"target"`
	Key    string        `json:"key" maxLength:"16384" doc:"The recovery kit, or its line with the key."`
}

// RestoreRequest says what to restore. Without a backup it is the newest; without
// a moment it is that of the backup.
type RestoreRequest struct {
	RestoreFrom
	Backup id.ID      `json:"backup_id,omitzero" required:"false"`
	Until  *time.Time `json:"until,omitempty" doc:"The moment to go to."`
	Latest bool       `json:"latest,omitempty" required:"false" doc:"Go as far as the log goes, instead."`
	// NewRootKey is for a lost HSM.
	NewRootKey bool `json:"new_root_key,omitempty" required:"false" doc:"The HSM is lost: put the secrets under a new root key, with the kit."`
}

// InspectRestore lists the backups in a target that a key opens. It touches
// nothing. Faults: Unprocessable for a key that does not open them, NotFound,
// Unavailable, Invalid.
func (s *Setup) InspectRestore(ctx context.Context, in RestoreFrom) (backup.Inspection, error) {
	key, err := backup.ReadKey(in.Key)
	if err != nil {
		return backup.Inspection{}, err
	}
	store, err := in.Target.Open()
	if err != nil {
		return backup.Inspection{}, err
	}
	return s.cfg.Restorer.Inspect(ctx, store, key)
}

// Restore begins to bring an appliance back; Restoring tells how far it is. What
// the wizard holds is untouched until all is there and checked. A key that does
// not open the backups is refused at once, with Unprocessable, and can be
// corrected. Faults besides: Conflict while one is under way or data are there.
func (s *Setup) Restore(ctx context.Context, in RestoreRequest) (Restoring, error) {
	s.steps.Lock()
	defer s.steps.Unlock()
	st, err := s.load(ctx)
	if err != nil {
		return Restoring{}, err
	}
	if st.fixed() {
		return Restoring{}, fault.New(fault.Conflict, "This appliance has an organisation already. Restore onto an empty data directory, with `nimbus restore`.")
	}
	if _, err := s.InspectRestore(ctx, in.RestoreFrom); err != nil {
		return Restoring{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life == nil || s.restoring.State == restoreRunning || s.restoring.State == restoreDone {
		return Restoring{}, fault.New(fault.Conflict, "A restore is under way.")
	}
	s.restoring = Restoring{State: restoreRunning, Stage: "starting"}
	life := s.life
	s.work.Go(func() { s.restore(life, in) })
	return s.restoring, nil
}

func (s *Setup) restore(ctx context.Context, in RestoreRequest) {
	proof, err := s.prepareRestore(ctx, in)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.log.Error("the restore failed; nothing was touched", "error", err)
		s.restoring.State, s.restoring.Error = restoreFailed, fault.Message(err)
		return
	}
	s.log.Info("the restore is ready; the appliance starts anew with it", "people", proof.People, "records", proof.Records)
	s.restoring = Restoring{State: restoreDone, Stage: "done", Percent: 100, Proof: &proof}
	// The browser that waits is told first.
	s.work.Go(func() {
		select {
		case <-time.After(restartAfter):
		case <-ctx.Done():
		}
		s.cfg.Restart()
	})
}

// restartAfter is how long a browser has to learn that a restore is done.
const restartAfter = 3 * time.Second

func (s *Setup) prepareRestore(ctx context.Context, in RestoreRequest) (backup.Proof, error) {
	key, err := backup.ReadKey(in.Key)
	if err != nil {
		return backup.Proof{}, err
	}
	store, err := in.Target.Open()
	if err != nil {
		return backup.Proof{}, err
	}
	q := backup.Request{Store: store, Backup: in.Backup, Key: key, Latest: in.Latest, NewRootKey: in.NewRootKey}
	if in.Until != nil {
		q.Until = *in.Until
	}
	return s.cfg.Restorer.Prepare(ctx, q, func(stage string, percent int) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.restoring.Stage, s.restoring.Percent = stage, percent
	})
}

// Restoring tells how far the restore is.
func (s *Setup) Restoring(context.Context) (Restoring, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.restoring
	if now.State == "" {
		now.State = restoreIdle
	}
	return now, nil
}

func (s *Setup) restoreRoutes(a *web.API) {
	web.Handle(a, route(http.MethodPost, "/restore/inspect", "List the backups in a place that a recovery kit opens", 0), claimed(s.InspectRestore))
	web.Handle(a, route(http.MethodPost, "/restore", "Restore an appliance instead of setting one up", http.StatusAccepted), claimed(s.Restore))
	web.Handle(a, route(http.MethodGet, "/restore", "How far the restore is", 0), bare(s.Restoring))
}
