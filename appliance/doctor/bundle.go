package doctor

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"time"

	"nimbus/appliance/audit"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// BundleConfig is what a support bundle holds.
type BundleConfig struct {
	Version string
	Started time.Time
	// Settings are how the appliance is set up. What is secret in them is masked by its name.
	Settings func() any
	// Health is how the parts are.
	Health func(ctx context.Context) any
	Recent *Recent
	// Secrets are known: they are masked wherever they stand.
	Secrets func(ctx context.Context) []string
}

// part is a file of a bundle.
type part struct {
	name string
	make func(ctx context.Context) ([]byte, error)
}

const readme = `This is a support bundle of Nimbus. It holds versions, settings, the findings of
nimbus doctor, the latest lines of the log, sizes of tables, states of workflows
and what the program is doing at the moment.

Passwords, tokens, keys and what workflows work on are not in it or are masked.
Names of machines, addresses and e-mail addresses can be in the log: look it
through before you give it to somebody.
`

// Bundle checks that the actor may have a bundle, examines, records that one
// is made, and returns what writes it as tar.gz. It returns fault.Forbidden
// without system:support:create.
func (s *Service) Bundle(ctx context.Context) (func(ctx context.Context, w io.Writer) error, error) {
	if err := s.Authorise(ctx, CreateSupport); err != nil {
		return nil, err
	}
	err := s.Audit.RecordAlone(ctx, id.ID{}, audit.Entry{
		Event: "system.support.created", Priority: audit.Warning, Target: audit.Target{Kind: "support-bundle"},
	})
	if err != nil {
		return nil, err
	}
	report := s.examine(ctx, 0)
	return func(ctx context.Context, w io.Writer) error {
		return writeBundle(s.system(ctx), w, s.Support.Secrets(ctx), s.parts(report))
	}, nil
}

// parts are the files of a bundle of a running appliance.
func (s *Service) parts(report Report) []part {
	b := s.Support
	return []part{
		{"versions.json", func(context.Context) ([]byte, error) { return json.Marshal(versions(b.Version, b.Started)) }},
		{"settings.json", func(context.Context) ([]byte, error) { return json.Marshal(b.Settings()) }},
		{"health.json", func(ctx context.Context) ([]byte, error) { return json.Marshal(b.Health(ctx)) }},
		{"doctor.json", func(context.Context) ([]byte, error) { return json.Marshal(report) }},
		{"schema.json", s.schemas},
		{"tables.json", s.tables},
		{"workflows.json", s.workflowStates},
		{"schedules.json", s.scheduleStates},
		{"log.jsonl", func(context.Context) ([]byte, error) {
			var log bytes.Buffer
			_, err := b.Recent.WriteTo(&log)
			return log.Bytes(), err
		}},
		{"goroutines.txt", goroutines},
	}
}

// versions is what runs, on what.
func versions(version string, started time.Time) map[string]any {
	v := map[string]any{
		"version": version, "started_at": started, "now": time.Now().UTC(), "go": runtime.Version(),
		"os": runtime.GOOS, "arch": runtime.GOARCH, "cpus": runtime.NumCPU(), "goroutines": runtime.NumGoroutine(),
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		modules := map[string]string{}
		for _, m := range info.Deps {
			modules[m.Path] = m.Version
		}
		v["modules"] = modules
	}
	return v
}

func (s *Service) schemas(ctx context.Context) ([]byte, error) {
	var all map[string]int
	var scopes int
	err := s.DB.Core(ctx, func(ctx context.Context) (err error) { all, scopes, err = applied(ctx); return err })
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{"schemas": scopes, "applied": all})
}

func (s *Service) tables(ctx context.Context) ([]byte, error) {
	var all []TableSize
	err := s.DB.Core(ctx, func(ctx context.Context) (err error) { all, err = tableSizes(ctx); return err })
	if err != nil {
		return nil, err
	}
	return json.Marshal(all)
}

// latestWorkflows is how many workflows of each state are listed.
const latestWorkflows = 100

func (s *Service) workflowStates(ctx context.Context) ([]byte, error) {
	all := map[string][]Workflow{}
	for _, status := range []string{"running", "failed", "timed_out", "terminated"} {
		page, err := s.Workflows(ctx, WorkflowFilter{Status: status, Limit: latestWorkflows})
		if err != nil {
			return nil, err
		}
		all[status] = page.Items
	}
	return json.Marshal(all)
}

func (s *Service) scheduleStates(ctx context.Context) ([]byte, error) {
	all, err := s.Schedules(ctx)
	if err != nil {
		return nil, err
	}
	return json.Marshal(all)
}

// goroutines says what the program does, without arguments.
func goroutines(context.Context) ([]byte, error) {
	var dump bytes.Buffer
	err := pprof.Lookup("goroutine").WriteTo(&dump, 1)
	return dump.Bytes(), err
}

// partTimeout is how long one part of a bundle may take.
const partTimeout = 20 * time.Second

// writeBundle writes the parts, masked. A part that cannot be made says why.
func writeBundle(ctx context.Context, w io.Writer, known []string, parts []part) error {
	mask := newRedactor(known)
	zipped := gzip.NewWriter(w)
	archive := tar.NewWriter(zipped)
	if err := add(archive, "README.txt", []byte(readme)); err != nil {
		return err
	}
	for _, p := range parts {
		if err := add(archive, p.name, mask.part(ctx, p)); err != nil {
			return err
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	return zipped.Close()
}

// part makes a part and masks it: by names where it is JSON.
func (r redactor) part(ctx context.Context, p part) []byte {
	ctx, cancel := context.WithTimeout(ctx, partTimeout)
	defer cancel()
	raw, err := p.make(ctx)
	if err != nil {
		return fmt.Appendf(nil, "It could not be read: %s\n", r.text(fault.Message(err)))
	}
	var tree any
	if json.Unmarshal(raw, &tree) == nil {
		if clean, err := json.MarshalIndent(r.clean(tree), "", "  "); err == nil {
			return append(clean, '\n')
		}
	}
	return []byte(r.text(string(raw)))
}

func add(archive *tar.Writer, name string, content []byte) error {
	err := archive.WriteHeader(&tar.Header{
		Name: "nimbus-support/" + name, Mode: 0o600, Size: int64(len(content)), ModTime: time.Now(), Format: tar.FormatPAX,
	})
	if err != nil {
		return err
	}
	_, err = archive.Write(content)
	return err
}

// WriteOffline writes a bundle of an appliance that does not run.
func WriteOffline(ctx context.Context, w io.Writer, report Report, version string, settings any) error {
	return writeBundle(ctx, w, nil, []part{
		{"versions.json", func(context.Context) ([]byte, error) { return json.Marshal(versions(version, time.Now().UTC())) }},
		{"settings.json", func(context.Context) ([]byte, error) { return json.Marshal(settings) }},
		{"doctor.json", func(context.Context) ([]byte, error) { return json.Marshal(report) }},
	})
}
