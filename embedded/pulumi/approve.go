package pulumi

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// planFile is what Preview remembers of a plan: with the state it was made on,
// Up need not preview again to know that it still holds.
type planFile struct {
	Base string `json:"base"` // SHA-256 of the state file
	Plan Plan   `json:"plan"`
}

func (o *operation) planPath(digest string) string {
	return filepath.Join(o.dir, "plans", o.run.Project, o.run.Stack, filepath.Base(digest)+".json")
}

func (o *operation) savePlan(p Plan) error {
	s, err := o.readState(o.run)
	if err != nil {
		return err
	}
	data, err := json.Marshal(planFile{Base: s.sum, Plan: p})
	if err != nil {
		return fmt.Errorf("keep the plan: %w", err)
	}
	path := o.planPath(p.Digest)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("keep the plan: %w", err)
	}
	return writeFile(path, data)
}

// approved gives the plan that the expected digest stands for, or
// ErrPlanChanged. The engine is deterministic: the same program, configuration
// and state give the same plan, so it is previewed again only when the state is
// another one or reality is to be read first.
func (o *operation) approved(ctx context.Context) (*Plan, error) {
	s, err := o.readState(o.run)
	if err != nil {
		return nil, err
	}
	var f planFile
	data, err := os.ReadFile(o.planPath(o.run.ExpectDigest))
	if err == nil && json.Unmarshal(data, &f) == nil && f.Base == s.sum &&
		!o.run.Refresh && digest(o.run, f.Plan) == o.run.ExpectDigest {
		return &f.Plan, nil
	}
	res, err := o.preview(ctx, nil)
	if err != nil {
		return nil, err
	}
	if res.Plan.Digest != o.run.ExpectDigest {
		return nil, &Error{Op: "approve", Kind: ErrPlanChanged}
	}
	return &res.Plan, nil
}

// allows tells whether a step that begins is one of the plan.
func (p *Plan) allows(e Event) bool {
	if e.Kind != KindStarted || e.Op == OpSame || e.Op == OpRead || e.Op == OpRefresh ||
		isInternal(e.Type) {
		return true
	}
	for _, c := range p.Changes {
		if c.URN == e.URN {
			return c.Op == e.Op
		}
	}
	return false
}

// writeFile replaces a file in one step, so that a crash leaves the old or the
// new one.
func writeFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if _, err := f.Write(data); err != nil {
		f.Close()
		return err
	}
	if err := f.Sync(); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
