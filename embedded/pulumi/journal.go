package pulumi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"sync"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
)

const (
	keepFiles   = 80              // newest backups and history files of each stack; an update leaves four
	awaitRecord = 3 * time.Second // from a creation's begin to its record in the state
)

// entry is the journal of a stack's last operation that has not ended cleanly.
type entry struct {
	ID      string    `json:"id"` // the mark of its processes
	Op      string    `json:"op"`
	Started time.Time `json:"started"`
	// Uncertain are creations that failed: the provider may have died after it
	// asked for them, and the engine forgets them.
	Uncertain []apitype.OperationV2 `json:"uncertain,omitempty"`
}

func (e *Engine) journalPath(r *Run) string {
	return filepath.Join(e.dir, "runs", r.Project, r.Stack+".json")
}

// journal writes down that an operation starts. It keeps the uncertain
// creations of earlier ones.
func (o *operation) journal(op string) error {
	old, err := o.readJournal(o.run)
	if err != nil {
		return err
	}
	return o.writeJournal(o.run, entry{ID: o.id, Op: op, Started: time.Now().UTC(), Uncertain: old.Uncertain})
}

func (e *Engine) readJournal(r *Run) (entry, error) {
	var j entry
	data, err := os.ReadFile(e.journalPath(r))
	if errors.Is(err, fs.ErrNotExist) {
		return j, nil
	}
	if err != nil {
		return j, fmt.Errorf("read the journal of %s: %w", r.key(), err)
	}
	if err := json.Unmarshal(data, &j); err != nil {
		return j, fmt.Errorf("the journal of %s is damaged: %w", r.key(), err)
	}
	return j, nil
}

func (e *Engine) writeJournal(r *Run, j entry) error {
	data, err := json.Marshal(j)
	if err != nil {
		return fmt.Errorf("write the journal of %s: %w", r.key(), err)
	}
	path := e.journalPath(r)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("write the journal of %s: %w", r.key(), err)
	}
	return writeFile(path, data)
}

// unjournal ends the entry; uncertain creations stay.
func (o *operation) unjournal() error {
	j, err := o.readJournal(o.run)
	if err != nil {
		return err
	}
	if len(j.Uncertain) > 0 {
		j.ID, j.Op = "", ""
		return o.writeJournal(o.run, j)
	}
	err = os.Remove(o.journalPath(o.run))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// creations keeps the engine's record of each creation while it runs. The
// engine drops the record when the creation fails, also when it failed because
// the provider died in the middle and the resource exists.
type creations struct {
	*operation
	mu      sync.Mutex
	wanted  map[string]time.Time // until when to look for the record of a URN
	records map[string]apitype.OperationV2
	looking sync.WaitGroup
}

func (o *operation) watchCreations() *creations {
	return &creations{operation: o, wanted: map[string]time.Time{}, records: map[string]apitype.OperationV2{}}
}

// see takes an event of the operation.
func (c *creations) see(e Event) {
	if e.Planning || isInternal(e.Type) || (e.Op != OpCreate && e.Op != OpReplace) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch e.Kind {
	case KindDone:
		delete(c.wanted, e.URN)
	case KindStarted:
		c.wanted[e.URN] = time.Now().Add(awaitRecord)
		if len(c.wanted) == 1 {
			c.looking.Go(c.look)
		}
	}
}

// look reads the state until the wanted records were in it.
func (c *creations) look() {
	for {
		s, err := c.readState(c.run)
		c.mu.Lock()
		for urn, until := range c.wanted {
			if err == nil {
				if op := s.pending(urn); op != nil {
					c.records[urn] = *op
					until = time.Time{}
				}
			}
			if time.Now().After(until) {
				delete(c.wanted, urn)
			}
		}
		left := len(c.wanted)
		c.mu.Unlock()
		if left == 0 {
			return
		}
		time.Sleep(15 * time.Millisecond)
	}
}

func (s *state) pending(urn string) *apitype.OperationV2 {
	for i := range s.doc.PendingOperations {
		if op := &s.doc.PendingOperations[i]; string(op.Resource.URN) == urn && op.Type == apitype.OperationTypeCreating {
			return op
		}
	}
	return nil
}

// end stops looking. A second time it does nothing.
func (c *creations) end() {
	c.mu.Lock()
	clear(c.wanted)
	c.mu.Unlock()
	c.looking.Wait()
}

// settle compares with the state after the operation: a creation that is in it
// neither as a resource nor as pending is uncertain and goes to the journal;
// one that is in it now is uncertain no longer.
func (c *creations) settle(s *state) error {
	c.end()
	j, err := c.readJournal(c.run)
	if err != nil {
		return err
	}
	before := len(j.Uncertain)
	for _, op := range j.Uncertain {
		if urn := string(op.Resource.URN); c.records[urn].Type == "" {
			c.records[urn] = op
		}
	}
	j.Uncertain = nil
	for _, urn := range sortedKeys(c.records) {
		if s.find(urn) == nil && s.pending(urn) == nil {
			j.Uncertain = append(j.Uncertain, c.records[urn])
		}
	}
	if before == 0 && len(j.Uncertain) == 0 {
		return nil
	}
	return c.writeJournal(c.run, j)
}

// trim bounds what the CLI leaves behind: logs, checkpoint backups, history,
// and our own plans.
func (o *operation) trim() {
	r := o.run
	for _, dir := range []string{
		filepath.Join(o.stateRoot(), "backups", r.Project, r.Stack),
		filepath.Join(o.stateRoot(), "history", r.Project, r.Stack),
		filepath.Join(o.home(), "logs"),
		filepath.Dir(o.planPath("x")),
	} {
		if err := keepNewest(dir, keepFiles); err != nil {
			o.log.Warn("old files of the Pulumi engine cannot be removed", "dir", dir, "error", err)
		}
	}
}

// keepNewest removes all but the newest files of a directory.
func keepNewest(dir string, limit int) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || len(entries) <= limit {
		return nil
	}
	if err != nil {
		return err
	}
	age := func(e fs.DirEntry) time.Time {
		info, err := e.Info()
		if err != nil {
			return time.Time{}
		}
		return info.ModTime()
	}
	sort.Slice(entries, func(i, j int) bool { return age(entries[i]).After(age(entries[j])) })
	var errs []error
	for _, old := range entries[limit:] {
		if old.Type().IsRegular() {
			errs = append(errs, os.Remove(filepath.Join(dir, old.Name())))
		}
	}
	return errors.Join(errs...)
}
