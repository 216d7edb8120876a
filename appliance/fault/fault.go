// Package fault is the one error vocabulary of the product.
//
// A fault has a kind (which decides the HTTP status and the exit code), a
// message written for the person who has to act on it, and optionally the
// cause, which is logged and never shown.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what sort of failure it is. Its text is the `code` of API answers.
type Kind string

// The kinds, each with the HTTP status it becomes (see package web).
const (
	Invalid         Kind = "invalid"          // 400: the input is wrong; Fields say where
	Unauthenticated Kind = "unauthenticated"  // 401: who are you?
	Forbidden       Kind = "forbidden"        // 403: you may not
	StepUp          Kind = "step_up_required" // 403: sign in again, then retry
	MFARequired     Kind = "mfa_required"     // 403: enrol or prove a second factor first
	NotFound        Kind = "not_found"        // 404: it is not there, or not yours
	Conflict        Kind = "conflict"         // 409: the state does not allow it
	Gone            Kind = "gone"             // 410: it was there and is over
	Unprocessable   Kind = "unprocessable"    // 422: it can be read, but what is in it cannot be used
	TooMany         Kind = "too_many"         // 429: slow down, see RetryAfter
	Internal        Kind = "internal"         // 500: our mistake
	Unavailable     Kind = "unavailable"      // 503: a part we need is down
)

// Field points at one wrong input.
type Field struct {
	Location string `json:"location"` // JSON path, e.g. "body.name"
	Message  string `json:"message"`
}

// Error is a fault. Message is a sentence for the person; Cause is for the log.
type Error struct {
	Kind       Kind
	Message    string
	Fields     []Field
	RetryAfter time.Duration
	Permission string // what a refused request needed
	Cause      error
}

// New makes a fault whose message is shown to the person as it is.
func New(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// Wrap makes a fault with a cause. The cause is logged, never shown.
func Wrap(kind Kind, cause error, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...), Cause: cause}
}

// BadField is an Invalid fault about one input.
func BadField(location, format string, args ...any) *Error {
	message := fmt.Sprintf(format, args...)
	return &Error{Kind: Invalid, Message: message, Fields: []Field{{Location: location, Message: message}}}
}

// Error returns message and cause, for logs.
func (e *Error) Error() string {
	if e.Cause == nil {
		return e.Message
	}
	return e.Message + ": " + e.Cause.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Needs is the Forbidden fault of who lacks a permission.
func Needs(permission, reason string) *Error {
	f := New(Forbidden, "You may not do this: it needs %s. %s", permission, reason)
	f.Permission = permission
	return f
}

// KindOf tells the kind of err: that of the outermost fault in its chain,
// Internal for any other error, and "" for nil.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	var f *Error
	if errors.As(err, &f) {
		return f.Kind
	}
	return Internal
}

// Is reports whether err is a fault of that kind.
func Is(err error, kind Kind) bool { return err != nil && KindOf(err) == kind }

// Message is what the person may read about err. Causes and errors that are
// not faults give a neutral sentence.
func Message(err error) string {
	var f *Error
	if errors.As(err, &f) {
		return f.Message
	}
	return "Something went wrong on our side. The log has the details under this request's id."
}
