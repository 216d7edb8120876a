package audit

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/activity"
	sdk "go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"nimbus/appliance/actor"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// Permissions of exports. Who may create them sees their own; ReadExports
// shows everybody's.
const (
	CreateExport = "audit:export:create"
	ReadExports  = "audit:export:read"
)

// exportLife is how long the file of an export is kept.
const exportLife = 7 * 24 * time.Hour

// ExportState says how far an export is.
type ExportState string

// The states of exports.
const (
	ExportRunning   ExportState = "running"
	ExportDone      ExportState = "done"
	ExportFailed    ExportState = "failed"
	ExportCancelled ExportState = "cancelled"
)

// ExportFormat says what the file of an export is.
type ExportFormat string

// The formats: lines of JSON with the proof among them (package ledger), or a
// table with the proof in a file of its own.
const (
	JSONLines ExportFormat = "jsonl"
	CSV       ExportFormat = "csv"
)

// Export is a file with records and their proof.
type Export struct {
	ID          id.ID        `json:"id"`
	State       ExportState  `json:"state" enum:"running,done,failed,cancelled"`
	Format      ExportFormat `json:"format" enum:"jsonl,csv"`
	Filter      Filter       `json:"filter"`
	WithArchive bool         `json:"include_archive" doc:"Records that are in the archive only are in it too."`
	Records     int64        `json:"records"`
	Position    int64        `json:"position" doc:"The last record that was looked at, of total."`
	Total       int64        `json:"total"`
	Bytes       int64        `json:"bytes"`
	SHA256      string       `json:"sha256" doc:"Of the file, in hexadecimal."`
	Error       string       `json:"error"`
	CreatedBy   id.ID        `json:"created_by"`
	Creator     string       `json:"creator"`
	CreatedAt   time.Time    `json:"created_at"`
	ExpiresAt   time.Time    `json:"expires_at"`
}

func (e Export) target() Target { return Target{Kind: "audit-export", ID: e.ID.String()} }

// StartExport begins to write the records of the actor's tenant that match. It
// is recorded before the first byte.
func (s *Service) StartExport(ctx context.Context, format ExportFormat, f Filter) (Export, error) {
	return s.startExport(ctx, format, f, false)
}

// StartExportWithArchive is StartExport for somebody who may read the archive:
// records that are there only are in the file too.
func (s *Service) StartExportWithArchive(ctx context.Context, format ExportFormat, f Filter) (Export, error) {
	if _, err := s.authorise(ctx, ReadArchive); err != nil {
		return Export{}, err
	}
	return s.startExport(ctx, format, f, true)
}

func (s *Service) startExport(ctx context.Context, format ExportFormat, f Filter, archive bool) (Export, error) {
	a, err := s.authorise(ctx, CreateExport)
	if err != nil {
		return Export{}, err
	}
	if err := f.validate(); err != nil {
		return Export{}, err
	}
	c := s.temporalClient()
	if c == nil {
		return Export{}, errNoWorkflows
	}
	f.Before, f.After, f.Limit = 0, 0, 0
	now := time.Now().UTC().Truncate(time.Microsecond)
	e := Export{ID: id.New(), State: ExportRunning, Format: format, Filter: f, WithArchive: archive, CreatedBy: a.ID, Creator: a.Name, CreatedAt: now, ExpiresAt: now.Add(exportLife)}
	err = s.in(ctx, a.TenantID, func(ctx context.Context) error {
		if err := s.store.addExport(ctx, e); err != nil {
			return err
		}
		return s.Record(ctx, Entry{Event: "audit.export.started", Priority: Warning, Target: e.target(), Details: map[string]any{"format": format, "filter": f, "include_archive": archive}})
	})
	if err != nil {
		return Export{}, err
	}
	_, err = c.ExecuteWorkflow(ctx, sdk.StartWorkflowOptions{ID: exportID(e.ID), TaskQueue: taskQueue}, exportWorkflow,
		ExportInput{Tenant: a.TenantID, Export: e.ID, ExpiresAt: e.ExpiresAt})
	if err != nil {
		end := exportEnd{State: ExportFailed, Error: "The workflow could not be started."}
		return Export{}, fault.Wrap(fault.Unavailable, errors.Join(err, s.endExport(ctx, a.TenantID, e.ID, end)), "The export could not be started. Try again in a minute.")
	}
	return e, nil
}

var errNoWorkflows = fault.New(fault.Unavailable, "Workflows are not running yet. Try again in a minute.")

func exportID(e id.ID) string { return "audit-export-" + e.String() }

