package appliance

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"
)

// subsystem is a long-lived part, as the operator sees it.
type subsystem struct {
	name string
	part interface {
		Start(ctx context.Context) error
		Ready(ctx context.Context) error
		Stop(ctx context.Context) error
	}
}

// Component is the state of one part.
type Component struct {
	Name    string    `json:"name"`
	Status  string    `json:"status" enum:"ok,down,starting"`
	Message string    `json:"message"`
	Since   time.Time `json:"since" doc:"When it came into this state, as far as was asked."`
}

// running keeps the parts in the order they were started.
type running struct {
	mu       sync.Mutex
	parts    []subsystem
	starting map[string]bool // their Start has not returned
	seen     map[string]Component
}

// start starts a part and keeps it for Stop.
func (r *running) start(ctx context.Context, name string, part subsystem) error {
	part.name = name
	r.mu.Lock()
	r.parts = append(r.parts, part)
	if r.starting == nil {
		r.starting = map[string]bool{}
	}
	r.starting[name] = true
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		delete(r.starting, name)
		r.mu.Unlock()
	}()
	return part.part.Start(ctx)
}

// stop stops all parts, the last started first. All are stopped even when one fails.
func (r *running) stop(ctx context.Context) error { return r.stopAfter(ctx, 0) }

// count is how many parts there are.
func (r *running) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.parts)
}

// stopAfter is stop of all parts but the first started.
func (r *running) stopAfter(ctx context.Context, first int) error {
	r.mu.Lock()
	first = min(first, len(r.parts))
	parts := slices.Clone(r.parts[first:])
	r.parts = r.parts[:first:first]
	r.mu.Unlock()
	var errs []error
	for _, p := range slices.Backward(parts) {
		errs = append(errs, p.part.Stop(ctx))
	}
	return errors.Join(errs...)
}

// stopOne stops the part of that name and forgets it.
func (r *running) stopOne(ctx context.Context, name string) error {
	r.mu.Lock()
	i := slices.IndexFunc(r.parts, func(p subsystem) bool { return p.name == name })
	if i < 0 {
		r.mu.Unlock()
		return nil
	}
	part := r.parts[i]
	r.parts = slices.Delete(r.parts, i, i+1)
	r.mu.Unlock()
	return part.part.Stop(ctx)
}

// ready asks the part of that name how it is; nil when there is none.
func (r *running) ready(name string) func(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.parts, func(p subsystem) bool { return p.name == name })
	if i < 0 {
		return nil
	}
	return r.parts[i].part.Ready
}

// readyTimeout is how long one part may take to say how it is.
const readyTimeout = 2 * time.Second

// components asks every part, side by side, how it is.
func (r *running) components(ctx context.Context) []Component {
	return r.componentsWithin(ctx, readyTimeout)
}

func (r *running) componentsWithin(ctx context.Context, limit time.Duration) []Component {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	r.mu.Lock()
	parts, starting := slices.Clone(r.parts), maps.Clone(r.starting)
	r.mu.Unlock()
	all := make([]Component, len(parts))
	var wg sync.WaitGroup
	for i, p := range parts {
		wg.Go(func() {
			all[i] = Component{Name: p.name, Status: "ok"}
			if err := p.part.Ready(ctx); err != nil {
				all[i].Status, all[i].Message = "down", sentence(err)
			}
			if all[i].Status == "down" && starting[p.name] {
				all[i].Status = "starting"
			}
		})
	}
	wg.Wait()
	r.remember(all)
	return all
}

// remember fills in since when each component is in its state.
func (r *running) remember(all []Component) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen == nil {
		r.seen = map[string]Component{}
	}
	for i, c := range all {
		before, ok := r.seen[c.Name]
		c.Since = time.Now().UTC()
		if ok && before.Status == c.Status {
			c.Since = before.Since
		}
		r.seen[c.Name], all[i] = c, c
	}
}
