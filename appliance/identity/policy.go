package identity

import (
	"context"
	"strings"
	"unicode/utf8"

	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// PasswordPolicy is what a tenant asks of its people's passwords.
type PasswordPolicy struct {
	MinLength int  // characters
	History   int  // how many earlier passwords cannot be used again
	Breached  bool // refuse passwords that are known to attackers
}

// Bounds of what a tenant can ask for. The shortest is that of NIST SP 800-63B;
// each password of the history costs a hash when one is changed.
const (
	shortest    = 8
	longest     = 200
	mostHistory = 24
)

var defaultPasswords = PasswordPolicy{MinLength: 12, History: 5, Breached: true}

// passwordPolicy is what the strictest of some tenants asks.
func (s *Service) passwordPolicy(ctx context.Context, tenants ...id.ID) (PasswordPolicy, error) {
	if s.Policy == nil || len(tenants) == 0 {
		return defaultPasswords, nil
	}
	all := PasswordPolicy{MinLength: shortest}
	for _, tenant := range tenants {
		p, err := s.Policy(ctx, tenant)
		if err != nil {
			return p, err
		}
		all.MinLength = min(max(all.MinLength, p.MinLength), longest)
		all.History = min(max(all.History, p.History), mostHistory)
		all.Breached = all.Breached || p.Breached
	}
	return all, nil
}

// ValidPassword checks a new password by the rules that hold where no tenant
// asks for others: see PasswordPolicy.
func ValidPassword(password, email string) error { return defaultPasswords.check(password, email) }

// check returns fault.Invalid for a password that does not fit. Length counts,
// composition does not, as NIST SP 800-63B advises.
func (p PasswordPolicy) check(password, email string) error {
	local, _, _ := strings.Cut(strings.ToLower(email), "@")
	lower := strings.ToLower(password)
	switch n := utf8.RuneCountInString(password); {
	case n < p.MinLength:
		return fault.BadField("body.password", "A password has at least %d characters. A sentence of four words is good.", p.MinLength)
	case n > longest:
		return fault.BadField("body.password", "A password has at most %d characters.", longest)
	case p.Breached && guessable(password):
		return fault.BadField("body.password", "This password is among the first that are tried. Choose another.")
	case lower == strings.ToLower(email) || len(local) >= 6 && strings.HasPrefix(lower, local):
		return fault.BadField("body.password", "Do not use your e-mail address as password.")
	}
	return nil
}

// newHash checks a new password of an account by the policy of its tenants and
// its history, and hashes it. It is called outside transactions: hashing takes
// long.
func (s *Service) newHash(ctx context.Context, acc account, password string) (string, error) {
	var policy PasswordPolicy
	var used []string
	err := s.DB.Core(ctx, func(ctx context.Context) error {
		tenants, err := s.store.tenantsOf(ctx, acc.ID)
		if err != nil {
			return err
		}
		if policy, err = s.passwordPolicy(ctx, tenants...); err != nil {
			return err
		}
		used, err = s.store.passwordsOf(ctx, acc.ID, policy.History)
		return err
	})
	if err == nil {
		err = policy.check(password, acc.Email)
	}
	if err != nil {
		return "", err
	}
	if policy.History > 0 {
		used = append(used, acc.Hash)
	}
	for _, hash := range used {
		if passwordMatches(hash, password) {
			return "", fault.BadField("body.password", "You have used this password before. Choose another.")
		}
	}
	return hashPassword(password), nil
}

// setPassword stores a new hash and keeps the one before in the history.
func (s *Service) setPassword(ctx context.Context, acc account, hash string) error {
	if acc.Hash != "" {
		if err := s.store.keepPassword(ctx, acc.ID, acc.Hash, mostHistory); err != nil {
			return err
		}
	}
	return s.store.setPassword(ctx, acc.ID, hash)
}
