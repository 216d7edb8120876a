package appliance

import (
	"crypto/tls"
	"crypto/x509"
	"os"

	"nimbus/appliance/fault"
	"nimbus/embedded/temporal"
)

// Role says what a node does.
type Role string

// The roles. Any number of nodes may have each; what only one node may do at a time
// is a workflow, or takes a lock in the database.
const (
	All    Role = "all"    // everything, on one machine
	Web    Role = "web"    // answers browsers and programs
	Worker Role = "worker" // runs workflows and their activities
)

func (r Role) check() error {
	switch r {
	case "", All, Web, Worker:
		return nil
	}
	return fault.New(fault.Invalid, "role is all, web or worker, not %q.", r)
}

// TemporalAccess is how an existing cluster lets us in.
type TemporalAccess struct {
	Namespace  string
	CA         string // file with who may vouch for the cluster; empty is the system's choice
	Cert, Key  string // files of our certificate, for mutual TLS
	ServerName string // in the cluster's certificate, when it is not the address
	APIKey     string
	TLS        bool // without a certificate of ours
}

func (t TemporalAccess) config(address string) (temporal.Config, error) {
	c := temporal.Config{Address: address, Namespace: t.Namespace, APIKey: t.APIKey}
	if address == "" || !t.TLS && t.CA == "" && t.Cert == "" && t.APIKey == "" {
		return c, nil
	}
	c.TLS = &tls.Config{ServerName: t.ServerName, MinVersion: tls.VersionTLS12}
	var err error
	if c.TLS.RootCAs, err = authorities("temporal-tls-ca", t.CA); err != nil {
		return c, err
	}
	if t.Cert == "" {
		return c, nil
	}
	pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		return c, fault.Wrap(fault.Invalid, err, "temporal-tls-cert and temporal-tls-key are no pair")
	}
	c.TLS.Certificates = []tls.Certificate{pair}
	return c, nil
}

// authorities reads who may vouch for a server; nil, the system's choice, without a file.
func authorities(setting, file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil //nolint:nilnil // what crypto/tls takes for the system's
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "%s cannot be read", setting)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fault.New(fault.Invalid, "%s: %s holds no certificate.", setting, file)
	}
	return pool, nil
}

// CheckRole refuses a node that has something for itself which others need.
func (c Config) CheckRole() error {
	if err := c.Role.check(); err != nil || c.Role == "" || c.Role == All {
		return err
	}
	switch {
	case c.DatabaseURL == "":
		return fault.New(fault.Invalid, "A %s node keeps no data of its own: name the Postgres server that all nodes share with database-url.", c.Role)
	case c.TemporalAddress == "":
		return fault.New(fault.Invalid, "A %s node runs no Temporal of its own: name the cluster that all nodes share with temporal-address.", c.Role)
	case c.ValkeyURL == "":
		return fault.New(fault.Invalid, "A %s node hears of other nodes through Valkey: name the server that all nodes share with valkey-url.", c.Role)
	case c.SharedDir == "":
		return fault.New(fault.Invalid, "The state of stacks and finished exports lie in files: name a folder that all nodes share, over NFS for instance, with shared-dir.")
	}
	return nil
}

func (a *Appliance) sharedDir() string {
	if a.cfg.SharedDir != "" {
		return a.cfg.SharedDir
	}
	return a.cfg.DataDir
}

// external is true when the database is on a server that we do not run.
func (a *Appliance) external() bool {
	return a.cfg.DatabaseURL != "" || a.settings.Load().Database.External
}

// outside says in a sentence why a server that is not ours cannot be used, where
// that is known.
func outside(what, settings string, err error) error {
	if why := fault.Connection(err); why != "" {
		return fault.Wrap(fault.Unavailable, err, "%s cannot be used. %s The settings are %s.", what, why, settings)
	}
	return err
}
