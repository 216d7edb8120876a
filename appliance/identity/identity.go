// Package identity knows the people: local accounts, their memberships in
// tenants, sign-in, sessions and API tokens.
//
// Passwords are hashed with argon2id (RFC 9106). Session and API tokens are
// 256 random bits; only their SHA-256 is stored.
package identity

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/mail"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"nimbus/appliance/db"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/permission"
)

// How long things live.
const (
	maxTokenDays = 365
)

// TokenPrefix begins every API token, so that leaked ones can be found.
const TokenPrefix = "nbt_"

// Status of an account.
type Status string

// The statuses.
const (
	Active   Status = "active"
	Disabled Status = "disabled"
)

// Source says who keeps a membership or a group.
type Source string

// The sources. What is not Local is kept by a provider or a directory.
const (
	Local    Source = "local"
	FromOIDC Source = "oidc"
	FromSAML Source = "saml"
	FromSCIM Source = "scim"
)

// User is a person as a member of one tenant.
type User struct {
	ID           id.ID             `json:"id"`
	Name         string            `json:"name"`
	Email        string            `json:"email"`
	Status       Status            `json:"status" enum:"active,disabled"`
	Source       Source            `json:"source" enum:"local,oidc,saml,scim"`
	MFA          bool              `json:"mfa" doc:"Has a second factor."`
	Emergency    bool              `json:"emergency" doc:"The emergency administrator, whom nobody else can change."`
	Roles        []permission.Role `json:"roles"`
	Groups       []GroupName       `json:"groups"`
	LastSignInAt *time.Time        `json:"last_sign_in_at"`
	CreatedAt    time.Time         `json:"created_at"`
}

// GroupName is a group as others show it.
type GroupName struct {
	ID   id.ID  `json:"id"`
	Name string `json:"name"`
}

// Token is an API token without its secret.
type Token struct {
	ID         id.ID      `json:"id"`
	Name       string     `json:"name"`
	CreatedAt  time.Time  `json:"created_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
	ExpiresAt  time.Time  `json:"expires_at"`
	Scopes     []string   `json:"scopes" doc:"Permission patterns that narrow it; none: everything its owner may."`
}

// newToken returns 256 random bits as text.
func newToken() string {
	raw := make([]byte, 32)
	rand.Read(raw)
	return base64.RawURLEncoding.EncodeToString(raw)
}

func hashToken(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// missing tells a row that is not there, inside a transaction and outside.
func missing(err error) bool { return fault.Is(db.Fault(err), fault.NotFound) }

// becomesAnother tells an address that is another one in small letters: some
// letters, such as the Kelvin sign, become plain ones, and whoever has such an
// address would pass for somebody else.
func becomesAnother(email string) bool {
	return strings.ContainsFunc(email, func(r rune) bool { return r >= utf8.RuneSelf && unicode.ToLower(r) < utf8.RuneSelf })
}

func validPerson(name, email string) (string, string, error) {
	name, email = strings.TrimSpace(name), strings.TrimSpace(email)
	if name == "" || utf8.RuneCountInString(name) > 100 {
		return "", "", fault.BadField("body.name", "Give a name of at most 100 characters.")
	}
	address, err := mail.ParseAddress(email)
	if err != nil || address.Address != email || len(email) > 254 || becomesAnother(email) {
		return "", "", fault.BadField("body.email", "%q is not an e-mail address.", email)
	}
	return name, email, nil
}
