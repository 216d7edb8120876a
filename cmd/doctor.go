package cmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"nimbus/appliance"
	"nimbus/appliance/doctor"
	"nimbus/appliance/fault"
)

// errUnwell makes the exit code of an examination that found failures.
var errUnwell = errors.New("something has to be done")

func doctorCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Examine the appliance and say what to do",
		Long: "Examine the appliance that runs on the data directory: disk, clock, memory, certificate, database,\n" +
			"Temporal, HSM, mail, Proxmox, backups and the audit trail. When none runs, look at what can be\n" +
			"looked at without starting anything. The exit code is 6 when a check failed.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := settings(c)
			if err != nil {
				return err
			}
			report, err := report(c, cfg)
			if err != nil {
				return err
			}
			if err := printReport(c.OutOrStdout(), report, output); err != nil {
				return err
			}
			if report.Worst() == doctor.Failed {
				return errUnwell
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	return cmd
}

// report asks the appliance that runs, or looks itself when none does or it
// cannot examine yet.
func report(c *cobra.Command, cfg appliance.Config) (doctor.Report, error) {
	var r doctor.Report
	err := askInto(c.Context(), cfg, http.MethodPost, "/v1/system/doctor/run", nil, &r)
	switch {
	case errors.Is(err, errNotRunning):
		return appliance.Examine(c.Context(), cfg), nil
	case fault.Is(err, fault.Unavailable):
		fmt.Fprintln(c.ErrOrStderr(), "nimbus:", fault.Message(err))
		return appliance.Examine(c.Context(), cfg), nil
	}
	return r, err
}

func printReport(w io.Writer, r doctor.Report, output string) error {
	switch output {
	case "json":
		return json.NewEncoder(w).Encode(r)
	case "table":
		return printItems(w, r)
	}
	return fault.New(fault.Invalid, "-o is table or json, not %q.", output)
}

func printItems(w io.Writer, r doctor.Report) error {
	if !r.Running {
		fmt.Fprintln(w, "Nimbus does not run here, so only the machine and the data directory were looked at.")
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, i := range r.Items {
		fmt.Fprintf(table, "%s\t%s\t%s\n", i.Status, i.Check, i.Summary)
		if i.Advice != "" {
			fmt.Fprintf(table, "\t\t→ %s\n", i.Advice)
		}
	}
	return table.Flush()
}

func supportBundleCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "support-bundle",
		Short: "Pack what support needs, without secrets",
		Long: "Write an archive (tar.gz) with versions, settings, the findings of `nimbus doctor`, the latest lines of\n" +
			"the log, table sizes, workflow states and what the program does at the moment. Secrets are masked. When no\n" +
			"appliance runs on the data directory, it holds what can be looked at without starting anything.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := settings(c)
			if err != nil {
				return err
			}
			if path == "" {
				path = "nimbus-support-" + time.Now().UTC().Format("20060102T150405") + ".tar.gz"
			}
			if err := writeBundle(c, cfg, path); err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%s\nLook it through before you give it to somebody.\n", path)
			return nil
		},
	}
	cmd.Flags().StringVar(&path, "file", "", "file to write (default nimbus-support-<time>.tar.gz)")
	return cmd
}

// writeBundle writes beside the file and renames, so that a whole bundle or
// none is there.
func writeBundle(c *cobra.Command, cfg appliance.Config, path string) error {
	temp, err := os.CreateTemp(filepath.Dir(path), ".nimbus-support-")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	answer, err := ask(c.Context(), cfg, http.MethodPost, "/v1/system/support-bundle", nil)
	switch {
	case err == nil:
		defer answer.Close()
		_, err = io.Copy(temp, answer)
	case errors.Is(err, errNotRunning), fault.Is(err, fault.Unavailable):
		err = appliance.SupportBundle(c.Context(), cfg, temp)
	}
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	return os.Rename(temp.Name(), path)
}
