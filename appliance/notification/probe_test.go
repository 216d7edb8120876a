package notification

import (
	"strings"
	"testing"

	"nimbus/appliance/fault"
)

// TestProbeSendsNothing signs in at a server and leaves; one that is away is
// said, and so is that there is none.
func TestProbeSendsNothing(t *testing.T) {
	t.Parallel()
	s, ctx, _ := newService(t)
	if err := s.Probe(ctx); !fault.Is(err, fault.Conflict) {
		t.Errorf("without a server: %v", err)
	}
	server := serve(t)
	password := "secret password"
	_, err := s.SetMail(ctx, server.mail(), &password)
	must(t, err)
	if err := s.Probe(ctx); err != nil {
		t.Errorf("%v", err)
	}
	must(t, server.Close())
	if err := s.Probe(ctx); !fault.Is(err, fault.Unavailable) || strings.Contains(err.Error(), password) {
		t.Errorf("a server that is away: %v", err)
	}
	if len(server.taken) != 0 {
		t.Error("a message was sent")
	}
}
