package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.temporal.io/sdk/testsuite"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit/ledger"
	"nimbus/appliance/audit/siem"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/secret"
	"nimbus/appliance/web"
)

// keyStore keeps wrapped keys in memory.
type keyStore struct{ keys sync.Map }

func (k *keyStore) LoadKey(_ context.Context, tenant id.ID) (secret.WrappedKey, bool, error) {
	found, ok := k.keys.Load(tenant)
	if !ok {
		return secret.WrappedKey{}, false, nil
	}
	return found.(secret.WrappedKey), true, nil
}

func (k *keyStore) AddKey(_ context.Context, tenant id.ID, w secret.WrappedKey) (secret.WrappedKey, error) {
	found, _ := k.keys.LoadOrStore(tenant, w)
	return found.(secret.WrappedKey), nil
}

// outside gives a chain what it takes to publish: keys, a way out and mail.
func (c *chain) outside(t *testing.T) *atomic.Pointer[string] {
	t.Helper()
	root, err := secret.OpenFileRoot(filepath.Join(c.Dir, "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	ring := secret.NewKeyring(root, &keyStore{}, func([]byte) ([]byte, error) { return nil, nil })
	c.Config.Keyring = func() *secret.Keyring { return ring }
	c.Outbound = &web.Outbound{Allowed: func() []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }}
	var mailed atomic.Pointer[string]
	c.Mail = func(_ context.Context, to []string, subject, text string) error {
		all := strings.Join(to, ",") + "\n" + subject + "\n" + text
		mailed.Store(&all)
		return nil
	}
	return &mailed
}

// provider is a person of the root tenant, whose records are the provider's.
func (c *chain) provider() context.Context {
	return actor.With(c.ctx, actor.Actor{Kind: actor.User, ID: id.New(), Name: "Grace", TenantID: c.root})
}

// receiver is a webhook's other side that takes what is signed with the secret.
type receiver struct {
	*httptest.Server
	down   atomic.Bool
	bodies chan []byte
}

func newReceiver(t *testing.T, key string) *receiver {
	t.Helper()
	r := &receiver{bodies: make(chan []byte, 10)}
	r.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		if r.down.Load() || siem.Verify([]byte(key), req.Header, body, time.Now()) != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		r.bodies <- body
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) authority() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.Certificate().Raw}))
}

