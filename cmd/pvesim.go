package cmd

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"nimbus/appliance/provider/proxmox"
	"nimbus/appliance/provider/proxmox/pvesim"
)

func pvesimCommand() *cobra.Command {
	var cfg pvesim.Config
	var nodes string
	cmd := &cobra.Command{
		Use:   "pvesim",
		Short: "Run a simulated Proxmox VE cluster",
		Long: "Run a cluster that answers like Proxmox VE 9.1 but makes no machines, to try\n" +
			"Nimbus or to test against. It prints how to connect and runs until interrupted.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if nodes != "" {
				cfg.Nodes = strings.Split(nodes, ",")
			}
			return runPvesim(c, cfg)
		},
	}
	cmd.Flags().StringVar(&cfg.Listen, "address", "127.0.0.1:8006", "address to listen on")
	cmd.Flags().StringVar(&cfg.StateFile, "state", "", "file that keeps the cluster between runs")
	cmd.Flags().StringVar(&nodes, "nodes", "", "names of the nodes, separated by commas")
	cmd.Flags().Float64Var(&cfg.Speed, "speed", 1, "how much faster than life its tasks run")
	cmd.Flags().IntVar(&cfg.Guests, "guests", 0, "how many guests there are at first")
	return cmd
}

func runPvesim(c *cobra.Command, cfg pvesim.Config) error {
	cfg.GuestAgents = true
	cluster, err := pvesim.New(cfg)
	if err != nil {
		return err
	}
	if err := cluster.Start(c.Context()); err != nil {
		return err
	}
	if err := cluster.CreateRole(proxmox.RoleName, proxmox.Privileges()...); err != nil {
		return err
	}
	secret, err := cluster.CreateToken("nimbus@pve", "nimbus", true, proxmox.RoleName)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.OutOrStdout(), "Simulated cluster at %s\n  token id      nimbus@pve!nimbus\n  token secret  %s\n  fingerprint   %s\n",
		cluster.URL(), secret, cluster.Fingerprint())
	<-c.Context().Done()
	return cluster.Stop(c.Context())
}
