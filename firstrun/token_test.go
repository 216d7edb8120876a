package firstrun

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"nimbus/appliance/fault"
)

// clock is a time that tests move.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func newClock() *clock { return &clock{time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)} }

func TestTokenIsUsedOnce(t *testing.T) {
	t.Parallel()
	g := newGate(newClock().now)
	token, _ := g.issue()
	if err := g.take(token, "a"); err != nil {
		t.Fatal(err)
	}
	if err := g.take(token, "a"); !fault.Is(err, fault.Unauthenticated) || !strings.Contains(err.Error(), "used already") {
		t.Errorf("second browser: %v", err)
	}
	again, _ := g.issue()
	if err := g.take(token, "a"); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("the token before: %v", err)
	}
	if err := g.take(again, "a"); err != nil {
		t.Errorf("a new token: %v", err)
	}
}

func TestTokenCanBeTyped(t *testing.T) {
	t.Parallel()
	for range 50 {
		g := newGate(newClock().now)
		token, _ := g.issue()
		typed := " " + strings.ToLower(strings.ReplaceAll(token, "-", " ")) + "\n"
		typed = strings.NewReplacer("0", "o", "1", "l").Replace(typed)
		if err := g.take(typed, "a"); err != nil {
			t.Fatalf("%q typed as %q: %v", token, typed, err)
		}
		if len(token) != 19 {
			t.Errorf("token %q", token)
		}
	}
}

func TestRobustness36TokenExpires(t *testing.T) {
	t.Parallel()
	c := newClock()
	g := newGate(c.now)
	token, expires := g.issue()
	if !expires.Equal(c.at.Add(tokenLife)) {
		t.Errorf("expires %v", expires)
	}
	c.at = expires
	if err := g.take(token, "a"); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("expired: %v", err)
	}
	g.void()
	if err := g.take("", "b"); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("no token and none given: %v", err)
	}
}

func TestRobustness36TriesAreLimitedForTheirAddress(t *testing.T) {
	t.Parallel()
	c := newClock()
	g := newGate(c.now)
	token, _ := g.issue()
	for left := freeTries - 1; left >= 0; left-- {
		err := g.take("WRONG", "stranger")
		if !fault.Is(err, fault.Unauthenticated) || left > 0 && !strings.Contains(err.Error(), fmt.Sprint(left, " tries")) {
			t.Errorf("%d left: %v", left, err)
		}
	}
	err := g.take(token, "stranger")
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != fault.TooMany || f.RetryAfter != firstWait {
		t.Errorf("locked out: %v", err)
	}
	c.at = c.at.Add(firstWait)
	if err := g.take("WRONG", "stranger"); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("after the wait: %v", err)
	}
	if err := g.take(token, "stranger"); !errors.As(err, &f) || f.RetryAfter != 2*firstWait {
		t.Errorf("the wait doubles: %v", err)
	}
	if err := g.take(token, "owner"); err != nil {
		t.Errorf("a stranger locked the owner out: %v", err)
	}
}

func TestTriesAreBounded(t *testing.T) {
	t.Parallel()
	g := newGate(newClock().now)
	g.issue()
	for i := range 3 * maxTracked {
		_ = g.take("WRONG", fmt.Sprint(i))
	}
	if len(g.tries) > maxTracked+1 {
		t.Errorf("%d addresses are kept", len(g.tries))
	}
}
