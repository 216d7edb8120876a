package scim

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"nimbus/appliance/fault"
)

// Error is a refusal as RFC 7644, section 3.12, has it. Type is its scimType.
type Error struct {
	Status int
	Type   string
	Detail string

	retryAfter time.Duration
}

// Error returns the detail.
func (e *Error) Error() string { return e.Detail }

// The scimTypes that this package and its directories use.
const (
	InvalidFilter = "invalidFilter"
	InvalidPath   = "invalidPath"
	InvalidSyntax = "invalidSyntax"
	InvalidValue  = "invalidValue"
	InvalidCursor = "invalidCursor"
	Mutability    = "mutability"
	NoTarget      = "noTarget"
	TooMany       = "tooMany"
	Uniqueness    = "uniqueness"
)

func bad(kind, detail string) *Error {
	return &Error{Status: http.StatusBadRequest, Type: kind, Detail: detail}
}

var errMissing = &Error{Status: http.StatusNotFound, Detail: "It does not exist, or it is not yours."}

// statusOf says what a directory's fault becomes.
var statusOf = map[fault.Kind]struct {
	status int
	kind   string
}{
	fault.Invalid:         {http.StatusBadRequest, InvalidValue},
	fault.Unauthenticated: {http.StatusUnauthorized, ""},
	fault.Forbidden:       {http.StatusForbidden, ""},
	fault.StepUp:          {http.StatusForbidden, ""},
	fault.NotFound:        {http.StatusNotFound, ""},
	fault.Conflict:        {http.StatusConflict, Uniqueness},
	fault.Gone:            {http.StatusNotFound, ""},
	fault.TooMany:         {http.StatusTooManyRequests, ""},
	fault.Internal:        {http.StatusInternalServerError, ""},
	fault.Unavailable:     {http.StatusServiceUnavailable, ""},
}

// errorOf turns any error into a refusal. Causes stay out of it.
func errorOf(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	s := statusOf[fault.KindOf(err)]
	e = &Error{Status: s.status, Type: s.kind, Detail: fault.Message(err)}
	var f *fault.Error
	if errors.As(err, &f) {
		e.retryAfter = f.RetryAfter
	}
	return e
}

func (e *Error) body() Resource {
	b := Resource{"schemas": []any{errorMessage}, "status": strconv.Itoa(e.Status), "detail": e.Detail}
	if e.Type != "" {
		b["scimType"] = e.Type
	}
	return b
}
