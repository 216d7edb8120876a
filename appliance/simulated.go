package appliance

import (
	"context"
	"path/filepath"

	"nimbus/appliance/provider"
	"nimbus/appliance/provider/proxmox"
	"nimbus/appliance/provider/proxmox/pvesim"
)

// The simulated cluster's login for us.
const (
	simulatedUser  = "nimbus@pve"
	simulatedToken = "nimbus"
)

// StartSimulated starts the built-in simulated cluster, now and at every later
// start, and returns how to connect to it. Each call makes a new token.
func (a *Appliance) StartSimulated(ctx context.Context) (provider.NewConnection, error) {
	if err := a.startSimulator(ctx); err != nil {
		return provider.NewConnection{}, err
	}
	if err := a.Change(ctx, func(s *Settings) { s.Simulated = true }); err != nil {
		return provider.NewConnection{}, err
	}
	if err := a.simulator.CreateRole(proxmox.RoleName, proxmox.Privileges()...); err != nil {
		return provider.NewConnection{}, err
	}
	secret, err := a.simulator.CreateToken(simulatedUser, simulatedToken, true, proxmox.RoleName)
	if err != nil {
		return provider.NewConnection{}, err
	}
	return provider.NewConnection{
		Name: "Simulated cluster", URL: a.simulator.URL(), TokenID: simulatedUser + "!" + simulatedToken, Secret: secret,
		CAPEM: a.simulator.CertificatePEM(), Simulated: true,
	}, nil
}

// Simulator is the simulated cluster, or nil when it does not run.
func (a *Appliance) Simulator() *pvesim.Cluster { return a.simulator }

func (a *Appliance) startSimulator(ctx context.Context) error {
	if a.simulator != nil {
		return nil
	}
	cluster, err := pvesim.New(pvesim.Config{
		StateFile: filepath.Join(a.cfg.DataDir, "simulated", "cluster.json"), GuestAgents: true, Logger: a.cfg.Logger,
	})
	if err != nil {
		return err
	}
	if err := a.running.start(ctx, "simulated cluster", subsystem{part: cluster}); err != nil {
		return err
	}
	a.simulator = cluster
	return nil
}
