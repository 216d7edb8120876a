package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/cobra"

	"nimbus/appliance"
	"nimbus/appliance/actor"
	"nimbus/appliance/fault"
)

// targetPrefix is that of environment variables which name services outside.
const targetPrefix = "NIMBUS_TO_"

func migrateOutCommand() *cobra.Command {
	var to, output string
	var check, back, forget bool
	cmd := &cobra.Command{
		Use:   "migrate-out",
		Short: "Move an appliance to services outside",
		Long: "Move an appliance from the services inside it to a Postgres server outside, and\n" +
			"where they are named to a Temporal cluster, a Valkey server and a shared folder. All\n" +
			"databases are copied with their roles, every row is compared on both sides, the audit\n" +
			"trail is verified in the new place, and only then the settings are switched, in one\n" +
			"step. The old databases are kept.\n\n" +
			"--to names a file with the settings database-url, temporal-..., valkey-... and\n" +
			"shared-dir; the environment variables NIMBUS_TO_DATABASE_URL and so on come first.\n" +
			"The appliance must be stopped. It may be interrupted at any time and run again.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if output != "text" && output != "json" {
				return fault.New(fault.Invalid, "-o is text or json, not %q.", output)
			}
			var target appliance.Outside
			var err error
			if !back && !forget { // read as root, before root is given up
				if target, err = readTarget(to); err != nil {
					return err
				}
			}
			cfg, err := settings(c)
			if err != nil {
				return err
			}
			a := appliance.New(cfg)
			defer stopQuietly(a, cfg)
			ctx := actor.With(c.Context(), actor.Actor{Kind: actor.Console, Name: "console"})
			switch {
			case back:
				err = moveBack(ctx, a, c.OutOrStdout())
			case forget:
				err = forgetOld(ctx, a, c.OutOrStdout())
			default:
				err = moveOut(ctx, a, target, check, c, output)
			}
			return stopFirst(err)
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "file with the settings of the services outside")
	cmd.Flags().BoolVar(&check, "check", false, "only look whether it is possible")
	cmd.Flags().BoolVar(&back, "rollback", false, "return to the services inside, before the appliance was started on the new place")
	cmd.Flags().BoolVar(&forget, "give-up-old", false, "delete the databases that a move left behind")
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json, of the report")
	cmd.MarkFlagsMutuallyExclusive("check", "rollback", "give-up-old")
	cmd.MarkFlagsMutuallyExclusive("to", "rollback", "give-up-old")
	return cmd
}

// stopFirst says what to do when the appliance runs.
func stopFirst(err error) error {
	if errors.Is(err, appliance.ErrInUse) {
		return fmt.Errorf("%w; stop it first, with `systemctl stop nimbus` where it is a service", err)
	}
	return err
}

// readTarget reads where to go from a file and, over it, the environment.
func readTarget(path string) (appliance.Outside, error) {
	k := koanf.New("\x00")
	if path != "" {
		if err := private(path); err != nil {
			return appliance.Outside{}, err
		}
		if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
			return appliance.Outside{}, fault.Wrap(fault.Invalid, err, "The file %s cannot be read", path)
		}
	}
	err := k.Load(env.Provider("\x00", env.Opt{Prefix: targetPrefix, TransformFunc: func(name, value string) (string, any) {
		return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, targetPrefix)), "_", "-"), value
	}}), nil)
	if err != nil {
		return appliance.Outside{}, err
	}
	for _, key := range k.Keys() {
		if key != "database-url" && key != "shared-dir" && !strings.HasPrefix(key, "valkey-") && !strings.HasPrefix(key, "temporal-") {
			return appliance.Outside{}, fault.New(fault.Invalid, "%q is no setting of a service outside. They are database-url, temporal-..., valkey-... and shared-dir.", strings.ReplaceAll(key, "\x00", "."))
		}
	}
	if err := unknown(k, "--to"); err != nil {
		return appliance.Outside{}, err
	}
	access, err := temporalAccess(k)
	return appliance.Outside{
		DatabaseURL: k.String("database-url"), TemporalAddress: k.String("temporal-address"), Temporal: access,
		ValkeyURL: k.String("valkey-url"), ValkeyCA: k.String("valkey-tls-ca"), SharedDir: k.String("shared-dir"),
	}, err
}