// Exports lists the exports of the actor's tenant, newest first.
func (s *Service) Exports(ctx context.Context) ([]Export, error) {
	a, err := s.authorise(ctx, CreateExport)
	if err != nil {
		return nil, err
	}
	owner := a.ID
	if s.Check(ctx, ReadExports) == nil {
		owner = id.ID{}
	}
	var all []Export
	err = s.in(ctx, a.TenantID, func(ctx context.Context) error {
		all, err = s.store.exports(ctx, owner)
		return err
	})
	return all, err
}

// Export returns one export, or fault.NotFound.
func (s *Service) Export(ctx context.Context, export id.ID) (Export, error) {
	a, err := s.authorise(ctx, CreateExport)
	if err != nil {
		return Export{}, err
	}
	var e Export
	err = s.in(ctx, a.TenantID, func(ctx context.Context) error {
		e, err = s.store.export(ctx, export)
		return err
	})
	if err == nil && e.CreatedBy != a.ID && s.Check(ctx, ReadExports) != nil {
		err = fault.New(fault.NotFound, "It does not exist, or it is not yours.")
	}
	return e, err
}

// DeleteExport stops an export that is running, and removes the file of one
// that is done.
func (s *Service) DeleteExport(ctx context.Context, export id.ID) error {
	e, err := s.Export(ctx, export)
	if err != nil {
		return err
	}
	a, _ := actor.From(ctx)
	err = s.in(ctx, a.TenantID, func(ctx context.Context) error {
		return s.Record(ctx, Entry{Event: "audit.export.deleted", Priority: Notice, Target: e.target(), Details: map[string]any{"state": e.State}})
	})
	if err != nil {
		return err
	}
	c := s.temporalClient()
	if c == nil {
		return errNoWorkflows
	}
	var gone *serviceerror.NotFound
	if err := c.CancelWorkflow(ctx, exportID(export), ""); errors.As(err, &gone) {
		return s.expireExport(ctx, a.TenantID, export)
	} else if err != nil {
		return fault.Wrap(fault.Unavailable, err, "The export could not be stopped. Try again in a minute.")
	}
	return nil
}

// OpenExport opens the file of an export that is done, or the proof of a
// table, for its reader. It is recorded before the first byte.
func (s *Service) OpenExport(ctx context.Context, export id.ID, proof bool) (Export, io.ReadCloser, error) {
	e, err := s.Export(ctx, export)
	if err != nil {
		return e, nil, err
	}
	switch {
	case e.State == ExportRunning:
		return e, nil, fault.New(fault.Conflict, "The export is still being written.")
	case e.State != ExportDone || proof && e.Format != CSV:
		return e, nil, fault.New(fault.NotFound, "There is no such file.")
	}
	a, _ := actor.From(ctx)
	path := s.exportPath(a.TenantID, export)
	if proof {
		path += ".proof"
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return e, nil, fault.New(fault.Gone, "The file has expired. Export again.")
	}
	if err != nil {
		return e, nil, err
	}
	err = s.RecordAlone(ctx, a.TenantID, Entry{Event: "audit.export.downloaded", Priority: Warning, Target: e.target(), Details: map[string]any{"proof": proof, "records": e.Records}})
	if err != nil {
		_ = f.Close()
		return e, nil, err
	}
	return e, f, nil
}

func (s *Service) exportPath(tenant, export id.ID) string {
	return filepath.Join(s.Dir, "exports", chainName(s.chainOf(tenant)), export.String())
}

// ExportEvent tells the one who asked for an export how far it is.
const ExportEvent = "audit.export"

func (s *Service) tellExport(ctx context.Context, tenant id.ID, e Export) error {
	return s.Events.Publish(ctx, event.Event{Type: ExportEvent, ID: e.ID, Tenant: tenant, User: e.CreatedBy, Permission: CreateExport}, e)
}

// exportEnd is how an export ended.
type exportEnd struct {
	State ExportState
	Error string
}

// reason is what the person reads of a step that failed.
func reason(err error) string {
	var app *temporal.ApplicationError
	if errors.As(err, &app) {
		return app.Message()
	}
	return "It took too long, or was interrupted too often. Export a smaller part."
}

