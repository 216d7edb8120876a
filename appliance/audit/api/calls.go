package api

import (
	"context"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/web"
)

// Trail lets the web record calls in the trail.
func Trail(s *audit.Service) web.Trail {
	return web.Trail{Takes: s.Takes, Record: func(ctx context.Context, c web.Call) error {
		return s.RecordAlone(actor.With(ctx, c.Actor), c.Actor.TenantID, entryOf(c))
	}}
}

// RecordEarly records a call that ended before there was a trail.
func RecordEarly(ctx context.Context, s *audit.Service, c web.Call, at time.Time) error {
	e := entryOf(c)
	e.Details["at"] = at
	return s.RecordAlone(actor.With(ctx, c.Actor), c.Actor.TenantID, e)
}

func entryOf(c web.Call) audit.Entry {
	e := audit.Entry{
		Event: "api.request.completed", Priority: audit.Debug, Target: audit.Target{Kind: "route", Name: c.Method + " " + c.Route},
		Details: map[string]any{"method": c.Method, "route": c.Route, "status": c.Status, "duration_ms": c.Duration.Milliseconds(), "sensitive": c.Sensitive},
	}
	if c.Operation != "" {
		e.Details["operation"] = c.Operation
	}
	switch {
	case c.Refused():
		e.Event, e.Outcome, e.Priority = "api.request.refused", audit.Denied, audit.Warning
	case c.Status >= 400:
		e.Outcome = audit.Failure
	}
	return e
}
