package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit/siem"
	"nimbus/appliance/db/dbtest"
	"nimbus/appliance/id"
	"nimbus/appliance/secret"
	"nimbus/appliance/web"
)

// keptKeys is a store of wrapped keys in memory.
type keptKeys struct {
	mu   sync.Mutex
	keys map[id.ID]secret.WrappedKey
}

func (k *keptKeys) LoadKey(_ context.Context, tenant id.ID) (secret.WrappedKey, bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key, ok := k.keys[tenant]
	return key, ok, nil
}

func (k *keptKeys) AddKey(_ context.Context, tenant id.ID, key secret.WrappedKey) (secret.WrappedKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if kept, ok := k.keys[tenant]; ok {
		return kept, nil
	}
	k.keys[tenant] = key
	return key, nil
}

const (
	sinkSecret = "canary-of-the-webhook-secret"
	sinkToken  = "Splunk canary-of-the-authorization"
)

// sinkBench is a service that seals and delivers for one tenant.
type sinkBench struct {
	*Service
	t      *testing.T
	ctx    context.Context
	tenant id.ID
	log    *lockedBuffer
	// allowed are the ranges that the provider lets sinks reach.
	allowed []netip.Prefix
}

type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

func newSinkBench(t *testing.T, allowed ...string) *sinkBench {
	t.Helper()
	d, history := dbtest.Open(t, Migrations)
	root, err := secret.OpenFileRoot(t.TempDir() + "/root")
	if err != nil {
		t.Fatal(err)
	}
	b := &sinkBench{t: t, tenant: id.New(), log: &lockedBuffer{}}
	for _, a := range allowed {
		b.allowed = append(b.allowed, netip.MustParsePrefix(a))
	}
	keyring := secret.NewKeyring(root, &keptKeys{keys: map[id.ID]secret.WrappedKey{}}, nil)
	b.Service = New(Config{DB: d, Logger: slog.New(slog.NewTextHandler(b.log, nil)), IsRoot: func(id.ID) bool { return false },
		Check:   func(context.Context, string) error { return nil },
		Keyring: func() *secret.Keyring { return keyring }, Outbound: &web.Outbound{Allowed: func() []netip.Prefix { return b.allowed }}})
	b.ctx = actor.AsSystem(t.Context(), "test", b.tenant)
	if err := d.AddTenant(b.ctx, b.tenant, history); err != nil {
		t.Fatal(err)
	}
	b.deliverer.first = 20 * time.Millisecond
	if err := b.Start(b.ctx); err != nil {
		t.Fatal(err)
	}
	if err := b.deliverer.Start(b.ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = b.deliverer.Stop(context.Background())
		_ = b.Stop(context.Background())
	})
	return b
}

// record writes records and returns their ids.
func (b *sinkBench) record(event, reason string, n int) {
	b.t.Helper()
	for range n {
		if err := b.RecordAlone(b.ctx, b.tenant, Entry{Event: event, Reason: reason, Target: Target{Kind: "thing"}}); err != nil {
			b.t.Fatal(err)
		}
	}
}

// ids are those of all records of an event.
func (b *sinkBench) ids(event string) map[string]bool {
	b.t.Helper()
	all := map[string]bool{}
	for _, s := range b.sealed(event) {
		all[s.ID.String()] = true
	}
	return all
}

// sealed are all records of an event in the order of the chain.
func (b *sinkBench) sealed(event string) (found []Sealed) {
	b.t.Helper()
	if err := b.seal(b.ctx, b.tenant); err != nil {
		b.t.Fatal(err)
	}
	err := b.in(b.ctx, b.tenant, func(ctx context.Context) (err error) {
		found, err = selected(ctx, SinkFilter{Events: []string{event}}, 1, 1<<40, 1<<20)
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return found
}

func (b *sinkBench) webhook(c *collector, batch int, events ...string) Sink {
	b.t.Helper()
	name, kind, url, ca, key, token := "Hook "+id.New().String(), siem.Webhook, c.url()+"/path-canary", c.ca, sinkSecret, sinkToken
	s, err := b.NewSink(b.ctx, kind, 0, SinkChange{Name: &name, URL: &url, CAPEM: &ca, Secret: &key, Authorization: &token, BatchSize: &batch,
		Filter: &SinkFilter{Events: events}})
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// until waits for a sink to be as told.
func (b *sinkBench) until(sink id.ID, what string, ok func(Sink) bool) Sink {
	b.t.Helper()
	var s Sink
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		var err error
		if s, err = b.Sink(b.ctx, sink); err != nil {
			b.t.Fatal(err)
		}
		if ok(s) {
			return s
		}
	}
	b.t.Fatalf("waited for: %s; %+v at %d", what, s.Health, s.Cursor)
	return s
}

// collector is a webhook receiver that can be restarted at its address.
type collector struct {
	t  *testing.T
	ca string
	at string

	mu     sync.Mutex
	server *httptest.Server
	answer func(w http.ResponseWriter, r *http.Request, records []string) bool // true: answered
	got    map[string]int
	order  []int64 // sequence numbers as they came
	calls  int
}

func newCollector(t *testing.T) *collector {
	c := &collector{t: t, got: map[string]int{}}
	c.start("127.0.0.1:0")
	c.at = c.server.Listener.Addr().String()
	c.ca = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.server.Certificate().Raw}))
	t.Cleanup(func() { c.server.Close() })
	return c
}

func (c *collector) url() string { return "https://" + c.at }

func (c *collector) start(at string) {
	c.t.Helper()
	var listener net.Listener
	var err error
	for range 100 { // the port of the one before may linger
		if listener, err = net.Listen("tcp", at); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	c.server = &httptest.Server{Listener: listener, Config: &http.Server{Handler: c, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}}
	c.server.StartTLS()
}

// kill drops connections without an answer.
func (c *collector) kill() {
	c.server.Listener.Close()
	c.server.CloseClientConnections()
	c.server.Close()
}

func (c *collector) answers(fn func(w http.ResponseWriter, r *http.Request, records []string) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer = fn
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if err := siem.Verify([]byte(sinkSecret), r.Header, body, time.Now()); err != nil || r.Header.Get("Authorization") != sinkToken {
		c.t.Errorf("a batch that is not signed: %v", err)
	}
	var batch struct {
		Records []struct {
			Sequence int64
			Leaf     []byte
			Record   json.RawMessage
		}
	}
	if err := json.Unmarshal(body, &batch); err != nil {
		c.t.Errorf("a batch that is not JSON: %v", err)
	}
	var ids, texts []string
	for _, one := range batch.Records {
		var record struct{ ID string }
		_ = json.Unmarshal(one.Record, &record)
		ids, texts = append(ids, record.ID), append(texts, string(one.Record))
	}
	c.mu.Lock()
	answer := c.answer
	c.calls++
	c.mu.Unlock()
	if answer != nil && answer(w, r, texts) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, one := range ids {
		c.got[one]++
	}
	for _, one := range batch.Records {
		c.order = append(c.order, one.Sequence)
	}
	w.WriteHeader(http.StatusNoContent)
}

func (c *collector) has() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[string]int{}
	for k, v := range c.got {
		all[k] = v
	}
	return all
}

// inOrder are the sequence numbers as they came.
func (c *collector) inOrder() []int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.order)
}

// poisoned refuses batches with a record that says so.
func poisoned(status int) func(http.ResponseWriter, *http.Request, []string) bool {
	return func(w http.ResponseWriter, _ *http.Request, records []string) bool {
		for _, r := range records {
			if strings.Contains(r, "poison") {
				w.WriteHeader(status)
				return true
			}
		}
		return false
	}
}