// private refuses a file with passwords that everybody may read.
func private(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "The file %s cannot be read", path)
	}
	if info.Mode().Perm()&0o004 != 0 {
		return fault.New(fault.Invalid, "Everybody on this machine may read %s, which holds passwords. Run `chmod o-rwx %s`.", path, path)
	}
	return nil
}

func moveOut(ctx context.Context, a *appliance.Appliance, to appliance.Outside, check bool, c *cobra.Command, output string) error {
	var report appliance.MoveReport
	var err error
	if check {
		report, err = a.CheckMove(ctx, to)
	} else {
		report, err = a.MoveOut(ctx, to, stages(c.ErrOrStderr()))
	}
	if report.Checks == nil {
		return err
	}
	if output == "json" {
		err = errors.Join(err, printJSON(c, report))
	} else {
		describeMove(c.OutOrStdout(), report)
	}
	if err == nil && report.Problem != "" {
		return fault.New(fault.Conflict, "%s", report.Problem)
	}
	return err
}

// stages writes each stage once.
func stages(out io.Writer) appliance.Progress {
	last := ""
	return func(stage string, percent int) {
		if stage != last {
			fmt.Fprintf(out, "%3d %%  %s\n", percent, stage)
		}
		last = stage
	}
}

func describeMove(out io.Writer, r appliance.MoveReport) {
	fmt.Fprintf(out, "From %s to the server at %s: %d MB of databases\n", r.From, r.To, r.Bytes>>20)
	for _, check := range r.Checks {
		mark := "ok"
		if !check.OK {
			mark = "NO"
		}
		fmt.Fprintf(out, "  %s  %-12s %s\n", mark, check.Name, check.Message)
	}
	if !r.Moved {
		return
	}
	fmt.Fprintln(out, "\nOn both sides, as compared:")
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "DATABASE\tTABLE\tROWS\tDIGEST")
	for _, d := range r.Databases {
		for _, table := range d.Tables {
			fmt.Fprintf(t, "%s\t%s.%s\t%d\t%s\n", d.Name, table.Schema, table.Name, table.Rows, table.Sum[:16])
		}
	}
	_ = t.Flush()
	for _, d := range r.Databases {
		fmt.Fprintf(out, "%s: %d tables, %d rows\n", d.Name, len(d.Tables), d.Rows)
	}
	for _, h := range r.Chains {
		fmt.Fprintf(out, "audit chain %s: ends at record %d, %.16s, here and there\n", h.Chain, h.Sequence, h.Link)
	}
	fmt.Fprintf(out, "%d audit records verified there, the root key opens the secrets, %d people can sign in\n", r.Records, r.People)
	if r.Files != nil {
		fmt.Fprintf(out, "%d files, %d MB, in %s\n", r.Files.Files, r.Files.Bytes>>20, r.Files.To)
	}
	fmt.Fprintf(out, "\nThe appliance uses the server at %s now. Start it with `nimbus serve`, or `systemctl start nimbus`.\n", r.To)
	fmt.Fprintln(out, "Until then `nimbus migrate-out --rollback` returns; afterwards `--give-up-old` deletes the old databases.")
}

func moveBack(ctx context.Context, a *appliance.Appliance, out io.Writer) error {
	if err := a.MoveBack(ctx); err != nil {
		return err
	}
	fmt.Fprintln(out, "The appliance uses its own databases again. The copy outside is of no use any more; a new `nimbus migrate-out` to that server replaces it.")
	return nil
}

func forgetOld(ctx context.Context, a *appliance.Appliance, out io.Writer) error {
	bytes, err := a.ForgetOld(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "The old databases are deleted: %d MB are free again.\n", bytes>>20)
	return nil
}
