package firstrun

import (
	"context"

	"nimbus/appliance/db"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// Database is the answer to the second step.
type Database struct {
	Mode string `json:"mode" enum:"embedded,external" yaml:"mode"`
	DSN  string `json:"dsn,omitempty" yaml:"dsn"`
}

// Progress tells how far the database is. Error is a sentence, when it failed.
type Progress struct {
	Stage   string `json:"stage"`
	Percent int    `json:"percent"`
	Error   string `json:"error,omitempty"`
}

func (s *Setup) databaseProgress() Progress {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.progress
}

// TestDatabase tries an external server. What does not work is in the report.
func (s *Setup) TestDatabase(ctx context.Context, dsn string) (db.Report, error) {
	return s.cfg.TestDatabase(ctx, dsn)
}

// SetDatabase keeps the choice and begins to start the database; Overview
// tells how far it is. Doing it again with the same choice after a failure
// tries again. Faults: Invalid, and Conflict while one is being started or
// once the organisation lies in it.
func (s *Setup) SetDatabase(ctx context.Context, in Database) (Step, error) {
	s.steps.Lock()
	defer s.steps.Unlock()
	st, err := s.load(ctx)
	if err != nil {
		return Step{}, err
	}
	if st.fixed() {
		return Step{}, fault.New(fault.Conflict, "The organisation lies in this database already, so another cannot be chosen. Go on with the next step.")
	}
	chosen, err := s.chooseDatabase(ctx, in)
	if err != nil {
		return Step{}, err
	}
	if s.starting() && in.Mode == modeEmbedded && st.Database.Mode == modeEmbedded {
		return s.databaseStep(st), nil // sent twice
	}
	if s.starting() {
		return Step{}, fault.New(fault.Conflict, "A database is being started. Wait until it is ready or has failed.")
	}
	if err := s.changeAndApply(ctx, func(st *state) { st.Database = &chosen }); err != nil {
		return Step{}, err
	}
	s.beginDatabase()
	return s.databaseStep(state{Database: &chosen}), nil
}

func (s *Setup) chooseDatabase(ctx context.Context, in Database) (database, error) {
	switch in.Mode {
	case modeEmbedded:
		return database{Mode: modeEmbedded}, nil
	case modeExternal:
		report, err := s.cfg.TestDatabase(ctx, in.DSN)
		if err != nil {
			return database{}, err
		}
		if !report.OK {
			return database{}, fault.BadField("body.dsn", "%s", report.Message)
		}
		sealed, err := s.seal(ctx, PurposeDSN, in.DSN)
		return database{Mode: modeExternal, DSN: sealed}, err
	}
	return database{}, fault.BadField("body.mode", "The database is embedded or external.")
}

func (s *Setup) starting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.working
}

// beginDatabase starts the database in the background. Its result is noted
// before starting returns false.
func (s *Setup) beginDatabase() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.working || s.life == nil {
		return
	}
	s.working, s.progress = true, Progress{Stage: "starting"}
	life := as(s.life, id.ID{})
	s.work.Go(func() {
		err := s.startDatabase(life)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.working = false
		if err != nil && life.Err() == nil {
			s.log.Error("the database could not be started", "error", err)
			s.progress.Error = fault.Message(err)
		}
	})
}

// startDatabase starts it and notes that it was.
func (s *Setup) startDatabase(ctx context.Context) error {
	if err := s.cfg.StartDatabase(ctx, s.noteProgress); err != nil {
		return err
	}
	_, err := s.change(ctx, func(st *state) {
		if st.Database != nil {
			st.Database.Done = true
		}
	})
	return err
}

func (s *Setup) noteProgress(stage string, percent int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.progress = Progress{Stage: stage, Percent: min(max(percent, 0), 100)}
}

// services starts what the later steps need. After a restart that is
// everything, in the order of the wizard.
func (s *Setup) services(ctx context.Context) (Services, error) {
	ctx = as(ctx, id.ID{})
	if err := s.cfg.StartDatabase(ctx, func(string, int) {}); err != nil {
		return Services{}, err
	}
	return s.cfg.Boot(ctx)
}
