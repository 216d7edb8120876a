package appliance

import (
	"context"
	"errors"
	"time"

	"go.temporal.io/api/serviceerror"
)

const (
	patience   = 10 * time.Minute
	askedAgain = time.Second
)

// patiently does something that may be done twice, again as long as Temporal does not
// answer in the ten seconds that its client waits: a server that just started on a slow
// machine is still filling its caches. Any other answer is the last one.
func patiently(ctx context.Context, do func() error) error {
	for end := time.Now().Add(patience); ; {
		err := do()
		if !unanswered(err) || time.Now().After(end) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(askedAgain):
		}
	}
}

func unanswered(err error) bool {
	late, away := (*serviceerror.DeadlineExceeded)(nil), (*serviceerror.Unavailable)(nil)
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &late) || errors.As(err, &away)
}
