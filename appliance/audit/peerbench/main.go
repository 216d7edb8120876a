// Command peerbench appends entries to a Tessera log on the local filesystem
// and tells how fast that was. It reads the task as JSON from standard input.
// The benchmark of package audit runs it.
package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
)

// task is what to append.
type task struct {
	Dir     string
	Callers int
	Entries int
	// Body is an entry; each is made unique by its number.
	Body []byte
}

// result is the best of the settings that were tried.
type result struct {
	Batch         int
	BatchAge      time.Duration
	PerSecond     float64
	Median, Slow  time.Duration // 50th and 99th percentile of one append
	Checkpoint    int           // bytes of the last published checkpoint
	ShutdownAfter time.Duration // until everything was in a published tree
}

// ages are how long a batch waits for more. Tessera's default of 250 ms is made
// for many callers that do not wait; these callers do. For the same reason a
// batch may be as small as the number of those who wait.
var ages = []time.Duration{2 * time.Millisecond, 5 * time.Millisecond}

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "peerbench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var t task
	if err := json.NewDecoder(os.Stdin).Decode(&t); err != nil {
		return err
	}
	var best result
	for _, batch := range []int{t.Callers, tessera.DefaultBatchMaxSize} {
		for _, age := range ages {
			r, err := t.measure(ctx, filepath.Join(t.Dir, fmt.Sprint(batch, age)), batch, age)
			if err != nil {
				return err
			}
			if r.PerSecond > best.PerSecond {
				best = r
			}
		}
	}
	return json.NewEncoder(os.Stdout).Encode(best)
}

func (t task) measure(ctx context.Context, dir string, batch int, age time.Duration) (result, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	add, shutdown, reader, err := open(ctx, dir, batch, age)
	if err != nil {
		return result{}, err
	}
	start := time.Now()
	took, err := t.appendAll(ctx, add)
	elapsed := time.Since(start)
	if err != nil {
		return result{}, err
	}
	end := time.Now()
	if err := shutdown(ctx); err != nil {
		return result{}, err
	}
	r := result{Batch: batch, BatchAge: age, PerSecond: float64(t.Entries) / elapsed.Seconds(), ShutdownAfter: time.Since(end)}
	slices.Sort(took)
	r.Median, r.Slow = took[len(took)/2], took[len(took)*99/100]
	checkpoint, err := reader.ReadCheckpoint(ctx)
	r.Checkpoint = len(checkpoint)
	return r, err
}

func open(ctx context.Context, dir string, batch int, age time.Duration) (tessera.AddFn, func(context.Context) error, tessera.LogReader, error) {
	secret, _, err := note.GenerateKey(rand.Reader, "peerbench")
	if err != nil {
		return nil, nil, nil, err
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		return nil, nil, nil, err
	}
	driver, err := posix.New(ctx, posix.Config{Path: dir})
	if err != nil {
		return nil, nil, nil, err
	}
	options := tessera.NewAppendOptions().WithCheckpointSigner(signer).WithBatching(uint(batch), age).WithCheckpointInterval(time.Second)
	appender, shutdown, reader, err := tessera.NewAppender(ctx, driver, options)
	if err != nil {
		return nil, nil, nil, err
	}
	return appender.Add, shutdown, reader, nil
}

// appendAll has all callers append, each waiting for its index before the next.
func (t task) appendAll(ctx context.Context, add tessera.AddFn) ([]time.Duration, error) {
	took, errs := make([][]time.Duration, t.Callers), make([]error, t.Callers)
	var wg sync.WaitGroup
	for c := range t.Callers {
		wg.Go(func() {
			for i := c; i < t.Entries && errs[c] == nil; i += t.Callers {
				at := time.Now()
				_, errs[c] = add(ctx, tessera.NewEntry(fmt.Appendf(nil, "%d %s", i, t.Body)))()
				took[c] = append(took[c], time.Since(at))
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return slices.Concat(took...), nil
}
