package cmd

import (
	"context"

	"github.com/spf13/cobra"

	"nimbus/appliance"
	"nimbus/appliance/breakglass"
	"nimbus/appliance/breakglass/cli"
	"nimbus/appliance/identity"
)

// breakglassCommand works over the database alone: without Temporal, without
// the web server, without anybody being able to sign in.
func breakglassCommand() *cobra.Command {
	var cmd *cobra.Command
	cmd = cli.Commands(func(ctx context.Context) (*breakglass.Service, *identity.Service, func(), error) {
		cfg, err := settings(cmd)
		if err != nil {
			return nil, nil, nil, err
		}
		core, done, err := appliance.Console(ctx, cfg)
		if err != nil {
			return nil, nil, nil, err
		}
		return core.BreakGlass, core.Identity, done, nil
	})
	return cmd
}
