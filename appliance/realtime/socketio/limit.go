package socketio

import (
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// throttleKeys is how many clients a throttle remembers before it forgets those that are at rest.
const throttleKeys = 4096

// throttle is a token bucket for each key.
type throttle struct {
	rate  float64 // tokens a second
	burst float64

	mu      sync.Mutex
	buckets map[string]bucket
}

type bucket struct {
	tokens float64
	at     time.Time
}

func newThrottle(rate float64, burst int) *throttle {
	return &throttle{rate: rate, burst: float64(burst), buckets: map[string]bucket{}}
}

// allow takes a token of the key, if it has one.
func (t *throttle) allow(key string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	tokens := t.burst
	if b, known := t.buckets[key]; known {
		tokens = t.refilled(b, now)
	} else if len(t.buckets) >= throttleKeys {
		t.forget(now)
	}
	if tokens < 1 {
		t.buckets[key] = bucket{tokens, now}
		return false
	}
	t.buckets[key] = bucket{tokens - 1, now}
	return true
}

func (t *throttle) refilled(b bucket, now time.Time) float64 {
	return min(t.burst, b.tokens+max(0, now.Sub(b.at).Seconds())*t.rate)
}

// forget drops the keys whose bucket is full again, and all of them when none is: memory stays bounded.
func (t *throttle) forget(now time.Time) {
	for key, b := range t.buckets {
		if t.refilled(b, now) >= t.burst {
			delete(t.buckets, key)
		}
	}
	if len(t.buckets) >= throttleKeys {
		clear(t.buckets)
	}
}

// remoteNetwork is the default of Config.ClientKey: one IPv4 address, or one IPv6 /64, which is
// what a single subscriber is given.
func remoteNetwork(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	if addr = addr.Unmap(); addr.Is4() {
		return addr.String()
	}
	prefix, err := addr.WithZone("").Prefix(64)
	if err != nil {
		return host
	}
	return prefix.String()
}
