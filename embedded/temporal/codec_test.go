package temporal

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/proto"
)

func testRing() *ring {
	return &ring{current: "2", keys: map[string][]byte{"1": bytes.Repeat([]byte{1}, 32), "2": bytes.Repeat([]byte{2}, 32)}}
}

func TestCodecRoundTripAndRotation(t *testing.T) {
	t.Parallel()
	keys := testRing()
	codec := NewCodec(keys)
	plain := &commonpb.Payload{Metadata: map[string][]byte{"encoding": []byte("json/plain")}, Data: []byte(`"secret"`)}
	sealed, err := codec.Encode([]*commonpb.Payload{plain, plain})
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(sealed[0].Data, sealed[1].Data) {
		t.Error("equal payloads encrypt to equal bytes")
	}
	if got := string(sealed[0].Metadata["encoding"]); got != "binary/encrypted" {
		t.Errorf("encoding is %s", got)
	}
	keys.keys["3"], keys.current = bytes.Repeat([]byte{3}, 32), "3"
	opened, err := codec.Decode(append(sealed, plain))
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range opened {
		if !proto.Equal(p, plain) {
			t.Errorf("payload %d is %v", i, p)
		}
	}
}

func TestCodecRefusesWhatWasChanged(t *testing.T) {
	t.Parallel()
	codec := NewCodec(testRing())
	fresh := func() *commonpb.Payload {
		sealed, err := codec.Encode([]*commonpb.Payload{{Data: []byte("secret")}})
		if err != nil {
			t.Fatal(err)
		}
		return sealed[0]
	}
	changes := map[string]func(p *commonpb.Payload){
		"a bit":       func(p *commonpb.Payload) { p.Data[len(p.Data)-1] ^= 1 },
		"the nonce":   func(p *commonpb.Payload) { p.Data[0] ^= 1 },
		"another key": func(p *commonpb.Payload) { p.Metadata[keyIDKey] = []byte("1") },
		"no such key": func(p *commonpb.Payload) { p.Metadata[keyIDKey] = []byte("9") },
		"cut":         func(p *commonpb.Payload) { p.Data = p.Data[:5] },
		"empty":       func(p *commonpb.Payload) { p.Data = nil },
	}
	for name, change := range changes {
		p := fresh()
		change(p)
		if _, err := codec.Decode([]*commonpb.Payload{p}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	short := NewCodec(&ring{current: "1", keys: map[string][]byte{"1": []byte("short")}})
	if _, err := short.Encode([]*commonpb.Payload{{}}); err == nil || !strings.Contains(err.Error(), "32") {
		t.Errorf("a short key: %v", err)
	}
}

// Secrets in parameters are not in Temporal's databases in clear.
func TestRobustness15NoSecretInTheDatabases(t *testing.T) {
	t.Parallel()
	const canary = "canary-5d1f0c9e7b"
	dsn := sharedDatabases(t)
	var log syncBuffer
	s := start(t, Config{DSN: dsn, Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	data, failure := Converters(testRing())
	c := dial(t, s, Options{DataConverter: data, FailureConverter: failure})
	work(t, c, taskQueue)

	options := client.StartWorkflowOptions{ID: "signalled", TaskQueue: taskQueue, Memo: map[string]any{"note": canary}, StaticSummary: canary}
	run, err := c.ExecuteWorkflow(deadline(t), options, EchoWorkflow, canary, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SignalWorkflow(deadline(t), "signalled", "", "more", " and "+canary); err != nil {
		t.Fatal(err)
	}
	var got string
	if err := run.Get(deadline(t), &got); err != nil || got != "echo "+canary+" and "+canary {
		t.Fatalf("got %q, %v", got, err)
	}
	failing, err := c.ExecuteWorkflow(deadline(t), client.StartWorkflowOptions{ID: "failing", TaskQueue: taskQueue}, FailingWorkflow, canary)
	if err != nil {
		t.Fatal(err)
	}
	if err := failing.Get(deadline(t), nil); err == nil || !strings.Contains(err.Error(), "activity error with "+canary) {
		t.Fatalf("the caller does not see the error: %v", err)
	}

	eventually(t, "the visibility store", func() bool {
		list, err := c.ListWorkflow(deadline(t), &workflowservice.ListWorkflowExecutionsRequest{})
		return err == nil && len(list.Executions) == 2
	})
	if said := log.String(); !strings.Contains(said, "Activity error") || strings.Contains(said, canary) {
		t.Error("the log holds the canary, or lacks the error of the activity")
	}
	for _, database := range []string{MainDatabase, VisibilityDatabase} {
		rows := dump(t, dsn(database))
		if !strings.Contains(rows, "signalled") {
			t.Fatalf("%s was not searched well: the workflow's id is not found either", database)
		}
		for _, form := range []string{canary, base64.StdEncoding.EncodeToString([]byte(canary))[:20]} {
			if strings.Contains(rows, form) {
				t.Errorf("%s holds the canary as %s", database, form)
			}
		}
	}
}

// syncBuffer is a log in memory.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// Without the key a client gets an error, and nothing decrypted.
func TestWrongKeyIsAnError(t *testing.T) {
	t.Parallel()
	data, _ := Converters(testRing())
	payload, err := data.ToPayload("secret")
	if err != nil {
		t.Fatal(err)
	}
	stranger, _ := Converters(&ring{current: "2", keys: map[string][]byte{"2": bytes.Repeat([]byte{9}, 32)}})
	var got string
	if err := stranger.FromPayload(payload, &got); err == nil || got != "" {
		t.Errorf("got %q, %v", got, err)
	}
	if unavailable := (*serviceerror.Unavailable)(nil); errors.As(err, &unavailable) {
		t.Error("it looks like a fault that passes")
	}
}

// dump returns every value of every table as text, bytes both raw and in hex.
func dump(t *testing.T, dsn string) string {
	t.Helper()
	conn, err := pgx.Connect(deadline(t), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	rows, err := conn.Query(deadline(t), "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, table := range tables {
		rows, err := conn.Query(deadline(t), "SELECT * FROM "+pgx.Identifier{table}.Sanitize())
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			values, err := rows.Values()
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range values {
				if raw, ok := v.([]byte); ok {
					all.Write(raw)
					all.WriteString(hex.EncodeToString(raw))
				} else {
					fmt.Fprint(&all, v)
				}
				all.WriteByte('\n')
			}
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
	}
	return all.String()
}

// reachableDir returns a folder that Postgres's own user can enter, unlike t.TempDir.
func reachableDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "nimbus-temporal-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
