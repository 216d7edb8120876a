package hsm

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Token is one token of one module. Its methods may be called by any goroutine; the token
// does one thing at a time. Failures are *Error; each method says which kinds beyond
// the ones that any of them can return: ErrNotConfigured, ErrNotRunning, ErrTokenAbsent,
// ErrModuleHung, ErrModuleCrashed, ErrModuleFailed, ErrSessions, the end of ctx, and, for what
// needs a login, ErrSealed and the PIN kinds.
type Token struct {
	cfg   Config
	child *child
	turn  chan struct{} // held by the one who talks to the worker

	// Guarded by turn.
	gate     *pinGate
	pin      string // the last PIN that the token accepted
	loggedIn bool

	mu      sync.Mutex // guards what follows
	running bool
	life    context.Context
	cancel  context.CancelFunc
	status  Status
}

// New returns a token that is not in use yet. With an empty Config.Module its state is
// StateNone and every operation fails with ErrNotConfigured.
func New(cfg Config) *Token {
	cfg = cfg.withDefaults()
	return &Token{
		cfg: cfg, child: &child{cfg: cfg}, turn: make(chan struct{}, 1),
		status: Status{State: StateSealed, Reason: "The token has not been asked yet.", Label: cfg.TokenLabel},
	}
}

func (t *Token) configured() bool { return t.cfg.Module != "" }

// Start begins to use the token. It fails for a configuration that can never work, not for
// a token that is absent or a module that hangs: those are states. The first login happens
// in the background.
func (t *Token) Start(context.Context) error {
	if !t.configured() {
		return nil
	}
	if err := t.cfg.check(); err != nil {
		return fail(ErrInvalid, err.Error())
	}
	gate, err := newPINGate(t.cfg)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.running {
		return nil
	}
	t.gate, t.running = gate, true
	t.life, t.cancel = context.WithCancel(context.Background())
	go func(ctx context.Context) { _ = t.Status(ctx) }(t.life)
	return nil
}

// Stop logs out and ends the worker.
func (t *Token) Stop(ctx context.Context) error {
	t.mu.Lock()
	was, cancel := t.running, t.cancel
	t.running = false
	t.mu.Unlock()
	if !was {
		return nil
	}
	defer cancel()
	if !t.takeTurn(ctx, time.Second) {
		cancel() // a call that is still running ends at once
		if !t.takeTurn(ctx, 2*time.Second) {
			return fmt.Errorf("the PKCS#11 worker did not stop: %w", context.DeadlineExceeded)
		}
	}
	defer t.giveTurn()
	t.farewell(ctx)
	t.pin, t.loggedIn = "", false
	return nil
}

// farewell lets the module close its session, so that the token has it back.
func (t *Token) farewell(ctx context.Context) {
	if t.child.running() {
		_, _ = t.child.proc.exchange(ctx, request{Op: opReset}, time.Second)
	}
	t.child.end(500 * time.Millisecond)
}

