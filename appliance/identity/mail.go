package identity

import (
	"context"
	"errors"
	"fmt"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/db"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// Mailed tells whether a link has been mailed to the person it is for. When it
// has not, whoever made it hands it over.
type Mailed struct {
	Mailed bool   `json:"mailed"`
	Error  string `json:"mail_error" doc:"Why it was not mailed; empty when it was, or when there is no mail server."`
}

// mail sends a text to one address after the change it tells of is committed.
// A mail server that refuses undoes nothing.
func (s *Service) mail(ctx context.Context, to, subject, text string) Mailed {
	if s.Mail == nil {
		return Mailed{}
	}
	err := s.Mail(db.Apart(ctx), []string{to}, subject, text)
	var f *fault.Error
	switch {
	case err == nil:
		return Mailed{Mailed: true}
	case errors.As(err, &f) && f.Kind == fault.Conflict: // no mail server
		return Mailed{}
	}
	s.Logger.Warn("a link could not be mailed", "error", err)
	return Mailed{Error: fault.Message(err)}
}

// MailInvitation mails the link of an invitation that was just made.
func (s *Service) MailInvitation(ctx context.Context, i Invitation, link string) Mailed {
	return s.mail(ctx, i.Email, "You are invited to Nimbus", fmt.Sprintf(`Hello %s,

%s invites you to join Nimbus. Open this link to accept:

%s

It works once, until %s.
If you do not expect this invitation, ignore this message.
`, i.Name, i.InvitedBy, link, s.until(ctx, i.TenantID, i.ExpiresAt)))
}

// MailReset mails the link of a reset that was just made to the person's address.
func (s *Service) MailReset(ctx context.Context, r Reset) Mailed {
	a, _ := actor.From(ctx)
	return s.mail(ctx, r.Email, "Choose a new password for Nimbus", fmt.Sprintf(`Hello %s,

an administrator made this link for you. Open it to choose a new password:

%s

It works once, until %s.
`, r.Name, r.Link, s.until(ctx, a.TenantID, r.ExpiresAt)))
}

// until says a moment in a tenant's time zone.
func (s *Service) until(ctx context.Context, tenant id.ID, at time.Time) string {
	zone := time.UTC
	if s.Zone != nil {
		zone = s.Zone(ctx, tenant)
	}
	if at = at.In(zone); zone == time.UTC {
		return at.Format("2 January 2006, 15:04 UTC")
	}
	return at.Format("2 January 2006, 15:04 UTC-07:00")
}
