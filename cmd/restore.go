package cmd

import (
	"cmp"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"nimbus/appliance"
	"nimbus/appliance/backup"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/objectstore"
)

// restoreFlags say what to restore from where.
type restoreFlags struct {
	from, kit, backup, until, output string
	accessKey, secretFile, hostKey   string
	region, caFile                   string
	list, replace, newRootKey        bool
}

func restoreCommand() *cobra.Command {
	var f restoreFlags
	cmd := &cobra.Command{
		Use:   "restore",
		Short: "Bring an appliance back from a backup and the recovery kit",
		Long: "Bring an appliance back onto an empty data directory, from a backup and the recovery kit\n" +
			"alone. Everything is unpacked beside, started, brought to its moment and checked; only\n" +
			"then is it put into place. Nothing is touched when anything is wrong.\n\n" +
			"--from is a directory, a file that ends in .nimbus, s3://endpoint/bucket/prefix or\n" +
			"sftp://user@host:port/path. The secret of S3 or SFTP is read from --secret-file or from\n" +
			"the environment variable NIMBUS_RESTORE_SECRET.",
		Example: "  nimbus restore --from /mnt/backups --kit nimbus-recovery-kit.txt --list\n" +
			"  nimbus restore --from /mnt/backups --kit nimbus-recovery-kit.txt --until latest",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.from, "from", "", "where the backup is")
	flags.StringVar(&f.kit, "kit", "", "file with the recovery kit; - reads it from the standard input")
	flags.StringVar(&f.backup, "backup", "", "id of the backup; the newest one when left out")
	flags.StringVar(&f.until, "until", "", "moment to go to, as 2026-11-26T14:00:00Z, or latest; the backup's own when left out")
	flags.BoolVar(&f.list, "list", false, "only list the backups there are, and the moments")
	flags.BoolVar(&f.replace, "replace", false, "restore although the data directory is not empty; what is there is kept beside")
	flags.BoolVar(&f.newRootKey, "new-root-key", false, "the HSM is lost: put the secrets under a new root key, with the kit")
	flags.StringVar(&f.accessKey, "access-key", "", "access key of S3")
	flags.StringVar(&f.region, "region", "", "region of S3")
	flags.StringVar(&f.caFile, "ca-file", "", "authorities to trust for S3, PEM")
	flags.StringVar(&f.secretFile, "secret-file", "", "file with the secret key of S3, or with the password or private key of SFTP")
	flags.StringVar(&f.hostKey, "host-key", "", "the SFTP server's key, as in known_hosts, or its SHA256 fingerprint")
	outputFlag(cmd, &f.output)
	for _, name := range []string{"from", "kit"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err)
		}
	}
	return cmd
}

func (f restoreFlags) run(c *cobra.Command) error {
	if f.output != "table" && f.output != "json" {
		return badOutput(f.output)
	}
	cfg, err := settings(c)
	if err != nil {
		return err
	}
	q, err := f.request(c.InOrStdin())
	if err != nil {
		return err
	}
	if f.list {
		return f.inspect(c, cfg, q)
	}
	proof, err := appliance.Restore(c.Context(), cfg, q, f.replace, progressOn(c.ErrOrStderr()))
	if err != nil {
		return err
	}
	if f.output == "json" {
		return printJSON(c, map[string]any{"restored": true, "proof": proof})
	}
	fmt.Fprintf(c.OutOrStdout(), "Restored as of %s: %s.\nStart it with `nimbus serve`.\n", proof.Moment.Local().Format(time.DateTime), contents(proof))
	return nil
}

