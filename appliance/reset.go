package appliance

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"nimbus/appliance/durable"
	"nimbus/appliance/fault"
	"nimbus/embedded/postgres"
)

// Deletion is one entry of the data directory that a factory reset deletes.
type Deletion struct {
	Name  string
	Bytes int64
}

// Reset is what a factory reset is about to do.
type Reset struct {
	// Name is the appliance's, empty before the first run.
	Name string
	Dir  string
	// External is set when the data lies in a database that is not ours: a
	// reset does not touch it.
	External bool
	// Shared is the folder that other nodes use too, when there is one. It is
	// not touched either.
	Shared  string
	Deletes []Deletion
	Keeps   []string
}

// resetMarker tells that a reset was begun: what is left of the data directory
// is of no use, and nothing may start on it. keptMarker beside it tells that it was
// agreed that the backups stay. Both are empty: a full disk takes them.
const (
	resetMarker = "factory-reset"
	keptMarker  = "factory-reset-keeps-backups"
)

// backupsDir is where backups to this machine lie unless told otherwise.
const backupsDir = "backups"

var errHalfReset = fault.New(fault.Conflict, "A factory reset of this data directory was interrupted. Run `nimbus factory-reset` again to finish it.")

// FactoryReset deletes all data of the appliance in cfg.DataDir, after confirm
// agreed to it. It returns ErrInUse while the appliance runs. One that was
// interrupted goes on without asking again, with what was agreed to, and until then
// nothing starts.
func FactoryReset(ctx context.Context, cfg Config, keepBackups bool, confirm func(Reset) error) error {
	a := New(cfg)
	half, err := a.takeForReset()
	if err != nil {
		return err
	}
	defer a.lock.Close()
	if half {
		keepBackups = keepBackups || a.agreedToKeep()
	} else {
		plan, err := a.planReset(ctx, keepBackups)
		if err == nil {
			err = confirm(plan)
		}
		if err != nil {
			return err
		}
	}
	if err := postgres.EndOrphan(ctx, filepath.Join(a.cfg.DataDir, "postgres"), a.cfg.Logger); err != nil {
		return err
	}
	return a.deleteAll(keepBackups)
}

// agreedToKeep tells whether the backups stay in the reset that was interrupted.
func (a *Appliance) agreedToKeep() bool {
	_, err := os.Lstat(filepath.Join(a.cfg.DataDir, keptMarker))
	return err == nil
}

// takeForReset locks a data directory that there is, and tells whether a reset
// of it was begun.
func (a *Appliance) takeForReset() (half bool, err error) {
	if _, err := os.Stat(filepath.Join(a.cfg.DataDir, "lock")); err != nil {
		return false, fault.New(fault.NotFound, "There is no appliance in %s. Name its data directory with --data-dir.", a.cfg.DataDir)
	}
	err = a.takeDirectory()
	switch {
	case errors.Is(err, errHalfReset):
		return true, nil
	case errors.Is(err, errHalfJoin): // which a reset gives up
		return false, nil
	}
	return false, err
}

// planReset reads what the operator should know before saying yes.
func (a *Appliance) planReset(ctx context.Context, keepBackups bool) (Reset, error) {
	if err := a.openLocal(ctx); err != nil {
		return Reset{}, err
	}
	s := a.settings.Load()
	r := Reset{Name: s.Name, Dir: a.cfg.DataDir, External: s.Database.External || a.cfg.DatabaseURL != "", Shared: a.cfg.SharedDir}
	if err := a.front.Stop(ctx); err != nil {
		return Reset{}, err
	}
	entries, err := os.ReadDir(a.cfg.DataDir)
	for _, e := range entries {
		switch {
		case e.Name() == "lock":
		case keepBackups && e.Name() == backupsDir:
			r.Keeps = append(r.Keeps, e.Name())
		default:
			r.Deletes = append(r.Deletes, Deletion{Name: e.Name(), Bytes: size(filepath.Join(a.cfg.DataDir, e.Name()))})
		}
	}
	return r, err
}

// size adds up the files below path, as far as they can be read.
func size(path string) (bytes int64) {
	_ = filepath.WalkDir(path, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return nil //nolint:nilerr // what cannot be read is deleted all the same
		}
		if info, err := e.Info(); err == nil {
			bytes += info.Size()
		}
		return nil
	})
	return bytes
}

// deleteAll deletes everything but the lock, the keys first: without them
// nothing that is left can be read.
func (a *Appliance) deleteAll(keepBackups bool) error {
	markers := []string{resetMarker}
	if keepBackups {
		markers = []string{keptMarker, resetMarker}
	}
	for _, name := range markers {
		if err := durable.Write(filepath.Join(a.cfg.DataDir, name), nil); err != nil { // on the disk before anything is gone
			return err
		}
	}
	entries, err := os.ReadDir(a.cfg.DataDir)
	if err != nil {
		return err
	}
	names := []string{"keys"}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	keep := append([]string{"lock"}, markers...)
	if keepBackups {
		keep = append(keep, backupsDir)
	}
	var errs []error
	for _, name := range names {
		if !slices.Contains(keep, name) {
			errs = append(errs, remove(filepath.Join(a.cfg.DataDir, name)))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, name := range slices.Backward(markers) {
		errs = append(errs, durable.Remove(filepath.Join(a.cfg.DataDir, name)))
	}
	return errors.Join(errs...)
}

// remove deletes path with all below it; a file system that is mounted there
// is emptied and stays.
func remove(path string) error {
	err := os.RemoveAll(path)
	if errors.Is(err, unix.EBUSY) {
		if left, listing := os.ReadDir(path); listing == nil && len(left) == 0 {
			return nil
		}
	}
	return err
}