// TestCheckpointsArePublished publishes to a file, by mail, to a webhook and to a
// directory of objects; a place that fails is told once and gets the next one.
func TestCheckpointsArePublished(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	mailed := c.outside(t)
	hook := newReceiver(t, "s3cret")
	objects := t.TempDir()
	if err := c.RecordAlone(c.ctx, id.ID{}, Entry{Event: "test.thing.done", Target: Target{Kind: "thing"}}); err != nil {
		t.Fatal(err)
	}
	set, err := c.SetPublishing(c.provider(), Publishing{IntervalMinutes: 10, Places: []Place{
		{Kind: PlaceFile, Enabled: true},
		{Kind: PlaceEmail, Enabled: true, To: []string{"auditor@example.org"}},
		{Kind: PlaceWebhook, Enabled: true, URL: hook.URL + "/hook?token=hidden", CAPEM: hook.authority(), Secret: "s3cret"},
		{Kind: PlaceObject, Enabled: true, Path: objects},
		{Kind: PlaceEmail, To: []string{"off@example.org"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if !set.Places[2].HasSecret || set.Places[2].Secret != "" || set.Places[0].HasSecret {
		t.Errorf("%+v", set.Places)
	}
	made, err := c.Checkpoint(c.ctx, id.ID{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.publishDue(c.ctx, id.ID{}); err != nil {
		t.Fatal(err)
	}
	if err := c.publishDue(c.ctx, id.ID{}); err != nil { // nothing is due
		t.Fatal(err)
	}
	file, err := os.ReadFile(filepath.Join(c.Dir, "audit", "published", "provider"))
	if err != nil || !slices.Equal(ledger.SplitNotes(string(file)), []string{made.Note}) {
		t.Errorf("the file has %q %v", file, err)
	}
	if got := *mailed.Load(); !strings.HasPrefix(got, "auditor@example.org\n") || !strings.Contains(got, made.Note) {
		t.Errorf("mailed: %s", got)
	}
	var told struct{ Records []struct{ Note string } }
	if body := <-hook.bodies; json.Unmarshal(body, &told) != nil || !bytes.Contains(body, []byte(`"note":`)) {
		t.Errorf("the webhook got %s", body)
	}
	stored, err := filepath.Glob(objects + "/checkpoints/provider/*")
	if err != nil || len(stored) != 1 {
		t.Errorf("objects: %v %v", stored, err)
	}
	all, err := c.ListCheckpoints(c.provider(), 0, 5)
	if err != nil || len(all[0].Published) != 4 {
		t.Fatalf("%+v %v", all, err)
	}
	for _, p := range all[0].Published {
		if p.At == nil || p.Error != "" || strings.Contains(p.Place, "hidden") {
			t.Errorf("%+v", p)
		}
	}
	c.hookDown(t, hook, set)
}

// hookDown has the webhook fail twice and come back.
func (c *chain) hookDown(t *testing.T, hook *receiver, set Publishing) {
	t.Helper()
	hook.down.Store(true)
	for range 2 {
		if _, err := c.TestPlace(c.provider(), set.Places[2].ID); !fault.Is(err, fault.Unavailable) {
			t.Errorf("a webhook that is down: %v", err)
		}
	}
	if got := c.events(t, id.ID{}); strings.Count(got, "audit.publication.failed") != 1 {
		t.Errorf("recorded: %s", got)
	}
	hook.down.Store(false)
	if p, err := c.TestPlace(c.provider(), set.Places[2].ID); err != nil || p.At == nil || p.Error != "" {
		t.Errorf("%+v %v", p, err)
	}
	if got := c.events(t, id.ID{}); strings.Count(got, "audit.publication.recovered") != 1 {
		t.Errorf("recorded: %s", got)
	}
	if _, err := c.TestPlace(c.provider(), id.New()); !fault.Is(err, fault.NotFound) {
		t.Errorf("a place that is not there: %v", err)
	}
}

// TestPlacesAreChecked refuses what a tenant must not choose and what cannot be.
func TestPlacesAreChecked(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	c.outside(t)
	for name, p := range map[string]Place{
		"a path of the appliance":    {Kind: PlaceFile, Path: "/etc/cron.d/x"},
		"a directory of the machine": {Kind: PlaceObject, Path: "/etc"},
		"nobody to mail to":          {Kind: PlaceEmail},
		"a webhook without TLS":      {Kind: PlaceWebhook, URL: "http://example.org"},
		"syslog without a transport": {Kind: PlaceSyslog, Address: "a:1"},
		"a kind that does not exist": {Kind: "fax"},
	} {
		if _, err := c.SetPublishing(c.user(), Publishing{IntervalMinutes: 10, Places: []Place{p}}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	hook := Place{Kind: PlaceWebhook, URL: "https://a.example", Secret: "x"}
	set, err := c.SetPublishing(c.user(), Publishing{IntervalMinutes: 10, Places: []Place{hook}})
	if err != nil {
		t.Fatal(err)
	}
	kept := set.Places[0]
	if set, err = c.SetPublishing(c.user(), Publishing{IntervalMinutes: 20, Places: []Place{kept}}); err != nil || !set.Places[0].HasSecret || set.Places[0].ID != kept.ID {
		t.Errorf("the secret was not kept: %+v %v", set, err)
	}
	kept.URL = "https://b.example"
	if _, err = c.SetPublishing(c.user(), Publishing{IntervalMinutes: 20, Places: []Place{kept}}); !fault.Is(err, fault.Invalid) {
		t.Errorf("a secret went to another address: %v", err)
	}
	// A loopback address that nobody allowed is not called.
	c.Outbound = &web.Outbound{Allowed: func() []netip.Prefix { return nil }}
	c.record(t, 1)
	receiver := newReceiver(t, "")
	set, err = c.SetPublishing(c.user(), Publishing{IntervalMinutes: 10, Places: []Place{{Kind: PlaceWebhook, Enabled: true, URL: receiver.URL, CAPEM: receiver.authority()}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.TestPlace(c.user(), set.Places[0].ID); err == nil || !strings.Contains(fault.Message(err), "not a public address") {
		t.Errorf("a loopback address was called: %v", err)
	}
}

// failing is a signer that cannot be used for a number of times.
type failing struct {
	Signer
	left atomic.Int32
}

func (f *failing) Key(ctx context.Context) (ledger.Key, error) {
	if f.left.Add(-1) >= 0 {
		return ledger.Key{Kind: "hsm"}, fault.New(fault.Unavailable, "The token is not there.")
	}
	return f.Signer.Key(ctx)
}

// TestTheScheduleMakesUp runs the workflow while the key cannot be used: it
// signs every chain as soon as it can.
func TestTheScheduleMakesUp(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	c.record(t, 5)
	f := &failing{Signer: *c.signer.Load()}
	f.left.Store(6)
	c.use(f)
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.SetTestTimeout(time.Minute)
	a := checkpointActivities{c.Service}
	for name, fn := range map[string]any{checkpointChains: a.chainsAsTest(c.ctx), checkpointSign: withActor(c.ctx, a.sign), checkpointPublish: withActor(c.ctx, a.publish)} {
		env.RegisterActivityWithOptions(fn, activityNamed(name))
	}
	env.ExecuteWorkflow(AuditCheckpointWorkflow)
	if err := env.GetWorkflowError(); err != nil || !env.IsWorkflowCompleted() {
		t.Fatal(err)
	}
	if left, err := c.pending(c.ctx, false); err != nil || len(left) > 1 || slices.Contains(left, c.tenant) {
		t.Errorf("not signed: %v %v", left, err) // the provider's chain has the records of the failure
	}
	if got := c.events(t, id.ID{}); !strings.Contains(got, "audit.signer.recovered") || !strings.Contains(got, "audit.signer.failed") {
		t.Errorf("recorded: %s", got)
	}
	if c.Checkpoints().Ready(c.ctx) != nil {
		t.Error("health stays red")
	}
}

// TestWebhookWithoutSecretMoves: only a secret that there is must be given again
// for another address.
func TestWebhookWithoutSecretMoves(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	c.outside(t)
	set := Publishing{IntervalMinutes: 10, Places: []Place{{Kind: PlaceWebhook, URL: "https://one.example/hook"}}}
	set, err := c.SetPublishing(c.provider(), set)
	if err != nil {
		t.Fatal(err)
	}
	set.Places[0].URL = "https://two.example/hook"
	if set, err = c.SetPublishing(c.provider(), set); err != nil {
		t.Fatalf("without a secret: %v", err)
	}
	set.Places[0].Secret = "s3cret"
	if set, err = c.SetPublishing(c.provider(), set); err != nil {
		t.Fatal(err)
	}
	set.Places[0].URL = "https://three.example/hook"
	if _, err = c.SetPublishing(c.provider(), set); !fault.Is(err, fault.Invalid) {
		t.Errorf("with a secret: %v", err)
	}
}
