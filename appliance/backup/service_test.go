package backup

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

func TestBackupIsMadeProvenAndRecorded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.configure()
	var scratch string
	b.inspect = func(tr Trial) {
		scratch = tr.Dir
		for name, want := range map[string]string{
			"keys/root.key": "root", "local/pb/data.db": "snapshot", "local/tls/cert.pem": "cert", "postgres/password": "secret",
			"postgres/data/base/1/1259": database, "pulumi/state/.pulumi/stacks/a.json": "{}", "audit/checkpoints/provider": "note",
		} {
			if got, err := os.ReadFile(filepath.Join(tr.Dir, name)); string(got) != want || err != nil {
				t.Errorf("%s comes back as %.20q, %v", name, got, err)
			}
		}
		for _, name := range []string{"pulumi/bin", "pulumi/state/.pulumi/locks", "valkey"} {
			if _, err := os.Stat(filepath.Join(tr.Dir, name)); !os.IsNotExist(err) {
				t.Errorf("%s is in the backup: %v", name, err)
			}
		}
	}
	last := 0
	made, err := b.Run(b.ctx(), Manual, true, func(stage string, percent int) {
		if percent > 100 || stage == "" {
			t.Errorf("progress %q %d", stage, percent)
		}
		last = percent
	})
	must(t, err)
	if made.State != Done || made.VerifiedAt == nil || made.Bytes == 0 || made.WALFrom != "000000010000000000000003" || last == 0 {
		t.Errorf("it is %+v", made)
	}
	if _, err := os.Stat(scratch); scratch == "" || !os.IsNotExist(err) {
		t.Errorf("the scratch directory %q is left: %v", scratch, err)
	}
	if got := b.inTarget("backups"); len(got) != 2 || !strings.HasSuffix(got[0], archiveSuffix) || !strings.HasSuffix(got[1], summarySuffix) {
		t.Errorf("in the target are %v", got)
	}
	want := []string{"backup.archive.started", "backup.archive.verified", "backup.archive.finished"}
	if got := b.events(); !slices.Equal(got, want) {
		t.Errorf("recorded are %v", got)
	}
}

func TestRobustness45SucceedsOnlyWithItsProof(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.configure()
	b.proven = fault.New(fault.Unprocessable, "The audit trail in the backup does not hold.")
	made, err := b.Run(b.ctx(), Manual, true, quiet)
	if !fault.Is(err, fault.Unprocessable) || made.State != Failed || made.VerifyError == "" || len(b.inTarget("backups")) != 2 {
		t.Errorf("got %v, %+v, %v", err, made, b.inTarget("backups"))
	}
	st, err := b.Standing(b.ctx())
	if err != nil || st.Last != nil || !strings.Contains(st.Error, "does not hold") {
		t.Errorf("the standing is %+v, %v", st, err)
	}
}

func TestFailedCopyLeavesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.configure()
	b.copied = fault.Wrap(fault.Unavailable, errors.New("page 3 of pg_class"), "The databases could not be copied.")
	made, err := b.Run(b.ctx(), Manual, true, quiet)
	if !errors.Is(err, b.copied) || made.State != Failed || made.Error != "The databases could not be copied." || len(b.inTarget("backups")) != 0 {
		t.Errorf("got %v, %+v, %v", err, made, b.inTarget("backups"))
	}
	must(t, os.RemoveAll(b.target))
	b.copied = nil
	made, err = b.Run(b.ctx(), Manual, false, quiet)
	if !fault.Is(err, fault.Unavailable) || made.State != Failed || !strings.Contains(made.Error, "mounted") {
		t.Errorf("without its target: %v, %+v", err, made)
	}
}

