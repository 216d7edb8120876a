package cmd

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"nimbus/appliance"
	"nimbus/appliance/actor"
	"nimbus/appliance/fault"
)

func upgradeCommand() *cobra.Command {
	var check, giveUp, noBackup bool
	var output string
	cmd := &cobra.Command{
		Use:   "upgrade",
		Short: "Bring the data of an earlier release to this one",
		Long: "Bring the data of an earlier release to this one: the embedded Postgres to this\n" +
			"release's major version, and the schema. `nimbus serve` brings the schema forward by\n" +
			"itself; only another major version of Postgres needs this command. The old cluster is\n" +
			"kept beside the new one until --give-up-old. Before the schema is changed a backup is\n" +
			"made where a target for backups is set; when that fails nothing is changed, unless\n" +
			"--no-backup is given. The appliance must be stopped. It may be interrupted at any time\n" +
			"and run again.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := settings(c)
			if err != nil {
				return err
			}
			cfg.NoBackup = noBackup
			a := appliance.New(cfg)
			defer stopQuietly(a, cfg)
			ctx := actor.With(c.Context(), actor.Actor{Kind: actor.Setup, Name: "upgrade", OnBehalfOf: actor.AtConsole().OnBehalfOf})
			switch {
			case giveUp:
				return giveUpOld(ctx, a, c.OutOrStdout())
			case check:
				u, err := a.CheckUpgrade(ctx)
				if err != nil {
					return err
				}
				return printUpgrade(c.OutOrStdout(), u, output)
			}
			return upgradeNow(ctx, a, c.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "only say what would change")
	cmd.Flags().BoolVar(&noBackup, "no-backup", false, "make no backup first")
	cmd.Flags().BoolVar(&giveUp, "give-up-old", false, "delete the clusters that earlier upgrades kept")
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json, of --check")
	return cmd
}

func stopQuietly(a *appliance.Appliance, cfg appliance.Config) {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := a.Stop(ctx); err != nil {
		cfg.Logger.Error("the database did not stop cleanly", "error", err)
	}
}

func upgradeNow(ctx context.Context, a *appliance.Appliance, out io.Writer) error {
	u, err := a.Upgrade(ctx, stages(out))
	if err != nil {
		return err
	}
	if u.Database.From != "" {
		fmt.Fprintf(out, "The database is of Postgres %s now. The old one is kept in %s; when all is well, `nimbus upgrade --give-up-old` deletes it.\n", u.Database.To, u.Database.Kept)
	}
	fmt.Fprintf(out, "The data is of Nimbus %s. Start it with `nimbus serve`.\n", u.Version)
	return nil
}

func giveUpOld(ctx context.Context, a *appliance.Appliance, out io.Writer) error {
	gone, err := a.GiveUpOldClusters(ctx)
	if err != nil {
		return err
	}
	for _, k := range gone {
		fmt.Fprintf(out, "deleted %s (%d MB)\n", k.Path, k.Bytes>>20)
	}
	if len(gone) == 0 {
		fmt.Fprintln(out, "No earlier upgrade kept anything.")
	}
	return nil
}

// printUpgrade says what would change. What is not possible is an error.
func printUpgrade(out io.Writer, u appliance.Upgrade, output string) error {
	switch output {
	case "json":
		if err := json.NewEncoder(out).Encode(u); err != nil {
			return err
		}
	case "text":
		describeUpgrade(out, u)
	default:
		return fault.New(fault.Invalid, "-o is text or json, not %q.", output)
	}
	if u.Problem != "" {
		return fault.Wrap(fault.Conflict, u.Cause, "%s", u.Problem)
	}
	return nil
}

func describeUpgrade(out io.Writer, u appliance.Upgrade) {
	fmt.Fprintf(out, "Nimbus %s\n", u.Version)
	d := u.Database
	if d.From != "" {
		fmt.Fprintf(out, "Postgres %s becomes %s: %d MB are copied, at most %d MB are needed, %d MB are free\n", d.From, d.To, d.Bytes>>20, d.Needs>>20, d.Free>>20)
		fmt.Fprintf(out, "The old cluster is kept in %s\n", d.Kept)
		return
	}
	if len(u.Migrations) == 0 {
		fmt.Fprintln(out, "The schema is up to date.")
	}
	for _, m := range u.Migrations {
		fmt.Fprintf(out, "migration %s\n", m)
	}
	if u.Scopes > 0 {
		fmt.Fprintf(out, "in %d schemas, each in one transaction\n", u.Scopes)
	}
	switch u.Backup {
	case "":
	case "none":
		fmt.Fprintln(out, "NO BACKUP is made first: no target is set, under System, Backups.")
	default:
		fmt.Fprintf(out, "a backup is made first, to %s\n", u.Backup)
	}
	for _, k := range u.Kept {
		fmt.Fprintf(out, "kept from an earlier upgrade: %s (%d MB)\n", k.Path, k.Bytes>>20)
	}
}
