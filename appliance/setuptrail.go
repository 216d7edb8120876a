package appliance

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	auditapi "nimbus/appliance/audit/api"
	"nimbus/appliance/web"
)

// setupMost is how many calls of the wizard wait for a trail: more than a
// first run has.
const setupMost = 500

// setupTrail keeps the calls of the wizard until there is a trail: the
// first steps choose the database that it will be in.
type setupTrail struct {
	mu    sync.Mutex
	calls []setupCall
}

type setupCall struct {
	web.Call
	at time.Time
}

// setupKind names a route of the wizard. Its paths have no parameters.
func setupKind(r *http.Request) web.Kind {
	path := strings.TrimPrefix(r.URL.Path, "/v1/setup")
	if len(path) > 40 || strings.ContainsFunc(path, func(c rune) bool { return c != '/' && c != '-' && (c < 'a' || c > 'z') }) {
		path = "/unknown"
	}
	return web.Kind{Route: "/v1/setup" + path}
}

// recordSetup records a call of the claimed browser, and those before it,
// as soon as there is a trail. The wizard does not wait for it: what it makes
// is recorded by the services behind it.
func (a *Appliance) recordSetup(ctx context.Context, call web.Call) error {
	a.early.mu.Lock()
	defer a.early.mu.Unlock()
	if len(a.early.calls) < setupMost {
		a.early.calls = append(a.early.calls, setupCall{call, time.Now().UTC()})
	}
	c := a.core.Load()
	if c == nil || c.Provider == nil { // another database may still be chosen
		return nil
	}
	for len(a.early.calls) > 0 {
		first := a.early.calls[0]
		if err := auditapi.RecordEarly(ctx, c.Audit, first.Call, first.at); err != nil {
			a.cfg.Logger.Error("a call of the wizard could not be recorded", "route", first.Route, "error", err)
			return nil
		}
		a.early.calls = a.early.calls[1:]
	}
	return nil
}
