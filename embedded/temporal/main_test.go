package temporal

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"nimbus/embedded/postgres"
	"nimbus/embedded/postgres/postgrestest"
)

const taskQueue = "test"

func testLogger(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
}

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// sharedDatabases returns a DSN function over two fresh databases of the shared server.
func sharedDatabases(t *testing.T) func(string) string {
	t.Helper()
	if postgres.BundleID() == "none" && os.Getenv("NIMBUS_TEST_DSN") == "" {
		t.Skip(postgres.ErrNoBundle)
	}
	byName := map[string]string{
		MainDatabase:       postgrestest.DSN(t),
		VisibilityDatabase: postgrestest.DSN(t),
	}
	return func(name string) string { return byName[name] }
}

func start(t *testing.T, cfg Config) *Server {
	t.Helper()
	s := New(cfg)
	if err := s.Start(deadline(t)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		began := time.Now()
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("Stop took %v", took)
		}
	})
	return s
}

func dial(t *testing.T, s *Server, o Options) client.Client {
	t.Helper()
	c, err := s.Client(deadline(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func work(t *testing.T, c client.Client, queue string) {
	t.Helper()
	w := worker.New(c, queue, worker.Options{})
	w.RegisterWorkflow(EchoWorkflow)
	w.RegisterWorkflow(FailingWorkflow)
	w.RegisterActivity(Echo)
	w.RegisterActivity(Fail)
	w.RegisterActivity(FailOnce)
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
}
