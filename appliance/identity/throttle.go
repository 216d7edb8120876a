package identity

import (
	"net/netip"
	"sync"
	"time"

	"nimbus/appliance/fault"
)

// throttle slows down guessing. It counts failures per account and address
// together, and per address: whoever guesses from elsewhere cannot lock the
// owner of an account out. Of IPv6 the network counts, because everybody has
// more addresses in theirs than there are tries.
type throttle struct {
	now func() time.Time

	mu      sync.Mutex
	entries map[string]*attempts
}

type attempts struct {
	failures int
	last     time.Time
}

const (
	freeTries     = 5                // failures before an account makes an address wait
	addressTries  = 50               // failures of an address over all accounts
	maxWait       = 15 * time.Minute // longest wait, and how long failures are remembered
	maxRemembered = 100_000
)

func newThrottle() *throttle {
	return &throttle{now: time.Now, entries: map[string]*attempts{}}
}

// allow returns fault.TooMany, with how long to wait, when it is too soon. It
// counts the try as failed at once, and succeeded takes it back: a thousand
// tries at the same moment are not a thousand first tries.
func (t *throttle) allow(account, address string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := keys(account, address)
	wait := max(t.wait(all[0], addressTries), t.wait(all[1], freeTries))
	if wait <= 0 {
		t.count(account, address)
		return nil
	}
	err := fault.New(fault.TooMany, "Too many failed sign-ins from your address. Wait %s and try again.", wait.Round(time.Second))
	err.RetryAfter = wait
	return err
}

// wait is how long key has to wait: nothing for the first tries, then 1 s, 2 s,
// 4 s … after the last failure.
func (t *throttle) wait(key string, free int) time.Duration {
	e, ok := t.entries[key]
	if !ok || t.now().Sub(e.last) > maxWait {
		return 0
	}
	if e.failures < free {
		return 0
	}
	pause := min(time.Second<<min(e.failures-free, 20), maxWait)
	return pause - t.now().Sub(e.last)
}

func (t *throttle) count(account, address string) {
	if len(t.entries) > maxRemembered {
		t.drop()
	}
	for _, key := range keys(account, address) {
		e, ok := t.entries[key]
		if !ok || t.now().Sub(e.last) > maxWait {
			e = &attempts{}
			t.entries[key] = e
		}
		e.failures++
		e.last = t.now()
	}
}

func keys(account, address string) [2]string {
	from := network(address)
	return [2]string{"a " + from, "p " + account + " " + from}
}

// network is an address as failures are counted: of IPv6 the 64 bits that one
// customer, or one machine, is given.
func network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil || ip.Unmap().Is4() {
		return address
	}
	return netip.PrefixFrom(ip.WithZone(""), 64).Masked().String()
}

// failed makes the wait begin now: a check may have taken a while.
func (t *throttle) failed(account, address string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, key := range keys(account, address) {
		if e, ok := t.entries[key]; ok {
			e.last = t.now()
		}
	}
}

// drop forgets what is over; when nothing is, everything.
func (t *throttle) drop() {
	for key, e := range t.entries {
		if t.now().Sub(e.last) > maxWait {
			delete(t.entries, key)
		}
	}
	if len(t.entries) > maxRemembered {
		clear(t.entries)
	}
}

func (t *throttle) succeeded(account, address string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := keys(account, address)
	delete(t.entries, all[1])
	if e, ok := t.entries[all[0]]; ok && e.failures > 0 {
		e.failures--
	}
}
