// Package cli helps people back in from the machine itself, for when nobody
// can do it in the browser.
package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"nimbus/appliance/actor"
	"nimbus/appliance/id"
	"nimbus/appliance/identity"
)

// Machine is what the commands work on: the service over this machine's
// database, and the root tenant. Close lets go of both.
type Machine struct {
	People *identity.Service
	Root   id.ID
	Close  func()
}

// Open reaches the database of this machine.
type Open func(ctx context.Context) (Machine, error)

// Commands is `nimbus user` with recover and reset-mfa.
func Commands(open Open) *cobra.Command {
	cmd := &cobra.Command{Use: "user", Short: "People, from the machine itself"}
	cmd.AddCommand(recoverCommand(open), resetCommand(open))
	return cmd
}

func asConsole(ctx context.Context) context.Context {
	return actor.With(ctx, actor.AtConsole())
}

func resetCommand(open Open) *cobra.Command {
	return &cobra.Command{
		Use:   "reset-mfa <e-mail address>",
		Short: "Take a person's second factors away, after they lost them",
		Long: "The person signs in with the password alone afterwards, and enrols anew where a tenant\n" +
			"requires it. All their sessions end. It is the only way to reset the emergency administrator.",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx := asConsole(c.Context())
			m, err := open(ctx)
			if err != nil {
				return err
			}
			defer m.Close()
			if err := m.People.ResetFactorsOf(ctx, args[0]); err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%s has no second factor any more, and is signed out everywhere.\n", args[0])
			return nil
		},
	}
}

func recoverCommand(open Open) *cobra.Command {
	return &cobra.Command{
		Use:   "recover [e-mail address]",
		Short: "Let an administrator in again who lost the password",
		Long: "Prints a link with which the person chooses a new password; it works once, within an hour.\n" +
			"Their second factors are taken away and their sessions end. Without an address it is the\n" +
			"emergency administrator, who is enabled and made administrator of the provider again.\n" +
			"What was done is in the audit trail.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx := asConsole(c.Context())
			m, err := open(ctx)
			if err != nil {
				return err
			}
			defer m.Close()
			r, err := m.People.Recover(ctx, m.Root, strings.Join(args, ""))
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%s <%s> chooses a new password here, once, until %s:\n\n  %s\n\nThere is no second factor any more, and every session has ended.\n",
				r.Name, r.Email, r.ExpiresAt.Local().Format("15:04"), r.Link)
			return nil
		},
	}
}
