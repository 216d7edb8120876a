// Package types holds what package cloudwatchlogs' callers name.
package types

// FilteredLogEvent is one line of a log.
type FilteredLogEvent struct {
	Message   *string
	Timestamp *int64
}
