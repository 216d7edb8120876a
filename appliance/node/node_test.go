package node_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"nimbus/appliance/db/dbtest"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/node"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// machine is an empty data directory.
func machine(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "keys"), 0o700))
	return dir
}

func example(t *testing.T) node.Bundle {
	t.Helper()
	first := machine(t)
	for name, content := range map[string]string{"root.key": "canary-root", "database.json": "{}", "join.age": "left over"} {
		must(t, os.WriteFile(filepath.Join(first, "keys", name), []byte(content), 0o600))
	}
	b := node.Bundle{Name: "Lab", Local: map[string]json.RawMessage{"a": json.RawMessage(`{"b":1}`)},
		Config: map[string]string{"valkey-url": "rediss://:se#cret: @cache"}, Files: map[string][]byte{"temporal-tls-ca": []byte("PEM")}}
	must(t, b.Collect(first))
	return b
}

func sealed(t *testing.T, b node.Bundle, recipient string) []byte {
	t.Helper()
	var to bytes.Buffer
	must(t, b.Seal(recipient, &to))
	return to.Bytes()
}

func TestABundleOpensOnceAndThereOnly(t *testing.T) {
	t.Parallel()
	mine, other := machine(t), machine(t)
	recipient, err := node.Request(mine)
	must(t, err)
	if again, err := node.Request(mine); again != recipient || err != nil {
		t.Errorf("asked again: %s %v", again, err)
	}
	_, err = node.Request(other)
	must(t, err)
	text := sealed(t, example(t), recipient+"\n")
	if bytes.Contains(text, []byte("canary")) || !bytes.HasPrefix(text, []byte("-----BEGIN AGE")) {
		t.Errorf("the file: %s", text)
	}
	if _, err := node.Open(other, bytes.NewReader(text)); !fault.Is(err, fault.Invalid) {
		t.Errorf("another machine opens it: %v", err)
	}
	broken := bytes.Clone(text)
	broken[len(broken)/2] ^= 1
	if _, err := node.Open(mine, bytes.NewReader(broken)); !fault.Is(err, fault.Invalid) {
		t.Errorf("a damaged one opens: %v", err)
	}
	b, err := node.Open(mine, bytes.NewReader(text))
	must(t, err)
	must(t, b.Place(mine))
	must(t, node.Forget(mine))
	root, err := os.ReadFile(filepath.Join(mine, "keys", "root.key"))
	must(t, err)
	config, err := os.ReadFile(filepath.Join(mine, node.JoinedFile))
	must(t, err)
	ca := filepath.Join(mine, "keys", "temporal-tls-ca")
	if string(root) != "canary-root" || !strings.Contains(string(config), `valkey-url: "rediss://:se#cret: @cache"`) || !strings.Contains(string(config), `temporal-tls-ca: "`+ca+`"`) {
		t.Errorf("keys %q, settings %s", root, config)
	}
	if _, err := os.Stat(ca); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"keys/root.key", node.JoinedFile, "keys/temporal-tls-ca"} {
		if info, err := os.Stat(filepath.Join(mine, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, info.Mode(), err)
		}
	}
	if _, err := node.Open(mine, bytes.NewReader(text)); !fault.Is(err, fault.Conflict) {
		t.Errorf("it opens twice: %v", err)
	}
	if _, err := node.Request(mine); !fault.Is(err, fault.Conflict) {
		t.Errorf("a node asks to join: %v", err)
	}
}

func TestABundleStaysInItsFolder(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"../outside", "/etc/outside", "a/b", ".hidden", ".."} {
		b := node.Bundle{Keys: map[string][]byte{name: []byte("x")}, Config: map[string]string{}}
		if err := b.Place(machine(t)); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s is written: %v", name, err)
		}
	}
	if err := example(t).Seal("age1nonsense", &bytes.Buffer{}); !fault.Is(err, fault.Invalid) {
		t.Errorf("sealed to nobody: %v", err)
	}
}

// TestSharedValuesAreOfAllNodes has many nodes count at once.
func TestSharedValuesAreOfAllNodes(t *testing.T) {
	t.Parallel()
	d, _ := dbtest.Open(t, node.Migrations)
	told := make(chan event.Event, 100)
	bus := event.NewBus(slog.New(slog.DiscardHandler))
	bus.Subscribe(func(e event.Event) { told <- e })
	ctx := t.Context()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			n := 0
			if err := node.NewShared(d, bus).Update(ctx, "count", &n, func() error { n++; return nil }); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	s, n := node.NewShared(d, bus), 0
	if found, err := s.Get(ctx, "count", &n); !found || n != 8 || err != nil {
		t.Errorf("8 nodes counted to %d: %v", n, err)
	}
	if e := <-told; e.Type != node.ChangedEvent || len(told) != 7 {
		t.Errorf("%d are told, the first by %s", len(told)+1, e.Type)
	}
	stop := errors.New("no")
	if err := s.Update(ctx, "count", &n, func() error { n = 99; return stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
	must(t, s.Put(ctx, "other", "text"))
	_ = d.Core(ctx, func(ctx context.Context) error { must(t, s.Put(ctx, "count", 77)); return stop })
	if found, err := s.Get(ctx, "count", &n); !found || n != 8 || err != nil {
		t.Errorf("what was rolled back is %d: %v", n, err)
	}
	if found, err := s.Get(ctx, "nothing", &n); found || err != nil {
		t.Errorf("a value that is not there: %v %v", found, err)
	}
}
