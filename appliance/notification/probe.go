package notification

import (
	"context"

	"nimbus/appliance/fault"
)

// Probe signs in at the mail server and sends nothing. It returns
// fault.Conflict when none is set up, and fault.Unavailable with what the server
// said. It asks nobody: whoever calls it has.
func (s *Service) Probe(ctx context.Context) error {
	m, sealed, err := s.settings(ctx)
	if err != nil {
		return err
	}
	if !m.Configured() {
		return fault.New(fault.Conflict, "There is no mail server yet. The provider sets one up under System, Mail.")
	}
	password, err := s.open(ctx, sealed)
	if err != nil {
		return err
	}
	client, err := dialer(m, password)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "The mail settings cannot be used: %v", err)
	}
	ctx, cancel := context.WithTimeout(ctx, smtpTimeout)
	defer cancel()
	if err := client.DialWithContext(ctx); err != nil {
		return fault.Wrap(fault.Unavailable, err, "The mail server %s does not take our sign-in: %s", m.Host, cause(err))
	}
	_ = client.Close() // it has said that we may
	return nil
}
