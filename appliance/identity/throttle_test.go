package identity

import (
	"fmt"
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

// TestAddressesOfOneNetworkAreOne: whoever has one address of IPv6 has 2^64.
func TestAddressesOfOneNetworkAreOne(t *testing.T) {
	t.Parallel()
	th := newThrottle()
	newClock(th)
	for i := range freeTries {
		if err := th.allow("ann", fmt.Sprintf("2001:db8:0:1::%x", i+1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := th.allow("ann", "2001:db8:0:1:ffff::9"); !fault.Is(err, fault.TooMany) {
		t.Errorf("another address of the same network: %v", err)
	}
	for _, other := range []string{"2001:db8:0:2::1", "192.0.2.1", "::ffff:192.0.2.2", "console"} {
		if err := th.allow("ann", other); err != nil {
			t.Errorf("from %s: %v", other, err)
		}
	}
	th.succeeded("ann", "2001:db8:0:1::77")
	if err := th.allow("ann", "2001:db8:0:1::78"); err != nil {
		t.Errorf("after a success there: %v", err)
	}
}