func (t *Token) takeTurn(ctx context.Context, wait time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	select {
	case t.turn <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (t *Token) giveTurn() { <-t.turn }

// Ready returns nil when the token signs, or when none is configured.
func (t *Token) Ready(ctx context.Context) error {
	s := t.Status(ctx)
	switch s.State {
	case StateReady, StateNone:
		return nil
	}
	return errors.New(s.Reason)
}

// inTurn runs f when the token is free. If ctx ends first the caller gets that error, and f
// goes on until the module answers or Config.Timeout has passed.
func inTurn[T any](ctx context.Context, t *Token, f func(context.Context) (T, error)) (T, error) {
	var none T
	if !t.configured() {
		return none, fail(ErrNotConfigured, "No hardware security module is configured; choose one in the settings.")
	}
	select {
	case t.turn <- struct{}{}:
	case <-ctx.Done():
		return none, ended(ctx)
	}
	life, err := t.alive()
	if err != nil {
		t.giveTurn()
		return none, err
	}
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		defer t.giveTurn()
		value, err := f(life)
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		return none, ended(ctx)
	}
}

func ended(ctx context.Context) error {
	return fail(ctx.Err(), "The token did not answer before the request ended; try again.")
}

func (t *Token) alive() (context.Context, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.running {
		return nil, fail(ErrNotRunning, "The connection to the hardware security module is not running.")
	}
	return t.life, nil
}

// ask has the worker do something that needs a login. When the session was lost, and when a
// key is not found (a module may go on showing a token that was pulled out and returned as
// empty), the module is opened afresh and asked once more.
func (t *Token) ask(ctx context.Context, req request) (response, error) {
	resp, again, err := t.askOnce(ctx, req)
	if !again {
		return resp, err
	}
	if err := t.reset(ctx); err != nil {
		return response{}, err
	}
	req.Fresh = true
	resp, _, err = t.askOnce(ctx, req)
	return resp, err
}

func (t *Token) askOnce(ctx context.Context, req request) (resp response, again bool, err error) {
	if err := t.ensureLogin(ctx); err != nil {
		return response{}, lost(err), err
	}
	resp, err = t.child.call(ctx, req)
	again = lost(err) || isAny(err, ErrSealed, ErrModuleFailed, ErrKeyNotFound)
	t.loggedIn = t.child.running() && (!again || errors.Is(err, ErrKeyNotFound))
	return resp, again, err
}

func isAny(err error, kinds ...error) bool {
	return slices.ContainsFunc(kinds, func(kind error) bool { return errors.Is(err, kind) })
}

// lost tells whether the token was not reached at all, so that a new session may help.
func lost(err error) bool { return isAny(err, ErrSessionLost, ErrTokenAbsent) }

func (t *Token) reset(ctx context.Context) error {
	t.loggedIn = false
	_, err := t.child.call(ctx, request{Op: opReset})
	return err
}

func (t *Token) ensureLogin(ctx context.Context) error {
	if t.loggedIn && t.child.running() {
		return nil
	}
	info, err := t.probe(ctx)
	if err != nil || info.LoggedIn {
		return err
	}
	return t.autoLogin(ctx, info)
}

// autoLogin uses the PIN that was good before, or the configured one.
func (t *Token) autoLogin(ctx context.Context, info tokenInfo) error {
	a := attempt{pin: t.pin, auto: true}
	if a.pin == "" && t.cfg.PIN != nil {
		ctx, cancel := context.WithTimeout(ctx, t.cfg.Timeout)
		defer cancel()
		pin, err := t.cfg.PIN(ctx)
		if err != nil {
			return &Error{Kind: ErrSealed, Reason: "The token is sealed, and its PIN cannot be read; unlock it by hand.", Cause: err}
		}
		a.pin = pin
	}
	if a.pin == "" {
		return fail(ErrSealed, "The token is sealed; unlock it with its PIN.")
	}
	return t.login(ctx, info, a)
}

func (t *Token) login(ctx context.Context, info tokenInfo, a attempt) error {
	rec, err := t.gate.load(info)
	if err != nil {
		return err
	}
	if err := t.gate.check(rec, info, a); err != nil {
		return err
	}
	err = t.gate.try(rec, info, a, func() error {
		_, err := t.child.call(ctx, request{Op: opLogin, PIN: a.pin})
		return err
	})
	t.loggedIn = err == nil
	if err == nil {
		t.pin = a.pin
	} else if errors.Is(err, ErrPINIncorrect) {
		t.pin = ""
	}
	return err
}

// Unlock logs in with a PIN that a person has entered. It does nothing when the token is
// ready. Errors: ErrPINIncorrect, ErrPINBackoff (with Until), ErrPINLocked, ErrPINRecord, and
// ErrPINLockWarning, which override overcomes: it may cost the token's last try.
func (t *Token) Unlock(ctx context.Context, pin string, override bool) error {
	_, err := inTurn(ctx, t, func(ctx context.Context) (response, error) {
		err := t.unlock(ctx, attempt{pin: pin, override: override})
		if lost(err) && t.reset(ctx) == nil {
			err = t.unlock(ctx, attempt{pin: pin, override: override})
		}
		return response{}, err
	})
	return err
}

func (t *Token) unlock(ctx context.Context, a attempt) error {
	info, err := t.probe(ctx)
	if err != nil || info.LoggedIn {
		return err
	}
	return t.login(ctx, info, a)
}

// EnsureSigningKey returns the signing key with the label and makes it when there is none: of the
// first algorithm that the token supports, ECDSAP256 unless others are named. The private half
// cannot leave the token. Errors: ErrUnsupported, ErrKeyAmbiguous, ErrKeyUnsafe.
func (t *Token) EnsureSigningKey(ctx context.Context, label string, prefer ...Algorithm) (PublicKey, error) {
	if len(prefer) == 0 {
		prefer = []Algorithm{ECDSAP256}
	}
	return t.askKey(ctx, request{Op: opSignKey, Key: label, Algorithms: prefer})
}

// PublicKey returns the public half of a signing key. Errors: ErrKeyNotFound, ErrKeyAmbiguous.
func (t *Token) PublicKey(ctx context.Context, label string) (PublicKey, error) {
	return t.askKey(ctx, request{Op: opPublicKey, Key: label})
}

func (t *Token) askKey(ctx context.Context, req request) (PublicKey, error) {
	resp, err := t.askKeyed(ctx, req)
	if err != nil {
		return PublicKey{}, err
	}
	return parseKey(req.Key, resp.Key)
}

// askKeyed asks in turn, after a look at what the caller gave.
func (t *Token) askKeyed(ctx context.Context, req request) (response, error) {
	if req.Key == "" {
		return response{}, fail(ErrInvalid, "A key needs a label.")
	}
	if len(req.Data)+len(req.AAD) > maxData {
		return response{}, fail(ErrInvalid, fmt.Sprintf("More than %d bytes do not go through a token; sign their digest or wrap a key for them.", maxData))
	}
	return inTurn(ctx, t, func(ctx context.Context) (response, error) { return t.ask(ctx, req) })
}

func parseKey(label string, key *publicKey) (PublicKey, error) {
	if key == nil {
		return PublicKey{}, fail(ErrModuleFailed, "The token returned no key.")
	}
	public, err := x509.ParsePKIXPublicKey(key.DER)
	if err != nil {
		return PublicKey{}, &Error{Kind: ErrModuleFailed, Reason: "The token returned a key that cannot be read.", Cause: err}
	}
	return PublicKey{Label: label, Algorithm: key.Algorithm, Key: public, DER: key.DER}, nil
}

// Sign signs the message (not a digest of it) with the key of that label, in the form that
// Algorithm describes. The signature has been verified in software. Errors: ErrKeyNotFound,
// ErrKeyAmbiguous, ErrKeyUnsafe, ErrSignature.
func (t *Token) Sign(ctx context.Context, label string, message []byte) ([]byte, error) {
	resp, err := t.askKeyed(ctx, request{Op: opSign, Key: label, Data: message})
	if err != nil {
		return nil, err
	}
	key, err := parseKey(label, resp.Key)
	if err != nil {
		return nil, err
	}
	return resp.Data, key.Verify(message, resp.Data)
}

// Verify checks a signature of Sign without the token. Error: ErrSignature.
func (k PublicKey) Verify(message, signature []byte) error {
	good := false
	switch key := k.Key.(type) {
	case *ecdsa.PublicKey:
		digest := sha256.Sum256(message)
		good = ecdsa.VerifyASN1(key, digest[:], signature)
	case ed25519.PublicKey:
		good = len(key) == ed25519.PublicKeySize && ed25519.Verify(key, message, signature)
	}
	if !good {
		return fail(ErrSignature, "The signature does not belong to this message and key.")
	}
	return nil
}

// EnsureWrappingKey makes the AES-256 key with the label when there is none. It cannot
// leave the token. Errors: ErrUnsupported, ErrKeyAmbiguous, ErrKeyUnsafe.
func (t *Token) EnsureWrappingKey(ctx context.Context, label string) error {
	_, err := t.askKeyed(ctx, request{Op: opWrapKey, Key: label})
	return err
}

// Wrap encrypts the plaintext in the token (AES-256-GCM) and binds it to aad, which is not
// secret and must be given to Unwrap again. Errors: ErrKeyNotFound, ErrUnsupported.
func (t *Token) Wrap(ctx context.Context, label string, plaintext, aad []byte) ([]byte, error) {
	resp, err := t.askKeyed(ctx, request{Op: opWrap, Key: label, Data: plaintext, AAD: aad})
	return resp.Data, err
}

// Unwrap decrypts what Wrap returned. Errors: ErrUnwrap for another key, other aad or
// damaged data, ErrKeyNotFound.
func (t *Token) Unwrap(ctx context.Context, label string, wrapped, aad []byte) ([]byte, error) {
	resp, err := t.askKeyed(ctx, request{Op: opUnwrap, Key: label, Data: wrapped, AAD: aad})
	return resp.Data, err
}

// Test has the token sign a random challenge with a key that is gone afterwards, and
// verifies the signature in software. Errors: ErrUnsupported, ErrSignature.
func (t *Token) Test(ctx context.Context) error {
	challenge := make([]byte, 32)
	_, _ = rand.Read(challenge) // never fails: crypto/rand ends the process instead
	resp, err := inTurn(ctx, t, func(ctx context.Context) (response, error) {
		return t.ask(ctx, request{Op: opTest, Data: slices.Clone(challenge)})
	})
	if err != nil {
		return err
	}
	key, err := parseKey("test", resp.Key)
	if err != nil {
		return err
	}
	return key.Verify(challenge, resp.Data)
}

// Slots lists the slots of cfg.Module in a worker of its own. Errors: ErrModuleFailed,
// ErrModuleHung, ErrModuleCrashed.
func Slots(ctx context.Context, cfg Config) ([]Slot, error) {
	c := &child{cfg: cfg.withDefaults()}
	defer c.end(500 * time.Millisecond)
	resp, err := c.call(ctx, request{Op: opSlots})
	return resp.Slots, err
}
