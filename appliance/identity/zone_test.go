package identity_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"nimbus/appliance/id"
	"nimbus/appliance/identity"
)

// TestMailsTellTimesWhereTheTenantIs: with the offset, and in UTC where no zone was chosen.
func TestMailsTellTimesWhereTheTenantIs(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	vienna, err := time.LoadLocation("Europe/Vienna")
	if err != nil {
		t.Fatal(err)
	}
	said := ""
	b.Mail = func(_ context.Context, _ []string, _, text string) error { said = text; return nil }
	at := time.Date(2026, 7, 1, 22, 30, 0, 0, time.UTC)
	invitation := identity.Invitation{TenantID: id.New(), ExpiresAt: at}
	b.MailInvitation(t.Context(), invitation, "link")
	if !strings.Contains(said, "until 1 July 2026, 22:30 UTC.") {
		t.Errorf("without a zone: %s", said)
	}
	b.Zone = func(_ context.Context, tenant id.ID) *time.Location {
		if tenant == invitation.TenantID {
			return vienna
		}
		return time.UTC
	}
	b.MailInvitation(t.Context(), invitation, "link")
	if !strings.Contains(said, "until 2 July 2026, 00:30 UTC+02:00.") {
		t.Errorf("in Vienna: %s", said)
	}
	b.MailReset(t.Context(), identity.Reset{ExpiresAt: at})
	if !strings.Contains(said, "until 1 July 2026, 22:30 UTC.") {
		t.Errorf("to somebody elsewhere: %s", said)
	}
}
