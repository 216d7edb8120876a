package appliance

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"go.temporal.io/api/serviceerror"
)

// TestALateAnswerIsAwaited: what was not answered is asked again; a refusal is not.
func TestALateAnswerIsAwaited(t *testing.T) {
	t.Parallel()
	refused := errors.New("refused")
	answers := []error{serviceerror.NewUnavailable("starting"), fmt.Errorf("make a schedule: %w", serviceerror.NewDeadlineExceeded("late")), refused, nil}
	asked := 0
	err := patiently(t.Context(), func() error { asked++; return answers[asked-1] })
	if !errors.Is(err, refused) || asked != 3 {
		t.Errorf("asked %d times, the last answer was %v", asked, err)
	}
	ctx, stop := context.WithCancel(t.Context())
	err = patiently(ctx, func() error { stop(); return serviceerror.NewUnavailable("starting") })
	if err == nil {
		t.Error("a stop hides that there was no answer")
	}
}
