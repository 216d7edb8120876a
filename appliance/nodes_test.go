package appliance

import (
	"log/slog"
	"testing"

	"nimbus/appliance/event"
	"nimbus/embedded/valkey"
)

// What ends while the appliance stops still publishes: the cache is gone by then.
func TestEventAfterTheCacheStopped(t *testing.T) {
	cache := valkey.New(valkey.Config{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	send := forward(cache, slog.New(slog.DiscardHandler))
	send(event.Event{Type: "audit.sealed"})
	if err := cache.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	send(event.Event{Type: "audit.sealed"})
	if err := cache.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	send(event.Event{Type: "audit.sealed"})
}
