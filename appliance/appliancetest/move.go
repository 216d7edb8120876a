package appliancetest

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"nimbus/appliance"
)

// Move moves an appliance in a process of its own. It returns nil when that was
// killed, as it was told.
func Move(t testing.TB, c Child) *appliance.MoveReport {
	t.Helper()
	p := Launch(t, c)
	var report appliance.MoveReport
	told := json.NewDecoder(p.out).Decode(&report)
	err := p.command.Wait()
	if status, ok := p.command.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() && c.KillAt != "" {
		return nil
	}
	if err = errors.Join(err, told); err != nil {
		t.Fatalf("the move, to be killed at %q: %v", c.KillAt, err)
	}
	return &report
}

// move moves an appliance and tells the report.
func (c Child) move(ctx context.Context, a *appliance.Appliance) error {
	report, err := a.MoveOut(ctx, *c.Move, func(stage string, _ int) {
		if c.KillAt != "" && strings.HasPrefix(stage, c.KillAt) {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
	})
	if err = errors.Join(err, a.Stop(ctx)); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(report)
}