func (f restoreFlags) inspect(c *cobra.Command, cfg appliance.Config, q backup.Request) error {
	if q.File != "" {
		return fault.New(fault.Invalid, "--list wants a directory, a bucket or a server, not a file.")
	}
	in, err := appliance.Restorer(cfg).Inspect(c.Context(), q.Store, q.Key)
	if err != nil {
		return err
	}
	if f.output == "json" {
		return printJSON(c, in)
	}
	for _, b := range in.Backups {
		fmt.Fprintf(c.OutOrStdout(), "%s  %s  %s, Nimbus %s, %.1f MB; can go on to %s\n", b.ID, b.Moment.Local().Format(time.DateTime), b.Name, b.Version,
			float64(b.Bytes)/1e6, b.Latest.Local().Format(time.DateTime))
		if b.Refused != "" {
			fmt.Fprintln(c.OutOrStdout(), "   ", b.Refused)
		}
	}
	return nil
}

func (f restoreFlags) request(in io.Reader) (q backup.Request, err error) {
	q.NewRootKey = f.newRootKey
	text, err := readKit(f.kit, in)
	if err != nil {
		return q, err
	}
	if q.Key, err = backup.ReadKey(text); err != nil {
		return q, err
	}
	if f.backup != "" {
		if q.Backup, err = id.Parse(f.backup); err != nil {
			return q, err
		}
	}
	switch f.until {
	case "":
	case "latest":
		q.Latest = true
	default:
		if q.Until, err = time.Parse(time.RFC3339, f.until); err != nil {
			return q, fault.New(fault.Invalid, "--until is a moment such as 2026-11-26T14:00:00Z, or latest, not %q.", f.until)
		}
	}
	if strings.HasSuffix(f.from, ".nimbus") && !strings.Contains(f.from, "://") {
		q.File = f.from
		if q.Latest || !q.Until.IsZero() || !q.Backup.IsZero() {
			err = fault.New(fault.Invalid, "A single file is restored as it is: leave --until and --backup out, or name the directory that has the log too.")
		}
		return q, err
	}
	t, err := f.target()
	if err != nil {
		return q, err
	}
	q.Store, err = t.Open()
	return q, err
}

func readKit(path string, in io.Reader) (string, error) {
	if path == "-" {
		text, err := io.ReadAll(io.LimitReader(in, 64<<10))
		return string(text), err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fault.Wrap(fault.Invalid, err, "The recovery kit %s cannot be read.", path)
	}
	return string(text), nil
}

// target reads --from.
func (f restoreFlags) target() (backup.Target, error) {
	scheme, _, remote := strings.Cut(f.from, "://")
	if !remote {
		path, err := filepath.Abs(f.from)
		return backup.Target{Kind: objectstore.Directory, Path: path}, err
	}
	u, err := url.Parse(f.from)
	if err != nil {
		return backup.Target{}, fault.New(fault.Invalid, "--from cannot be read. It looks like /mnt/backups, s3://endpoint/bucket/prefix or sftp://user@host:22/path.")
	}
	t := backup.Target{Secret: os.Getenv("NIMBUS_RESTORE_SECRET")}
	if f.secretFile != "" {
		secret, err := os.ReadFile(f.secretFile)
		if err != nil {
			return t, fault.Wrap(fault.Invalid, err, "--secret-file cannot be read.")
		}
		t.Secret = strings.TrimRight(string(secret), "\r\n")
	}
	switch scheme {
	case "s3":
		t.Kind, t.Endpoint, t.AccessKey, t.Region = objectstore.S3, u.Host, f.accessKey, f.region
		t.Bucket, t.Prefix, _ = strings.Cut(strings.Trim(u.Path, "/"), "/")
		if f.caFile != "" {
			pem, err := os.ReadFile(f.caFile)
			if err != nil {
				return t, fault.Wrap(fault.Invalid, err, "--ca-file cannot be read.")
			}
			t.CAPEM = string(pem)
		}
		return t, nil
	case "sftp":
		t.Kind, t.Host, t.User, t.Path, t.HostKey = objectstore.SFTP, u.Hostname(), u.User.Username(), strings.TrimRight(u.Path, "/"), f.hostKey
		t.Port, err = strconv.Atoi(cmp.Or(u.Port(), "22"))
		return t, err
	}
	return t, fault.New(fault.Invalid, "--from begins with s3:// or sftp://, or is a path, not %s://.", scheme)
}
