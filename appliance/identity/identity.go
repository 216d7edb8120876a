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
	"unicode/utf8"

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

// User is a person as a member of one tenant.
type User struct {
	ID           id.ID             `json:"id"`
	Name         string            `json:"name"`
	Email        string            `json:"email"`
	Status       Status            `json:"status"`
	Roles        []permission.Role `json:"roles"`
	LastSignInAt *time.Time        `json:"last_sign_in_at"`
	CreatedAt    time.Time         `json:"created_at"`
}

// Token is an API token without its secret.
type Token struct {
	ID         id.ID      `json:"id"`
	Name       string     `json:"name"`
	CreatedAt  time.Time  `json:"created_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
	ExpiresAt  time.Time  `json:"expires_at"`
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

// common are passwords that attackers try first and that are long enough to
// pass the length rule.
var common = map[string]bool{
	"password1234": true, "passwordpassword": true, "123456789012": true, "1234567890123": true,
	"qwertyuiop12": true, "administrator": true, "adminadminadmin": true, "proxmoxproxmox": true,
	"letmeinletmein": true, "iloveyou1234": true, "welcome12345": true, "changeme1234": true,
}

// ValidPassword checks a new password: 12 to 200 characters, not a common one,
// not the person's own address. The rules follow NIST SP 800-63B: length
// counts, composition does not.
func ValidPassword(password, email string) error {
	local, _, _ := strings.Cut(strings.ToLower(email), "@")
	lower := strings.ToLower(password)
	switch n := utf8.RuneCountInString(password); {
	case n < 12:
		return fault.BadField("body.password", "A password has at least 12 characters. A sentence of four words is good.")
	case n > 200:
		return fault.BadField("body.password", "A password has at most 200 characters.")
	case common[lower] || strings.Count(lower, lower[:1]) == len(lower):
		return fault.BadField("body.password", "This password is among the first that are tried. Choose another.")
	case lower == strings.ToLower(email) || len(local) >= 6 && strings.HasPrefix(lower, local):
		return fault.BadField("body.password", "Do not use your e-mail address as password.")
	}
	return nil
}

func validPerson(name, email string) (string, string, error) {
	name, email = strings.TrimSpace(name), strings.TrimSpace(email)
	if name == "" || utf8.RuneCountInString(name) > 100 {
		return "", "", fault.BadField("body.name", "Give a name of at most 100 characters.")
	}
	address, err := mail.ParseAddress(email)
	if err != nil || address.Address != email || len(email) > 254 {
		return "", "", fault.BadField("body.email", "%q is not an e-mail address.", email)
	}
	return name, email, nil
}
