package temporal

import (
	"context"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/log/tag"
)

// serverLogger passes the server's log on. What Temporal calls information is for those who
// develop it, hence the debug level.
type serverLogger struct {
	log    *slog.Logger
	giveUp func()
	quiet  *atomic.Bool // set when the server is told to stop: its parts then complain of each other
}

var (
	_ log.Logger     = serverLogger{}
	_ log.WithLogger = serverLogger{}
)

func newLogger(l *slog.Logger, fatal chan struct{}) serverLogger {
	return serverLogger{log: l.With("component", "temporal"), giveUp: sync.OnceFunc(func() { close(fatal) }), quiet: new(atomic.Bool)}
}

func (l serverLogger) write(level slog.Level, msg string, tags []tag.Tag) {
	if l.quiet.Load() {
		level = slog.LevelDebug
	}
	if !l.log.Enabled(context.Background(), level) {
		return
	}
	l.log.LogAttrs(context.Background(), level, msg, attributes(tags)...)
}

func attributes(tags []tag.Tag) []slog.Attr {
	attrs := make([]slog.Attr, len(tags))
	for i, t := range tags {
		attrs[i] = slog.Any(t.Key(), t.Value())
	}
	return attrs
}

func (l serverLogger) Debug(msg string, tags ...tag.Tag) { l.write(slog.LevelDebug, msg, tags) }
func (l serverLogger) Info(msg string, tags ...tag.Tag)  { l.write(slog.LevelDebug, msg, tags) }
func (l serverLogger) Warn(msg string, tags ...tag.Tag)  { l.write(slog.LevelWarn, msg, tags) }
func (l serverLogger) Error(msg string, tags ...tag.Tag) { l.write(slog.LevelError, msg, tags) }

// DPanic logs: it is a panic for developers only.
func (l serverLogger) DPanic(msg string, tags ...tag.Tag) { l.write(slog.LevelError, msg, tags) }

// Panic logs and panics, as its callers rely on.
func (l serverLogger) Panic(msg string, tags ...tag.Tag) {
	l.write(slog.LevelError, msg, tags)
	panic("temporal: " + msg)
}

// Fatal must not return and must not end the appliance: it ends the goroutine and tells the
// supervisor, who starts another server.
func (l serverLogger) Fatal(msg string, tags ...tag.Tag) {
	l.write(slog.LevelError, msg, tags)
	l.giveUp()
	runtime.Goexit()
}

// With implements log.WithLogger.
func (l serverLogger) With(tags ...tag.Tag) log.Logger {
	args := make([]any, len(tags))
	for i, a := range attributes(tags) {
		args[i] = a
	}
	return serverLogger{log: l.log.With(args...), giveUp: l.giveUp, quiet: l.quiet}
}

// clientLogger passes the SDK's log on, without the errors of workflows and activities:
// their texts may hold parameters. They are in the workflow's history, encrypted.
type clientLogger struct{ log *slog.Logger }

var _ sdklog.Logger = clientLogger{}

func sdkLogger(l *slog.Logger) sdklog.Logger {
	return clientLogger{l.With("component", "temporal-sdk")}
}

func (l clientLogger) Debug(msg string, kv ...any) { l.log.Debug(msg, withoutSecrets(kv)...) }
func (l clientLogger) Info(msg string, kv ...any)  { l.log.Debug(msg, withoutSecrets(kv)...) }
func (l clientLogger) Warn(msg string, kv ...any)  { l.log.Warn(msg, withoutSecrets(kv)...) }
func (l clientLogger) Error(msg string, kv ...any) { l.log.Error(msg, withoutSecrets(kv)...) }

// withoutSecrets leaves out the error and the stack of an entry that is about a workflow.
func withoutSecrets(kv []any) []any {
	if !slices.Contains(kv, any("WorkflowID")) {
		return kv
	}
	var kept []any
	for pair := range slices.Chunk(kv, 2) {
		if pair[0] != "Error" && pair[0] != "StackTrace" {
			kept = append(kept, pair...)
		}
	}
	return kept
}
