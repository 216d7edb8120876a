package cmd

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nimbus/appliance/node"
)

// TestNodeJoins asks, and joins with what a node would have sealed; its settings
// count less than those of the machine.
func TestNodeJoins(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "nimbus.yaml")
	if err := os.WriteFile(config, []byte("shared-dir: /mine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	nimbus := func(in string, args ...string) (string, error) {
		root := Root()
		var out bytes.Buffer
		root.SetOut(&out)
		root.SetErr(&out)
		root.SetIn(strings.NewReader(in))
		root.SetArgs(append(args, "--config", config, "--data-dir", data))
		err := root.Execute()
		return out.String(), err
	}
	if _, err := nimbus("", "node", "join"); exitCode(err) != exitFailure || !strings.Contains(explain(err), "node request") {
		t.Errorf("joined without asking: %v", err)
	}
	request, err := nimbus("", "node", "request")
	if err != nil || !strings.HasPrefix(request, "age1") {
		t.Fatalf("%q %v", request, err)
	}
	var sealed bytes.Buffer
	b := node.Bundle{Name: "Lab", Keys: map[string][]byte{"root.key": []byte("k"), "local.key": bytes.Repeat([]byte{7}, 32)},
		Config: map[string]string{"database-url": "postgres://a:secret@db/postgres", "temporal-address": "flows:7233", "valkey-url": "redis://cache", "shared-dir": "/theirs"}}
	if err := b.Seal(request, &sealed); err != nil {
		t.Fatal(err)
	}
	if _, err := nimbus("nonsense", "node", "join"); exitCode(err) != exitUsage {
		t.Errorf("joined with nonsense: %v", err)
	}
	if _, err := nimbus(sealed.String(), "node", "join", "--role", "leader"); exitCode(err) != exitUsage {
		t.Errorf("joined as leader: %v", err)
	}
	interrupted(t, data, b)
	if again, err := nimbus("", "node", "request"); again != request || err != nil {
		t.Errorf("asked again after an interruption: %q %v", again, err)
	}
	if _, err := nimbus("", "backup", "list"); err == nil || !strings.Contains(explain(err), "was interrupted") {
		t.Errorf("something starts on a machine that joined by half: %v", err)
	}
	told, err := nimbus(sealed.String(), "node", "join", "--role", "worker")
	if err != nil || !strings.Contains(told, `node of "Lab"`) || !strings.Contains(told, "/theirs is not here") {
		t.Fatalf("%s %v", told, err)
	}
	printed, err := nimbus("", "config", "print")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`role: "worker"`, `valkey-url: "redis://cache"`, `shared-dir: "/mine"`, `database-url: "postgres://a:••••••@db/postgres"`} {
		if !strings.Contains(printed, want) {
			t.Errorf("without %s: %s", want, printed)
		}
	}
	if _, err := nimbus("", "config", "check"); err != nil {
		t.Error(err)
	}
	if _, err := nimbus("", "node", "request"); exitCode(err) != exitFailure || !strings.Contains(explain(err), "keys of an appliance") {
		t.Errorf("a node asks again: %v", err)
	}
	if _, err := nimbus(" ", "node", "admit"); exitCode(err) != exitUsage {
		t.Errorf("nobody is admitted: %v", err)
	}
}

// interrupted leaves a machine as a join does that is killed when the keys are there.
func interrupted(t *testing.T, data string, b node.Bundle) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(data, "node-join"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b.Files = nil
	if err := b.Place(data); err != nil {
		t.Fatal(err)
	}
}
