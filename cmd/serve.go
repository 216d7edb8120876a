package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"

	"nimbus/appliance"
	"nimbus/appliance/actor"
	"nimbus/appliance/db"
	"nimbus/appliance/fault"
	"nimbus/appliance/web"
	"nimbus/firstrun"
	"nimbus/systemd"
)

// stopTimeout is how long a clean stop may take.
const stopTimeout = 20 * time.Second

func serveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Run the appliance",
		Long: "Run the appliance until it is interrupted. Before the first run it prints an\n" +
			"address and a setup token; open the address in a browser.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			manager := systemd.FromEnvironment()
			cfg, err := settings(c)
			if err != nil {
				return err
			}
			for {
				opened := manager.Extend(c.Context(), func() string { return "opening the data directory" })
				err := withSetup(c.Context(), cfg, c.OutOrStdout(), func(ctx context.Context, a *appliance.Appliance, s *firstrun.Setup) error {
					opened()
					return serve(ctx, c.OutOrStdout(), manager, a, s)
				})
				opened()
				if !errors.Is(err, errRestored) {
					return err
				}
				fmt.Fprintln(c.OutOrStdout(), "The restore is ready. Starting with what was restored.")
			}
		},
	}
}

// errRestored ends an appliance whose wizard restored another one, so that it
// starts anew as that.
var errRestored = errors.New("a restore is ready")

// serve boots what is set up and waits for the end, while it tells the service
// manager how things are.
func serve(ctx context.Context, out io.Writer, manager *systemd.Manager, a *appliance.Appliance, s *firstrun.Setup) error {
	defer func() {
		if !errors.Is(context.Cause(ctx), errRestored) {
			manager.Stopping()
		}
	}()
	enough := manager.Extend(ctx, a.Phase)
	defer enough()
	if !s.Open() {
		if err := a.Boot(ctx); err != nil {
			return err
		}
		fmt.Fprintf(out, "Nimbus %s serves at %s\n", Version, address(a))
	}
	enough()
	manager.Ready(statusOf(a, s))
	go manager.Watch(ctx, func() string { return statusOf(a, s) }, a.Alive)
	<-ctx.Done()
	if err := context.Cause(ctx); errors.Is(err, errRestored) {
		return err
	}
	return nil
}

func statusOf(a *appliance.Appliance, s *firstrun.Setup) string {
	if s.Open() {
		return "Waiting for the first run at " + address(a)
	}
	return "Serving at " + address(a)
}

func setupCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "setup",
		Short: "Do the first run without a browser",
		Long: "Do everything that the first-run wizard does, from a file of answers. The\n" +
			"recovery kit is written to the file that the answers name. What an interrupted\n" +
			"run left is gone on with.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			answers, err := firstrun.ReadAnswers(path)
			if err != nil {
				return err
			}
			cfg, err := settings(c)
			if err != nil {
				return err
			}
			if err := kitPlace(answers.RecoveryKit.Path, cfg.DataDir); err != nil {
				return err
			}
			note := func(what string) { fmt.Fprintln(c.OutOrStdout(), "==>", what) }
			return withSetup(c.Context(), cfg, c.ErrOrStderr(), func(ctx context.Context, _ *appliance.Appliance, s *firstrun.Setup) error {
				if err := firstrun.Answer(ctx, s, answers, note); err != nil {
					return err
				}
				fmt.Fprintln(c.OutOrStdout(), "Nimbus is set up. Start it with `nimbus serve`, and keep the recovery kit away from this machine.")
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&path, "answers", "", "YAML file with the answers")
	if err := cmd.MarkFlagRequired("answers"); err != nil {
		panic(err)
	}
	return cmd
}

