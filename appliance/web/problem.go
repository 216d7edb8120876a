package web

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"nimbus/appliance/fault"
)

// status is the one table from kind to HTTP status.
var status = map[fault.Kind]int{
	fault.Invalid:         http.StatusBadRequest,
	fault.Unauthenticated: http.StatusUnauthorized,
	fault.Forbidden:       http.StatusForbidden,
	fault.StepUp:          http.StatusForbidden,
	fault.MFARequired:     http.StatusForbidden,
	fault.NotFound:        http.StatusNotFound,
	fault.Conflict:        http.StatusConflict,
	fault.Gone:            http.StatusGone,
	fault.Unprocessable:   http.StatusUnprocessableEntity,
	fault.TooMany:         http.StatusTooManyRequests,
	fault.Internal:        http.StatusInternalServerError,
	fault.Unavailable:     http.StatusServiceUnavailable,
}

// Status is the HTTP status of a kind of fault; 0 of one that there is not.
func Status(kind fault.Kind) int { return status[kind] }

// Problem is the answer to a request that failed (RFC 9457).
type Problem struct {
	Type       string        `json:"type" doc:"Always about:blank; code tells the kind."`
	Title      string        `json:"title"`
	Status     int           `json:"status"`
	Detail     string        `json:"detail" doc:"A sentence for the person, saying what to do next."`
	Code       fault.Kind    `json:"code"`
	RequestID  string        `json:"request_id,omitempty"`
	Permission string        `json:"permission,omitempty" doc:"What a refused request needed; /v1/permissions/explain says why it is not there."`
	Errors     []fault.Field `json:"errors,omitempty"`

	retryAfter string
}

// Error implements error.
func (p *Problem) Error() string { return p.Detail }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders implements huma.HeadersError.
func (p *Problem) GetHeaders() http.Header {
	h := http.Header{}
	if p.retryAfter != "" {
		h.Set("Retry-After", p.retryAfter)
	}
	return h
}

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

func (p *Problem) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", p.ContentType(""))
	if p.retryAfter != "" {
		w.Header().Set("Retry-After", p.retryAfter)
	}
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p)
}

func problemOf(ctx context.Context, err error) *Problem {
	kind := fault.KindOf(err)
	p := &Problem{
		Type:      "about:blank",
		Title:     http.StatusText(status[kind]),
		Status:    status[kind],
		Detail:    fault.Message(err),
		Code:      kind,
		RequestID: RequestID(ctx),
	}
	var f *fault.Error
	if errors.As(err, &f) {
		p.Errors, p.Permission = f.Fields, f.Permission
		if f.RetryAfter > 0 {
			p.retryAfter = strconv.Itoa(int(math.Ceil(f.RetryAfter.Seconds())))
		}
	}
	return p
}

// newProblem is what huma answers by itself: input that does not fit the
// schema (its 422 is our 400), and unreadable bodies.
func newProblem(code int, message string, errs ...error) huma.StatusError {
	if code == http.StatusUnprocessableEntity {
		code = http.StatusBadRequest
	}
	kind := fault.Internal
	for k, s := range status {
		if s == code && k != fault.StepUp && k != fault.MFARequired {
			kind = k
		}
	}
	if code >= 400 && code < 500 && kind == fault.Internal {
		kind = fault.Invalid
	}
	p := &Problem{Type: "about:blank", Title: http.StatusText(code), Status: code, Detail: message, Code: kind}
	for _, err := range errs {
		var detail *huma.ErrorDetail
		if errors.As(err, &detail) {
			p.Errors = append(p.Errors, fault.Field{Location: detail.Location, Message: detail.Message})
		}
	}
	if len(p.Errors) == 1 {
		p.Detail = p.Errors[0].Location + ": " + p.Errors[0].Message
	}
	return p
}
