package hsm

import (
	"errors"
	"time"
)

// The kinds of failure. Test for them with errors.Is; the error itself is an *Error.
var (
	ErrNotConfigured  = errors.New("no hardware security module is configured")
	ErrNotRunning     = errors.New("the connection to the hardware security module is not running")
	ErrSealed         = errors.New("the token is sealed")
	ErrTokenAbsent    = errors.New("the token is absent")
	ErrPINIncorrect   = errors.New("the PIN is not correct")
	ErrPINBackoff     = errors.New("the next PIN is not tried yet")
	ErrPINLockWarning = errors.New("another wrong PIN may lock the token")
	ErrPINLocked      = errors.New("the token has locked its PIN")
	ErrPINRecord      = errors.New("the count of rejected PINs cannot be kept")
	ErrModuleHung     = errors.New("the PKCS#11 module hangs")
	ErrModuleCrashed  = errors.New("the PKCS#11 module crashed")
	ErrModuleFailed   = errors.New("the PKCS#11 module failed")
	ErrSessions       = errors.New("the token has no free session")
	ErrSessionLost    = errors.New("the session with the token was lost")
	ErrKeyNotFound    = errors.New("the token has no such key")
	ErrKeyAmbiguous   = errors.New("the token has several such keys")
	ErrKeyUnsafe      = errors.New("the key could leave the token")
	ErrUnsupported    = errors.New("the token does not support this")
	ErrUnwrap         = errors.New("the wrapped data cannot be opened")
	ErrSignature      = errors.New("the signature does not verify")
	ErrInvalid        = errors.New("the request is not valid")
)

// Error is every error of this package.
type Error struct {
	Kind   error     // one of the Err variables
	Reason string    // a sentence for the person: what is wrong and what to do
	Until  time.Time // for ErrPINBackoff, ErrModuleHung and ErrModuleCrashed: not before
	Cause  error     // for the log; may be nil
}

// Error returns the sentence.
func (e *Error) Error() string {
	if e.Cause != nil {
		return e.Reason + " (" + e.Cause.Error() + ")"
	}
	return e.Reason
}

// Unwrap makes errors.Is find the kind and the cause.
func (e *Error) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Cause}
}

func fail(kind error, reason string) *Error { return &Error{Kind: kind, Reason: reason} }

// kinds are the failures that cross the pipe, by the name they have there.
var kinds = map[string]error{
	"absent":         ErrTokenAbsent,
	"pin_incorrect":  ErrPINIncorrect,
	"pin_locked":     ErrPINLocked,
	"sealed":         ErrSealed,
	"failed":         ErrModuleFailed,
	"sessions":       ErrSessions,
	"session_lost":   ErrSessionLost,
	"key_not_found":  ErrKeyNotFound,
	"key_ambiguous":  ErrKeyAmbiguous,
	"key_unsafe":     ErrKeyUnsafe,
	"unsupported":    ErrUnsupported,
	"unwrap":         ErrUnwrap,
	"invalid":        ErrInvalid,
	"not_configured": ErrNotConfigured,
}

func kindName(kind error) string {
	for name, k := range kinds {
		if errors.Is(kind, k) {
			return name
		}
	}
	return "failed"
}