// writeExport writes the file beside its place and moves it there when it is
// whole and on the disk. A second run goes on where the first one was lost.
func (s *Service) writeExport(ctx context.Context, tenant, export id.ID) error {
	var e Export
	err := s.in(ctx, tenant, func(ctx context.Context) (err error) {
		e, err = s.store.export(ctx, export)
		return err
	})
	if err != nil || e.State != ExportRunning {
		return err
	}
	path := s.exportPath(tenant, export)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	x := &exporting{Service: s, tenant: tenant, Export: e, told: time.Now(), marked: time.Now()}
	if x.files, err = openExport(path, e.Format); err != nil {
		return err
	}
	defer x.files.close()
	if err := x.stream(ctx); err != nil {
		if errors.Is(err, errPruned) {
			err = errors.Join(err, x.files.forget())
		}
		return err
	}
	if err := x.files.finish(); err != nil {
		return err
	}
	x.Bytes, x.SHA256 = x.files.content.size, hex.EncodeToString(x.files.content.sum.Sum(nil))
	return x.tell(ctx)
}

// exportPace is how an export leaves the database to others, and how much of
// it is written again at most when its worker is lost.
type exportPace struct{ pause, mark time.Duration }

var usualPace = exportPace{pause: 2 * time.Millisecond, mark: 2 * time.Second}

// exporting is an export while it is written.
type exporting struct {
	*Service
	Export
	files        *exportFiles
	tenant       id.ID
	told, marked time.Time
}

func (x *exporting) stream(ctx context.Context) error {
	o := StreamOptions{Tenant: x.tenant, WithArchive: x.Export.WithArchive, GoOn: x.files.goOn, Place: x.place, Progress: func(at int64) { x.progress(ctx, at) }}
	if x.files.table != nil {
		o.LeavesOnly, o.Record = true, func(r Sealed) error { return x.files.table.Record(r.Sequence, r.Body) }
	}
	if !x.Filter.empty() {
		o.Filter, o.Match = x.Filter, x.Filter.matcher()
		o.Next = func(ctx context.Context, after, last int64, limit int) ([]Sealed, int64, error) {
			return x.store.following(ctx, x.Filter, after, last, limit)
		}
	}
	done, err := x.WriteStream(ctx, x.files.stream, o)
	x.Records, x.Position, x.Total = done.Records, done.To, done.To
	return err
}

// place keeps where another worker can go on, now and then.
func (x *exporting) place(m Marker) error {
	if time.Since(x.marked) < x.pace.mark {
		return nil
	}
	x.marked = time.Now()
	return x.files.mark(m)
}

// progress keeps the activity alive and tells the reader, twice a second.
func (x *exporting) progress(ctx context.Context, at int64) {
	if activity.IsActivity(ctx) {
		activity.RecordHeartbeat(ctx, at)
	}
	pause(ctx, x.pace.pause)
	if time.Since(x.told) < 500*time.Millisecond {
		return
	}
	x.told, x.Position = time.Now(), at
	if err := x.tell(ctx); err != nil {
		x.Logger.Warn("the progress of an export could not be kept", "error", err)
	}
}

func (x *exporting) tell(ctx context.Context) error {
	return x.in(ctx, x.tenant, func(ctx context.Context) error {
		if x.Total == 0 {
			last, err := x.store.last(ctx)
			if err != nil {
				return err
			}
			x.Total = last
		}
		if err := x.store.exportProgress(ctx, x.Export); err != nil {
			return err
		}
		return x.tellExport(ctx, x.tenant, x.Export)
	})
}

// endExport records how an export ended, once.
func (s *Service) endExport(ctx context.Context, tenant, export id.ID, end exportEnd) error {
	return s.in(ctx, tenant, func(ctx context.Context) error {
		changed, err := s.store.endExport(ctx, export, end)
		if err != nil || !changed {
			return err
		}
		e, err := s.store.export(ctx, export)
		if err != nil {
			return err
		}
		entry := Entry{Event: "audit.export.finished", Target: e.target(), Reason: end.Error,
			Details: map[string]any{"state": end.State, "records": e.Records, "bytes": e.Bytes, "sha256": e.SHA256}}
		if end.State == ExportFailed {
			entry.Outcome, entry.Priority = Failure, Error
		}
		if err := s.Record(ctx, entry); err != nil {
			return err
		}
		return s.tellExport(ctx, tenant, e)
	})
}

// expireExport removes the files of an export, and with them what is known of it.
func (s *Service) expireExport(ctx context.Context, tenant, export id.ID) error {
	path := s.exportPath(tenant, export)
	for _, name := range []string{path, path + ".proof", path + ".part", path + ".proof.part", path + ".mark"} {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return s.in(ctx, tenant, func(ctx context.Context) error { return s.store.forgetExport(ctx, export) })
}
