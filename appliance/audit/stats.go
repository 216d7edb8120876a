package audit

import (
	"sync/atomic"
)

// Stats counts since the start of the process.
type Stats struct {
	AppendFailures uint64 // records that could not be written
	Sealed         uint64 // records that this process sealed
	Pending        uint64 // records that wait for the writer
}

type counters struct{ failures, sealed atomic.Uint64 }

// Stats returns the counters.
func (s *Service) Stats() Stats {
	s.writer.mu.Lock()
	pending := s.writer.queued
	s.writer.mu.Unlock()
	return Stats{AppendFailures: s.stats.failures.Load(), Sealed: s.stats.sealed.Load(), Pending: uint64(pending)}
}
