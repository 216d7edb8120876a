package hsm

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"nimbus/appliance/durable"
)

// The rules for PINs. A token locks itself after a few wrong ones, often three, and then
// only its security officer can help.
//
//   - Each attempt is written down before the token sees it. If we die in between, it counts as rejected.
//   - After a rejected PIN nothing is tried automatically until a person enters a good one, and
//     the same PIN is not sent twice.
//   - Each rejection doubles the pause before the next attempt.
//   - After Config.MaxPINFailures rejections, or when the token itself says that the next wrong
//     PIN locks it, only an explicit override goes on.
//   - If the record cannot be written, no PIN is tried.

// pinLimit bounds the pause between two PINs.
const pinLimit = time.Hour

// attempt is one wish to log in.
type attempt struct {
	pin      string
	auto     bool // nobody entered it just now
	override bool // an administrator accepts that the token may lock
}

// pinRecord is what is known about one token's wrong PINs.
type pinRecord struct {
	Failures int       `json:"failures"`
	Pending  bool      `json:"pending"` // an attempt was begun and its end is not known
	At       time.Time `json:"at"`      // of the last failure
}

// pinGate decides whether a PIN may be tried. It is used by one goroutine at a time.
type pinGate struct {
	path     string
	pause    time.Duration
	limit    int
	rejected map[string]string // the last rejected PIN of each token; never written down
}

func newPINGate(cfg Config) (*pinGate, error) {
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, &Error{Kind: ErrPINRecord, Reason: "The folder for the count of rejected PINs cannot be made.", Cause: err}
	}
	return &pinGate{
		path:  filepath.Join(cfg.Dir, "pin-attempts.json"),
		pause: cfg.PINPause, limit: cfg.MaxPINFailures, rejected: map[string]string{},
	}, nil
}

// key names a token in the record.
func (i tokenInfo) key() string {
	return i.Manufacturer + "|" + i.Model + "|" + i.Serial + "|" + i.Label
}

func (g *pinGate) read() (map[string]pinRecord, error) {
	records := map[string]pinRecord{}
	body, err := os.ReadFile(g.path)
	if errors.Is(err, os.ErrNotExist) {
		return records, nil
	}
	if err == nil {
		err = json.Unmarshal(body, &records)
	}
	if err != nil {
		return nil, &Error{Kind: ErrPINRecord, Reason: fmt.Sprintf("The count of rejected PINs in %s cannot be read, so no PIN is tried. Check how many tries the token has left, then remove the file.", g.path), Cause: err}
	}
	return records, nil
}

// load returns the token's record. An attempt whose end is unknown becomes a failure, and a
// failure later than now (the clock was set back) happened now.
func (g *pinGate) load(info tokenInfo) (pinRecord, error) {
	records, err := g.read()
	if err != nil {
		return pinRecord{}, err
	}
	rec := records[info.key()]
	now := time.Now()
	if !rec.Pending && !rec.At.After(now) {
		return rec, nil
	}
	if rec.Pending {
		rec.Failures++
	}
	rec.Pending, rec.At = false, now
	return rec, g.save(info, rec)
}

func (g *pinGate) save(info tokenInfo, rec pinRecord) error {
	records, err := g.read()
	if err != nil {
		return err
	}
	records[info.key()] = rec
	body, err := json.Marshal(records)
	if err == nil {
		err = durable.Write(g.path, body)
	}
	if err != nil {
		return &Error{Kind: ErrPINRecord, Reason: fmt.Sprintf("The count of rejected PINs in %s cannot be written, so no PIN is tried; free some space or correct the rights.", g.path), Cause: err}
	}
	return nil
}

// nextTry is the time before which no PIN is tried; zero when one may be tried now.
func (g *pinGate) nextTry(rec pinRecord) time.Time {
	if rec.Failures == 0 {
		return time.Time{}
	}
	next := rec.At.Add(growing(g.pause, rec.Failures, pinLimit))
	if !next.After(time.Now()) {
		return time.Time{}
	}
	return next
}

// needOverride tells whether another wrong PIN might lock the token. A token that says its
// count is low without our knowing why has lost at least one try to somebody else.
func (g *pinGate) needOverride(rec pinRecord, info tokenInfo) bool {
	return info.FinalTry || g.effective(rec, info) >= g.limit
}

func (g *pinGate) effective(rec pinRecord, info tokenInfo) int {
	if info.CountLow {
		return max(rec.Failures, 1)
	}
	return rec.Failures
}

// check returns nil when the token may be asked.
func (g *pinGate) check(rec pinRecord, info tokenInfo, a attempt) error {
	next := g.nextTry(rec)
	switch {
	case info.Locked:
		return fail(ErrPINLocked, "The token has locked its PIN; unlock it with the security officer's PIN and the vendor's tool.")
	case a.auto && rec.Failures > 0:
		return fail(ErrSealed, fmt.Sprintf("The token rejected the PIN (%d times), so it is not sent again by itself; unlock the token with the right PIN.", rec.Failures))
	case !next.IsZero():
		return &Error{Kind: ErrPINBackoff, Reason: "The last PIN was rejected; the next one is tried after a pause, until " + next.Format(time.RFC3339) + ".", Until: next}
	case !a.override && g.needOverride(rec, info):
		return fail(ErrPINLockWarning, "Another wrong PIN may lock the token for good. Make sure of the PIN and confirm that it is to be tried.")
	case !a.override && g.wasRejected(info, a.pin):
		return fail(ErrPINIncorrect, "The token has rejected this PIN already; it was not sent again.")
	}
	return g.checkLength(info, a.pin)
}

func (g *pinGate) wasRejected(info tokenInfo, pin string) bool {
	last, ok := g.rejected[info.key()]
	return ok && subtle.ConstantTimeCompare([]byte(last), []byte(pin)) == 1
}

// checkLength spares the token what it would have to reject.
func (g *pinGate) checkLength(info tokenInfo, pin string) error {
	size := uint(len(pin))
	if size == 0 || size < info.MinPIN || info.MaxPIN > 0 && size > info.MaxPIN {
		return fail(ErrPINIncorrect, fmt.Sprintf("The PINs of this token have %d to %d characters; it was not sent.", info.MinPIN, info.MaxPIN))
	}
	return nil
}

// try runs login between the two halves of the record.
func (g *pinGate) try(rec pinRecord, info tokenInfo, a attempt, login func() error) error {
	before := rec
	rec.Pending = true
	if err := g.save(info, rec); err != nil {
		return err
	}
	err := login()
	switch {
	case err == nil:
		delete(g.rejected, info.key())
		return g.save(info, pinRecord{})
	case errors.Is(err, ErrPINIncorrect), errors.Is(err, ErrPINLocked):
		g.rejected[info.key()] = a.pin
		failed := pinRecord{Failures: g.effective(before, info) + 1, At: time.Now()}
		return errors.Join(err, g.save(info, failed))
	}
	return errors.Join(err, g.save(info, before)) // the token did not get to the PIN
}
