package appliance

import (
	sdk "go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/worker"

	"nimbus/embedded/temporal"
)

// Temporal is the services' way to workflows, for tests.
func (c *Core) Temporal() sdk.Client { return c.client }

// Payloads decrypts what workflows are given and return, for tests.
func (c *Core) Payloads() converter.PayloadCodec { return temporal.NewCodec(temporalKeys{c.Keyring}) }

// Register registers the workflows and activities of all domains, for tests.
func Register(r worker.Registry, c *Core) { register(r, c) }
