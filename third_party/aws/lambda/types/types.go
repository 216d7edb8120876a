// Package types holds what package lambda's callers name.
package types

// InvocationType says whether a call waits.
type InvocationType string

// InvocationTypeEvent does not wait.
const InvocationTypeEvent InvocationType = "Event"
