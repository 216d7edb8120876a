package identity

import (
	"context"

	"nimbus/appliance/id"
)

// PasswordPolicy is what a tenant asks of its people's passwords.
type PasswordPolicy struct {
	MinLength int  // characters
	History   int  // how many earlier passwords cannot be used again
	Breached  bool // refuse passwords that are known to attackers
}

// shortest is the least that any tenant can ask for (NIST SP 800-63B).
const shortest = 8

var defaultPasswords = PasswordPolicy{MinLength: 12, History: 5, Breached: true}

// passwordPolicy is what a tenant asks; a person in several tenants needs what
// the strictest asks, see strictest.
func (s *Service) passwordPolicy(ctx context.Context, tenant id.ID) (PasswordPolicy, error) {
	if s.Policy == nil {
		return defaultPasswords, nil
	}
	p, err := s.Policy(ctx, tenant)
	p.MinLength = max(p.MinLength, shortest)
	return p, err
}
