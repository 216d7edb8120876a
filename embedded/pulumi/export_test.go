package pulumi

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestStateCanBeMoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ok := must(t)
	run := w.vm("moved", 104, 1024)
	ok(w.Up(t.Context(), run, nil))
	exported, err := w.Export(t.Context(), run)
	if err != nil {
		t.Fatal(err)
	}
	history, err := w.History(t.Context(), run)
	if err != nil || len(history) != 1 || history[0].Kind != "update" || history[0].Result != "succeeded" {
		t.Fatalf("history is %+v, %v", history, err)
	}

	w.Engine = startEngine(t) // another appliance
	wrong := run
	wrong.Passphrase = "wrong"
	if err := w.Import(t.Context(), wrong, exported); !errors.Is(err, ErrPassphrase) {
		t.Fatalf("an import with a wrong passphrase gives %v", err)
	}
	if err := w.Import(t.Context(), run, []byte(`{"version":99}`)); err == nil {
		t.Fatal("an unknown version is imported")
	}
	if err := w.Import(t.Context(), run, exported); err != nil {
		t.Fatal(err)
	}
	wantChanges(t, ok(w.Up(t.Context(), run, nil)).Plan)
	resources, err := w.Resources(t.Context(), run)
	if err != nil || len(resources) != 1 || resources[0].ID != "104" {
		t.Fatalf("resources are %+v, %v", resources, err)
	}
	ok(w.Destroy(t.Context(), run, nil))
}

func TestRobustness15SecretsStaySecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.vm("secret", 102, 512)
	var seen strings.Builder
	note := func(e Event) {
		line, err := json.Marshal(e)
		if err != nil {
			t.Error(err)
		}
		seen.Write(line)
	}
	preview := must(t)(w.Preview(t.Context(), run, note))
	up := must(t)(w.Up(t.Context(), run, note))
	for _, v := range []any{preview, up} {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		seen.Write(data)
	}
	exported, err := w.Export(t.Context(), run)
	if err != nil {
		t.Fatal(err)
	}
	seen.Write(exported)
	for _, secret := range []string{canary, run.Passphrase, run.Env["PROXMOX_VE_API_TOKEN"]} {
		if strings.Contains(seen.String(), secret) {
			t.Errorf("%q is in events, results or the export", secret)
		}
		inFiles(t, w.dir, secret)
	}
	if o := up.Outputs["password"]; !o.Secret || o.Value != nil {
		t.Errorf("the secret output is %+v", o)
	}
	opened, err := w.Outputs(t.Context(), run)
	if err != nil || opened["password"].Value != canary {
		t.Errorf("the opened output is %+v, %v", opened, err)
	}
}

// inFiles fails when a file below dir holds the text.
func inFiles(t *testing.T, dir, text string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if strings.Contains(string(data), text) {
			t.Errorf("%q is in %s", text, path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestPassphraseAndALostStackFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.vm("lost", 102, 512)
	must(t)(w.Up(t.Context(), run, nil))
	if err := os.RemoveAll(w.workDir(&run)); err != nil { // the state alone has to do
		t.Fatal(err)
	}
	wantChanges(t, must(t)(w.Up(t.Context(), run, nil)).Plan)
	run.Passphrase = "wrong"
	if _, err := w.Outputs(t.Context(), run); !errors.Is(err, ErrPassphrase) {
		t.Errorf("a wrong passphrase gives %v", err)
	}
	if _, err := w.Preview(t.Context(), run, nil); !errors.Is(err, ErrPassphrase) {
		t.Errorf("a wrong passphrase gives %v", err)
	}
	if err := os.RemoveAll(w.workDir(&run)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Preview(t.Context(), run, nil); !errors.Is(err, ErrPassphrase) {
		t.Errorf("a wrong passphrase without the stack's file gives %v", err)
	}
}
