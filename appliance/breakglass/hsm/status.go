package hsm

import (
	"context"
	"errors"
	"time"
)

// statusWait is how long Status waits for a token that is busy.
const statusWait = time.Second

// Status asks the token how it is, and logs in when it is sealed and the rules for PINs
// allow that. It waits a second at most; a token that is busy for longer gives the last
// known state.
func (t *Token) Status(ctx context.Context) Status {
	if !t.configured() {
		return Status{State: StateNone}
	}
	ctx, cancel := context.WithTimeout(ctx, statusWait)
	defer cancel()
	_, err := inTurn(ctx, t, func(ctx context.Context) (struct{}, error) {
		t.refresh(ctx)
		return struct{}{}, nil
	})
	if errors.Is(err, ErrNotRunning) {
		t.noteError(err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.status
}

// refresh brings the status up to date. A session that the token has closed is opened again.
func (t *Token) refresh(ctx context.Context) {
	info, err := t.probe(ctx)
	if err == nil && !info.LoggedIn {
		err = t.autoLogin(ctx, info)
		if lost(err) && t.reset(ctx) == nil {
			err = t.autoLogin(ctx, info)
		}
		if t.child.running() {
			_, _ = t.probe(ctx) // what the login did to the flags
		}
	}
	t.noteError(err)
}

// probe asks the token about itself and notes the answer. A module that has lost its own
// initialisation is opened again.
func (t *Token) probe(ctx context.Context) (tokenInfo, error) {
	resp, err := t.child.call(ctx, request{Op: opProbe})
	if errors.Is(err, ErrSessionLost) && t.reset(ctx) == nil {
		resp, err = t.child.call(ctx, request{Op: opProbe})
	}
	if err == nil && resp.Token == nil {
		err = fail(ErrModuleFailed, "The PKCS#11 worker gave no answer about the token.")
	}
	if err != nil {
		t.loggedIn = false
		t.noteError(err)
		return tokenInfo{}, err
	}
	t.loggedIn = resp.Token.LoggedIn
	t.noteToken(*resp.Token)
	return *resp.Token, nil
}

func (t *Token) noteToken(info tokenInfo) {
	rec, recErr := t.gate.load(info)
	s := Status{
		State: StateSealed, Reason: "The token is sealed; unlock it with its PIN.",
		Label: info.Label, Manufacturer: info.Manufacturer, Model: info.Model, Serial: info.Serial, Slot: info.ID,
		PINCountLow: info.CountLow, PINFinalTry: info.FinalTry, PINLocked: info.Locked,
		Failures: rec.Failures, NeedOverride: recErr != nil || t.gate.needOverride(rec, info), NextTry: t.gate.nextTry(rec),
		CheckedAt: time.Now(), Algorithms: info.Algorithms, Wraps: info.Wraps,
	}
	switch {
	case info.LoggedIn:
		s.State, s.Reason = StateReady, ""
	case info.Locked:
		s.State, s.Reason = StateLocked, "The token has locked its PIN; unlock it with the security officer's PIN and the vendor's tool."
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.status = s
}

// noteError keeps what is known about the token and says what is wrong now.
func (t *Token) noteError(err error) {
	var e *Error
	if !errors.As(err, &e) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.status.State, t.status.Reason = stateOf(e), e.Reason
	if errors.Is(err, ErrModuleHung) || errors.Is(err, ErrModuleCrashed) {
		t.status.NextStart = e.Until
	}
}

func stateOf(err error) State {
	for _, s := range []struct {
		state State
		kinds []error
	}{
		{StateAbsent, []error{ErrTokenAbsent}},
		{StateHung, []error{ErrModuleHung}},
		{StateLocked, []error{ErrPINLocked}},
		{StateSealed, []error{ErrSealed, ErrPINIncorrect, ErrPINBackoff, ErrPINLockWarning, ErrPINRecord, ErrNotRunning}},
	} {
		if isAny(err, s.kinds...) {
			return s.state
		}
	}
	return StateFailed
}
