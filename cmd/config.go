package cmd

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/cobra"

	"nimbus/appliance"
	"nimbus/appliance/fault"
	"nimbus/appliance/node"
	"nimbus/systemd"
)

// Defaults of a package installation.
const (
	defaultDataDir = "/var/lib/nimbus"
	defaultConfig  = "/etc/nimbus/nimbus.yaml"
	envPrefix      = "NIMBUS_"
)

// known are the settings, which are also flags and, in capitals with the
// prefix NIMBUS_, environment variables.
var known = []struct{ name, value, help string }{
	{"data-dir", defaultDataDir, "where everything is kept"},
	{"listen", ":8443", "address of the one HTTPS port"},
	{"role", "all", "what this node does: all, web or worker"},
	{"database-url", "", "postgres:// URL of an existing server, instead of the embedded one"},
	{"shared-dir", "", "folder that all nodes share, for the state of stacks and exports; empty is data-dir"},
	{"temporal-address", "", "host:port of an existing Temporal cluster, instead of the embedded one"},
	{"temporal-namespace", "", "namespace in that cluster; empty is nimbus"},
	{"temporal-tls", "false", "true to use TLS without a certificate of our own"},
	{"temporal-tls-ca", "", "PEM file with who may vouch for that cluster"},
	{"temporal-tls-cert", "", "PEM file with our certificate for that cluster"},
	{"temporal-tls-key", "", "PEM file with its key"},
	{"temporal-tls-server-name", "", "name in that cluster's certificate, when it is not the address"},
	{"temporal-api-key-file", "", "file with the API key of that cluster"},
	{"valkey-url", "", "URL of an existing Valkey or Redis server, instead of the embedded one"},
	{"valkey-tls-ca", "", "PEM file with who may vouch for that server"},
	{"log-level", "info", "debug, info, warn or error"},
	{"log-format", "text", "text or json"},
}

func addGlobalFlags(root *cobra.Command) {
	flags := root.PersistentFlags()
	flags.String("config", defaultConfig, "configuration file")
	for _, k := range known {
		flags.String(k.name, k.value, k.help)
	}
}

// load merges defaults, what the machine joined, file, environment and flags, the
// later over the earlier.
func load(c *cobra.Command) (*koanf.Koanf, error) {
	chosen, err := loadOver(c, koanf.New("\x00"))
	if err != nil {
		return nil, err
	}
	path := filepath.Join(chosen.String("data-dir"), node.JoinedFile)
	k := koanf.New("\x00")
	err = k.Load(file.Provider(path), yaml.Parser())
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission): // who may not read it may not use the data directory either
		return chosen, nil
	case err != nil:
		return nil, fault.Wrap(fault.Invalid, err, "What this machine joined, %s, cannot be read", path)
	}
	if err := unknown(k, path); err != nil {
		return nil, err
	}
	return loadOver(c, k)
}

// loadOver reads file, environment and flags over k.
func loadOver(c *cobra.Command, k *koanf.Koanf) (*koanf.Koanf, error) {
	path, err := c.Flags().GetString("config")
	if err != nil {
		return nil, err
	}
	err = k.Load(file.Provider(path), yaml.Parser())
	if errors.Is(err, fs.ErrNotExist) && !c.Flags().Changed("config") {
		err = nil
	}
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "The configuration file %s cannot be read", path)
	}
	if err := unknown(k, path); err != nil {
		return nil, err
	}
	err = k.Load(env.Provider("\x00", env.Opt{Prefix: envPrefix, TransformFunc: func(name, value string) (string, any) {
		return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, envPrefix)), "_", "-"), value
	}}), nil)
	if err != nil {
		return nil, err
	}
	return k, k.Load(posflag.Provider(c.Flags(), "\x00", k), nil)
}

// unknown refuses settings that the file has and the program has not: most are typing errors.
func unknown(k *koanf.Koanf, path string) error {
	for _, key := range k.Keys() {
		found := false
		for _, s := range known {
			found = found || s.name == key
		}
		if !found {
			return fault.New(fault.Invalid, "%s: there is no setting %q. `nimbus config print` lists them.", path, strings.ReplaceAll(key, "\x00", "."))
		}
	}
	return nil
}

