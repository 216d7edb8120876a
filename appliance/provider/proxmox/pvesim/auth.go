package pvesim

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// actor is who a request is made for. Token is the token's own name, without the user's.
type actor struct {
	user, token string
}

func (a actor) name() string {
	if a.token == "" {
		return a.user
	}
	return a.user + "!" + a.token
}

// isRoot is true for root@pam signed in with the password only: tokens never count as root.
func (a actor) isRoot() bool { return a.user == rootUser && a.token == "" }

const (
	rootUser       = "root@pam"
	ticketLifetime = 2 * time.Hour
)

type user struct {
	Salt, Password string // hex SHA-256 over both; empty when no password is set
	Enable         bool
	Expire         int64
	Comment, Email string
	First, Last    string
	Keys           string
	Groups         []string
	Tokens         map[string]*token
	HasEmail       bool // an e-mail address was given, if only an empty one
}

type token struct {
	Secret  string
	Privsep bool
	Expire  int64
	Comment string
}

func (u *user) setPassword(password string) {
	u.Salt = randomHex(8)
	u.Password = passwordHash(u.Salt, password)
}

func passwordHash(salt, password string) string {
	sum := sha256.Sum256([]byte(salt + password))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// world are the methods that need no ticket.
var world = map[string]bool{"POST /access/ticket": true, "GET /access/domains": true}

// authenticate finds out who asks: an API token, or a ticket that for writes needs its CSRF token.
func (c *Cluster) authenticate(req *call) error {
	if world[req.method+" "+strings.TrimSuffix(req.path, "/")] {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var ok bool
	if header := req.http.Header.Get("Authorization"); strings.HasPrefix(header, "PVEAPIToken") {
		req.who, ok = c.tokenActor(strings.TrimLeft(header[len("PVEAPIToken"):], "= "))
		return authFailed(ok)
	}
	cookie, err := req.http.Cookie("PVEAuthCookie")
	if err != nil || cookie.Value == "" {
		return bare(http.StatusUnauthorized, "No ticket")
	}
	if req.who.user, ok = c.ticketUser("PVE", cookie.Value); !ok {
		return authFailed(false)
	}
	if req.method != http.MethodGet && !c.csrfValid(req.who.user, req.http.Header.Get("CSRFPreventionToken")) {
		return bare(http.StatusUnauthorized, "Permission denied - invalid csrf token")
	}
	return nil
}

func authFailed(ok bool) error {
	if ok {
		return nil
	}
	return bare(http.StatusUnauthorized, "Authentication failed!")
}

// tokenActor checks "user@realm!name=secret".
func (c *Cluster) tokenActor(value string) (actor, bool) {
	id, secret, _ := strings.Cut(value, "=")
	userID, name, _ := strings.Cut(id, "!")
	u := c.state.Users[userID]
	if u == nil || !c.active(u) {
		return actor{}, false
	}
	t := u.Tokens[name]
	if t == nil || t.Expire != 0 && t.Expire < c.now().Unix() {
		return actor{}, false
	}
	return actor{user: userID, token: name}, equal(secret, t.Secret)
}

func (c *Cluster) active(u *user) bool {
	return u.Enable && (u.Expire == 0 || u.Expire > c.now().Unix())
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

func (c *Cluster) sign(text string) string {
	mac := hmac.New(sha256.New, []byte(c.state.Secret))
	mac.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// ticket is "PREFIX:user:time::signature", the time in hexadecimal seconds.
func (c *Cluster) ticket(prefix, userID string) string {
	plain := fmt.Sprintf("%s:%s:%08X", prefix, userID, c.now().Unix())
	return plain + "::" + c.sign(plain)
}

func (c *Cluster) ticketUser(prefix, ticket string) (string, bool) {
	if plain, err := url.PathUnescape(ticket); err == nil {
		ticket = plain
	}
	plain, signature, ok := strings.Cut(ticket, "::")
	if !ok || !equal(signature, c.sign(plain)) {
		return "", false
	}
	parts := strings.Split(plain, ":")
	if len(parts) != 3 || parts[0] != prefix || !c.fresh(parts[2]) {
		return "", false
	}
	u := c.state.Users[parts[1]]
	return parts[1], u != nil && c.active(u)
}

func (c *Cluster) fresh(hexTime string) bool {
	seconds, err := strconv.ParseInt(hexTime, 16, 64)
	age := c.now().Sub(time.Unix(seconds, 0))
	return err == nil && age > -5*time.Minute && age < ticketLifetime
}

func (c *Cluster) csrfToken(userID string) string {
	stamp := fmt.Sprintf("%08X", c.now().Unix())
	return stamp + ":" + c.sign(stamp+":"+userID)
}

func (c *Cluster) csrfValid(userID, token string) bool {
	stamp, signature, ok := strings.Cut(token, ":")
	return ok && c.fresh(stamp) && equal(signature, c.sign(stamp+":"+userID))
}

// passwordValid checks a password; a valid ticket counts as one, which is how tickets are renewed.
func (c *Cluster) passwordValid(userID, password string) bool {
	u := c.state.Users[userID]
	if u == nil || !c.active(u) {
		return false
	}
	if owner, ok := c.ticketUser("PVE", password); ok {
		return owner == userID
	}
	if userID == rootUser {
		return equal(password, c.state.RootPassword)
	}
	return u.Password != "" && equal(passwordHash(u.Salt, password), u.Password)
}

// createTicket is POST /access/ticket. It is the one failure that answers 401 with a body.
func createTicket(req *call) (any, error) {
	userID := req.p["username"]
	if !strings.Contains(userID, "@") && req.p["realm"] != "" {
		userID += "@" + req.p["realm"]
	}
	if !req.passwordValid(userID, req.p["password"]) {
		const text = "authentication failure"
		return nil, &apiError{status: http.StatusUnauthorized, reason: text, message: text + "\n"}
	}
	return map[string]any{
		"username": userID, "ticket": req.ticket("PVE", userID), "CSRFPreventionToken": req.csrfToken(userID),
		"cap": req.capabilities(actor{user: userID}),
	}, nil
}
