package cmd

import (
	"context"

	"github.com/spf13/cobra"

	"nimbus/appliance"
	"nimbus/appliance/identity"
	"nimbus/appliance/identity/cli"
)

// userCommand works over the database alone, as breakglassCommand does.
func userCommand() *cobra.Command {
	var cmd *cobra.Command
	cmd = cli.Commands(func(ctx context.Context) (*identity.Service, func(), error) {
		cfg, err := settings(cmd)
		if err != nil {
			return nil, nil, err
		}
		core, done, err := appliance.Console(ctx, cfg)
		if err != nil {
			return nil, nil, err
		}
		return core.Identity, done, nil
	})
	return cmd
}
