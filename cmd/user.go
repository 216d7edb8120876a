package cmd

import (
	"context"

	"github.com/spf13/cobra"

	"nimbus/appliance"
	"nimbus/appliance/identity/cli"
)

// userCommand works over the database alone, as breakglassCommand does.
func userCommand() *cobra.Command {
	var cmd *cobra.Command
	cmd = cli.Commands(func(ctx context.Context) (cli.Machine, error) {
		cfg, err := settings(cmd)
		if err != nil {
			return cli.Machine{}, err
		}
		core, done, err := appliance.Console(ctx, cfg)
		if err != nil {
			return cli.Machine{}, err
		}
		return cli.Machine{People: core.Identity, Root: core.Tenants.Root(), Close: done}, nil
	})
	return cmd
}
