package identity

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// ResetMFA lets an administrator take another person's second factors away.
const ResetMFA = "identity:mfa:reset"

// The ways to prove who one is, as the API names them.
const (
	ProofPassword     = "password"
	ProofTOTP         = "totp"
	ProofPasskey      = "passkey"
	ProofRecoveryCode = "recovery_code"
)

// Whom a tenant asks for a second factor.
const (
	MFANobody         = "nobody"
	MFAAdministrators = "administrators"
	MFAEverybody      = "everybody"
)

// How long things of a second factor live, and how often they may be tried.
const (
	stepUpDefault   = 10 * time.Minute // how fresh a proof is when a tenant says nothing
	pendingLife     = 5 * time.Minute  // a sign-in between its two steps
	challengeLife   = 5 * time.Minute  // a WebAuthn challenge
	enrolmentLife   = 30 * time.Minute // a TOTP secret that was shown and not confirmed
	pendingTries    = 5                // wrong second factors until a sign-in begins anew
	openCeremonies  = 100              // of one address; the oldest make room
	clockSkew       = 30 * time.Second // between the database's clock and ours
	recoveryCodes   = 10
	maxPasskeys     = 20
	guessesOfOthers = 50 // wrong codes of an account over all addresses before strange ones wait
)

// MFAPolicy is what a tenant asks of its people.
type MFAPolicy struct {
	RequiredFor string        // nobody, administrators or everybody; "" is nobody
	StepUp      time.Duration // how old a proof may be for a sensitive operation; 0 is the default
}

// Passkey is a WebAuthn credential of a person, without its key.
type Passkey struct {
	ID         id.ID      `json:"id"`
	Name       string     `json:"name"`
	CreatedAt  time.Time  `json:"created_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
}

// Factors are a person's second factors.
type Factors struct {
	TOTP              bool      `json:"totp"`
	Passkeys          []Passkey `json:"passkeys"`
	RecoveryCodesLeft int       `json:"recovery_codes_left"`
	Required          bool      `json:"required" doc:"Whether the active tenant asks you for a second factor."`
}

// Any tells whether there is a factor that a sign-in asks for. Recovery codes
// alone are none.
func (f Factors) Any() bool { return f.TOTP || len(f.Passkeys) > 0 }

// methods lists what proves the second step of a sign-in.
func (f Factors) methods(passkeys bool) []string {
	var all []string
	if f.TOTP {
		all = append(all, ProofTOTP)
	}
	if len(f.Passkeys) > 0 && passkeys {
		all = append(all, ProofPasskey)
	}
	if f.RecoveryCodesLeft > 0 {
		all = append(all, ProofRecoveryCode)
	}
	return all
}

// Proof is one way to prove who one is; exactly one is given. State belongs to
// a Credential and says which challenge it answers.
type Proof struct {
	Password     string
	TOTP         string
	RecoveryCode string
	Credential   json.RawMessage
	State        string
}

// method names the proof that is given, or fails with fault.Invalid when it is
// none of the allowed ones or more than one.
func (p Proof) method(allowed ...string) (string, error) {
	var given []string
	for method, is := range map[string]bool{
		ProofPassword: p.Password != "", ProofTOTP: p.TOTP != "", ProofRecoveryCode: p.RecoveryCode != "", ProofPasskey: len(p.Credential) > 0,
	} {
		if is {
			given = append(given, method)
		}
	}
	if len(given) != 1 || !slices.Contains(allowed, given[0]) {
		return "", fault.New(fault.Invalid, "Give exactly one proof: %s.", strings.Join(allowed, ", "))
	}
	return given[0], nil
}

// SecondFactor is the error of a sign-in that is right so far and not over: no
// session exists yet. Whoever gets it asks for one of Methods and goes on with
// FinishSignIn and the Token.
type SecondFactor struct {
	Token   string
	Methods []string
	Options any // WebAuthn request options when a passkey is among the methods, else nil
}

// Error implements error.
func (f *SecondFactor) Error() string { return "Prove your second factor to go on." }

// Unwrap makes it a fault.Unauthenticated for those who cannot go on.
func (f *SecondFactor) Unwrap() error { return fault.New(fault.Unauthenticated, "%s", f.Error()) }

var recoveryAlphabet = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// newRecoveryCodes returns ten codes of 80 random bits each, in Crockford's
// alphabet, which has no letters that look alike.
func newRecoveryCodes() []string {
	codes := make([]string, recoveryCodes)
	for i := range codes {
		raw := make([]byte, 10)
		rand.Read(raw)
		text := recoveryAlphabet.EncodeToString(raw)
		codes[i] = text[:4] + "-" + text[4:8] + "-" + text[8:12] + "-" + text[12:]
	}
	return codes
}

// likeness reads what people write for what was meant.
var likeness = strings.NewReplacer("o", "0", "i", "1", "l", "1", "-", "", " ", "")

// hashRecoveryCode binds the code to its owner. A code has 80 random bits, so a
// plain hash is not worth guessing.
func hashRecoveryCode(user id.ID, code string) []byte {
	sum := sha256.Sum256([]byte("nimbus recovery code\n" + user.Hex() + "\n" + likeness.Replace(strings.ToLower(strings.TrimSpace(code)))))
	return sum[:]
}

// MayBeLimited tells whether a session that still lacks a required second
// factor may call a path: what shows, completes or ends the session, and what
// enrols a factor.
func MayBeLimited(path string) bool {
	for _, allowed := range []string{"/v1/session", "/v1/mfa"} {
		if path == allowed || strings.HasPrefix(path, allowed+"/") {
			return true
		}
	}
	return false
}

// fresh tells whether a proof is recent. One in the future is not: the clock
// was set back since. The database's clock, which times proofs, may be a
// little before ours.
func fresh(proved, now time.Time, within time.Duration) bool {
	age := now.Sub(proved)
	return age >= -clockSkew && age <= within
}

// policy is the tenant's, with the defaults filled in.
func (s *Service) policy(ctx context.Context, tenant id.ID) (MFAPolicy, error) {
	p := MFAPolicy{}
	if s.MFAPolicy != nil && !tenant.IsZero() {
		var err error
		if p, err = s.MFAPolicy(ctx, tenant); err != nil {
			return p, err
		}
	}
	if p.StepUp <= 0 {
		p.StepUp = stepUpDefault
	}
	return p, nil
}
