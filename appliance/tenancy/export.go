package tenancy

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

const (
	exportFormat  = "nimbus tenant export"
	exportVersion = 1

	// maxExports is how many exports run at a time: each holds a connection for
	// as long as its reader takes.
	maxExports = 2
	// exportTimeout ends an export whose reader has gone to sleep.
	exportTimeout = time.Hour
	// exportFresh is how recently the person must have proved themselves.
	exportFresh = 10 * time.Minute
)

// Manifest is the last file of an export: what is in it, and what was left out.
type Manifest struct {
	Format    string          `json:"format"`
	Version   int             `json:"version"`
	CreatedAt time.Time       `json:"created_at"`
	Tenant    Tenant          `json:"tenant"`
	Tables    []ExportedTable `json:"tables"`
}

// ExportedTable is one file of an export, JSON Lines.
type ExportedTable struct {
	File    string   `json:"file"`
	Rows    int64    `json:"rows"`
	SHA256  string   `json:"sha256"`
	Omitted []string `json:"omitted"` // columns with secrets
}

// Export returns what writes all of a tenant's data, as one snapshot, as a zip:
// a file for each table and a manifest at the end, without which the archive is
// not complete. Secrets are left out and named in the manifest. It needs a
// fresh sign-in, and is recorded before the first byte.
func (s *Service) Export(ctx context.Context, tenant id.ID) (Tenant, func(ctx context.Context, w io.Writer) error, error) {
	t, err := s.reach(ctx, ExportTenant, tenant)
	if err != nil {
		return Tenant{}, nil, err
	}
	if err := s.fresh(ctx, exportFresh); err != nil {
		return Tenant{}, nil, err
	}
	select {
	case s.exports <- struct{}{}:
	default:
		f := fault.New(fault.TooMany, "%d exports are running. Try again when one is done.", maxExports)
		f.RetryAfter = time.Minute
		return Tenant{}, nil, f
	}
	err = s.change(ctx, t, change{
		do:    func(context.Context) error { return nil },
		entry: func() audit.Entry { return audit.Entry{Event: "tenancy.tenant.exported", Priority: audit.Warning} },
		above: true,
	})
	if err != nil {
		<-s.exports
		return Tenant{}, nil, err
	}
	return t, func(ctx context.Context, w io.Writer) error {
		defer func() { <-s.exports }()
		ctx, cancel := context.WithTimeout(ctx, exportTimeout)
		defer cancel()
		return s.export(ctx, t, w)
	}, nil
}

// fresh is fault.StepUp for people who have not proved themselves lately.
func (s *Service) fresh(ctx context.Context, within time.Duration) error {
	if s.Fresh != nil {
		return s.Fresh(ctx, within)
	}
	a, err := actor.Require(ctx)
	if err == nil && a.Kind == actor.User && time.Since(a.AuthenticatedAt) > within {
		err = fault.New(fault.StepUp, "Sign in again, then repeat this.")
	}
	return err
}

func (s *Service) export(ctx context.Context, t Tenant, w io.Writer) error {
	m := Manifest{Format: exportFormat, Version: exportVersion, CreatedAt: time.Now().UTC(), Tenant: t}
	archive := zip.NewWriter(w)
	err := s.DB.Tenant(ctx, t.ID, func(ctx context.Context) error {
		if err := s.store.snapshot(ctx); err != nil {
			return err
		}
		own, core, err := s.store.exported(ctx)
		if err != nil {
			return err
		}
		if m.Tables, err = s.exportTables(ctx, archive, m, t.ID, own); err != nil {
			return err
		}
		return s.DB.Core(ctx, func(ctx context.Context) error {
			m.Tables, err = s.exportTables(ctx, archive, m, t.ID, core)
			return err
		})
	})
	if err != nil {
		return err // without the manifest and the directory nobody takes it for whole
	}
	file, err := archive.CreateHeader(&zip.FileHeader{Name: "manifest.json", Method: zip.Deflate, Modified: m.CreatedAt})
	if err != nil {
		return err
	}
	out := json.NewEncoder(file)
	out.SetIndent("", "  ")
	if err := out.Encode(m); err != nil {
		return err
	}
	return archive.Close()
}

func (s *Service) exportTables(ctx context.Context, archive *zip.Writer, m Manifest, tenant id.ID, tables []exportTable) ([]ExportedTable, error) {
	all := m.Tables
	for _, table := range tables {
		done := ExportedTable{File: table.file, Omitted: table.omitted}
		file, err := archive.CreateHeader(&zip.FileHeader{Name: table.file, Method: zip.Deflate, Modified: m.CreatedAt})
		if err != nil {
			return nil, err
		}
		sum := sha256.New()
		out := io.MultiWriter(file, sum)
		err = s.store.exportRows(ctx, table, tenant, func(line []byte) error {
			done.Rows++
			_, err := out.Write(append(line, '\n'))
			return err
		})
		if err != nil {
			return nil, err
		}
		done.SHA256 = hex.EncodeToString(sum.Sum(nil))
		all = append(all, done)
	}
	return all, nil
}
