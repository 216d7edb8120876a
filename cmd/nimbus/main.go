// Command nimbus is the control plane for Proxmox VE.
package main

import (
	"os"

	"nimbus/cmd"
)

func main() { os.Exit(cmd.Main(os.Args)) }
