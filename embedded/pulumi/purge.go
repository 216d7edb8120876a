package pulumi

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

var projectName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// RemoveProject removes the state, its backups and history, the plans, the
// journals, and the working files of every stack of a project. One that has none is not an error. Nothing
// may be running on its stacks.
func (e *Engine) RemoveProject(project string) error {
	if !projectName.MatchString(project) {
		return fmt.Errorf("%q is not the name of a project", project)
	}
	var errs []error
	for _, kind := range []string{"stacks", "backups", "history", filepath.Join("locks", "organization")} {
		errs = append(errs, os.RemoveAll(filepath.Join(e.stateRoot(), kind, project)))
	}
	for _, kind := range []string{"work", "plans", "runs"} {
		errs = append(errs, os.RemoveAll(filepath.Join(e.dir, kind, project)))
	}
	return errors.Join(errs...)
}
