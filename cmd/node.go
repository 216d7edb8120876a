package cmd

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"nimbus/appliance"
	"nimbus/appliance/fault"
	"nimbus/appliance/node"
)

// largestRequest is more than what a machine that wants to join prints.
const largestRequest = 4 << 10

func nodeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "node", Short: "Make this machine a node of an appliance, or admit another one",
		Long: "Nodes of one appliance have the same keys. A new machine asks, a node admits it,\n" +
			"the machine joins; what passes between them can be read by that machine only, and once:\n\n" +
			"  ssh new sudo nimbus node request | ssh node sudo nimbus node admit | ssh new sudo nimbus node join --role worker",
	}
	cmd.AddCommand(&cobra.Command{
		Use: "request", Short: "On the new machine: print what a node admits it by", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := fresh(c)
			if err != nil {
				return err
			}
			recipient, err := appliance.RequestToJoin(cfg)
			if err == nil {
				fmt.Fprintln(c.OutOrStdout(), recipient)
			}
			return err
		},
	}, &cobra.Command{
		Use: "admit [REQUEST]", Short: "On a node: print what lets the machine join that asked", Args: cobra.MaximumNArgs(1),
		Long: "Seal keys and settings for the machine that printed REQUEST, which is read from\nstandard input when it is not given. Nobody else can open what is printed. It is recorded.",
		RunE: func(c *cobra.Command, args []string) error {
			request, err := requestOf(c, args)
			if err != nil {
				return err
			}
			cfg, err := settings(c)
			if err != nil {
				return err
			}
			sealed, err := appliance.Admit(c.Context(), cfg, request)
			if err == nil {
				_, err = c.OutOrStdout().Write(sealed)
			}
			return err
		},
	}, &cobra.Command{
		Use: "join [FILE]", Short: "On the new machine: join with what a node printed", Args: cobra.MaximumNArgs(1),
		Long: "Write the keys and settings of the appliance into the data directory. FILE is what\n`nimbus node admit` printed; it is read from standard input when it is not given. --role\nsays what this node does.",
		RunE: join,
	})
	return cmd
}

// fresh is the configuration of a machine that is no node yet: it may have a role
// without what that needs.
func fresh(c *cobra.Command) (appliance.Config, error) {
	k, err := load(c)
	if err != nil {
		return appliance.Config{}, err
	}
	cfg := appliance.Config{DataDir: k.String("data-dir"), Listen: k.String("listen"), Role: appliance.Role(k.String("role")), Version: Version}
	if cfg.Logger, err = newLogger(c.ErrOrStderr(), k.String("log-level"), k.String("log-format")); err != nil {
		return cfg, err
	}
	return cfg, becomeOwner(cfg.DataDir)
}

func requestOf(c *cobra.Command, args []string) (string, error) {
	if len(args) == 1 {
		return args[0], nil
	}
	raw, err := io.ReadAll(io.LimitReader(c.InOrStdin(), largestRequest))
	if err == nil && strings.TrimSpace(string(raw)) == "" {
		err = fault.New(fault.Invalid, "Nothing was asked. Give what `nimbus node request` prints on the new machine.")
	}
	return string(raw), err
}

func join(c *cobra.Command, args []string) error {
	from := c.InOrStdin()
	if len(args) == 1 {
		file, err := os.Open(args[0])
		if err != nil {
			return fault.Wrap(fault.Invalid, err, "%s cannot be read", args[0])
		}
		defer file.Close()
		from = file
	}
	cfg, err := fresh(c)
	if err != nil {
		return err
	}
	joined, err := appliance.Join(c.Context(), cfg, from)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.OutOrStdout(), "This machine is a node of %q now, with the role %s; its settings are in %s in %s.\n", joined.Name, cfg.Role, node.JoinedFile, cfg.DataDir)
	for _, lack := range joined.Lacks {
		fmt.Fprintln(c.OutOrStdout(), "  !", lack)
	}
	fmt.Fprintln(c.OutOrStdout(), "Start it with `systemctl start nimbus`, or `nimbus serve`.")
	return nil
}
