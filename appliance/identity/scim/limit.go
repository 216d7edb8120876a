package scim

import (
	"cmp"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	defaultRate   = 10
	defaultBurst  = 100
	maxRemembered = 10_000
)

// limiter slows down clients. Directories send in bursts, so it lets a burst
// pass and then a steady stream.
type limiter struct {
	rate  rate.Limit
	burst int

	mu  sync.Mutex
	all map[string]*rate.Limiter
}

func newLimiter(perSecond, burst int) *limiter {
	return &limiter{
		rate: rate.Limit(cmp.Or(perSecond, defaultRate)), burst: cmp.Or(burst, defaultBurst),
		all: map[string]*rate.Limiter{},
	}
}

func (l *limiter) of(key string) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.all) > maxRemembered {
		l.forget()
	}
	one, ok := l.all[key]
	if !ok {
		one = rate.NewLimiter(l.rate, l.burst)
		l.all[key] = one
	}
	return one
}

// forget drops those that have their whole burst again; when none has, all.
func (l *limiter) forget() {
	for key, one := range l.all {
		if one.Tokens() >= float64(l.burst) {
			delete(l.all, key)
		}
	}
	if len(l.all) > maxRemembered {
		clear(l.all)
	}
}

// take counts one request, or says how long to wait.
func (l *limiter) take(key string) error {
	if l.of(key).Allow() {
		return nil
	}
	return l.slow()
}

// blocked says how long to wait without counting.
func (l *limiter) blocked(key string) error {
	if l.of(key).Tokens() >= 1 {
		return nil
	}
	return l.slow()
}

func (l *limiter) slow() error {
	return &Error{
		Status: http.StatusTooManyRequests, Detail: "Too many requests. Wait a moment and go on more slowly.",
		retryAfter: time.Duration(float64(time.Second) / float64(l.rate)),
	}
}
