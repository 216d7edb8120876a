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
)

// errBroken makes the exit code of a verification that found breaks.
var errBroken = errors.New("the audit trail is broken")

func auditCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "audit", Short: "The audit trail"}
	cmd.AddCommand(auditVerifyCommand(), auditKeyCommand(), auditCheckpointCommand(), auditReportCommand())
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
	if err := checkOutput(f.output); err != nil {
		return err
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
		return onConsole(c, func(ctx context.Context, core *appliance.Core) error {
			all, err := core.Audit.VerifyAll(ctx, audit.VerifyAllOptions{Keys: keys, Published: notes, ResumeFile: f.resume})
			if err != nil {
				return err
			}
			names, err := chainNames(ctx, core)
			if err != nil {
				return err
			}
			return f.print(c, all, names)
		})
	}
	if len(keys) > 0 {
		return f.files(c, keys, notes)
	}
	return onConsole(c, func(ctx context.Context, core *appliance.Core) error {
		keys, err := core.Audit.TrustedKeys(ctx)
		if err != nil {
			return err
		}
		return f.files(c, keys, notes)
	})
}

// onConsole runs fn with what this machine's appliance keeps.
func onConsole(c *cobra.Command, fn func(context.Context, *appliance.Core) error) error {
	cfg, err := settings(c)
	if err != nil {
		return err
	}
	ctx := actor.With(c.Context(), actor.AtConsole())
	core, done, err := appliance.Console(ctx, cfg)
	if err != nil {
		return err
	}
	defer done()
	return fn(ctx, core)
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

func auditKeyCommand() *cobra.Command {
	var asPEM bool
	var output string
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Print the public keys that nimbus-verify wants, one line for each chain",
		Long:  "Print the public keys that sign or signed checkpoints. Keep them on another machine: a key\nfrom the same place as the export proves nothing.",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			return onConsole(c, func(ctx context.Context, core *appliance.Core) error {
				keys, err := core.Audit.KeyTexts(ctx)
				if err != nil {
					return err
				}
				return printKeys(c, keys, output, asPEM)
			})
		},
	}
	cmd.Flags().BoolVar(&asPEM, "pem", false, "print the keys in PEM, which hold for every chain")
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	cmd.MarkFlagsMutuallyExclusive("pem", "output")
	return cmd
}

func auditCheckpointCommand() *cobra.Command {
	var restored bool
	var output string
	cmd := &cobra.Command{
		Use:   "checkpoint",
		Short: "Sign the head of every chain now and print the checkpoints",
		Long:  "Sign the head of every chain that has records and print the checkpoints. Appended to a file on\nanother machine they show later whether anything was changed: see nimbus-verify --checkpoints.",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			return onConsole(c, func(ctx context.Context, core *appliance.Core) error {
				if restored {
					if err := core.Audit.AcceptRestored(ctx); err != nil {
						return err
					}
				}
				all, err := core.Audit.CheckpointAll(ctx)
				return errors.Join(printCheckpoints(c, all, output), err)
			})
		},
	}
	cmd.Flags().BoolVar(&restored, "after-restore", false, "accept that an older database was restored: put this machine's last checkpoints aside")
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	return cmd
}
