package web

import (
	"context"
	"regexp"
	"strings"
)

// traceParent is the version-independent part of W3C Trace Context, section 3.2.
var traceParent = regexp.MustCompile(`^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?$`)

// traceOf is the trace id of a traceparent header, or "" when that is not valid.
func traceOf(header string) string {
	m := traceParent.FindStringSubmatch(strings.TrimSpace(header))
	if m == nil || m[1] == "ff" || m[1] == "00" && m[4] != "" || strings.Trim(m[2], "0") == "" || strings.Trim(m[3], "0") == "" {
		return ""
	}
	return m[2]
}

// TraceID is the caller's trace id, or "" when none was sent.
func TraceID(ctx context.Context) string {
	v, _ := ctx.Value(traceKey).(string)
	return v
}
