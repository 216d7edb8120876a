package doctor

import (
	"encoding/json"
	"os"
	"sync"
	"time"
)

// Trend remembers how full disks were, in a file, to say when they will be full.
type Trend struct {
	path string
	mu   sync.Mutex
}

// NewTrend keeps samples in the file at path; it may not be there yet.
func NewTrend(path string) *Trend { return &Trend{path: path} }

type sample struct {
	At   time.Time `json:"at"`
	Used uint64    `json:"used"`
	Size uint64    `json:"size"`
}

const (
	sampleEvery = time.Hour
	sampleLife  = 14 * 24 * time.Hour
	trendSpan   = 6 * time.Hour // less says nothing
)

// Left is how long the free space lasts at the pace since the oldest sample;
// 0 when that cannot be said or it does not get less.
func (t *Trend) Left(name string, free, size uint64, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := t.read()
	one := sample{now.UTC(), size - min(free, size), size}
	old := current(all[name], one)
	if n := len(old); n == 0 || now.Sub(old[n-1].At) >= sampleEvery {
		all[name] = append(old, one)
		t.write(all)
	}
	if len(old) == 0 {
		return 0
	}
	first := old[0]
	span := now.Sub(first.At)
	if span < trendSpan || one.Used <= first.Used {
		return 0
	}
	pace := float64(one.Used-first.Used) / span.Seconds()
	// More than a century is as good as never, and does not fit a Duration.
	return time.Duration(min(float64(free)/pace, 3e9) * float64(time.Second))
}

// current leaves out samples that are old, of the future, or of another disk.
func current(all []sample, now sample) []sample {
	kept := []sample{}
	for _, s := range all {
		if s.Size == now.Size && now.At.Sub(s.At) < sampleLife && !s.At.After(now.At) {
			kept = append(kept, s)
		}
	}
	return kept
}

func (t *Trend) read() map[string][]sample {
	all := map[string][]sample{}
	if raw, err := os.ReadFile(t.path); err == nil && json.Unmarshal(raw, &all) != nil {
		return map[string][]sample{}
	}
	return all
}

// write keeps the samples. On a full disk it cannot, which the check says anyway.
func (t *Trend) write(all map[string][]sample) {
	raw, err := json.Marshal(all)
	if err != nil {
		return
	}
	temp := t.path + ".new"
	if os.WriteFile(temp, raw, 0o600) == nil {
		_ = os.Rename(temp, t.path)
	}
}
