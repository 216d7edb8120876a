package cmd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"nimbus/appliance"
	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// reportFlags say which report is made, and where to.
type reportFlags struct {
	tenant, format, from, to, file string
	force                          bool
}

func auditReportCommand() *cobra.Command {
	var f reportFlags
	cmd := &cobra.Command{
		Use:   "report KIND",
		Short: "Write a compliance report to a file",
		Long: "Write a compliance report as HTML, to be read and printed, or as CSV. The kinds are\n  " +
			strings.Join(audit.ReportKinds, "\n  ") +
			"\nIt tells of the last thirty days unless --from and --to say otherwise. That it was made is recorded.",
		Example:   "  nimbus audit report privileged-access --tenant Acme\n  nimbus audit report failed-sign-ins --format csv --from 2026-01-01 --to 2026-04-01 --file q1.csv",
		Args:      cobra.MatchAll(cobra.ExactArgs(1), knownReport),
		ValidArgs: audit.ReportKinds,
		RunE:      func(c *cobra.Command, args []string) error { return f.run(c, args[0]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.tenant, "tenant", "", "name or id of the tenant; default: the provider")
	flags.StringVar(&f.format, "format", "html", strings.Join(audit.ReportFormats, " or "))
	flags.StringVar(&f.from, "from", "", "first day or moment, such as 2026-01-31 or 2026-01-31T08:00:00Z")
	flags.StringVar(&f.to, "to", "", "the day or moment after the last; default: now")
	flags.StringVar(&f.file, "file", "", "where to; - is the standard output; default: a name that says what it is, here")
	flags.BoolVar(&f.force, "force", false, "replace the file when it is there")
	return cmd
}

func knownReport(_ *cobra.Command, args []string) error {
	for _, kind := range audit.ReportKinds {
		if kind == args[0] {
			return nil
		}
	}
	return fault.New(fault.Invalid, "There is no report %q. The reports are %s.", args[0], strings.Join(audit.ReportKinds, ", "))
}

func (f reportFlags) run(c *cobra.Command, kind string) error {
	return onConsole(c, func(ctx context.Context, core *appliance.Core) error {
		tenant, err := tenantNamed(ctx, core, f.tenant)
		if err != nil {
			return err
		}
		zone := core.Audit.Zone(ctx, tenant)
		var period audit.Period
		if period.From, err = moment("--from", f.from, zone); err != nil {
			return err
		}
		if period.To, err = moment("--to", f.to, zone); err != nil {
			return err
		}
		console := actor.AtConsole()
		console.TenantID = tenant
		ctx = actor.With(ctx, console)
		r, err := core.Audit.Report(ctx, kind, f.format, period)
		if err != nil {
			return err
		}
		return f.write(c, ctx, r)
	})
}

// tenantNamed finds a tenant by its id or name; "" is the provider.
func tenantNamed(ctx context.Context, core *appliance.Core, text string) (id.ID, error) {
	if text == "" {
		return core.Tenants.Root(), nil
	}
	ids, err := core.DB.Tenants(ctx)
	if err != nil {
		return id.ID{}, err
	}
	all, err := core.Tenants.Named(ctx, ids)
	if err != nil {
		return id.ID{}, err
	}
	var names []string
	for _, t := range all {
		if t.ID.String() == text || strings.EqualFold(t.Name, text) {
			return t.ID, nil
		}
		names = append(names, t.Name)
	}
	return id.ID{}, fault.New(fault.Invalid, "There is no tenant %q. There are %s.", text, strings.Join(names, ", "))
}

// moment reads a day, which begins at midnight in the tenant's zone, or a moment.
func moment(flag, text string, zone *time.Location) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.ParseInLocation(layout, text, zone); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fault.New(fault.Invalid, "%s is a day such as 2026-01-31 or a moment such as 2026-01-31T08:00:00Z, not %q.", flag, text)
}

// write keeps a report only when it is whole.
func (f reportFlags) write(c *cobra.Command, ctx context.Context, r audit.Report) error {
	if f.file == "-" {
		return r.Write(ctx, c.OutOrStdout())
	}
	path := f.file
	if path == "" {
		path = r.Filename
	}
	if _, err := os.Lstat(path); err == nil && !f.force {
		return fault.New(fault.Invalid, "%s is there already. Name another file, or replace it with --force.", path)
	}
	file, err := os.OpenFile(path+".part", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(fill(ctx, file, r), file.Sync(), file.Close()); err != nil {
		return errors.Join(err, os.Remove(path+".part"))
	}
	if err := os.Rename(path+".part", path); err != nil {
		return err
	}
	fmt.Fprintf(c.OutOrStdout(), "The report is in %s.\n", path)
	return nil
}

func fill(ctx context.Context, w io.Writer, r audit.Report) error {
	out := bufio.NewWriter(w)
	return errors.Join(r.Write(ctx, out), out.Flush())
}
