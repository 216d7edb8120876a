// Package pulumi runs the real Pulumi engine inside the one binary.
//
// The binary plays three parts, told apart by the name it was started under:
//
//   - pulumi: the Pulumi CLI with the commands that the engine needs;
//   - pulumi-resource-proxmoxve: the provider for Proxmox VE (package bridge);
//   - anything else: the appliance, which holds an Engine.
//
// The Engine starts the CLI as a child for each operation on a stack, serves
// the stack's program to it (a Pulumi YAML document, evaluated here, so no
// language plugin is needed) and turns its event stream into Events and a
// Plan. State lies in files below one directory; nothing is ever downloaded.
//
// A stack's passphrase and the provider's credentials come with every call and
// reach the child by its environment only.
package pulumi

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"

	"nimbus/embedded/pulumi/bridge"
)

const (
	cliName      = "pulumi"
	providerName = "pulumi-resource-" + bridge.Name
)

// Mode is the part a process has to play.
type Mode int

// The parts of the binary.
const (
	ModeAppliance Mode = iota // not started by the engine
	ModeCLI                   // started as "pulumi"
	ModeProvider              // started as "pulumi-resource-proxmoxve"
)

// ModeOf tells the part from the name a process was started under (os.Args[0]).
func ModeOf(argv0 string) Mode {
	switch filepath.Base(argv0) {
	case cliName:
		return ModeCLI
	case providerName:
		return ModeProvider
	}
	return ModeAppliance
}

// Dispatch runs the CLI or the provider when args (os.Args) say so and returns
// its exit code and true. Call it first in main: in these parts nothing else of
// the appliance may run. It returns false when the process is the appliance.
func Dispatch(args []string) (code int, handled bool) {
	if len(args) == 0 {
		return 0, false
	}
	switch ModeOf(args[0]) {
	case ModeCLI:
		return RunCLI(args[1:]), true
	case ModeProvider:
		return RunProvider(), true
	}
	return 0, false
}

// RunProvider serves the Proxmox VE provider until its host ends, and returns
// the exit code. A provider that was started by an Engine ends at once when the
// CLI that started it is gone, so that nobody goes on creating unobserved.
func RunProvider() int {
	if os.Getenv(envRun) != "" {
		exitWithParent()
	}
	if err := bridge.Serve(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "serve the provider:", err)
		return 1
	}
	return 0
}

// Version is the version of the Pulumi engine inside, such as "3.259.0".
func Version() string {
	const module = "github.com/pulumi/pulumi/pkg/v3"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "3.0.0"
	}
	for _, dep := range info.Deps {
		if dep.Path == module && len(dep.Version) > 1 {
			return dep.Version[1:]
		}
	}
	return "3.0.0"
}
