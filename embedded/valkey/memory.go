package valkey

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"github.com/alicebob/miniredis/v2"
)

const (
	tick     = 250 * time.Millisecond // how late a key may expire
	keyLimit = 50_000                 // more keys than that empty the cache
	keyCheck = 40                     // ticks between two counts
)

// memory is a server in this process. It has no address: connections are pipes.
type memory struct {
	server *miniredis.Miniredis
	cancel context.CancelFunc
	done   chan struct{}
}

func startMemory() *memory {
	ctx, cancel := context.WithCancel(context.Background())
	m := &memory{server: miniredis.NewMiniRedis(), cancel: cancel, done: make(chan struct{})}
	go m.age(ctx)
	return m
}

// age lets keys expire, which this server does only when told, and bounds their number.
func (m *memory) age(ctx context.Context) {
	defer close(m.done)
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	last := time.Now()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			m.server.FastForward(now.Sub(last))
			last = now
		}
		if n%keyCheck == 0 {
			m.bound()
		}
	}
}

// bound empties a cache that has grown too large.
func (m *memory) bound() {
	if len(m.server.Keys()) > keyLimit {
		m.server.FlushAll()
	}
}

func (m *memory) dial(context.Context) (net.Conn, error) { return m.server.Dial() }

func (m *memory) stop(context.Context) error {
	m.cancel()
	<-m.done
	m.server.Close()
	return nil
}

// dialer has the form that the client wants.
func dialer(dial func(context.Context) (net.Conn, error)) func(context.Context, string, *net.Dialer, *tls.Config) (net.Conn, error) {
	return func(ctx context.Context, _ string, _ *net.Dialer, _ *tls.Config) (net.Conn, error) { return dial(ctx) }
}