func TestSecretsOfTheTargetStayWhereTheyAre(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	set := defaults()
	set.Target = Target{Kind: "s3", Endpoint: "s3.lan:9000", Bucket: "b", AccessKey: "k", Secret: "canary"}
	saved, err := b.save(b.ctx(), set)
	must(t, err)
	public, err := b.Settings(b.ctx())
	must(t, err)
	if saved.Target.Secret != "canary" || public.Target.Secret != "" || !public.Target.HasSecret {
		t.Errorf("saved %+v, shown %+v", saved.Target, public.Target)
	}
	if raw := string(b.store.values[settingsKey]); strings.Contains(raw, "canary") {
		t.Errorf("the store has %s", raw)
	}
	set.Target.Secret, set.Target.Bucket = "", "c"
	if saved, err = b.save(b.ctx(), set); err != nil || saved.Target.Secret != "canary" {
		t.Errorf("a change of the bucket loses the secret: %+v, %v", saved.Target, err)
	}
	set.Target.Endpoint = "evil.example"
	if _, err = b.save(b.ctx(), set); !fault.Is(err, fault.Invalid) {
		t.Errorf("the secret goes to another endpoint: %v", err)
	}
}

func TestSettingsAreChecked(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	seven := 7
	for name, change := range map[string]func(*Settings){
		"time": func(s *Settings) { s.Schedule.At = "25:00" }, "weekday": func(s *Settings) { s.Schedule.Weekday = &seven },
		"nothing kept": func(s *Settings) { s.Keep.Daily = 0 }, "recipient": func(s *Settings) { s.Recipients = []string{"age1nobody"} },
		"alarm": func(s *Settings) { s.AlarmAfter = 0 }, "relative": func(s *Settings) { s.Target = Target{Kind: "directory", Path: "backups"} },
		"kind": func(s *Settings) { s.Target.Kind = "tape" }, "no host key": func(s *Settings) { s.Target = Target{Kind: "sftp", Host: "nas", User: "u", Path: "/b", Secret: "x"} },
	} {
		set := defaults()
		change(&set)
		if _, err := b.save(b.ctx(), set); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func (b *bench) segment(name string) {
	b.t.Helper()
	must(b.t, os.WriteFile(filepath.Join(b.spool, name), bytes.Repeat([]byte("wal "), 1000), 0o600))
}

func TestLogIsSentAndBounded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	set := b.configure()
	b.shipping.since = time.Now()
	b.segment("000000010000000000000005")
	b.segment("00000002.history")
	must(t, b.ship(b.ctx(), set))
	if got := b.inTarget("wal"); !slices.Equal(got, []string{"000000010000000000000005.age", "00000002.history.age"}) || !b.open || b.turns != 1 {
		t.Errorf("in the target are %v; open %v, %d turns", got, b.open, b.turns)
	}
	if left, _ := b.files(b.spool); len(left) > 0 {
		t.Errorf("in the spool are %v", left)
	}
	sealed, err := os.ReadFile(filepath.Join(b.target, "wal", "000000010000000000000005.age"))
	if err != nil || bytes.Contains(sealed, []byte("wal wal")) {
		t.Errorf("a segment is readable without a key: %v", err)
	}

	away := b.target + ".away"
	must(t, os.Rename(b.target, away))
	b.SpoolLimit = 6000
	b.segment("000000010000000000000006")
	if err := b.ship(b.ctx(), set); !fault.Is(err, fault.Unavailable) || !b.open {
		t.Errorf("with the target away: %v, open %v", err, b.open)
	}
	b.segment("000000010000000000000007")
	b.look(b.ctx())
	if err := b.Ready(b.ctx()); b.open || err == nil || !strings.Contains(fault.Message(err), "not kept") {
		t.Errorf("with a full spool: open %v, %v", b.open, err)
	}
	b.look(b.ctx())
	must(t, os.Rename(away, b.target))
	b.look(b.ctx())
	b.look(b.ctx())
	if left, _ := b.files(b.spool); len(left) > 0 || !b.open || b.Ready(b.ctx()) != nil {
		t.Errorf("with the target back: %v is left, open %v, %v", left, b.open, b.Ready(b.ctx()))
	}
	want := []string{"backup.log.interrupted", "backup.alarm.raised", "backup.alarm.cleared"}
	if got := b.events(); !slices.Equal(got, want) {
		t.Errorf("recorded are %v", got)
	}

	set.WAL.Enabled = false
	b.segment("000000010000000000000008")
	must(t, b.ship(b.ctx(), set))
	if left, _ := b.files(b.spool); len(left) > 0 || b.open || len(b.inTarget("wal")) != 4 {
		t.Errorf("switched off: %v, open %v, %v", left, b.open, b.inTarget("wal"))
	}
}

func TestFlushWaitsForTheSegment(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.configure()
	b.Log.Switch = func(context.Context) error {
		time.AfterFunc(200*time.Millisecond, func() { b.segment("000000010000000000000005") })
		return nil
	}
	must(t, b.Flush(b.ctx()))
	if got := b.inTarget("wal"); !slices.Equal(got, []string{"000000010000000000000005.age"}) {
		t.Errorf("in the target are %v", got)
	}
}

func TestAgeAlarm(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	set := b.configure()
	b.shipping.since = time.Now().Add(-37 * time.Hour)
	b.look(b.ctx())
	if err := b.Ready(b.ctx()); err == nil || !strings.Contains(fault.Message(err), "37 hours") {
		t.Errorf("without a backup for 37 hours: %v", err)
	}
	_, err := b.Run(b.ctx(), Manual, false, quiet)
	must(t, err)
	b.look(b.ctx())
	if err := b.Ready(b.ctx()); err != nil {
		t.Errorf("with a new backup: %v", err)
	}
	set.Target = Target{Kind: None}
	_, err = b.save(b.ctx(), set)
	must(t, err)
	b.look(b.ctx())
	if err := b.Ready(b.ctx()); err != nil {
		t.Errorf("without a target: %v", err)
	}
}

func TestPruneAdoptsAndDeletes(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	set := b.configure()
	set.Keep = Keep{Daily: 1}
	_, err := b.save(b.ctx(), set)
	must(t, err)
	var all []Backup
	for range 3 {
		made, err := b.Run(b.ctx(), Scheduled, false, quiet)
		must(t, err)
		all = append(all, made)
		time.Sleep(1100 * time.Millisecond) // names have seconds
	}
	must(t, b.forgetOne(b.ctx(), all[1].ID))
	other := New(b.Config)
	other.Store = &memory{values: map[string][]byte{settingsKey: b.store.values[settingsKey]}}
	foreign, err := other.Run(b.ctx(), Scheduled, false, quiet)
	must(t, err)
	gone, err := b.Prune(b.ctx())
	must(t, err)
	if len(gone) != 2 || len(b.inTarget("backups")) != 4 {
		t.Errorf("gone are %v; in the target %v", gone, b.inTarget("backups"))
	}
	if _, err := b.find(b.ctx(), foreign.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("another appliance's backup is taken for one's own: %v", err)
	}
	must(t, b.Remove(b.ctx(), all[2].ID))
	if err := b.Remove(b.ctx(), all[2].ID); !fault.Is(err, fault.Gone) {
		t.Errorf("a second time: %v", err)
	}
	if got := b.inTarget("backups"); len(got) != 2 || !strings.Contains(got[0], foreign.ID.Hex()) {
		t.Errorf("in the target are %v", got)
	}
}

// TestStoppedBackups: one that was stopped while it was made is gone, however far it
// came; one whose proof was stopped is there.
func TestStoppedBackups(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.configure()
	for _, c := range []struct {
		stopping bool
		state    State
		left     int
	}{{true, Failed, 0}, {false, Done, 2}} {
		made, err := b.begin(b.ctx(), id.New(), Manual, "backup-1")
		must(t, err)
		_, err = b.change(b.ctx(), made.ID, func(x *Backup) { x.Stopping = c.stopping })
		must(t, err)
		_, err = b.make(b.ctx(), made.ID, quiet)
		must(t, err)
		ended, err := b.conclude(b.ctx(), made.ID, stopped)
		if err != nil || ended.State != c.state || len(b.inTarget("backups")) != c.left || (ended.Bytes > 0) != (c.left > 0) {
			t.Errorf("%+v: it is %+v and there are %v, %v", c, ended, b.inTarget("backups"), err)
		}
	}
}

func TestOneBackupAtATime(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if _, err := b.begin(b.ctx(), id.New(), Manual, ""); !fault.Is(err, fault.Conflict) {
		t.Errorf("without a target: %v", err)
	}
	b.configure()
	first, err := b.begin(b.ctx(), id.New(), Manual, "backup-1")
	must(t, err)
	if _, err := b.begin(b.ctx(), id.New(), Manual, ""); !fault.Is(err, fault.Conflict) {
		t.Errorf("a second one: %v", err)
	}
	_, err = b.conclude(b.ctx(), first.ID, "It was stopped.")
	must(t, err)
	if _, err := b.make(b.ctx(), first.ID, quiet); !fault.Is(err, fault.Conflict) {
		t.Errorf("one that is over is made: %v", err)
	}
	b.External = func() bool { return true }
	if _, err := b.begin(b.ctx(), id.New(), Manual, ""); !fault.Is(err, fault.Conflict) || !strings.Contains(fault.Message(err), "your own server") {
		t.Errorf("with an external database: %v", err)
	}
}

// TestAKilledConsoleDoesNotStopBackups: what it was making is ended by the next one,
// or when somebody stops it.
func TestAKilledConsoleDoesNotStopBackups(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.configure()
	left := func() Backup {
		lock, err := b.lockConsole()
		must(t, err)
		made, err := b.begin(b.ctx(), id.New(), Manual, "")
		must(t, err)
		if err := b.Remove(b.ctx(), made.ID); !fault.Is(err, fault.Conflict) {
			t.Errorf("one that a console makes is stopped: %v", err)
		}
		if _, err := b.begin(b.ctx(), id.New(), Scheduled, "backup-x"); !fault.Is(err, fault.Conflict) {
			t.Errorf("two at a time: %v", err)
		}
		must(t, lock.Close()) // as the kernel does it when the console is killed
		return made
	}
	first := left()
	if made, err := b.Run(b.ctx(), Manual, true, quiet); err != nil || made.State != Done {
		t.Errorf("the next: %+v %v", made, err)
	}
	second := left()
	must(t, b.Remove(b.ctx(), second.ID))
	for _, made := range []Backup{first, second} {
		if now, err := b.find(b.ctx(), made.ID); err != nil || now.State != Failed || now.Error == "" {
			t.Errorf("what was left is %+v %v", now, err)
		}
	}
}

// TestProofsWaitForEachOther: the second would remove the first one's scratch directory.
func TestProofsWaitForEachOther(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.configure()
	made, err := b.Run(b.ctx(), Manual, false, quiet)
	must(t, err)
	begun, goOn := make(chan string, 2), make(chan struct{})
	b.inspect = func(tr Trial) { begun <- tr.Dir; <-goOn }
	ended := make(chan error, 2)
	prove := func() { _, err := b.prove(b.ctx(), made.ID, nil, quiet); ended <- err }
	go prove()
	dir := <-begun
	waits := make(chan struct{}, 100)
	go func() {
		_, err := b.prove(b.ctx(), made.ID, nil, func(stage string, _ int) {
			if strings.HasPrefix(stage, "waiting") {
				waits <- struct{}{}
			}
		})
		ended <- err
	}()
	select {
	case <-waits:
	case second := <-begun:
		t.Errorf("a second proof began in %s", second)
	}
	if _, err := os.Stat(filepath.Join(dir, "keys", "root.key")); err != nil {
		t.Errorf("the first one's scratch directory: %v", err)
	}
	close(goOn)
	must(t, errors.Join(<-ended, <-ended))
}

// TestAProofThatFailsLaterCounts: what was whole once and is not any more is not proven.
func TestAProofThatFailsLaterCounts(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.configure()
	made, err := b.Run(b.ctx(), Manual, true, quiet)
	must(t, err)
	if st, err := b.Standing(b.ctx()); err != nil || st.Last == nil {
		t.Errorf("a proven one: %+v %v", st, err)
	}
	file := filepath.Join(b.target, nameOf(made)+archiveSuffix)
	content, err := os.ReadFile(file)
	must(t, err)
	content[len(content)/2] ^= 1
	must(t, os.WriteFile(file, content, 0o600))
	if _, _, err := b.VerifyNow(b.ctx(), made.ID, quiet); !fault.Is(err, fault.Unprocessable) {
		t.Errorf("a changed byte: %v", err)
	}
	now, err := b.find(b.ctx(), made.ID)
	st, err2 := b.Standing(b.ctx())
	if err = errors.Join(err, err2); err != nil || now.Proven() || st.Last != nil {
		t.Errorf("it is %+v, the standing %+v, %v", now, st, err)
	}
}

// TestABackupElsewhereIsNotCalledDamaged: the settings name another place now.
func TestABackupElsewhereIsNotCalledDamaged(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	set := b.configure()
	made, err := b.Run(b.ctx(), Manual, true, quiet)
	must(t, err)
	set.Target.Path = t.TempDir()
	_, err = b.save(b.ctx(), set)
	must(t, err)
	if _, _, err := b.VerifyNow(b.ctx(), made.ID, quiet); !fault.Is(err, fault.Conflict) || !strings.Contains(fault.Message(err), b.target) {
		t.Errorf("got %v", err)
	}
	if err := b.Remove(b.ctx(), made.ID); !fault.Is(err, fault.Conflict) || len(b.inTarget("backups")) != 2 {
		t.Errorf("deleting it: %v", err)
	}
	if now, err := b.find(b.ctx(), made.ID); err != nil || !now.Proven() {
		t.Errorf("it is %+v, %v", now, err)
	}
}

// TestAskedForTwice: of two who press the button at once one gets a backup.
func TestAskedForTwice(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.configure()
	ended := make(chan error, 8)
	for range cap(ended) {
		go func() { _, err := b.begin(b.ctx(), id.New(), Manual, "backup-x"); ended <- err }()
	}
	made := 0
	for range cap(ended) {
		if err := <-ended; err == nil {
			made++
		} else if !fault.Is(err, fault.Conflict) {
			t.Error(err)
		}
	}
	if made != 1 {
		t.Errorf("%d are being made", made)
	}
}

// TestCopiesOfKilledBackupsAreRemoved: they hold what the local store did.
func TestCopiesOfKilledBackupsAreRemoved(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.configure()
	old, young := filepath.Join(b.DataDir, snapshotPrefix+"1"), filepath.Join(b.DataDir, snapshotPrefix+"2")
	must(t, errors.Join(os.Mkdir(old, 0o700), os.WriteFile(filepath.Join(old, "data.db"), nil, 0o600), os.Mkdir(young, 0o700)))
	must(t, os.Chtimes(old, time.Time{}, time.Now().Add(-2*time.Hour)))
	_, err := b.Run(b.ctx(), Manual, false, quiet)
	must(t, err)
	if left, _ := filepath.Glob(filepath.Join(b.DataDir, snapshotPrefix+"*")); !slices.Equal(left, []string{young}) {
		t.Errorf("left are %v", left)
	}
}

// TestAWrongNameIsNotTakenUp: a copy under another name must not bring back what was
// given up.
func TestAWrongNameIsNotTakenUp(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	set := b.configure()
	b.proven = fault.New(fault.Unprocessable, "The audit trail in the backup does not hold.")
	made, err := b.Run(b.ctx(), Manual, true, quiet)
	if made.State != Failed {
		t.Fatalf("%+v %v", made, err)
	}
	sealed, err := os.ReadFile(filepath.Join(b.target, nameOf(made)+summarySuffix))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(b.target, nameOf(Backup{ID: id.New(), StartedAt: time.Now()})+summarySuffix), sealed, 0o600))
	store, err := set.Target.Open()
	must(t, err)
	must(t, b.adopt(b.ctx(), store, set))
	if now, err := b.find(b.ctx(), made.ID); err != nil || now.State != Failed {
		t.Errorf("it is %+v, %v", now, err)
	}
}

// TestAClockThatRanAheadHidesNoAlarm: a backup of the future is not the newest.
func TestAClockThatRanAheadHidesNoAlarm(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	set := b.configure()
	b.shipping.since = time.Now().Add(-50 * time.Hour)
	for _, age := range []time.Duration{-48 * time.Hour, 40 * time.Hour} {
		_, err := b.change(b.ctx(), id.New(), func(x *Backup) { x.State, x.StartedAt = Done, time.Now().Add(-age) })
		must(t, err)
	}
	if late, err := b.late(b.ctx(), set); err != nil || !strings.Contains(late, "40 hours") {
		t.Errorf("late: %q %v", late, err)
	}
}
