package socketio

import (
	"context"
	"sync"
)

// memoryBacklog is how many messages a subscriber of a MemoryBroker may be behind before Publish waits for it.
const memoryBacklog = 256

// MemoryBroker is a Broker between servers of one process. Its zero value is ready.
type MemoryBroker struct {
	mu          sync.Mutex
	subscribers map[*memorySubscriber]struct{}
}

type memorySubscriber struct {
	messages chan []byte
	done     <-chan struct{}
}

// Publish returns when every subscriber has the message in its backlog, or with ctx's error.
func (b *MemoryBroker) Publish(ctx context.Context, message []byte) error {
	for _, s := range b.snapshot() {
		select {
		case s.messages <- message:
		case <-s.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Subscribe delivers until ctx ends and returns its error.
func (b *MemoryBroker) Subscribe(ctx context.Context, deliver func([]byte)) error {
	s := &memorySubscriber{messages: make(chan []byte, memoryBacklog), done: ctx.Done()}
	b.add(s)
	defer b.remove(s)
	for {
		select {
		case message := <-s.messages:
			deliver(message)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (b *MemoryBroker) add(s *memorySubscriber) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.subscribers == nil {
		b.subscribers = map[*memorySubscriber]struct{}{}
	}
	b.subscribers[s] = struct{}{}
}

func (b *MemoryBroker) remove(s *memorySubscriber) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.subscribers, s)
}

func (b *MemoryBroker) snapshot() []*memorySubscriber {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]*memorySubscriber, 0, len(b.subscribers))
	for s := range b.subscribers {
		all = append(all, s)
	}
	return all
}