// withSetup opens the appliance with its wizard, runs fn, and stops both.
func withSetup(ctx context.Context, cfg appliance.Config, console io.Writer, fn func(context.Context, *appliance.Appliance, *firstrun.Setup) error) error {
	a := appliance.New(cfg)
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		if err := a.Stop(ctx); err != nil {
			cfg.Logger.Error("the appliance did not stop cleanly", "error", err)
		}
	}()
	ctx, restart := context.WithCancelCause(actor.With(ctx, actor.Actor{Kind: actor.Setup, Name: "first run"}))
	defer restart(nil)
	if err := a.Open(ctx); err != nil {
		return err
	}
	history, err := appliance.History()
	if err != nil {
		return err
	}
	setup := newSetup(a, cfg, db.ProbeFor(history), console, func() { restart(errRestored) })
	if err := setup.Start(ctx); err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		_ = setup.Stop(ctx)
	}()
	if setup.Open() {
		api := web.New(cfg.Version, cfg.Logger)
		setup.Routes(api)
		a.SetSetup(setup.Guard(api))
	}
	return fn(ctx, a, setup)
}

type probe = func(ctx context.Context, dsn string) (db.Report, error)

func newSetup(a *appliance.Appliance, cfg appliance.Config, test probe, console io.Writer, restart func()) *firstrun.Setup {
	return firstrun.New(firstrun.Config{
		Store: a.Front(), DataDir: a.DataDir(), URL: address(a), Logger: cfg.Logger,
		Console:        func(b firstrun.Banner) { printBanner(console, b) },
		Fingerprint:    a.Front().Fingerprint,
		SetCertificate: a.Front().SetCertificate,
		Apply: func(ctx context.Context, s firstrun.Settings) error {
			return a.Change(ctx, func(to *appliance.Settings) { apply(s, to) })
		},
		TestDatabase:   test,
		StartDatabase:  func(ctx context.Context, p func(string, int)) error { return a.StartDatabase(ctx, p) },
		Boot:           func(ctx context.Context) (firstrun.Services, error) { return services(ctx, a) },
		StartSimulated: a.StartSimulated,
		Restorer:       a.Restorer(), Restart: restart,
		Complete: func(context.Context) error { a.SetSetup(nil); return nil },
	})
}

// apply copies what the wizard decided into the appliance's settings.
func apply(s firstrun.Settings, to *appliance.Settings) {
	to.Name, to.URL, to.TimeZone = s.Name, s.URL, s.TimeZone
	to.Database = appliance.Database{External: s.External, DSN: s.DSN}
	to.HSM = appliance.HSM{Module: s.HSMModule, TokenLabel: s.HSMTokenLabel, Slot: s.HSMSlot, PIN: s.PIN, Env: s.HSMEnv}
	to.Recovery, to.Complete = s.Recipient, s.Complete
}

func services(ctx context.Context, a *appliance.Appliance) (firstrun.Services, error) {
	if err := a.Boot(actor.With(ctx, actor.Actor{Kind: actor.Setup, Name: "first run"})); err != nil {
		return firstrun.Services{}, err
	}
	c := a.Core()
	if c == nil {
		return firstrun.Services{}, fault.New(fault.Unavailable, "The appliance is stopping.")
	}
	return firstrun.Services{
		Tenants: c.Tenants, Identity: c.Identity, Permissions: c.Permissions, Keyring: c.Keyring,
		Keys: c.Keys, Audit: c.Audit, Provider: c.Provider,
	}, nil
}

func printBanner(w io.Writer, b firstrun.Banner) {
	if b.Warning != "" {
		fmt.Fprintf(w, "\n  ! %s\n", b.Warning)
	}
	if b.Token == "" {
		return
	}
	fmt.Fprintf(w, "\n  Nimbus is ready to be set up.\n\n    Address      %s\n    Setup token  %s   (until %s)\n    Fingerprint  %s\n\n",
		b.URL, b.Token, b.Expires.Local().Format("15:04"), b.Fingerprint)
}

// address is where a browser reaches the appliance.
func address(a *appliance.Appliance) string {
	host, port, err := net.SplitHostPort(a.Front().Addr())
	if err != nil {
		return ""
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = ownAddress()
	}
	return "https://" + net.JoinHostPort(host, port)
}

// ownAddress is the first address of this machine that others can reach, else
// its name.
func ownAddress() string {
	found, _ := net.InterfaceAddrs()
	for _, a := range found {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() {
			return n.IP.String()
		}
	}
	if name, err := os.Hostname(); err == nil {
		return name
	}
	return "localhost"
}
