package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"nimbus/appliance/actor"
)

const (
	maxText = 4 << 10   // bytes of one text
	maxJSON = 128 << 10 // bytes of before, after and details each
	deepest = 100       // lists and objects in one another, in each of them
	mask    = "••••••"

	longestNumber = 400 // digits
)

// secretName matches names of members whose values are never recorded.
var secretName = regexp.MustCompile(`(?i)(passw|passphrase|secret|token$|[-_]token|private[-_]?key|^pin$|^otp$|^totp$|^seed$|recovery[-_]?code|credential|cookie|authorization|api[-_]?key)`)

var (
	secretParts = []string{"passw", "passphrase", "secret", "_token", "-token", "privatekey", "private_key", "private-key", "recoverycode", "recovery_code", "recovery-code",
		"credential", "cookie", "authorization", "apikey", "api_key", "api-key"}
	secretWords = []string{"pin", "otp", "totp", "seed"}
)

// secretly tells whether a name matches secretName, at a tenth of the time.
func secretly(name string) bool {
	if strings.ContainsFunc(name, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return secretName.MatchString(name) // folds more letters than ToLower
	}
	name = strings.ToLower(name)
	for _, part := range secretParts {
		if strings.Contains(name, part) {
			return true
		}
	}
	return strings.HasSuffix(name, "token") || slices.Contains(secretWords, name)
}

// secretTexts match values that are secrets wherever they stand. hint is in
// every text that matches: it spares the others the search.
var secretTexts = []struct {
	name, hint string
	pattern    *regexp.Regexp
}{
	{"Private keys", "PRIVATE KEY", regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)`)},
	{"Signed tokens (JWT)", "eyJ", regexp.MustCompile(`eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*`)},
	{"Bearer tokens", "earer ", regexp.MustCompile(`\b[Bb]earer +[A-Za-z0-9._~+/=-]{8,}`)},
	{"Proxmox API tokens", "PVEAPIToken=", regexp.MustCompile(`PVEAPIToken=[^\s"']+`)},
	{"API tokens of Nimbus", "nbt_", regexp.MustCompile(`nbt_[A-Za-z0-9_-]{8,}`)},
	{"Directory tokens of Nimbus", "nsc_", regexp.MustCompile(`nsc_[A-Za-z0-9_-]{8,}`)},
	{"Age secret keys", "AGE-SECRET-KEY-", regexp.MustCompile(`AGE-SECRET-KEY-[A-Z0-9-]+`)},
	{"Passwords in addresses", "://", regexp.MustCompile(`://[^\s/@:"']*:[^\s/@"']+@`)},
}

// masks is what the rules of a tenant hide in the records of one event; nil
// hides nothing. What is built in is hidden always.
type masks struct {
	fields   []*regexp.Regexp // of dotted paths
	patterns []*regexp.Regexp // in texts
}

// record hides texts of an entry that stand outside its JSON, and bounds them.
func (m *masks) record(a actor.Actor, e Entry) (actor.Actor, Entry) {
	a.Name, a.Address = m.member("actor.name", a.Name), m.member("actor.address", a.Address)
	a.OnBehalfOf.Name = m.member("actor.on_behalf_of.name", a.OnBehalfOf.Name)
	e.Target = Target{
		Kind: bound(e.Target.Kind), ID: m.member("target.id", e.Target.ID), Name: m.member("target.name", e.Target.Name),
	}
	e.Reason = m.member("reason", e.Reason)
	return a, e
}

func (m *masks) member(path, s string) string {
	if s != "" && m.names(path) {
		return mask
	}
	return m.text(s)
}

// json marshals v, the named part of a record, with secrets masked and texts
// bounded. What is still too large, or too deep for those who read it back, is
// replaced by its size and SHA-256.
func (m *masks) json(part string, v any) (json.RawMessage, error) {
	if v == nil {
		return nil, nil
	}
	tree, err := treeOf(v)
	if err != nil || tree == nil {
		return nil, err
	}
	clean := appendTree(nil, m.tree(part, tree))
	if len(clean) <= maxJSON && !deeper(tree, deepest) {
		return clean, nil
	}
	sum := sha256.Sum256(clean)
	return json.Marshal(map[string]any{"truncated": true, "bytes": len(clean), "sha256": hex.EncodeToString(sum[:])})
}

// deeper is true of what has more levels of lists and objects.
func deeper(v any, than int) bool {
	inner := func(v any) bool { return than == 0 || deeper(v, than-1) }
	switch v := v.(type) {
	case map[string]any:
		for _, member := range v {
			if inner(member) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, inner)
	}
	return false
}

// treeOf is what the JSON of v decodes to, with numbers as they are written.
func treeOf(v any) (tree any, err error) {
	if tree, ok := plainTree(v); ok {
		return tree, nil
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	return tree, d.Decode(&tree)
}

func (m *masks) tree(path string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		return m.object(path, v)
	case []any:
		for i := range v {
			v[i] = m.tree(path, v[i])
		}
	case string:
		return m.text(v)
	case json.Number:
		if m != nil && m.text(v.String()) != v.String() {
			return mask
		}
		if !common(v.String()) {
			return m.text(v.String())
		}
	}
	return v
}

// common is false of numbers that not everybody can read, Postgres among them:
// they are kept as texts.
func common(number string) bool {
	f, err := strconv.ParseFloat(number, 64)
	return err == nil && len(number) <= longestNumber && (f != 0 || !strings.ContainsAny(number, "eE"))
}

// object hides members by their names, and what a rule matches in the names
// themselves: they may come from outside as well.
func (m *masks) object(path string, members map[string]any) map[string]any {
	clean := make(map[string]any, len(members))
	for name, value := range members {
		inner := path
		if m != nil && len(m.fields) > 0 {
			inner = path + "." + name
		}
		switch {
		case secretly(name) && !isFlag(value), value != nil && m.names(inner):
			clean[m.text(name)] = mask
		default:
			clean[m.text(name)] = m.tree(inner, value)
		}
	}
	return clean
}

func (m *masks) names(path string) bool {
	if m == nil {
		return false
	}
	for _, field := range m.fields {
		if field.MatchString(path) {
			return true
		}
	}
	return false
}

// text hides what looks like a secret or matches a rule, and bounds the rest.
func (m *masks) text(s string) string {
	s = valid(s)
	if len(s) <= 2*maxText {
		return cut(m.hide(s), maxText)
	}
	// A secret may be cut in half at the end of what is looked at: as much as
	// a secret may be long is dropped there.
	s = m.hide(cut(s, 2*maxText))
	return cut(cut(s, max(0, len(s)-maxText)), maxText)
}

func (m *masks) hide(s string) string {
	for _, secret := range secretTexts {
		if strings.Contains(s, secret.hint) {
			s = secret.pattern.ReplaceAllLiteralString(s, mask)
		}
	}
	if m != nil {
		for _, pattern := range m.patterns {
			s = pattern.ReplaceAllLiteralString(s, mask)
		}
	}
	return s
}

// isFlag tells values that cannot be a secret, such as `"secret": true`.
func isFlag(v any) bool {
	switch v.(type) {
	case bool, nil:
		return true
	}
	return false
}

// bound makes text that Postgres can store, of at most maxText bytes.
func bound(s string) string { return cut(valid(s), maxText) }

// valid replaces invalid UTF-8 and NUL.
func valid(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// cut cuts long text at a rune.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "…"
}
