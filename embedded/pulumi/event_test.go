package pulumi

import (
	"errors"
	"testing"
)

// TestSilentRunIsNoSuccess: without the event log a plan would be empty, and an
// empty plan needs no approval.
func TestSilentRunIsNoSuccess(t *testing.T) {
	c := newCollector(nil)
	c.line([]byte("not an event"))
	if err := c.heard("preview"); !errors.Is(err, ErrEngineFailed) {
		t.Errorf("a silent run: %v", err)
	}
	c.line([]byte(`{"sequence":0,"timestamp":1,"preludeEvent":{"config":{}}}`))
	if err := c.heard("preview"); !errors.Is(err, ErrEngineFailed) {
		t.Errorf("a run of which the end was not heard: %v", err)
	}
	c.line([]byte(`{"sequence":1,"timestamp":1,"summaryEvent":{"maybeCorrupt":false,"durationSeconds":1,"resourceChanges":{}}}`))
	if err := c.heard("preview"); err != nil {
		t.Errorf("a run with nothing to do: %v", err)
	}
}
