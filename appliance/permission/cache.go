package permission

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"nimbus/appliance/db"
	"nimbus/appliance/event"
	"nimbus/appliance/id"
	"nimbus/appliance/permission/condition"
)

// Compiled rights are kept until they change. An event of another node that
// was lost is made good after keepFor; mostKept bounds their number.
const (
	keepFor  = time.Minute
	mostKept = 20_000
)

type holder struct {
	tenant  id.ID
	subject Subject
}

type kept struct {
	rights *Rights
	since  time.Time
}

// of returns the compiled rights of a subject in a tenant. Rights compiled
// while they were being changed are used for this question and not kept, and
// so are those compiled inside a transaction, which may see what is never
// committed.
func (s *Service) of(ctx context.Context, tenant id.ID, subject Subject) (*Rights, error) {
	h := holder{tenant, subject}
	_, inside := db.Scope(ctx)
	s.mu.RLock()
	k, ok := s.rights[h]
	version := s.version
	s.mu.RUnlock()
	if ok && time.Since(k.since) < keepFor {
		return k.rights, nil
	}
	since := time.Now()
	rights, err := s.compile(ctx, tenant, subject)
	if err != nil || inside {
		return rights, err
	}
	s.keep(h, kept{rights, since}, version)
	return rights, nil
}

func (s *Service) keep(h holder, k kept, version uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.version != version {
		return
	}
	if len(s.rights) >= mostKept {
		clear(s.rights)
	}
	s.rights[h] = k
	s.arm(h.tenant, k.rights.edge(s.now()))
}

func (s *Service) forget(tenant id.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	for h := range s.rights {
		if h.tenant == tenant {
			delete(s.rights, h)
		}
	}
}

// forgetAll is forget for every tenant.
func (s *Service) forgetAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	clear(s.rights)
}

// Changed tells every node, after the commit, that the rights of a tenant are
// stale: somebody joined or left a group, or a compartment was moved.
func (s *Service) Changed(ctx context.Context, tenant id.ID) error {
	return s.Events.Publish(ctx, event.Event{Type: ChangedEvent, Tenant: tenant, Watched: "nobody"}, nil)
}

// edge is the next moment when rights of a tenant begin or end by themselves.
type edge struct {
	at    time.Time
	timer *time.Timer
}

// longestWait bounds how late an edge is noticed when the machine's clock was
// set forward meanwhile.
const longestWait = 10 * time.Minute

// arm wakes this node at the next edge of a tenant: then what looks at rights
// only when they change, such as an open socket, looks again. Questions do not
// depend on it; they look at the clock themselves. It is called under s.mu.
func (s *Service) arm(tenant id.ID, at time.Time) {
	if at.IsZero() {
		return
	}
	now := s.now()
	if e, ok := s.edges[tenant]; ok {
		overdue := !e.at.After(now) // the clock was set forward
		if !overdue && !at.Before(e.at) {
			return
		}
		e.timer.Stop()
		if overdue {
			go s.announce(tenant)
		}
	}
	wait := min(max(at.Sub(now), 0), longestWait)
	s.edges[tenant] = &edge{at, time.AfterFunc(wait, func() { s.reach(tenant, at) })}
}

// reach is what happens at an edge, or when it is time to look at the clock.
func (s *Service) reach(tenant id.ID, at time.Time) {
	s.mu.Lock()
	early := s.now().Before(at)
	if e, ok := s.edges[tenant]; ok && e.at.Equal(at) {
		delete(s.edges, tenant)
	}
	if early {
		s.arm(tenant, at)
	}
	s.mu.Unlock()
	if !early {
		s.announce(tenant)
	}
}

func (s *Service) announce(tenant id.ID) {
	if err := s.Changed(context.Background(), tenant); err != nil {
		s.Logger.Error("nodes could not be told that rights began or ended", "tenant", tenant, "error", err)
	}
}

// watchEdges wakes this node when what was just given begins or ends.
func (s *Service) watchEdges(ctx context.Context, tenant id.ID, times ...time.Time) {
	db.OnCommit(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, at := range times {
			if at.After(s.now()) {
				s.arm(tenant, at)
			}
		}
	})
}

// programs are the conditions that were read already, by their text: many
// roles and people share one. The count bounds them.
var (
	programs     sync.Map
	programCount atomic.Int64
)

const mostPrograms = 10_000

func program(source string) (*condition.Program, error) {
	if p, ok := programs.Load(source); ok {
		return p.(*condition.Program), nil
	}
	p, err := condition.Compile(source)
	if err != nil {
		return nil, err
	}
	if programCount.Add(1) > mostPrograms {
		programs.Clear()
		programCount.Store(1)
	}
	programs.Store(source, p)
	return p, nil
}
