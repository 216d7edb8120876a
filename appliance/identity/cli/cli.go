// Package cli helps people back in from the machine itself, for when nobody
// can do it in the browser.
package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"nimbus/appliance/actor"
	"nimbus/appliance/identity"
)

// Commands is `nimbus user` with reset-mfa. open gives the service over this
// machine's database, and what closes it again.
func Commands(open func(ctx context.Context) (*identity.Service, func(), error)) *cobra.Command {
	cmd := &cobra.Command{Use: "user", Short: "People, from the machine itself"}
	cmd.AddCommand(&cobra.Command{
		Use:   "reset-mfa <e-mail address>",
		Short: "Take a person's second factors away, after they lost them",
		Long: "The person signs in with the password alone afterwards, and enrols anew where a tenant\n" +
			"requires it. All their sessions end. It is the only way to reset the emergency administrator.",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx := actor.With(c.Context(), actor.Actor{Kind: actor.Console, Name: "console", Address: "console"})
			people, done, err := open(ctx)
			if err != nil {
				return err
			}
			defer done()
			if err := people.ResetFactorsOf(ctx, args[0]); err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%s has no second factor any more, and is signed out everywhere.\n", args[0])
			return nil
		},
	})
	return cmd
}
