package appliance_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.yaml.in/yaml/v3"

	"nimbus/appliance"
	"nimbus/appliance/actor"
	"nimbus/appliance/appliancetest"
	"nimbus/appliance/fault"
	"nimbus/appliance/node"
	"nimbus/embedded/postgres"
	"nimbus/embedded/temporal"
)

// TestServersOverTLS uses a Postgres whose certificate and name are verified, a
// Temporal cluster that wants a certificate and an API key, and a Redis with a
// password over TLS. Then one thing is wrong at a time, and what is said names it.
func TestServersOverTLS(t *testing.T) {
	t.Parallel()
	ours, foreign := newAuthority(t), newAuthority(t)
	right := appliance.Config{
		DataDir: appliancetest.Dir(t), SharedDir: appliancetest.Dir(t), Listen: "127.0.0.1:0", Version: "test", Logger: slog.New(slog.DiscardHandler),
		DatabaseURL: postgresOverTLS(t, ours, postgres.New), ValkeyURL: redisOverTLS(t, ours), ValkeyCA: ours.CA,
	}
	right.TemporalAddress, right.Temporal = temporalOverTLS(t, ours)
	must(t, boots(t, right))
	joinsOverTLS(t, right)

	otherCert, otherKey := foreign.give("stranger")
	for name, c := range map[string]struct {
		wrong func(*appliance.Config)
		says  string
	}{
		"database: authority":      {func(c *appliance.Config) { c.DatabaseURL = strings.Replace(c.DatabaseURL, ours.CA, foreign.CA, 1) }, "Nobody whom we trust vouches"},
		"database: its file":       {func(c *appliance.Config) { c.DatabaseURL = strings.Replace(c.DatabaseURL, ours.CA, "/nowhere.pem", 1) }, "sslrootcert"},
		"database: name":           {func(c *appliance.Config) { c.DatabaseURL = strings.Replace(c.DatabaseURL, "localhost", "127.0.0.1", 1) }, "does not name its address"},
		"database: password":       {func(c *appliance.Config) { c.DatabaseURL = wrongPassword(c.DatabaseURL) }, "refuses the password"},
		"database: unreachable":    {func(c *appliance.Config) { c.DatabaseURL = "postgres://nimbus@localhost:" + freePort(t) + "/postgres" }, "Nothing listens there"},
		"temporal: authority":      {func(c *appliance.Config) { c.Temporal.CA = foreign.CA }, "Nobody whom we trust vouches"},
		"temporal: name":           {func(c *appliance.Config) { c.Temporal.ServerName = "elsewhere" }, "another name than its address"},
		"temporal: no certificate": {func(c *appliance.Config) { c.Temporal.Cert, c.Temporal.Key = "", "" }, "wants a certificate of ours"},
		"temporal: certificate":    {func(c *appliance.Config) { c.Temporal.Cert, c.Temporal.Key = otherCert, otherKey }, "does not accept our certificate"},
		"temporal: API key":        {func(c *appliance.Config) { c.Temporal.APIKey = "wrong" }, "refuses our"},
		"temporal: no TLS":         {func(c *appliance.Config) { c.Temporal = appliance.TemporalAccess{} }, "It speaks TLS"},
		"temporal: unreachable":    {func(c *appliance.Config) { c.TemporalAddress = "localhost:" + freePort(t) }, "Nothing listens there"},
		"valkey: authority":        {func(c *appliance.Config) { c.ValkeyCA = foreign.CA }, "Nobody whom we trust vouches"},
		"valkey: name":             {func(c *appliance.Config) { c.ValkeyURL = strings.Replace(c.ValkeyURL, "localhost", "127.0.0.1", 1) }, "does not name its address"},
		"valkey: password":         {func(c *appliance.Config) { c.ValkeyURL = wrongPassword(c.ValkeyURL) }, "refuses the password"},
		"valkey: no password":      {func(c *appliance.Config) { c.ValkeyURL = strings.Replace(c.ValkeyURL, ":canary-password@", "", 1) }, "wants a password"},
		"valkey: unreachable":      {func(c *appliance.Config) { c.ValkeyURL = "rediss://localhost:" + freePort(t) }, "Nothing listens there"},
	} {
		wrong := right
		c.wrong(&wrong)
		began := time.Now()
		err := boots(t, wrong)
		if kind := fault.KindOf(err); kind != fault.Unavailable && kind != fault.Invalid || !strings.Contains(fault.Message(err), c.says) {
			t.Errorf("%s: %v (%s)", name, err, kind)
		}
		if text := fmt.Sprint(fault.Message(err), err); strings.Contains(text, "canary-password") {
			t.Errorf("%s: the password is told: %s", name, text)
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("%s: said after %v", name, took)
		}
	}
}

// joinsOverTLS lets another machine in, which gets every file that the settings name.
func joinsOverTLS(t *testing.T, first appliance.Config) {
	t.Helper()
	dir := appliancetest.Dir(t)
	recipient, err := appliance.RequestToJoin(appliance.Config{DataDir: dir})
	must(t, err)
	ctx := actor.With(t.Context(), actor.Actor{Kind: actor.Console, Name: "console"})
	sealed, err := appliance.Admit(ctx, first, recipient)
	must(t, err)
	joined, err := appliance.Join(ctx, appliance.Config{DataDir: dir, Role: appliance.Worker}, bytes.NewReader(sealed))
	must(t, err)
	if len(joined.Lacks) != 0 {
		t.Errorf("the node lacks %v", joined.Lacks)
	}
	raw, err := os.ReadFile(filepath.Join(dir, node.JoinedFile))
	must(t, err)
	var settings struct {
		DatabaseURL string `yaml:"database-url"`
		Role        appliance.Role
	}
	must(t, yaml.Unmarshal(raw, &settings))
	at, err := url.Parse(settings.DatabaseURL)
	must(t, err)
	if ca := at.Query().Get("sslrootcert"); filepath.Dir(ca) != filepath.Join(dir, "keys") || settings.Role != appliance.Worker {
		t.Errorf("settings of the new node: %+v", settings)
	}
	conn, err := pgx.Connect(t.Context(), settings.DatabaseURL)
	must(t, err)
	must(t, conn.Close(t.Context()))
}

