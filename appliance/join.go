package appliance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"nimbus/appliance/audit"
	"nimbus/appliance/db"
	"nimbus/appliance/durable"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/node"
)

// RequestToJoin makes a key for a machine that is to join and returns what a node
// admits it by. Nothing may run on its data directory. Faults are those of node.Fresh.
func RequestToJoin(cfg Config) (string, error) {
	a := New(cfg)
	ask := node.Request
	switch err := a.takeDirectory(); {
	case errors.Is(err, errHalfJoin):
		ask = node.Requested
	case err != nil:
		return "", err
	}
	recipient, err := ask(a.cfg.DataDir)
	return recipient, errors.Join(err, a.Stop(context.Background()))
}

// Admit seals what a new node needs for the machine that asked with `nimbus node
// request`, and records that. It runs beside a node, or without one. Faults: Invalid
// for what is no request, Conflict when something is not shared.
func Admit(ctx context.Context, cfg Config, recipient string) ([]byte, error) {
	a, c, done, err := console(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer done()
	return a.admit(ctx, c, recipient)
}

func (a *Appliance) admit(ctx context.Context, c *Core, recipient string) ([]byte, error) {
	b, err := a.bundle(ctx)
	if err != nil {
		return nil, err
	}
	var sealed bytes.Buffer
	if err := b.Seal(recipient, &sealed); err != nil {
		return nil, err
	}
	return sealed.Bytes(), c.Audit.RecordAlone(ctx, id.ID{}, audit.Entry{
		Event: "system.node.admitted", Priority: audit.Critical, Target: audit.Target{Kind: "node", ID: strings.TrimSpace(recipient)},
	})
}

// bundle collects it. Signing keys that are made when they are first used are made
// now: two nodes would make two. The root key is there, or is handed over at starts.
func (a *Appliance) bundle(ctx context.Context) (node.Bundle, error) {
	b := node.Bundle{Name: a.settings.Load().Name, MadeAt: time.Now().UTC()}
	if err := a.makeKeys(ctx); err != nil {
		return b, err
	}
	if err := b.Collect(a.cfg.DataDir); err != nil {
		return b, err
	}
	var err error
	if b.Local, err = a.front.All(ctx); err != nil {
		return b, err
	}
	delete(b.Local, certificateKey) // shared
	b.Config, b.Files, err = a.sharedConfig(ctx)
	return b, err
}

func (a *Appliance) makeKeys(ctx context.Context) error {
	if a.settings.Load().HSM.Module != "" {
		return nil
	}
	if _, err := a.auditSigner().Key(ctx); err != nil {
		return err
	}
	signer, err := a.signer(ctx)
	if err == nil {
		_, err = signer.Sign(ctx, []byte("nimbus node admit")) // makes the key
	}
	return err
}

// sharedConfig are the settings that lead to what all nodes use. Conflict names
// the first that is missing.
func (a *Appliance) sharedConfig(ctx context.Context) (config map[string]string, files map[string][]byte, err error) {
	cfg := a.cfg
	if s := a.settings.Load().Database; cfg.DatabaseURL == "" && s.External {
		dsn, err := a.OpenLocal(ctx, sealedDSN, s.DSN)
		if err != nil {
			return nil, nil, err
		}
		cfg.DatabaseURL = string(dsn)
	}
	cfg.Role = Web
	if err := cfg.CheckRole(); err != nil {
		return nil, nil, fault.Wrap(fault.Conflict, err, "No other node can join yet. %s", fault.Message(err))
	}
	config = map[string]string{
		"database-url": cfg.DatabaseURL, "temporal-address": cfg.TemporalAddress, "temporal-namespace": cfg.Temporal.Namespace,
		"temporal-tls": strconv.FormatBool(cfg.Temporal.TLS), "temporal-tls-server-name": cfg.Temporal.ServerName,
		"valkey-url": cfg.ValkeyURL, "shared-dir": cfg.SharedDir,
	}
	paths := map[string]string{"temporal-tls-ca": cfg.Temporal.CA, "temporal-tls-cert": cfg.Temporal.Cert, "temporal-tls-key": cfg.Temporal.Key, "valkey-tls-ca": cfg.ValkeyCA}
	maps.Copy(paths, filesOf(cfg.DatabaseURL))
	files = map[string][]byte{}
	for setting, path := range paths {
		if path == "" {
			continue
		}
		if files[setting], err = os.ReadFile(path); err != nil {
			return nil, nil, fault.Wrap(fault.Invalid, err, "The file of %s cannot be read", setting)
		}
	}
	if cfg.Temporal.APIKey != "" {
		files["temporal-api-key-file"] = []byte(cfg.Temporal.APIKey)
	}
	return config, files, nil
}

// filesOf are the files that an address of Postgres names. Those of one that is
// key words instead of a URL do not travel.
func filesOf(databaseURL string) map[string]string {
	paths := map[string]string{}
	if !isURL(databaseURL) {
		return paths
	}
	u, err := url.Parse(databaseURL)
	if err != nil {
		return paths
	}
	for _, parameter := range []string{"sslrootcert", "sslcert", "sslkey"} {
		if path := u.Query().Get(parameter); path != "system" { // what the machine trusts
			paths["database-url."+parameter] = path
		}
	}
	return paths
}

func isURL(databaseURL string) bool { return strings.Contains(databaseURL, "://") }

// Joined is what a machine joined, and what it still lacks.
type Joined struct {
	Name  string
	Lacks []string
}

// Join makes a machine a node of the appliance that sealed a bundle for it. Nothing
// may run on its data directory. Faults are those of node.Open and node.Fresh.
func Join(ctx context.Context, cfg Config, sealed io.Reader) (Joined, error) {
	a := New(cfg)
	if err := cfg.Role.check(); err != nil {
		return Joined{}, err
	}
	err := a.takeDirectory()
	half := errors.Is(err, errHalfJoin)
	if err != nil && !half {
		return Joined{}, err
	}
	j, err := a.join(ctx, sealed, half)
	return j, errors.Join(err, a.Stop(ctx))
}

// joinMarker tells that a bundle is being put into place: the machine has keys and
// no settings yet, and nothing may start on it.
const joinMarker = "node-join"

var errHalfJoin = fault.New(fault.Conflict, "This machine was joining an appliance and was interrupted. Run `nimbus node join` again with what the node printed, or begin again with `nimbus node request`; `nimbus factory-reset` gives it up.")

// join may be killed at any point and run again with the same bundle.
func (a *Appliance) join(ctx context.Context, sealed io.Reader, half bool) (j Joined, err error) {
	if !half {
		if err := node.Fresh(a.cfg.DataDir); err != nil {
			return j, err
		}
	}
	b, err := node.Open(a.cfg.DataDir, sealed)
	if err != nil {
		return j, err
	}
	if b.Config[roleSetting] = string(a.cfg.Role); a.cfg.Role == "" {
		b.Config[roleSetting] = string(All)
	}
	marker := filepath.Join(a.cfg.DataDir, joinMarker)
	if err := durable.Write(marker, nil); err != nil {
		return j, err
	}
	if err := b.Place(a.cfg.DataDir); err != nil {
		return j, err
	}
	if err := a.openLocal(ctx); err != nil {
		return j, err
	}
	for key, value := range b.Local {
		if err := a.front.Put(ctx, key, value); err != nil {
			return j, err
		}
	}
	if err := durable.Remove(marker); err != nil { // before the key without which it could not be run again
		return j, err
	}
	return Joined{b.Name, a.lacks(b)}, node.Forget(a.cfg.DataDir)
}

const roleSetting = "role"

// lacks are sentences about what a bundle cannot bring.
func (a *Appliance) lacks(b node.Bundle) (all []string) {
	var s Settings
	_ = json.Unmarshal(b.Local[settingsKey], &s) // nothing is lacking in what cannot be read
	if s.HSM.Module != "" {
		all = append(all, "The root key lies in a hardware security module. Install "+s.HSM.Module+" here and connect it with the same token.")
	}
	if _, ok := b.Keys["root.key"]; !ok && s.HSM.Module == "" {
		all = append(all, "The root key is handed over by the service manager there. Do the same here.")
	}
	if dsn := b.Config["database-url"]; !isURL(dsn) {
		if _, err := db.Logins(dsn, db.Passwords{}); err != nil {
			all = append(all, fault.Message(err)+" Copy it from the other node.")
		}
	}
	if _, err := os.Stat(b.Config["shared-dir"]); err != nil {
		all = append(all, "The folder "+b.Config["shared-dir"]+" is not here. Mount the one that the other nodes have.")
	}
	return all
}
