package appliance

import (
	"context"
	"path/filepath"

	sdk "go.temporal.io/sdk/client"

	"nimbus/appliance/approval"
	"nimbus/appliance/deployment"
	"nimbus/appliance/durable"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/provider"
)

// newDeployments builds the approvals and the deployments over the engine and
// the clusters.
func (a *Appliance) newDeployments(c *Core, providers *provider.Service, client sdk.Client) (*deployment.Service, error) {
	approvals := approval.New(approval.Config{
		DB: c.DB, Audit: c.Audit, CheckOn: c.Permissions.CheckOn, AllowedOn: c.Permissions.AllowedOn, Events: c.Events,
	})
	return deployment.New(deployment.Config{
		DB: c.DB, Audit: c.Audit, Check: c.Permissions.Check, Events: c.Events, Keyring: c.Keyring, Approvals: approvals,
		CheckOn: c.Permissions.CheckOn, AllowedOn: c.Permissions.AllowedOn, CheckSomewhere: c.Permissions.CheckSomewhere,
		Compartment: func(ctx context.Context, compartment id.ID) error {
			path, err := c.Tenants.CompartmentPath(ctx, compartment)
			if err == nil && len(path) == 0 {
				err = fault.New(fault.NotFound, "This compartment does not exist.")
			}
			return err
		},
		Policy: func(ctx context.Context, tenant id.ID) (approval.Policy, error) {
			set, err := c.Tenants.SettingsOf(ctx, tenant)
			return approval.ParsePolicy(string(set.ApprovalPolicy)), err
		},
		Connection: func(ctx context.Context, connection id.ID) error {
			_, err := providers.Connection(ctx, connection)
			return err
		},
		Environment: func(ctx context.Context, tenant, connection id.ID) (map[string]string, error) {
			return a.environment(ctx, providers, tenant, connection)
		},
		Quota:  c.Tenants.Reserve,
		Engine: engine{c.engine}, Guests: providers, Workflows: client, Logger: a.cfg.Logger,
	})
}

// environment is how the engine's provider reaches a cluster. What it trusts
// is the one certificate that was accepted, in a folder of the connection.
func (a *Appliance) environment(ctx context.Context, providers *provider.Service, tenant, connection id.ID) (map[string]string, error) {
	endpoint, err := providers.Endpoint(ctx, tenant, connection)
	if err != nil {
		return nil, err
	}
	env := map[string]string{
		"PROXMOX_VE_ENDPOINT":  endpoint.URL,
		"PROXMOX_VE_API_TOKEN": endpoint.TokenID + "=" + endpoint.Secret,
	}
	authority, err := providers.Certificate(ctx, tenant, connection)
	if err != nil || authority == "" {
		return env, err
	}
	return trustOnly(env, a.trustDir(connection), authority)
}

func (a *Appliance) trustDir(connection id.ID) string {
	return filepath.Join(a.cfg.DataDir, "pulumi", "trust", connection.String())
}

// trustOnly adds to the provider's settings that it trusts one certificate. Every
// file of its folder counts, so no other connection's may lie there.
func trustOnly(env map[string]string, dir, authority string) (map[string]string, error) {
	path := filepath.Join(dir, "accepted.pem")
	env["SSL_CERT_FILE"], env["SSL_CERT_DIR"] = path, dir
	return env, durable.Write(path, []byte(authority))
}