// boots starts an appliance and stops it.
func boots(t *testing.T, cfg appliance.Config) error {
	t.Helper()
	a := appliance.New(cfg)
	defer func() { must(t, a.Stop(t.Context())) }()
	ctx := actor.With(t.Context(), actor.Actor{Kind: actor.Setup, Name: "setup"})
	must(t, a.Open(ctx))
	return a.Boot(ctx)
}

func wrongPassword(url string) string {
	at := strings.LastIndex(url, "@")
	return url[:strings.LastIndex(url[:at], ":")] + ":wrong" + url[at:]
}

// postgresOverTLS serves with a certificate for localhost.
func postgresOverTLS(t *testing.T, a *authority, of func(postgres.Config) *postgres.Server) string {
	t.Helper()
	dir := appliancetest.Dir(t)
	server := of(postgres.Config{Dir: dir, MaxConnections: 100, Unsafe: true})
	start(t, server)
	cert, key := a.give("postgres", "localhost")
	own := filepath.Join(dir, "data", "server.key")
	command(t, "cp", key, own)
	info, err := os.Stat(filepath.Join(dir, "data", "PG_VERSION"))
	must(t, err)
	owner := info.Sys().(*syscall.Stat_t)
	must(t, os.Chown(own, int(owner.Uid), int(owner.Gid)))
	must(t, os.Chmod(own, 0o600))
	dsn := server.AdminDSN("postgres")
	conn, err := pgx.Connect(t.Context(), dsn)
	must(t, err)
	defer conn.Close(t.Context())
	for _, sql := range []string{
		`alter system set ssl_cert_file = '` + cert + `'`, `alter system set ssl_key_file = 'server.key'`, `alter system set ssl = on`,
		`create role provider superuser login password 'canary-password'`, `select pg_reload_conf()`,
	} {
		_, err := conn.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol)
		must(t, err)
	}
	at, err := pgx.ParseConfig(dsn)
	must(t, err)
	url := fmt.Sprintf("postgres://provider:canary-password@localhost:%d/postgres?sslmode=verify-full&sslrootcert=%s", at.Port, a.CA)
	within(t, "Postgres speaks TLS", func() bool {
		conn, err := pgx.Connect(t.Context(), url)
		if err == nil {
			_ = conn.Close(t.Context())
		}
		return err == nil
	})
	return url
}

func redisOverTLS(t *testing.T, a *authority) string {
	t.Helper()
	cert, key := a.give("redis", "localhost")
	port := freePort(t)
	server := exec.Command("redis-server", "--bind", "127.0.0.1", "--port", "0", "--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key,
		"--tls-ca-cert-file", a.CA, "--tls-auth-clients", "no", "--requirepass", "canary-password", "--save", "", "--dir", t.TempDir())
	must(t, server.Start())
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	within(t, "redis-server listens", func() bool {
		conn, err := net.Dial("tcp4", "127.0.0.1:"+port)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return "rediss://:canary-password@localhost:" + port
}

// temporalOverTLS is a Temporal server behind a gate that lets nobody in without a
// certificate of the authority; the server itself wants an API key.
func temporalOverTLS(t *testing.T, a *authority) (string, appliance.TemporalAccess) {
	t.Helper()
	database := postgres.New(postgres.Config{Dir: appliancetest.Dir(t), Unsafe: true})
	start(t, database)
	server := temporal.New(temporal.Config{DSN: database.AdminDSN})
	start(t, server)
	inside := server.Access()
	roots, callers := x509.NewCertPool(), x509.NewCertPool()
	roots.AppendCertsFromPEM(inside.CAPEM)
	callers.AddCert(a.cert)
	pair, err := tls.LoadX509KeyPair(a.give("gate", "flows.example.com"))
	must(t, err)
	gate, err := tls.Listen("tcp4", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{pair}, ClientCAs: callers, ClientAuth: tls.RequireAndVerifyClientCert, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12,
	})
	must(t, err)
	t.Cleanup(func() { _ = gate.Close() })
	go pass(gate, inside.Address, &tls.Config{RootCAs: roots, ServerName: inside.ServerName, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS13})
	cert, key := a.give("nimbus")
	return gate.Addr().String(), appliance.TemporalAccess{CA: a.CA, Cert: cert, Key: key, ServerName: "flows.example.com", APIKey: inside.APIKey}
}

// pass copies what comes to a gate to a server, and back.
func pass(gate net.Listener, to string, config *tls.Config) {
	for {
		from, err := gate.Accept()
		if err != nil {
			return
		}
		go func() {
			defer from.Close()
			if from.(*tls.Conn).Handshake() != nil {
				return
			}
			server, err := tls.Dial("tcp4", to, config)
			if err != nil {
				return
			}
			defer server.Close()
			go func() { _, _ = io.Copy(server, from); _ = server.Close() }()
			_, _ = io.Copy(from, server)
		}()
	}
}
