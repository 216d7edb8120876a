package backup

import (
	"context"
	"slices"
	"time"

	"nimbus/appliance/audit"
	"nimbus/appliance/id"
)

// Early is what became of the backup before an upgrade.
type Early struct {
	// Backup is the one that is there, made now or by a start before that did not
	// get further; nil without one.
	Backup *Backup
	// Skipped says why none was made.
	Skipped string
	// Records are to be written when the databases take them.
	Records []audit.Entry
}

// Skip is an upgrade without a backup, and why.
func Skip(why string) Early {
	return Early{Skipped: why, Records: []audit.Entry{{Event: "backup.upgrade.skipped", Priority: audit.Warning, Reason: why, Target: audit.Target{Kind: "appliance"}}}}
}

// BeforeUpgrade makes a backup of databases that an earlier release left, before
// this one changes them. Their schema is not this release's, so nothing is read
// from them and nothing is recorded yet: see Early.Records. One that was made since
// the appliance served last is enough. Nobody else may use the data directory. The
// fault says why no backup could be made.
func (s *Service) BeforeUpgrade(ctx context.Context, served time.Time, report Report) (Early, error) {
	set, err := s.load(ctx)
	if err != nil {
		return Early{}, err
	}
	if set.Target.Kind == None {
		return Skip("no target for backups is set"), nil
	}
	all, err := s.catalogue(ctx)
	if err != nil {
		return Early{}, err
	}
	for _, b := range all {
		if b.Kind == BeforeUpgrade && b.State == Done && b.StartedAt.After(served) {
			return Early{Backup: &b}, nil
		}
	}
	e := Early{}
	s.later = &e.Records
	defer func() { s.later = nil }()
	b, err := s.run(ctx, BeforeUpgrade, set.Verify, report)
	e.Backup = &b
	return e, err
}

// Place names where backups go, or None.
func (s *Service) Place(ctx context.Context) (string, error) {
	set, err := s.load(ctx)
	return set.Target.String(), err
}

// record writes a record, or keeps it for when the databases take it.
func (s *Service) record(ctx context.Context, e audit.Entry) error {
	if s.later == nil {
		return s.Audit.RecordAlone(ctx, id.ID{}, e)
	}
	*s.later = append(slices.Clone(*s.later), e)
	return nil
}
