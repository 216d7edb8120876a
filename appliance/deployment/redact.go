package deployment

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// shortest secret that is looked for in texts, in bytes: shorter ones would
// black out half of every message.
const shortest = 4

// redactor takes the secrets of a run out of everything that is written down:
// events, plans, outputs, error messages.
type redactor struct{ replacer *strings.Replacer }

var secretEnv = regexp.MustCompile(`TOKEN|PASSWORD|TICKET|PRIVATE_KEY`)

func newRedactor(r Run) *redactor {
	found := map[string]bool{}
	add := func(text string) {
		if len(text) < shortest {
			return
		}
		found[text], found[url.QueryEscape(text)], found[url.PathEscape(text)] = true, true, true
		if quoted, err := json.Marshal(text); err == nil {
			found[strings.Trim(string(quoted), `"`)] = true
		}
	}
	add(r.Passphrase)
	for _, v := range r.Config {
		if v.Secret {
			leaves(v.Value, add)
		}
	}
	for name, value := range r.Env {
		if secretEnv.MatchString(name) {
			add(value)
			add(value[strings.LastIndex(value, "=")+1:]) // user@realm!token=secret
		}
	}
	return &redactor{replacer(found)}
}

// replacer prefers the longest match at a place.
func replacer(found map[string]bool) *strings.Replacer {
	texts := make([]string, 0, len(found))
	for text := range found {
		texts = append(texts, text)
	}
	slices.SortFunc(texts, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	pairs := make([]string, 0, 2*len(texts))
	for _, text := range texts {
		pairs = append(pairs, text, Mask)
	}
	return strings.NewReplacer(pairs...)
}

// leaves calls fn with every text and number in a JSON value.
func leaves(v any, fn func(string)) {
	switch v := v.(type) {
	case map[string]any:
		for _, item := range v {
			leaves(item, fn)
		}
	case []any:
		for _, item := range v {
			leaves(item, fn)
		}
	case string:
		fn(v)
		for line := range strings.Lines(v) { // of keys that are shown line by line
			fn(strings.TrimSpace(line))
		}
	case bool, nil:
	default:
		fn(fmt.Sprint(v))
		fn(written(v))
	}
}

// written is a value as people and programs write it: 1234567, which fmt has
// as 1.234567e+06.
func written(v any) string {
	if n, ok := v.(float64); ok {
		return strconv.FormatFloat(n, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

func (r *redactor) text(s string) string { return r.replacer.Replace(s) }

// value is a JSON value without secrets, in its keys too.
func (r *redactor) value(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, item := range v {
			out[r.text(key)] = r.value(item)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = r.value(item)
		}
		return out
	case string:
		return r.text(v)
	case bool, nil:
		return v
	}
	if text := written(v); r.text(text) != text {
		return Mask
	}
	return v
}

func (r *redactor) changes(in []Change) []Change {
	out := make([]Change, 0, len(in))
	for _, c := range in {
		diffs := make([]Diff, 0, len(c.Diffs))
		for _, d := range c.Diffs {
			d.Path, d.Old, d.New = r.text(d.Path), r.value(d.Old), r.value(d.New)
			if d.Secret {
				d.Old, d.New = hide(d.Old), hide(d.New)
			}
			diffs = append(diffs, d)
		}
		c.Diffs = diffs
		out = append(out, c)
	}
	return out
}

// hide masks a value that is there.
func hide(v any) any {
	if v == nil {
		return nil
	}
	return Mask
}

func sum(text string) string {
	digest := sha256.Sum256([]byte(text))
	return hex.EncodeToString(digest[:])
}

func sorted(list []string) []string {
	slices.Sort(list)
	return list
}
