package cmd

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"nimbus/appliance"
	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// errBroken makes the exit code of a verification that found breaks.
var errBroken = errors.New("the audit trail is broken")

func auditCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "audit", Short: "The audit trail"}
	var output string
	verify := &cobra.Command{
		Use:   "verify",
		Short: "Verify every audit chain from its first record",
		Long: "Verify the provider's chain and every tenant's, straight from the database of\n" +
			"this machine's appliance, running or not. All breaks are listed; the exit code is 5 when there are any.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			all, err := verifyAll(c)
			if err != nil {
				return err
			}
			return printVerifications(c, all, output)
		},
	}
	verify.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	cmd.AddCommand(verify)
	return cmd
}

func verifyAll(c *cobra.Command) ([]audit.Verification, error) {
	cfg, err := settings(c)
	if err != nil {
		return nil, err
	}
	ctx := actor.With(c.Context(), actor.Actor{Kind: actor.Console, Name: "console"})
	core, done, err := appliance.Console(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer done()
	return core.Audit.VerifyAll(ctx)
}

func printVerifications(c *cobra.Command, all []audit.Verification, output string) error {
	if output != "table" && output != "json" {
		return fault.New(fault.Invalid, "-o is table or json, not %q.", output)
	}
	broken := false
	for _, v := range all {
		broken = broken || !v.OK()
		if output == "table" {
			printVerification(c, v)
		}
	}
	if output == "json" {
		if err := json.NewEncoder(c.OutOrStdout()).Encode(all); err != nil {
			return err
		}
	}
	if broken {
		return errBroken
	}
	return nil
}

func printVerification(c *cobra.Command, v audit.Verification) {
	name := "provider"
	if v.Tenant != (id.ID{}) {
		name = "tenant " + v.Tenant.String()
	}
	verdict := "holds"
	if !v.OK() {
		verdict = "IS BROKEN"
	}
	fmt.Fprintf(c.OutOrStdout(), "%s: %s, %d records, head %s\n", name, verdict, v.Checked, hex.EncodeToString(v.Head[:]))
	for _, b := range v.Breaks {
		fmt.Fprintf(c.OutOrStdout(), "  record %d: %s: %s\n", b.Sequence, b.Kind, b.Detail)
	}
}
