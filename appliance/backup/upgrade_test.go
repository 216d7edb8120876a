package backup

import (
	"errors"
	"slices"
	"testing"
	"time"

	"nimbus/appliance/audit"
	"nimbus/appliance/id"
)

func codes(records []audit.Entry) (all []string) {
	for _, e := range records {
		all = append(all, e.Event)
	}
	return all
}

// TestBackupBeforeAnUpgrade: it is made and proven while nothing can be recorded,
// what is to be recorded waits, and one is enough until the appliance served again.
func TestBackupBeforeAnUpgrade(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	e, err := b.BeforeUpgrade(b.ctx(), time.Time{}, quiet)
	if err != nil || e.Skipped == "" || e.Backup != nil || !slices.Equal(codes(e.Records), []string{"backup.upgrade.skipped"}) {
		t.Errorf("without a target: %+v %v", e, err)
	}
	b.configure()
	_, err = b.change(b.ctx(), id.New(), func(b *Backup) {
		b.Kind, b.State, b.StartedAt, b.Workflow = Scheduled, Running, time.Now(), "goes on after the upgrade"
	})
	must(t, err)
	e, err = b.BeforeUpgrade(b.ctx(), time.Now().Add(-time.Hour), quiet)
	must(t, err)
	if e.Backup == nil || e.Backup.Kind != BeforeUpgrade || e.Backup.State != Done || e.Backup.VerifiedAt == nil || len(b.inTarget("backups")) != 2 {
		t.Errorf("it is %+v", e.Backup)
	}
	if got := codes(e.Records); !slices.Equal(got, []string{"backup.archive.started", "backup.archive.verified", "backup.archive.finished"}) || len(b.events()) > 0 {
		t.Errorf("what waits is %v, recorded is %v", got, b.events())
	}
	again, err := b.BeforeUpgrade(b.ctx(), time.Now().Add(-time.Hour), quiet)
	if err != nil || again.Backup == nil || again.Backup.ID != e.Backup.ID || len(again.Records) > 0 {
		t.Errorf("a second start: %+v %v", again, err)
	}
	b.proven = errors.New("the new schema does not fit")
	if _, err := b.BeforeUpgrade(b.ctx(), time.Now().Add(time.Minute), quiet); !errors.Is(err, b.proven) {
		t.Errorf("one that does not hold, after the appliance served: %v", err)
	}
	if b.Service.later != nil {
		t.Error("records wait for ever")
	}
}
