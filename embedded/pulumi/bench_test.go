package pulumi

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkPreviewAndUp compares preview, approval and update of one VM through
// the Engine with the two bare CLI runs for an equal stack of the same cluster.
func BenchmarkPreviewAndUp(b *testing.B) {
	w := newWorld(b)
	var engine, bare time.Duration
	for i := range b.N {
		engine += w.timeEngine(b, i)
		bare += w.timeBare(b, i)
	}
	per := func(d time.Duration) float64 { return float64(d.Milliseconds()) / float64(b.N) }
	b.ReportMetric(per(engine), "engine-ms/op")
	b.ReportMetric(per(bare), "bare-ms/op")
	b.ReportMetric(per(engine-bare), "overhead-ms/op")
}

func (w *world) timeEngine(b *testing.B, i int) time.Duration {
	run := w.vm(fmt.Sprintf("engine%d", i), 1000+i, 1024)
	began := time.Now()
	preview, err := w.Preview(b.Context(), run, nil)
	if err != nil {
		b.Fatal(err)
	}
	run.ExpectDigest = preview.Plan.Digest
	if _, err := w.Up(b.Context(), run, nil); err != nil {
		b.Fatal(err)
	}
	return time.Since(began)
}

// timeBare runs the CLI as a person would, without events, plan or approval.
func (w *world) timeBare(b *testing.B, i int) time.Duration {
	run := w.vm(fmt.Sprintf("bare%d", i), 2000+i, 1024)
	o := &operation{Engine: w.Engine, run: &run, id: newID()}
	if err := o.ensureStack(b.Context()); err != nil {
		b.Fatal(err)
	}
	p, err := w.serveProgram(&run)
	if err != nil {
		b.Fatal(err)
	}
	defer p.close()
	began := time.Now()
	for _, args := range [][]string{{"preview"}, {"up", "--yes", "--skip-preview"}} {
		args = append(args, "--stack", run.qualified(), "--client", p.address)
		if out, err := w.exec(b.Context(), command{run: &run, id: o.id, args: args}); err != nil || out.code != 0 {
			b.Fatal(err, out.output)
		}
	}
	return time.Since(began)
}
