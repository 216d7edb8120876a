package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"os/exec"
	"testing"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/db"
	"nimbus/appliance/id"
)

// peerTask and peerResult are what peerbench reads and writes.
type peerTask struct {
	Dir              string
	Callers, Entries int
	Body             []byte
}

type peerResult struct {
	Batch     int
	BatchAge  time.Duration
	PerSecond float64
	Slow      time.Duration
}

// BenchmarkPeer appends the same number of entries of the same size to our
// trail, with its columns and indexes for search, and to a Tessera log on the
// same filesystem at the best of several settings, which keeps the entries and
// their tree alone. It prints both and the ratio.
func BenchmarkPeer(b *testing.B) {
	const entries = 10_000
	s := lasting(b)
	ctx := actor.With(context.Background(), actor.Actor{Kind: actor.User, ID: id.New(), Name: "Ada Lovelace", Address: "192.0.2.7", RequestID: id.New().String()})
	var ours, theirs float64
	for b.Loop() {
		start := time.Now()
		appendMany(b, ctx, s.Service, id.ID{}, entries)
		ours = entries / time.Since(start).Seconds()
		theirs = askPeer(b, peerTask{Dir: b.TempDir(), Callers: callers, Entries: entries, Body: sampleBody(b, s)}).PerSecond
	}
	b.ReportMetric(ours, "appends/s")
	b.ReportMetric(theirs, "tessera-appends/s")
	b.ReportMetric(ours/theirs, "ratio")
}

// sampleBody is the body of a record, as stored.
func sampleBody(b *testing.B, s *server) (body []byte) {
	err := s.DB.Core(context.Background(), func(ctx context.Context) error {
		return db.Tx(ctx).QueryRow(ctx, `select body from audit_record limit 1`).Scan(&body)
	})
	if err != nil {
		b.Fatal(err)
	}
	return body
}

// askPeer measures Tessera in a process of its own.
func askPeer(b *testing.B, t peerTask) peerResult {
	b.Helper()
	in, err := json.Marshal(t)
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command("go", "run", ".")
	cmd.Dir, cmd.Stdin = "peerbench", bytes.NewReader(in)
	var failed bytes.Buffer
	cmd.Stderr = &failed
	out, err := cmd.Output()
	if err != nil {
		b.Fatalf("%v: %s", err, failed.String())
	}
	var r peerResult
	if err := json.Unmarshal(out, &r); err != nil {
		b.Fatal(err)
	}
	b.Logf("Tessera at its best: batches of %d or %v, p99 %v", r.Batch, r.BatchAge, r.Slow)
	return r
}