// settings is what every command that opens an appliance needs.
func settings(c *cobra.Command) (appliance.Config, error) {
	k, err := load(c)
	if err != nil {
		return appliance.Config{}, err
	}
	logger, err := newLogger(c.ErrOrStderr(), k.String("log-level"), k.String("log-format"))
	if err != nil {
		return appliance.Config{}, err
	}
	if err := becomeOwner(k.String("data-dir")); err != nil {
		return appliance.Config{}, err
	}
	cfg := appliance.Config{
		DataDir: k.String("data-dir"), Listen: k.String("listen"),
		TemporalAddress: k.String("temporal-address"), ValkeyURL: k.String("valkey-url"), ValkeyCA: k.String("valkey-tls-ca"), DatabaseURL: k.String("database-url"),
		Role: appliance.Role(k.String("role")), SharedDir: k.String("shared-dir"),
		Version: Version, Logger: logger,
	}
	if cfg.Temporal, err = temporalAccess(k); err != nil {
		return cfg, err
	}
	if err := cfg.CheckRole(); err != nil {
		return cfg, err
	}
	err = credentials(&cfg)
	return cfg, err
}

// temporalAccess is how an existing cluster lets us in.
func temporalAccess(k *koanf.Koanf) (appliance.TemporalAccess, error) {
	t := appliance.TemporalAccess{
		Namespace: k.String("temporal-namespace"), TLS: k.String("temporal-tls") == "true",
		CA: k.String("temporal-tls-ca"), Cert: k.String("temporal-tls-cert"), Key: k.String("temporal-tls-key"),
		ServerName: k.String("temporal-tls-server-name"),
	}
	file := k.String("temporal-api-key-file")
	if file == "" {
		return t, nil
	}
	key, err := os.ReadFile(file)
	if err != nil {
		return t, fault.Wrap(fault.Invalid, err, "temporal-api-key-file cannot be read")
	}
	t.APIKey = strings.TrimSpace(string(key))
	return t, nil
}

// credentials are the secrets that the service manager keeps for the appliance.
func credentials(cfg *appliance.Config) error {
	key, err := systemd.Credential("nimbus.root-key")
	pin, err2 := systemd.Credential("nimbus.hsm-pin")
	cfg.RootKey, cfg.PIN = key, strings.TrimRight(string(pin), "\r\n")
	return errors.Join(err, err2)
}

func newLogger(w io.Writer, level, format string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fault.New(fault.Invalid, "log-level is debug, info, warn or error, not %q.", level)
	}
	opts := &slog.HandlerOptions{Level: l}
	switch format {
	case "json":
		return slog.New(slog.NewJSONHandler(w, opts)), nil
	case "text":
		return slog.New(slog.NewTextHandler(w, opts)), nil
	}
	return nil, fault.New(fault.Invalid, "log-format is text or json, not %q.", format)
}

func configCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Check or print the configuration"}
	cmd.AddCommand(&cobra.Command{
		Use: "check", Short: "Check the configuration", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if _, err := settings(c); err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), "The configuration is valid.")
			return nil
		},
	}, &cobra.Command{
		Use: "print", Short: "Print the configuration in force, secrets masked", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			k, err := load(c)
			if err != nil {
				return err
			}
			for _, s := range known {
				fmt.Fprintf(c.OutOrStdout(), "%s: %q\n", s.name, maskURL(k.String(s.name)))
			}
			return nil
		},
	}, &cobra.Command{
		Use: "example", Short: "Print a configuration file with every setting, commented out", Args: cobra.NoArgs,
		Run: func(c *cobra.Command, _ []string) { fmt.Fprint(c.OutOrStdout(), exampleConfig()) },
	})
	return cmd
}

// exampleConfig is the file that a package installs: nothing is set, all can be seen.
func exampleConfig() string {
	var b strings.Builder
	b.WriteString("# Settings of Nimbus; see nimbus.yaml(5). Every line here shows a default.\n" +
		"# `nimbus config check` finds mistakes. Restart the service after a change.\n")
	for _, s := range known {
		fmt.Fprintf(&b, "\n# %s%s\n#%s: %q\n", strings.ToUpper(s.help[:1]), s.help[1:], s.name, s.value)
	}
	return b.String()
}

// maskURL hides the password of a URL.
func maskURL(text string) string {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return text
	}
	login, host, ok := cutLast(rest, "@")
	if !ok {
		return text
	}
	user, _, _ := strings.Cut(login, ":")
	return scheme + "://" + user + ":••••••@" + host
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}
