package identity

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// Permissions of SCIM tokens. Who makes one lets a directory make people and
// fill its groups, with all that these groups were given: see NewSCIMToken.
const (
	ReadSCIMToken   = "identity:scim-token:read"
	CreateSCIMToken = "identity:scim-token:create"
	DeleteSCIMToken = "identity:scim-token:delete"
)

// SCIMTokenPrefix begins every token of a directory.
const SCIMTokenPrefix = "nsc_"

// maxSCIMTokenDays is longer than for people: a directory that stops silently
// is no safer.
const maxSCIMTokenDays = 730

// SCIMToken lets a directory provision one tenant. The secret is not in it.
type SCIMToken struct {
	ID         id.ID      `json:"id"`
	Name       string     `json:"name"`
	CreatedAt  time.Time  `json:"created_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
	ExpiresAt  time.Time  `json:"expires_at"`
}

// SCIMTokens lists the tokens of the actor's tenant.
func (s *Service) SCIMTokens(ctx context.Context) ([]SCIMToken, error) {
	a, err := s.authorise(ctx, ReadSCIMToken)
	if err != nil {
		return nil, err
	}
	var all []SCIMToken
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		all, err = scimStore{}.tokens(ctx, a.TenantID)
		return err
	})
	return all, err
}

// NewSCIMToken makes a token of the actor's tenant. The secret is returned
// once and stored as a hash. Who may do less than a group that directories keep
// gets fault.Forbidden: with the token they could put themselves into it.
func (s *Service) NewSCIMToken(ctx context.Context, name string, days int) (string, SCIMToken, error) {
	a, err := s.authorise(ctx, CreateSCIMToken)
	if err != nil {
		return "", SCIMToken{}, err
	}
	name = strings.TrimSpace(name)
	if name == "" || utf8.RuneCountInString(name) > 100 {
		return "", SCIMToken{}, fault.BadField("body.name", "Give the token a name of at most 100 characters, such as that of the directory.")
	}
	if days < 1 || days > maxSCIMTokenDays {
		return "", SCIMToken{}, fault.BadField("body.expires_in_days", "A SCIM token lives 1 to %d days.", maxSCIMTokenDays)
	}
	if err := s.coversDirectory(ctx, a.TenantID); err != nil {
		return "", SCIMToken{}, err
	}
	now := time.Now().UTC()
	secret := SCIMTokenPrefix + newToken()
	t := SCIMToken{ID: id.New(), Name: name, CreatedAt: now, ExpiresAt: now.AddDate(0, 0, days)}
	err = s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		err := s.DB.Core(ctx, func(ctx context.Context) error {
			return scimStore{}.addToken(ctx, a.TenantID, t, hashToken(secret))
		})
		if err != nil {
			return err
		}
		return s.Audit.Record(ctx, audit.Entry{
			Event: "identity.scim-token.created", Priority: audit.Notice, Target: scimTokenTarget(t.ID, t.Name),
			Details: map[string]any{"expires_at": t.ExpiresAt},
		})
	})
	return secret, t, err
}

// coversDirectory fails unless the actor may do all that groups of directories
// may, and all that is denied to them.
func (s *Service) coversDirectory(ctx context.Context, tenant id.ID) error {
	var groups []id.ID
	err := s.DB.Tenant(ctx, tenant, func(ctx context.Context) (err error) {
		groups, err = scimStore{}.allGroups(ctx)
		return err
	})
	for _, group := range groups {
		if err == nil {
			err = s.Permissions.Covers(ctx, Group{ID: group}.subject())
		}
		if err == nil {
			err = s.Permissions.Releases(ctx, Group{ID: group}.subject())
		}
	}
	return err
}

// EndSCIMToken ends a token of the actor's tenant at once.
func (s *Service) EndSCIMToken(ctx context.Context, token id.ID) error {
	a, err := s.authorise(ctx, DeleteSCIMToken)
	if err != nil {
		return err
	}
	return s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		var name string
		err := s.DB.Core(ctx, func(ctx context.Context) error {
			name, err = scimStore{}.endToken(ctx, a.TenantID, token)
			return err
		})
		if err != nil {
			return err
		}
		return s.Audit.Record(ctx, audit.Entry{
			Event: "identity.scim-token.deleted", Priority: audit.Notice, Target: scimTokenTarget(token, name),
		})
	})
}

func scimTokenTarget(token id.ID, name string) audit.Target {
	return audit.Target{Kind: "scim_token", ID: token.String(), Name: name}
}

// AuthenticateSCIM returns a context in which a directory acts with its token,
// or fault.Unauthenticated. It is for the SCIM handler alone.
func (s *Service) AuthenticateSCIM(ctx context.Context, token, address, requestID string) (context.Context, error) {
	refused := fault.New(fault.Unauthenticated, "This SCIM token is not valid, or it has expired.")
	if !strings.HasPrefix(token, SCIMTokenPrefix) {
		return nil, refused
	}
	var a actor.Actor
	err := s.DB.Core(ctx, func(ctx context.Context) error {
		var err error
		a, err = scimStore{}.liveToken(ctx, hashToken(token))
		return err
	})
	if fault.Is(err, fault.NotFound) {
		return nil, refused
	}
	a.Name, a.Address, a.RequestID = "SCIM: "+a.Name, address, requestID
	return actor.With(ctx, a), err
}
