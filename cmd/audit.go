package cmd

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"nimbus/appliance"
	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/audit/ledger"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// errBroken makes the exit code of a verification that found breaks.
var errBroken = errors.New("the audit trail is broken")

func auditCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "audit", Short: "The audit trail"}
	cmd.AddCommand(auditVerifyCommand(), auditKeyCommand(), auditCheckpointCommand())
	return cmd
}

// verifyFlags say what is verified, and against what.
type verifyFlags struct {
	output, export, archive, resume string
	keys, checkpoints               []string
}

func auditVerifyCommand() *cobra.Command {
	var f verifyFlags
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Verify every audit chain from its first record, an export or an archive",
		Long: "Verify the provider's chain and every tenant's, straight from the database of this machine's\n" +
			"appliance, running or not: records, columns, links, tiles and checkpoints. With --export or\n" +
			"--archive, verify files instead. All breaks are listed; the exit code is 5 when there are any.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.output, "output", "o", "table", "table or json")
	flags.StringVar(&f.export, "export", "", "verify this export (nimbus-audit/1, plain or zstd)")
	flags.StringVar(&f.archive, "archive", "", "verify every segment (*.zst, *.jsonl) below this directory")
	flags.StringArrayVar(&f.checkpoints, "checkpoints", nil, "file or directory of published checkpoints that must fit")
	flags.StringArrayVar(&f.keys, "key", nil, "key that must have signed, or a file of keys; default: those of this appliance")
	flags.StringVar(&f.resume, "resume", "", "keep the progress in this file, and go on from it")
	cmd.MarkFlagsMutuallyExclusive("export", "archive")
	return cmd
}

func (f verifyFlags) run(c *cobra.Command) error {
	if f.output != "table" && f.output != "json" {
		return fault.New(fault.Invalid, "-o is table or json, not %q.", f.output)
	}
	keys, err := readKeys(f.keys)
	if err != nil {
		return err
	}
	notes, err := readNotes(f.checkpoints)
	if err != nil {
		return err
	}
	if f.export == "" && f.archive == "" {
		return onConsole(c, func(ctx context.Context, s *audit.Service) error {
			all, err := s.VerifyAll(ctx, audit.VerifyAllOptions{Keys: keys, Published: notes, ResumeFile: f.resume})
			if err != nil {
				return err
			}
			return printVerifications(c, all, f.output)
		})
	}
	if len(keys) > 0 {
		return f.files(c, keys, notes)
	}
	return onConsole(c, func(ctx context.Context, s *audit.Service) error {
		keys, err := s.TrustedKeys(ctx)
		if err != nil {
			return err
		}
		return f.files(c, keys, notes)
	})
}

// onConsole runs fn with this machine's audit trail.
func onConsole(c *cobra.Command, fn func(context.Context, *audit.Service) error) error {
	cfg, err := settings(c)
	if err != nil {
		return err
	}
	ctx := actor.With(c.Context(), actor.Actor{Kind: actor.Console, Name: "console"})
	core, done, err := appliance.Console(ctx, cfg)
	if err != nil {
		return err
	}
	defer done()
	return fn(ctx, core.Audit)
}

func readKeys(texts []string) (ledger.Keys, error) {
	var all ledger.Keys
	for _, text := range texts {
		content, err := os.ReadFile(text)
		if err != nil {
			content = []byte(text)
		}
		keys, err := ledger.ParseKeys(string(content))
		if err == nil && len(keys) == 0 {
			err = errors.New("there is no key in it")
		}
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, err, "--key %s: %s", text, err)
		}
		all = append(all, keys...)
	}
	return all, nil
}

func readNotes(paths []string) ([]string, error) {
	var all []string
	for _, path := range paths {
		found, err := walkFiles(path, nil)
		if err != nil {
			return nil, err
		}
		for _, file := range found {
			content, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			all = append(all, ledger.SplitNotes(string(content))...)
		}
	}
	if len(paths) > 0 && len(all) == 0 {
		return nil, fault.New(fault.Invalid, "There is no checkpoint in %s.", strings.Join(paths, ", "))
	}
	return all, nil
}

// walkFiles lists a file, or those below a directory that have one of the endings.
func walkFiles(path string, endings []string) ([]string, error) {
	var all []string
	err := filepath.WalkDir(path, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		fits := len(endings) == 0
		for _, e := range endings {
			fits = fits || strings.HasSuffix(file, e)
		}
		if fits {
			all = append(all, file)
		}
		return nil
	})
	return all, err
}

