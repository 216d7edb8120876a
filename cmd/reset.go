package cmd

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"nimbus/appliance"
	"nimbus/appliance/fault"
)

// resetPhrase is the second answer that a factory reset wants.
const resetPhrase = "delete everything"

func factoryResetCommand() *cobra.Command {
	var keepBackups bool
	cmd := &cobra.Command{
		Use:   "factory-reset",
		Short: "Delete all data and begin with the first run again",
		Long: "Delete everything in the data directory: tenants, people, the audit trail, keys and\n" +
			"the state of every stack. It asks twice and cannot be undone. The machines on Proxmox\n" +
			"go on running and belong to nobody afterwards; a database on another server is left\n" +
			"as it is. The appliance must be stopped.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := settings(c)
			if err != nil {
				return err
			}
			ask := func(r appliance.Reset) error { return confirmReset(c.InOrStdin(), c.OutOrStdout(), r) }
			if err := appliance.FactoryReset(c.Context(), cfg, keepBackups, ask); err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), "Everything is deleted. `nimbus serve` begins with the first run.")
			return nil
		},
	}
	cmd.Flags().BoolVar(&keepBackups, "keep-backups", false, "leave the backups in the data directory")
	return cmd
}

// confirmReset shows what will be gone and wants the appliance's name and a
// phrase, each on a line of its own.
func confirmReset(in io.Reader, out io.Writer, r appliance.Reset) error {
	describeReset(out, r)
	name := r.Name
	if name == "" {
		name = "nimbus"
	}
	answers := bufio.NewScanner(in)
	for _, question := range []struct{ ask, want string }{
		{"Type the name of the appliance", name}, {"Once more", resetPhrase},
	} {
		fmt.Fprintf(out, "%s (%s): ", question.ask, question.want)
		if !answers.Scan() || strings.TrimSpace(answers.Text()) != question.want {
			fmt.Fprintln(out)
			return fault.New(fault.Invalid, "That is not %q. Nothing was deleted.", question.want)
		}
	}
	return answers.Err()
}

func describeReset(out io.Writer, r appliance.Reset) {
	fmt.Fprintf(out, "This deletes all data of the appliance in %s:\n\n", r.Dir)
	for _, d := range r.Deletes {
		fmt.Fprintf(out, "  %-16s %s\n", d.Name, megabytes(d.Bytes))
	}
	for _, name := range r.Keeps {
		fmt.Fprintf(out, "  %-16s stays\n", name)
	}
	if r.External {
		fmt.Fprintln(out, "\nThe database on the other server is not touched. Delete it there.")
	}
	if r.Shared != "" {
		fmt.Fprintf(out, "\n%s, which other nodes may use, is not touched. Delete it when no node is left.\n", r.Shared)
	}
	fmt.Fprint(out, "\nMachines on Proxmox go on running and belong to no stack afterwards.\n\n")
}

func megabytes(bytes int64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/1e6) }
