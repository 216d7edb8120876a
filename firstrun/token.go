package firstrun

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"nimbus/appliance/fault"
)

const (
	tokenLife   = 30 * time.Minute
	sessionLife = 24 * time.Hour
	freeTries   = 5                // wrong tokens from one address before it has to wait
	firstWait   = 30 * time.Second // doubled with each further wrong token
	longestWait = 15 * time.Minute
	maxTracked  = 1000 // addresses; the rest share one count
)

// tokenAlphabet is Crockford's base 32: without letters that look like digits.
const tokenAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// newSetupToken returns 80 random bits in four groups that can be typed.
func newSetupToken() string {
	raw := make([]byte, 16)
	rand.Read(raw)
	var b strings.Builder
	for i, v := range raw {
		if i > 0 && i%4 == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(tokenAlphabet[v&31])
	}
	return b.String()
}

// normalised is a typed token in the form that was printed, so that case,
// spaces, and letters taken for digits do not matter.
var normalised = strings.NewReplacer("-", "", " ", "", "\t", "", "O", "0", "I", "1", "L", "1")

func hashSetupToken(typed string) [sha256.Size]byte {
	return sha256.Sum256([]byte(normalised.Replace(strings.ToUpper(strings.TrimSpace(typed)))))
}

// gate knows the hash of the one token and counts wrong tries by address, so
// that a stranger cannot lock the owner out.
type gate struct {
	now func() time.Time

	mu      sync.Mutex
	hash    [sha256.Size]byte
	expires time.Time // zero: there is no token
	used    bool
	tries   map[string]*tries
}

type tries struct {
	wrong int
	until time.Time
}

func newGate(now func() time.Time) *gate { return &gate{now: now, tries: map[string]*tries{}} }

// issue makes a token; the one before is void.
func (g *gate) issue() (token string, expires time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	token = newSetupToken()
	g.hash, g.expires, g.used = hashSetupToken(token), g.now().Add(tokenLife), false
	return token, g.expires
}

func (g *gate) void() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.hash, g.expires = [sha256.Size]byte{}, time.Time{}
}

func (g *gate) expiry() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.expires
}

// take uses the token up. Faults: Unauthenticated, saying how many tries are
// left, and TooMany.
func (g *gate) take(typed, address string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.from(address)
	now := g.now()
	if wait := t.until.Sub(now); wait > 0 {
		return &fault.Error{Kind: fault.TooMany, RetryAfter: wait,
			Message: fmt.Sprintf("Too many wrong tokens. Wait %s, then copy the token from the console.", wait.Round(time.Second))}
	}
	given := hashSetupToken(typed)
	right := subtle.ConstantTimeCompare(given[:], g.hash[:]) == 1
	switch {
	case right && !g.used && now.Before(g.expires):
		g.used = true
		delete(g.tries, address)
		return nil
	case right && g.used:
		return fault.New(fault.Unauthenticated, "This token was used already. If it was not you, restart the appliance: the console then shows a new one.")
	}
	return t.failed(now)
}

// giveBack undoes take when the session could not be kept.
func (g *gate) giveBack() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.used = false
}

func (g *gate) from(address string) *tries {
	if _, ok := g.tries[address]; !ok && len(g.tries) >= maxTracked {
		address = ""
	}
	t, ok := g.tries[address]
	if !ok {
		t = &tries{}
		g.tries[address] = t
	}
	return t
}

func (t *tries) failed(now time.Time) error {
	t.wrong++
	if left := freeTries - t.wrong; left > 0 {
		return fault.New(fault.Unauthenticated, "This is not the token that the console shows, or it has expired. %d tries are left.", left)
	}
	t.until = now.Add(min(firstWait<<min(t.wrong-freeTries, 10), longestWait))
	return fault.New(fault.Unauthenticated, "This is not the token that the console shows, or it has expired. No tries are left; wait %s.", t.until.Sub(now))
}

// session is the claimed browser. Only the hash of its cookie is kept.
type session struct {
	Hash    []byte    `json:"hash"`
	Expires time.Time `json:"expires"`
}

// Claim exchanges the setup token for the value of the session cookie. The
// session before, if there is one, ends, and the console says so. Faults:
// Unauthenticated, TooMany.
func (s *Setup) Claim(ctx context.Context, typed, address string) (cookie string, err error) {
	if !s.Open() {
		return "", errClosed
	}
	if err := s.gate.take(typed, address); err != nil {
		s.log.Warn("a wrong setup token was tried", "address", address)
		return "", err
	}
	raw := make([]byte, 32)
	rand.Read(raw)
	cookie = base64.RawURLEncoding.EncodeToString(raw)
	sum := sha256.Sum256([]byte(cookie))
	var before *session
	_, err = s.change(ctx, func(st *state) {
		before, st.Session = st.Session, &session{Hash: sum[:], Expires: s.cfg.Now().Add(sessionLife)}
	})
	if err != nil {
		s.gate.giveBack()
		return "", err
	}
	s.log.Info("the first-run wizard was claimed", "address", address, "again", before != nil)
	if before != nil {
		s.log.Warn("another browser took over the first-run wizard", "address", address)
		s.cfg.Console(s.banner("", time.Time{}, "Another browser, at "+address+", took over the set-up with the console's token. If this was not you, restart the appliance and claim it again."))
	}
	return cookie, s.removeTokenFile()
}

// authenticated tells whether a cookie's value is that of the claimed browser.
func (s *Setup) authenticated(ctx context.Context, cookie string) (bool, error) {
	st, err := s.load(ctx)
	if err != nil || st.Session == nil || cookie == "" || st.Complete {
		return false, err
	}
	sum := sha256.Sum256([]byte(cookie))
	same := subtle.ConstantTimeCompare(sum[:], st.Session.Hash) == 1
	return same && s.cfg.Now().Before(st.Session.Expires), nil
}

// issueToken makes a token and shows it on the console and in a file that only
// root and the appliance can read, for the login screen of the machine.
func (s *Setup) issueToken(warning string) error {
	shown, expires := s.gate.issue()
	path := s.tokenFile()
	if err := s.removeTokenFile(); err != nil {
		return err
	}
	if err := os.WriteFile(path, []byte(shown+"\n"), 0o600); err != nil {
		return fmt.Errorf("the setup token cannot be written: %w", err)
	}
	s.cfg.Console(s.banner(shown, expires, warning))
	return nil
}

func (s *Setup) banner(token string, expires time.Time, warning string) Banner {
	return Banner{URL: s.cfg.URL, Token: token, Expires: expires, Fingerprint: s.cfg.Fingerprint(), Warning: warning}
}

// renewTokens issues a new token whenever the last has expired.
func (s *Setup) renewTokens(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(s.gate.expiry()) + time.Second):
		}
		if ctx.Err() != nil {
			return
		}
		if err := s.issueToken(""); err != nil {
			s.log.Error("no new setup token", "error", err)
			return
		}
	}
}

func (s *Setup) tokenFile() string { return filepath.Join(s.cfg.DataDir, "setup-token") }

func (s *Setup) removeTokenFile() error {
	if err := os.Remove(s.tokenFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
