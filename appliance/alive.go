package appliance

import (
	"context"
	"time"

	"nimbus/appliance/fault"
)

// aliveTimeout is much longer than a person waits: on a slow machine even a first answer
// over a new connection takes seconds, and slow is not dead.
const aliveTimeout = 30 * time.Second

// Alive asks the parts inside this process that it cannot do without and that a
// restart may mend: the port, and the embedded Postgres and Temporal as far as they
// were started. A part that still starts is alive, however slow. It returns
// Unavailable, naming the first part that does not answer.
func (a *Appliance) Alive(ctx context.Context) error {
	inside := map[string]bool{"web": true, "postgres": true, "temporal": a.cfg.TemporalAddress == ""}
	for _, c := range a.running.componentsWithin(ctx, aliveTimeout) {
		if inside[c.Name] && c.Status == "down" {
			return fault.New(fault.Unavailable, "%s does not answer: %s", c.Name, c.Message)
		}
	}
	return nil
}
