package appliance

import (
	"context"
	"time"

	sdk "go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/worker"

	"nimbus/appliance/backup"
	"nimbus/embedded/temporal"
)

// Temporal is the services' way to workflows, for tests.
func (c *Core) Temporal() sdk.Client { return c.client }

// Payloads decrypts what workflows are given and return, for tests.
func (c *Core) Payloads() converter.PayloadCodec { return temporal.NewCodec(temporalKeys{c.Keyring}) }

// Register registers the workflows and activities of all domains, for tests.
func Register(r worker.Registry, c *Core) { register(r, c) }

// Recover brings what was unpacked to its moment, for tests.
func (a *Appliance) Recover(ctx context.Context, t backup.Trial) (time.Time, error) {
	return a.recover(ctx, t)
}
