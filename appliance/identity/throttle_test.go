package identity

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"nimbus/appliance/fault"
)

func newClock(t *throttle) func(time.Duration) {
	now := time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)
	t.now = func() time.Time { return now }
	return func(d time.Duration) { now = now.Add(d) }
}

// fail tries and fails n times, waiting as long as it must.
func fail(t *throttle, pass func(time.Duration), n int, account, address string) {
	for range n {
		if err := t.allow(account, address); err != nil {
			pass(maxWait)
			continue
		}
		t.failed(account, address)
	}
}

func TestGuessingWaitsAndTheOwnerDoesNot(t *testing.T) {
	t.Parallel()
	th := newThrottle()
	pass := newClock(th)
	fail(th, pass, freeTries, "ann", "attacker")
	err := th.allow("ann", "attacker")
	if !fault.Is(err, fault.TooMany) {
		t.Fatalf("the sixth try: %v", err)
	}
	if err := th.allow("ann", "home"); err != nil {
		t.Errorf("the owner from elsewhere: %v", err)
	}
	pass(time.Second)
	if err := th.allow("ann", "attacker"); err != nil {
		t.Errorf("after the wait: %v", err)
	}
	th.failed("ann", "attacker")
	pass(time.Second)
	if err := th.allow("ann", "attacker"); !fault.Is(err, fault.TooMany) {
		t.Errorf("the wait does not grow: %v", err)
	}
	pass(2 * maxWait)
	if err := th.allow("ann", "attacker"); err != nil {
		t.Errorf("after a long time: %v", err)
	}
}

func TestManyAccountsFromOneAddressWait(t *testing.T) {
	t.Parallel()
	th := newThrottle()
	newClock(th)
	for i := range addressTries {
		account := string(rune('a' + i%26))
		if err := th.allow(account+time.Duration(i).String(), "attacker"); err != nil {
			t.Fatalf("try %d: %v", i, err)
		}
	}
	if err := th.allow("somebody", "attacker"); !fault.Is(err, fault.TooMany) {
		t.Errorf("after %d failures: %v", addressTries, err)
	}
}

func TestSuccessForgets(t *testing.T) {
	t.Parallel()
	th := newThrottle()
	newClock(th)
	for range 3 * addressTries {
		if err := th.allow("ann", "office"); err != nil {
			t.Fatal(err)
		}
		th.succeeded("ann", "office")
	}
}

// TestTriesAtTheSameMoment lets many guesses in before the first has failed.
func TestTriesAtTheSameMoment(t *testing.T) {
	t.Parallel()
	th := newThrottle()
	newClock(th)
	var in atomic.Int32
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			if th.allow("ann", "attacker") == nil {
				in.Add(1)
			}
		})
	}
	wg.Wait()
	if in.Load() != freeTries {
		t.Errorf("%d tries were let in, not %d", in.Load(), freeTries)
	}
}
