package doctor

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"sync"
)

// Recent keeps the last lines of the log in memory, for support bundles. Debug
// lines are not kept.
type Recent struct {
	mu    sync.Mutex
	lines [][]byte // a ring
	next  int
	bytes int
}

const (
	recentLines = 5000
	recentBytes = 4 << 20
	longestLine = 8 << 10
)

// NewRecent keeps nothing yet.
func NewRecent() *Recent { return &Recent{} }

// Wrap returns a logger that also keeps its lines here, masked.
func (r *Recent) Wrap(l *slog.Logger) *slog.Logger {
	keep := slog.NewJSONHandler(r, &slog.HandlerOptions{Level: slog.LevelInfo, ReplaceAttr: maskAttr})
	return slog.New(both{l.Handler(), keep})
}

// maskAttr masks values whose names say that they are secret.
func maskAttr(_ []string, a slog.Attr) slog.Attr {
	if secretName.MatchString(a.Key) && a.Value.Kind() != slog.KindBool {
		return slog.String(a.Key, mask)
	}
	return a
}

// Write implements io.Writer: one call is one line.
func (r *Recent) Write(line []byte) (int, error) {
	kept := bytes.Clone(line)
	if len(kept) > longestLine {
		kept = append(kept[:longestLine], "…\n"...)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, kept)
	r.bytes += len(kept)
	for len(r.lines)-r.next > recentLines || r.bytes > recentBytes {
		r.bytes -= len(r.lines[r.next])
		r.lines[r.next] = nil
		r.next++
	}
	if r.next > recentLines {
		r.lines = append([][]byte(nil), r.lines[r.next:]...)
		r.next = 0
	}
	return len(line), nil
}

// WriteTo writes the lines, oldest first.
func (r *Recent) WriteTo(w io.Writer) (int64, error) {
	r.mu.Lock()
	lines := append([][]byte(nil), r.lines[r.next:]...)
	r.mu.Unlock()
	var all int64
	for _, line := range lines {
		n, err := w.Write(line)
		all += int64(n)
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

// both hands records to the log and to what is kept.
type both struct{ log, keep slog.Handler }

// Enabled implements slog.Handler.
func (b both) Enabled(ctx context.Context, level slog.Level) bool {
	return b.log.Enabled(ctx, level) || b.keep.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (b both) Handle(ctx context.Context, record slog.Record) error {
	if b.keep.Enabled(ctx, record.Level) {
		_ = b.keep.Handle(ctx, record.Clone()) // it writes to memory
	}
	if b.log.Enabled(ctx, record.Level) {
		return b.log.Handle(ctx, record)
	}
	return nil
}

// WithAttrs implements slog.Handler.
func (b both) WithAttrs(attrs []slog.Attr) slog.Handler {
	return both{b.log.WithAttrs(attrs), b.keep.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (b both) WithGroup(name string) slog.Handler {
	return both{b.log.WithGroup(name), b.keep.WithGroup(name)}
}
