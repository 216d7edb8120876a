package event_test

import (
	"log/slog"
	"slices"
	"testing"

	"nimbus/appliance/event"
)

// TestSubscribersHearInTheirOrder: what forgets comes before what asks anew,
// also when one in between has left or panics.
func TestSubscribersHearInTheirOrder(t *testing.T) {
	t.Parallel()
	b := event.NewBus(slog.New(slog.DiscardHandler))
	var heard []int
	var leave func()
	for n := range 20 {
		cancel := b.Subscribe(func(event.Event) {
			heard = append(heard, n)
			if n == 3 {
				panic("on purpose")
			}
		})
		if n == 7 {
			leave = cancel
		}
	}
	leave()
	leave()
	b.Deliver(event.Event{Type: "thing.updated"})
	if !slices.IsSorted(heard) || len(heard) != 19 || slices.Contains(heard, 7) {
		t.Errorf("heard in the order %v", heard)
	}
}
