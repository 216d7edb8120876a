package cmd

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"nimbus/appliance/fault"
	"nimbus/packaging/licenses"
)

// licensesCommand shows whose software is inside and what it asks for.
func licensesCommand() *cobra.Command {
	var output string
	var texts bool
	cmd := &cobra.Command{
		Use:   "licenses [NAME]",
		Short: "Show the licences of everything inside",
		Long: "List every library, every package of the interface and every part of Postgres\n" +
			"that this program contains, with its licence; with a part of a name only those.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			list, err := licenses.Read()
			if err != nil {
				return err
			}
			list.Components = named(list.Components, strings.Join(args, ""))
			switch {
			case texts:
				printTexts(c.OutOrStdout(), list)
				return nil
			case output == "json":
				return json.NewEncoder(c.OutOrStdout()).Encode(list.Components)
			case output == "table":
				return printLicenses(c.OutOrStdout(), list.Components)
			}
			return fault.New(fault.Invalid, "-o is table or json, not %q.", output)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	cmd.Flags().BoolVar(&texts, "texts", false, "print the whole text of each licence and notice")
	return cmd
}

func named(all []licenses.Component, part string) []licenses.Component {
	found := []licenses.Component{}
	for _, c := range all {
		if strings.Contains(strings.ToLower(c.Name), strings.ToLower(part)) {
			found = append(found, c)
		}
	}
	return found
}

func printLicenses(out io.Writer, all []licenses.Component) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, c := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", c.Kind, c.Name, c.Version, c.License)
	}
	return w.Flush()
}

// printTexts prints each text once, below all that it holds for.
func printTexts(out io.Writer, list licenses.List) {
	holders := make([][]string, len(list.Texts))
	for _, c := range list.Components {
		for _, n := range c.Texts {
			holders[n] = append(holders[n], c.Name+" "+c.Version)
		}
	}
	for n, names := range holders {
		if len(names) > 0 {
			fmt.Fprintf(out, "%s\n%s\n\n%s\n\n", strings.Repeat("=", 80), strings.Join(names, "\n"), list.Texts[n])
		}
	}
}
