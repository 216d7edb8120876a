package pulumi

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
)

// checkpoint is the file backend's document of a stack.
type checkpoint struct {
	Version    int `json:"version"`
	Checkpoint struct {
		Stack  string          `json:"stack"`
		Latest json.RawMessage `json:"latest"`
	} `json:"checkpoint"`
}

// state is a stack's state as last written, with secrets encrypted.
type state struct {
	raw json.RawMessage      // the deployment
	doc apitype.DeploymentV3 // the same, decoded
	sum string               // SHA-256 of the file, hex
}

// readState reads a stack's state without the CLI. A stack without state gives
// ErrNoStack.
func (e *Engine) readState(r *Run) (*state, error) {
	data, err := os.ReadFile(e.statePath(r))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", r.key(), ErrNoStack)
	}
	if err != nil {
		return nil, fmt.Errorf("read the state of %s: %w", r.key(), err)
	}
	var c checkpoint
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, fmt.Errorf("the state of %s is damaged, import an exported one: %w", r.key(), err)
	}
	sum := sha256.Sum256(data)
	s := &state{raw: c.Checkpoint.Latest, sum: hex.EncodeToString(sum[:])}
	if len(s.raw) == 0 || string(s.raw) == "null" {
		s.raw = json.RawMessage("{}")
	}
	if err := json.Unmarshal(s.raw, &s.doc); err != nil {
		return nil, fmt.Errorf("the state of %s is damaged, import an exported one: %w", r.key(), err)
	}
	return s, nil
}

// find gives the live resource of a URN.
func (s *state) find(urn string) *apitype.ResourceV3 {
	for i := range s.doc.Resources {
		if r := &s.doc.Resources[i]; string(r.URN) == urn && !r.Delete {
			return r
		}
	}
	return nil
}

// creating lists the URNs whose creation was begun and not ended.
func (s *state) creating() []string {
	var urns []string
	for _, op := range s.doc.PendingOperations {
		if op.Type == apitype.OperationTypeCreating {
			urns = append(urns, string(op.Resource.URN))
		}
	}
	return urns
}

// outputs gives the stack's outputs; secret ones only when open is given.
func (s *state) outputs(open func(ciphertext string) (any, error)) (map[string]Output, error) {
	out := map[string]Output{}
	for _, res := range s.doc.Resources {
		if string(res.Type) != stackType {
			continue
		}
		for name, value := range res.Outputs {
			o := Output{Secret: hasCiphertext(value)}
			if !o.Secret || open != nil {
				var err error
				if o.Value, err = decrypt(value, open); err != nil {
					return nil, fmt.Errorf("output %s: %w", name, err)
				}
			}
			out[name] = o
		}
	}
	return out, nil
}

func hasCiphertext(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		if _, ok := v[signature]; ok {
			return true
		}
		for _, item := range v {
			if hasCiphertext(item) {
				return true
			}
		}
	case []any:
		for _, item := range v {
			if hasCiphertext(item) {
				return true
			}
		}
	}
	return false
}

func decrypt(v any, open func(string) (any, error)) (any, error) {
	switch v := v.(type) {
	case map[string]any:
		if _, ok := v[signature]; ok {
			text, _ := v["ciphertext"].(string)
			return open(text)
		}
		out := make(map[string]any, len(v))
		for key, item := range v {
			var err error
			if out[key], err = decrypt(item, open); err != nil {
				return nil, err
			}
		}
		return out, nil
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			var err error
			if out[i], err = decrypt(item, open); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return v, nil
}

// opener makes the function that decrypts the state's secrets. It goes by the
// salt in the state and does not use the SDK's process-wide cache, which would
// answer a wrong passphrase once the right one was seen.
func (s *state) opener(passphrase string) (func(string) (any, error), error) {
	var p struct{ Salt string }
	if s.doc.SecretsProviders == nil || json.Unmarshal(s.doc.SecretsProviders.State, &p) != nil {
		return nil, errors.New("the state names no key for its secrets; import an exported one")
	}
	parts := strings.SplitN(p.Salt, ":", 3)
	if len(parts) != 3 || parts[0] != "v1" {
		return nil, errors.New("the state's secrets are encrypted in an unknown way; use the version that wrote it")
	}
	salt, err := base64.StdEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, fmt.Errorf("the state's salt is damaged: %w", err)
	}
	crypter := config.NewSymmetricCrypterFromPassphrase(passphrase, salt)
	ctx := context.Background() // the crypter does no I/O
	if probe, err := crypter.DecryptValue(ctx, parts[2]); err != nil || probe != "pulumi" {
		return nil, ErrPassphrase
	}
	return func(ciphertext string) (any, error) {
		text, err := crypter.DecryptValue(ctx, ciphertext)
		if err != nil {
			return nil, ErrPassphrase
		}
		var v any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			return nil, fmt.Errorf("a secret in the state is damaged: %w", err)
		}
		return v, nil
	}, nil
}

// locks lists the backend's locks on a stack.
func (e *Engine) locks(r *Run) []string {
	found, err := filepath.Glob(filepath.Join(e.stateRoot(), "locks", "organization", r.Project, r.Stack, "*.json"))
	if err != nil {
		return nil // only a bad pattern; names are checked
	}
	return found
}

func (e *Engine) locked(r *Run) bool { return len(e.locks(r)) > 0 }

// unlock removes the locks, as "pulumi cancel" does. Nobody may be running.
func (e *Engine) unlock(r *Run) (bool, error) {
	found := e.locks(r)
	for _, path := range found {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, fmt.Errorf("unlock %s: %w", r.key(), err)
		}
	}
	return len(found) > 0, nil
}
