package cmd

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"nimbus/appliance"
	"nimbus/appliance/actor"
	"nimbus/appliance/backup"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// backupCommand works over the database alone: the appliance may run or not.
func backupCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "backup", Short: "Make, list, verify and prune backups",
		Long: "Make, list, verify and prune backups. Where they are kept and who can open them is\n" +
			"set in the browser, under System, Backups. `nimbus restore` brings one back.",
	}
	cmd.AddCommand(backupCreateCommand(), backupListCommand(), backupVerifyCommand(), backupPruneCommand())
	return cmd
}

func onBackups(c *cobra.Command, output string, fn func(context.Context, *backup.Service) error) error {
	if output != "table" && output != "json" {
		return badOutput(output)
	}
	cfg, err := settings(c)
	if err != nil {
		return err
	}
	ctx := actor.With(c.Context(), actor.AtConsole())
	core, done, err := appliance.Console(ctx, cfg)
	if err != nil {
		return err
	}
	defer done()
	return fn(ctx, core.Backups)
}

func backupCreateCommand() *cobra.Command {
	var verify, before bool
	var output string
	cmd := &cobra.Command{
		Use: "create", Short: "Make a backup now", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			kind := backup.Manual
			if before {
				kind = backup.BeforeUpgrade
			}
			return onBackups(c, output, func(ctx context.Context, s *backup.Service) error {
				b, err := s.Run(ctx, kind, verify, progressOn(c.ErrOrStderr()))
				if err != nil {
					return err
				}
				return printBackups(c, []backup.Backup{b}, output, "")
			})
		},
	}
	cmd.Flags().BoolVar(&verify, "verify", true, "restore it into a scratch directory and check it")
	cmd.Flags().BoolVar(&before, "before-upgrade", false, "mark it as made before an upgrade")
	outputFlag(cmd, &output)
	return cmd
}

func backupListCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "list", Short: "List backups, newest first", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return onBackups(c, output, func(ctx context.Context, s *backup.Service) error {
				all, err := s.List(ctx)
				if err != nil {
					return err
				}
				return printBackups(c, all, output, "There are no backups.")
			})
		},
	}
	outputFlag(cmd, &output)
	return cmd
}

func backupVerifyCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "verify [id]", Short: "Restore a backup into a scratch directory and check it", Args: cobra.MaximumNArgs(1),
		Long: "Restore a backup, the newest when none is named, into a scratch directory below the data\n" +
			"directory: start the databases there, verify every audit chain, and see that the secrets\n" +
			"open and somebody can sign in. The scratch directory is removed. The exit code is 5 when\n" +
			"the backup does not hold.",
		RunE: func(c *cobra.Command, args []string) error {
			return onBackups(c, output, func(ctx context.Context, s *backup.Service) error {
				which := id.ID{}
				if len(args) > 0 {
					var err error
					if which, err = id.Parse(args[0]); err != nil {
						return err
					}
				}
				b, proof, err := s.VerifyNow(ctx, which, progressOn(c.ErrOrStderr()))
				if fault.Is(err, fault.Unprocessable) {
					return fmt.Errorf("%w: %s", errBroken, explain(err))
				}
				if err != nil {
					return err
				}
				return printProof(c, b.ID, proof, output)
			})
		},
	}
	outputFlag(cmd, &output)
	return cmd
}

func backupPruneCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "prune", Short: "Delete the backups that the policy does not keep", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return onBackups(c, output, func(ctx context.Context, s *backup.Service) error {
				gone, err := s.Prune(ctx)
				if err != nil {
					return err
				}
				return printBackups(c, gone, output, "There was nothing to delete: the policy keeps them all.")
			})
		},
	}
	outputFlag(cmd, &output)
	return cmd
}

func outputFlag(cmd *cobra.Command, output *string) {
	cmd.Flags().StringVarP(output, "output", "o", "table", "table or json")
}

func badOutput(output string) error {
	return fault.New(fault.Invalid, "-o is table or json, not %q.", output)
}

// printBackups prints backups, and below why those that failed did; none is what a
// table says when there are none.
func printBackups(c *cobra.Command, all []backup.Backup, output, none string) error {
	if output == "json" {
		return printJSON(c, append([]backup.Backup{}, all...))
	}
	if len(all) == 0 {
		_, err := fmt.Fprintln(c.OutOrStdout(), none)
		return err
	}
	t := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tMADE\tKIND\tSTATE\tSIZE\tVERIFIED\tTARGET")
	for _, b := range all {
		verified := "no"
		switch {
		case b.VerifyError != "":
			verified = "failed"
		case b.VerifiedAt != nil:
			verified = b.VerifiedAt.Local().Format(time.DateTime)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%.1f MB\t%s\t%s\n", b.ID, b.StartedAt.Local().Format(time.DateTime), b.Kind, b.State, float64(b.Bytes)/1e6, verified, b.Target)
	}
	err := t.Flush()
	for _, b := range all {
		switch {
		case b.Error != "":
			fmt.Fprintf(c.OutOrStdout(), "\n%s failed: %s\n", b.ID, b.Error)
		case b.VerifyError != "":
			fmt.Fprintf(c.OutOrStdout(), "\n%s could not be verified: %s\n", b.ID, b.VerifyError)
		}
	}
	return err
}

func printProof(c *cobra.Command, which id.ID, p backup.Proof, output string) error {
	if output == "json" {
		return printJSON(c, map[string]any{"id": which, "ok": true, "proof": p})
	}
	_, err := fmt.Fprintf(c.OutOrStdout(), "The backup %s holds: %s.\n", which, contents(p))
	return err
}

// contents says what a proof found.
func contents(p backup.Proof) string {
	return fmt.Sprintf("audit chains %d, their records %d, tenants %d, people who can sign in %d", p.Chains, p.Records, p.Tenants, p.People)
}

// progressOn writes each stage once, and then every ten percent.
func progressOn(w io.Writer) backup.Report {
	last, tenth := "", -1
	return func(stage string, percent int) {
		if stage == last && percent/10 == tenth {
			return
		}
		last, tenth = stage, percent/10
		fmt.Fprintf(w, "%3d %%  %s\n", percent, stage)
	}
}
