package doctor

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

const mask = "••••••"

// secretName matches names whose values are masked.
var secretName = regexp.MustCompile(`(?i)(passw|passphrase|secret|token|private_?key|(^|_)pin$|credential|cookie|authorization|api_?key|account_?key|(^|_)dsn$|otp|hmac)`)

// secretShapes are what secrets look like wherever they stand.
var secretShapes = []struct {
	shape *regexp.Regexp
	to    string
}{
	{regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)`), mask},
	{regexp.MustCompile(`AGE-SECRET-KEY-[A-Z0-9]+`), mask},
	{regexp.MustCompile(`(?i)\b(bearer|basic)\s+[a-z0-9._~+/=-]{8,}`), "$1 " + mask},
	{regexp.MustCompile(`(PVEAPIToken=)[^\s"',;]+`), "${1}" + mask},
	{regexp.MustCompile(`([a-z][a-z0-9+.-]*://[^\s:/@"']*):[^\s@"']+@`), "${1}:" + mask + "@"},
	{regexp.MustCompile(`(?i)\b([a-z_.-]*(?:passw(?:or)?d|passphrase|secret|token|api_?key|private_?key|pin|authorization|cookie|signature|code))(\\?"?\s*[=:]\s*\\?"?)([^\s"\\,;&}]+)`), "${1}${2}" + mask},
	{regexp.MustCompile(`\bnim[a-z]*_[A-Za-z0-9_-]{16,}`), mask},
	{regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*`), mask},
}

// redactor masks what is secret in a text: what looks like it, and what is
// known to be one.
type redactor struct{ known *strings.Replacer }

// shortestKnown keeps words that are too common from being masked everywhere.
const shortestKnown = 6

// newRedactor knows each secret also as it stands in a JSON text. Longer ones come
// first: one that begins like another must not leave its end.
func newRedactor(known []string) redactor {
	var all []string
	for _, k := range known {
		if len(k) < shortestKnown {
			continue
		}
		if all = append(all, k); strings.ContainsFunc(k, escaped) {
			all = append(all, inJSON(k))
		}
	}
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, k := range all {
		pairs = append(pairs, k, mask)
	}
	return redactor{strings.NewReplacer(pairs...)}
}

func escaped(r rune) bool { return r < ' ' || r == '"' || r == '\\' }

// inJSON is a text inside the quotes of a JSON string, as the log writes it.
func inJSON(text string) string {
	var out strings.Builder
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	_ = e.Encode(text) // a string into memory
	quoted := strings.TrimSpace(out.String())
	return quoted[1 : len(quoted)-1]
}

func (r redactor) text(s string) string {
	s = r.known.Replace(s)
	for _, p := range secretShapes {
		s = p.shape.ReplaceAllString(s, p.to)
	}
	return s
}

// clean masks in a tree of JSON what is secret by its name or its shape.
func (r redactor) clean(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			if secretName.MatchString(name) && hidden(member) {
				v[name] = mask
				continue
			}
			v[name] = r.clean(member)
		}
	case []any:
		for i := range v {
			v[i] = r.clean(v[i])
		}
	case string:
		return r.text(v)
	}
	return v
}

// hidden is true for values that could be a secret.
func hidden(v any) bool {
	switch v := v.(type) {
	case string:
		return v != ""
	case map[string]any, []any:
		return true
	}
	return false
}
