package cmd

import (
	"errors"
	"fmt"
	"testing"

	"nimbus/appliance/fault"
)

// TestExplainGoesToTheFirstCause: what a message tells already is not said again, and
// what nobody told yet is.
func TestExplainGoesToTheFirstCause(t *testing.T) {
	first := errors.New("permission denied to create database")
	refused := fault.Wrap(fault.Internal, first, "The database refused an operation.")
	for want, err := range map[string]error{
		"plain": errors.New("plain"),
		"The move stopped: The database refused an operation.: permission denied to create database":  fault.Wrap(fault.Internal, refused, "The move stopped: %s", refused.Message),
		"It failed: schema: The database refused an operation.: permission denied to create database": fault.Wrap(fault.Internal, fmt.Errorf("schema: %w", refused), "It failed"),
		"It failed: plain":           fault.Wrap(fault.Internal, errors.New("plain"), "It failed: plain"),
		"Nothing is behind it.":      fault.New(fault.Invalid, "Nothing is behind it."),
		"wrapped: Nothing is behind": fmt.Errorf("wrapped: %w", errors.New("Nothing is behind")),
	} {
		if got := explain(err); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}
