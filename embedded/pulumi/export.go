package pulumi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"
)

// maxImport bounds an imported document, in bytes.
const maxImport = 64 << 20

// Export gives the stack's state as "pulumi stack export" does: JSON that the
// public CLI imports. Secrets in it are encrypted with the stack's passphrase.
func (e *Engine) Export(_ context.Context, r Run) ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	s, err := e.readState(&r)
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{"version": 3, "deployment": s.raw})
}

// Import replaces the stack's state by an exported one. Its secrets have to
// open with the run's passphrase; the engine checks the document's integrity.
func (e *Engine) Import(ctx context.Context, r Run, exported []byte) error {
	if len(exported) > maxImport {
		return fmt.Errorf("the exported state is larger than %d MiB", maxImport>>20)
	}
	var doc struct {
		Version    int             `json:"version"`
		Deployment json.RawMessage `json:"deployment"`
	}
	if err := json.Unmarshal(exported, &doc); err != nil || doc.Version != 3 {
		return errors.New("that is not an exported state of version 3; export it with \"pulumi stack export\"")
	}
	d, err := newDeploymentDoc(doc.Deployment)
	if err != nil {
		return err
	}
	if err := opens(doc.Deployment, r.Passphrase); err != nil {
		return err
	}
	_, err = e.operate(ctx, &r, func(ctx context.Context, o *operation) (Result, error) {
		return Result{}, o.importState(ctx, d)
	})
	return err
}

// opens checks the passphrase against a deployment that has a key.
func opens(deployment json.RawMessage, passphrase string) error {
	var s state
	if err := json.Unmarshal(deployment, &s.doc); err != nil {
		return fmt.Errorf("read the exported state: %w", err)
	}
	if s.doc.SecretsProviders == nil || len(s.doc.SecretsProviders.State) == 0 {
		return nil
	}
	_, err := s.opener(passphrase)
	return err
}

// Outputs gives the stack's outputs as of its last operation, the secret ones
// opened.
func (e *Engine) Outputs(_ context.Context, r Run) (map[string]Output, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	s, err := e.readState(&r)
	if err != nil {
		return nil, err
	}
	out, err := s.outputs(nil)
	if err != nil || !anySecret(out) {
		return out, err
	}
	open, err := s.opener(r.Passphrase)
	if err != nil {
		return nil, err
	}
	return s.outputs(open)
}

func anySecret(out map[string]Output) bool {
	for _, o := range out {
		if o.Secret {
			return true
		}
	}
	return false
}

// Resource is one resource of a stack's state.
type Resource struct {
	URN  string `json:"urn"`
	Type string `json:"type"`
	Name string `json:"name"`
	ID   string `json:"id"`
	// Outputs as last read, secrets masked.
	Outputs map[string]any `json:"outputs"`
}

// Resources lists what the stack's state holds, in the order of creation. A
// stack without state holds nothing.
func (e *Engine) Resources(_ context.Context, r Run) ([]Resource, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	s, err := e.readState(&r)
	if errors.Is(err, ErrNoStack) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []Resource
	for _, res := range s.doc.Resources {
		if isInternal(string(res.Type)) {
			continue
		}
		out, _ := clean(unseal(res.Outputs)).(map[string]any)
		list = append(list, Resource{
			URN: string(res.URN), Type: string(res.Type), Name: nameOf(string(res.URN)), ID: string(res.ID), Outputs: out,
		})
	}
	return list, nil
}

// Update is one past operation on a stack.
type Update struct {
	Kind    string         `json:"kind"`   // update, refresh, destroy, import
	Result  string         `json:"result"` // succeeded, failed, in-progress
	Started time.Time      `json:"started"`
	Ended   time.Time      `json:"ended"`
	Changes map[string]int `json:"changes,omitempty"` // resources by operation
}

// History lists the latest operations on the stack, newest first. Old ones are
// dropped; the record that lasts is the caller's.
func (e *Engine) History(_ context.Context, r Run) ([]Update, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	dir := filepath.Join(e.stateRoot(), "history", r.Project, r.Stack)
	files, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the history of %s: %w", r.key(), err)
	}
	var list []Update
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".history.json") {
			continue
		}
		if u, err := readUpdate(filepath.Join(dir, f.Name())); err == nil {
			list = append(list, u)
		}
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Started.After(list[j].Started) })
	return list, nil
}

func readUpdate(path string) (Update, error) {
	var in struct {
		Kind, Result       string
		StartTime, EndTime int64
		ResourceChanges    map[string]int
	}
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, &in)
	}
	return Update{
		Kind: in.Kind, Result: in.Result, Changes: in.ResourceChanges,
		Started: time.Unix(in.StartTime, 0).UTC(), Ended: time.Unix(in.EndTime, 0).UTC(),
	}, err
}
