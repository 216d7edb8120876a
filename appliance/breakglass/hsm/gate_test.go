package hsm

import (
	"errors"
	"testing"
	"time"
)

func newGate(t *testing.T) *pinGate {
	t.Helper()
	gate, err := newPINGate(Config{Dir: t.TempDir(), PINPause: time.Minute, MaxPINFailures: 2})
	if err != nil {
		t.Fatal(err)
	}
	return gate
}

func TestRobustness42KilledDuringAnAttempt(t *testing.T) {
	t.Parallel()
	gate, info := newGate(t), tokenInfo{Slot: Slot{Serial: "1"}}
	var after pinRecord
	err := gate.try(pinRecord{}, info, attempt{pin: "1234"}, func() (err error) {
		after, err = gate.load(info) // what the next start reads if we die here
		return err
	})
	if err != nil || after.Failures != 1 || after.Pending || gate.nextTry(after).IsZero() {
		t.Fatalf("record %+v, error %v", after, err)
	}
}

func TestRobustness42OnlyTheTokenCounts(t *testing.T) {
	t.Parallel()
	gate, info := newGate(t), tokenInfo{Slot: Slot{Serial: "1"}}
	before := pinRecord{Failures: 1, At: time.Now().Add(-time.Hour)}
	hang := fail(ErrModuleHung, "hangs")
	if err := gate.try(before, info, attempt{pin: "1234"}, func() error { return hang }); !errors.Is(err, ErrModuleHung) {
		t.Fatal(err)
	}
	rec, err := gate.load(info)
	if err != nil || rec.Failures != 1 || !rec.At.Equal(before.At) {
		t.Fatalf("record %+v, error %v", rec, err)
	}
	other, err := gate.load(tokenInfo{Slot: Slot{Serial: "2"}})
	if err != nil || other.Failures != 0 {
		t.Fatalf("another token has the record %+v, error %v", other, err)
	}
}

func TestRobustness42ClockSetBack(t *testing.T) {
	t.Parallel()
	gate, info := newGate(t), tokenInfo{Slot: Slot{Serial: "1"}}
	if err := gate.save(info, pinRecord{Failures: 1, At: time.Now().Add(24 * time.Hour)}); err != nil {
		t.Fatal(err)
	}
	rec, err := gate.load(info)
	if wait := time.Until(gate.nextTry(rec)); err != nil || wait > time.Minute || wait < 50*time.Second {
		t.Fatalf("waits %s, error %v", wait, err)
	}
}

func TestPausesGrow(t *testing.T) {
	t.Parallel()
	for faults, want := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 7: time.Minute, 1000: time.Minute} {
		if got := growing(time.Second, faults, time.Minute); got != want {
			t.Errorf("after %d faults %s, want %s", faults, got, want)
		}
	}
}

func TestOnlyTheSignalIsKept(t *testing.T) {
	t.Parallel()
	var out crashWatch
	for range 2000 {
		_, _ = out.Write([]byte("SIGSEGV: PIN 1234\npanic: PIN 1234\nno end of line"))
	}
	if got := out.crash(); got != "" || len(out.line) > longestSignalLine {
		t.Fatalf("crash %q, %d bytes kept", got, len(out.line))
	}
	for _, part := range []string{"\nSIGSEGV: segmen", "tation violation\nPC=0x0\n"} {
		_, _ = out.Write([]byte(part))
	}
	if got := out.crash(); got != "SIGSEGV: segmentation violation" {
		t.Fatalf("crash %q", got)
	}
}
