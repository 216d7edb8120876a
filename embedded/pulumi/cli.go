package pulumi

import (
	"io"
	"log"
	"os"

	"github.com/pulumi/pulumi/pkg/v3/backend"
	"github.com/pulumi/pulumi/pkg/v3/cmd/pulumi/cancel"
	"github.com/pulumi/pulumi/pkg/v3/cmd/pulumi/cmd"
	"github.com/pulumi/pulumi/pkg/v3/cmd/pulumi/config"
	"github.com/pulumi/pulumi/pkg/v3/cmd/pulumi/operations"
	"github.com/pulumi/pulumi/pkg/v3/cmd/pulumi/plugin"
	"github.com/pulumi/pulumi/pkg/v3/cmd/pulumi/stack"
	cmdstate "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi/state"
	cmdversion "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi/version"
	"github.com/pulumi/pulumi/pkg/v3/workspace"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/cmdutil"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/logging"
	"github.com/pulumi/pulumi/sdk/v3/go/common/version"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// RunCLI runs the Pulumi CLI with args (without the program's name) and returns
// its exit code. It changes process-wide state: call it only in a process that
// was started as the CLI.
func RunCLI(args []string) int {
	version.Version = Version()
	log.SetOutput(io.Discard)
	if os.Getenv(envRun) != "" {
		unix.CloseOnExec(eventFD)
	}
	root := newCLI()
	root.SetArgs(args)
	defer logging.Flush()
	if err := root.Execute(); err != nil {
		cmd.DisplayErrorMessage(root.Context(), err, os.Stderr)
		return cmd.ExitCodeFor(err)
	}
	return 0
}

// newCLI assembles the public CLI's root command: the same commands, without
// those that need Pulumi's cloud, a language's tools or a network.
func newCLI() *cobra.Command {
	var cwd, color string
	var verbose int
	var logToStderr, logFlow bool
	root := &cobra.Command{
		Use:           cliName,
		Short:         "Pulumi command line",
		Version:       version.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if err := cmdutil.SetGlobalColorization(color); err != nil {
				return err
			}
			logging.InitLogging(logToStderr, verbose, logFlow)
			if cwd == "" {
				return nil
			}
			return os.Chdir(cwd)
		},
	}
	flags := root.PersistentFlags()
	flags.StringVarP(&cwd, "cwd", "C", "", "Run as if started in another directory")
	flags.StringVar(&color, "color", "auto", "Colorize output: always, never, raw, auto")
	flags.IntVarP(&verbose, "verbose", "v", 0, "Log verbosely (at most 9)")
	flags.BoolVar(&logToStderr, "logtostderr", false, "Log to stderr instead of to files")
	flags.BoolVar(&logFlow, "logflow", false, "Pass log settings on to plugins")
	flags.BoolVar(&cmdutil.DisableInteractive, "non-interactive", false, "Never ask")
	flags.BoolVarP(&cmdutil.FullyQualifyStackNames, "fully-qualify-stack-names", "Q", false, "Show full stack names")
	flags.BoolVar(&backend.DisableIntegrityChecking, "disable-integrity-checking", false, "Skip checks of checkpoint files")
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(
		operations.NewUpCmd(), operations.NewPreviewCmd(), operations.NewRefreshCmd(),
		operations.NewDestroyCmd(), operations.NewImportCmd(),
		cancel.NewCancelCmd(workspace.Instance), config.NewConfigCmd(workspace.Instance),
		stack.NewStackCmd(), cmdstate.NewStateCmd(), plugin.NewPluginCmd(), cmdversion.NewVersionCmd(),
	)
	return root
}
