package identity

import (
	"context"
	"strings"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/permission"
)

// NewToken is what it takes to make an API token.
type NewToken struct {
	Name   string
	Days   int      // until it expires
	Scopes []string // permission patterns that narrow it; none: everything its owner may
}

const maxScopes = 100

func (n NewToken) valid() (NewToken, error) {
	n.Name = strings.TrimSpace(n.Name)
	if n.Name == "" || len(n.Name) > 100 {
		return n, fault.BadField("body.name", "Give the token a name of at most 100 characters.")
	}
	if n.Days < 1 || n.Days > maxTokenDays {
		return n, fault.BadField("body.expires_in_days", "A token lives 1 to %d days.", maxTokenDays)
	}
	if len(n.Scopes) > maxScopes {
		return n, fault.BadField("body.scopes", "A token has at most %d scopes.", maxScopes)
	}
	for _, scope := range n.Scopes {
		if err := permission.ValidScope(scope); err != nil {
			return n, fault.BadField("body.scopes", "%s", fault.Message(err))
		}
	}
	if n.Scopes == nil {
		n.Scopes = []string{}
	}
	return n, nil
}

// make returns the secret and the token.
func (n NewToken) make() (string, Token) {
	now := time.Now().UTC()
	return TokenPrefix + newToken(), Token{ID: id.New(), Name: n.Name, CreatedAt: now, ExpiresAt: now.AddDate(0, 0, n.Days), Scopes: n.Scopes}
}

func tokenEntry(what string, t Token, details map[string]any) audit.Entry {
	return audit.Entry{
		Event: what, Priority: audit.Notice, Target: audit.Target{Kind: "api_token", ID: t.ID.String(), Name: t.Name}, Details: details,
	}
}

// Tokens lists the actor's API tokens. One that scopes narrow is fault.Forbidden.
func (s *Service) Tokens(ctx context.Context) ([]Token, error) {
	a, err := unnarrowed(ctx)
	if err != nil {
		return nil, err
	}
	all := []Token{}
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		var err error
		all, err = s.store.tokensOf(ctx, a.ID)
		return err
	})
	return all, err
}

// CreateToken makes an API token that acts as the actor in its active tenant.
// The secret is returned once and stored as a hash. A token cannot make
// another: that is fault.Forbidden.
func (s *Service) CreateToken(ctx context.Context, n NewToken) (string, Token, error) {
	a, err := inSession(ctx)
	if err != nil {
		return "", Token{}, err
	}
	if n, err = n.valid(); err != nil {
		return "", Token{}, err
	}
	secret, t := n.make()
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		if err := s.store.addToken(ctx, a.ID, id.ID{}, id.ID{}, a.TenantID, t, hashToken(secret)); err != nil {
			return err
		}
		return s.Audit.Record(ctx, tokenEntry("identity.api-token.created", t, map[string]any{"expires_at": t.ExpiresAt, "scopes": t.Scopes}))
	})
	return secret, t, err
}

// DeleteToken ends one of the actor's API tokens at once, and its sockets. One
// that scopes narrow ends itself only: others are fault.Forbidden.
func (s *Service) DeleteToken(ctx context.Context, token id.ID) error {
	a, err := actor.Require(ctx)
	if err == nil && token != a.Session {
		a, err = unnarrowed(ctx)
	}
	if err != nil {
		return err
	}
	return s.DB.Core(ctx, func(ctx context.Context) error {
		ended, err := s.store.endToken(ctx, a.ID, token)
		if err != nil {
			return err
		}
		if !ended {
			return errNoToken
		}
		if err := s.sessionEnded(ctx, a.ID, token); err != nil {
			return err
		}
		return s.Audit.Record(ctx, tokenEntry("identity.api-token.deleted", Token{ID: token}, nil))
	})
}

var errNoToken = fault.New(fault.NotFound, "This token does not exist.")
