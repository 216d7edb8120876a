package temporal

import (
	"context"
	"log/slog"
	"runtime"
	"sync"

	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/log/tag"
)

// serverLogger passes the server's log on. What Temporal calls information is for those who
// develop it, hence the debug level.
type serverLogger struct {
	log    *slog.Logger
	giveUp func()
}

var (
	_ log.Logger     = serverLogger{}
	_ log.WithLogger = serverLogger{}
)

func newLogger(l *slog.Logger, fatal chan struct{}) serverLogger {
	return serverLogger{log: l.With("component", "temporal"), giveUp: sync.OnceFunc(func() { close(fatal) })}
}

func (l serverLogger) write(level slog.Level, msg string, tags []tag.Tag) {
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
	return serverLogger{log: l.log.With(args...), giveUp: l.giveUp}
}

func sdkLogger(l *slog.Logger) sdklog.Logger {
	return sdklog.NewStructuredLogger(l.With("component", "temporal-sdk"))
}
