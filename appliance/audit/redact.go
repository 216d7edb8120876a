package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"regexp"
	"strings"
	"unicode/utf8"
)

const (
	maxText = 4 << 10   // bytes of one text
	maxJSON = 128 << 10 // bytes of before, after and details each
	mask    = "••••••"
)

// secretName matches names of members whose values are never recorded.
var secretName = regexp.MustCompile(`(?i)(passw|passphrase|secret|token$|_token|private_?key|^pin$|credential|cookie|authorization|api_?key)`)

// sanitise marshals v with secrets masked and texts bounded. What is still too
// large is replaced by its size and SHA-256.
func sanitise(v any) (json.RawMessage, error) {
	if v == nil {
		return nil, nil
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var tree any
	if err := json.Unmarshal(raw, &tree); err != nil || tree == nil {
		return nil, err
	}
	clean, err := json.Marshal(clean(tree))
	if err != nil || len(clean) <= maxJSON {
		return clean, err
	}
	sum := sha256.Sum256(clean)
	return json.Marshal(map[string]any{"truncated": true, "bytes": len(clean), "sha256": hex.EncodeToString(sum[:])})
}

func clean(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			if secretName.MatchString(name) && !isFlag(member) {
				v[name] = mask
				continue
			}
			v[name] = clean(member)
		}
	case []any:
		for i := range v {
			v[i] = clean(v[i])
		}
	case string:
		return bound(v)
	}
	return v
}

// isFlag tells values that cannot be a secret, such as `"secret": true`.
func isFlag(v any) bool {
	switch v.(type) {
	case bool, nil:
		return true
	}
	return false
}

// bound replaces invalid UTF-8 and NUL, which Postgres cannot store, and cuts long text at a rune.
func bound(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
	if len(s) <= maxText {
		return s
	}
	cut := maxText
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