// verifiedFile is what was found in one file.
type verifiedFile struct {
	File string `json:"file"`
	OK   bool   `json:"ok"`
	Root string `json:"root"`
	ledger.Report
}

func (f verifyFlags) files(c *cobra.Command, keys ledger.Keys, notes []string) error {
	files := []string{f.export}
	if f.archive != "" {
		var err error
		if files, err = walkFiles(f.archive, []string{".zst", ".jsonl"}); err != nil {
			return err
		}
		if len(files) == 0 {
			return fault.New(fault.Invalid, "There is no segment below %s.", f.archive)
		}
	}
	all, broken := []verifiedFile{}, false
	for _, file := range files {
		r, err := verifyFile(file, keys, notes)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		broken = broken || !r.OK
		all = append(all, r)
		if f.output == "table" {
			r.print(c)
		}
	}
	if f.output == "json" {
		if err := json.NewEncoder(c.OutOrStdout()).Encode(all); err != nil {
			return err
		}
	}
	if broken {
		return errBroken
	}
	return nil
}

func verifyFile(file string, keys ledger.Keys, notes []string) (verifiedFile, error) {
	in, err := os.Open(file)
	if err != nil {
		return verifiedFile{}, err
	}
	defer in.Close()
	plain, err := ledger.Plain(in)
	if err != nil {
		return verifiedFile{}, err
	}
	defer plain.Close()
	r, err := ledger.VerifyStream(plain, keys, ledger.Options{Checkpoints: notes})
	return verifiedFile{File: file, OK: r.OK(), Root: hex.EncodeToString(r.Root[:]), Report: r}, err
}

func (v verifiedFile) print(c *cobra.Command) {
	fmt.Fprintf(c.OutOrStdout(), "%s: %s, %s, %d records, %d left out, root %s\n", v.File, verdict(v.OK), v.Header.Origin, v.Records, v.Skipped, v.Root)
	for _, b := range v.Breaks {
		fmt.Fprintf(c.OutOrStdout(), "  record %d: %s: %s\n", b.Sequence, b.Kind, b.Detail)
	}
}

func verdict(ok bool) string {
	if ok {
		return "holds"
	}
	return "IS BROKEN"
}

func printVerifications(c *cobra.Command, all []audit.Verification, output string) error {
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
	fmt.Fprintf(c.OutOrStdout(), "%s: %s, %d records, %d checkpoints, head %s\n", name, verdict(v.OK()), v.Checked, v.Checkpoints, hex.EncodeToString(v.Head[:]))
	for _, b := range v.Breaks {
		fmt.Fprintf(c.OutOrStdout(), "  record %d: %s: %s\n", b.Sequence, b.Kind, b.Detail)
	}
}

func auditKeyCommand() *cobra.Command {
	var asPEM bool
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Print the public keys that nimbus-verify wants, one line for each chain",
		Long:  "Print the public keys that sign or signed checkpoints. Keep them on another machine: a key\nfrom the same place as the export proves nothing.",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return onConsole(c, func(ctx context.Context, s *audit.Service) error {
				keys, err := s.KeyTexts(ctx)
				seen := map[string]bool{}
				for _, k := range keys {
					switch {
					case !asPEM:
						fmt.Fprintf(c.OutOrStdout(), "# %s, %s %s, since %s\n%s\n", k.Algorithm, k.Kind, k.Label, k.CreatedAt.UTC().Format("2006-01-02"), k.Text)
					case !seen[k.Fingerprint()]:
						fmt.Fprint(c.OutOrStdout(), k.PEM())
					}
					seen[k.Fingerprint()] = true
				}
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&asPEM, "pem", false, "print the keys in PEM, which hold for every chain")
	return cmd
}

func auditCheckpointCommand() *cobra.Command {
	var restored bool
	cmd := &cobra.Command{
		Use:   "checkpoint",
		Short: "Sign the head of every chain now and print the checkpoints",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return onConsole(c, func(ctx context.Context, s *audit.Service) error {
				if restored {
					if err := s.AcceptRestored(ctx); err != nil {
						return err
					}
				}
				chains, err := s.Chains(ctx)
				for _, chain := range chains {
					made, failed := s.Checkpoint(ctx, chain)
					if err = errors.Join(err, failed); failed == nil {
						fmt.Fprintln(c.OutOrStdout(), made.Note)
					}
				}
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&restored, "after-restore", false, "accept that an older database was restored: put this machine's last checkpoints aside")
	return cmd
}
