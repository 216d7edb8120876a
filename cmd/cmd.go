// Package cmd is the command line: flags over environment over file over
// default, and one exit code per kind of failure.
package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"nimbus/appliance"
	"nimbus/appliance/breakglass/hsm"
	"nimbus/appliance/db"
	"nimbus/appliance/fault"
	"nimbus/embedded/postgres"
	"nimbus/embedded/pulumi"
)

// Version is set by the build.
var Version = "dev"

// Exit codes.
const (
	exitFailure = 1 // it did not work
	exitUsage   = 2 // the command line or the input is wrong
	exitInUse   = 3 // another appliance runs on the data directory
	exitDenied  = 4 // not allowed
	exitBroken  = 5 // a verification found breaks
	exitUnwell  = 6 // an examination found what has to be done
	exitRelease = 7 // the data is of another release than this program
)

// Main runs the command that args (os.Args) name and returns the exit code.
// The one binary is also the Pulumi CLI, its Proxmox provider and the worker
// that holds the HSM's module, told apart by the name it was started under.
func Main(args []string) int {
	if code, ok := pulumi.Dispatch(args); ok {
		return code
	}
	if filepath.Base(args[0]) == hsm.WorkerName {
		return hsm.RunWorker()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := Root()
	root.SetArgs(args[1:])
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "nimbus:", explain(err))
	return exitCode(err)
}

// explain is the message with its causes, down to the first, unless the message tells
// them already: whoever runs commands is the operator.
func explain(err error) string {
	var f *fault.Error
	if !errors.As(err, &f) {
		return err.Error()
	}
	text := f.Message
	for cause := f.Cause; cause != nil; {
		says, next := cause.Error(), error(nil)
		if inner, ok := cause.(*fault.Error); ok { //nolint:errorlint // what wraps one has more to say
			says, next = inner.Message, inner.Cause
		}
		if !strings.Contains(text, says) {
			text += ": " + says
		}
		cause = next
	}
	return text
}

func exitCode(err error) int {
	switch {
	case errors.Is(err, appliance.ErrInUse):
		return exitInUse
	case errors.Is(err, db.ErrNewer), errors.Is(err, postgres.ErrMajor):
		return exitRelease
	case errors.Is(err, errBroken):
		return exitBroken
	case errors.Is(err, errUnwell):
		return exitUnwell
	}
	switch fault.KindOf(err) {
	case fault.Invalid:
		return exitUsage
	case fault.Forbidden, fault.Unauthenticated:
		return exitDenied
	}
	return exitFailure
}

// Root is the command tree.
func Root() *cobra.Command {
	root := &cobra.Command{
		Use:           "nimbus",
		Short:         "The control plane for Proxmox VE",
		Long:          "Nimbus turns Proxmox VE into a private cloud: tenants, permissions, approvals,\ninfrastructure as code and an audit trail that proves itself, in one binary.",
		Version:       Version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	addGlobalFlags(root)
	root.AddCommand(serveCommand(), setupCommand(), statusCommand(), auditCommand(), breakglassCommand(), userCommand(), factoryResetCommand(), pvesimCommand(), configCommand(), versionCommand())
	root.AddCommand(nodeCommand(), backupCommand(), restoreCommand(), doctorCommand(), upgradeCommand(), migrateOutCommand(), supportBundleCommand(), certificateCommand(), licensesCommand(), manCommand())
	return root
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		Run: func(c *cobra.Command, _ []string) { fmt.Fprintln(c.OutOrStdout(), "nimbus", Version) },
	}
}
