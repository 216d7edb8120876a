package pulumi

import (
	"bytes"
	"encoding/json"
	"sort"
	"strconv"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

const (
	masked = "[secret]" // as the engine's event log has it
	// signature is the key by which the engine marks special values in state.
	signature   = "4dabf18193072939515e22adb298388d"
	defaultsKey = "__defaults"
)

// Diff is one property's change. Old and New are as JSON has them; nil means
// absent. A value the provider has yet to compute is Unknown and nil.
type Diff struct {
	Path    string `json:"path"` // such as disks[0].size
	Old     any    `json:"old,omitempty"`
	New     any    `json:"new,omitempty"`
	Secret  bool   `json:"secret,omitempty"`
	Unknown bool   `json:"unknown,omitempty"`
	// ReplaceCause is set when this change makes the resource be replaced.
	ReplaceCause bool `json:"replaceCause,omitempty"`
}

// diffsOf lists what a step changes, by path. A created resource is listed with
// all that is set, a deleted one with nothing.
func diffsOf(m *apitype.StepEventMetadata) []Diff {
	switch m.Op {
	case apitype.OpSame, apitype.OpDelete, apitype.OpDeleteReplaced, apitype.OpRead:
		return nil
	case apitype.OpCreate, apitype.OpImport:
		return compare("", nil, withoutDefaults(inputs(m.New)))
	}
	old, new := inputs(m.Old), inputs(m.New)
	if len(m.DetailedDiff) == 0 {
		return keyDiffs(m, old, new)
	}
	out := make([]Diff, 0, len(m.DetailedDiff))
	for path, d := range m.DetailedDiff {
		from := old
		if !d.InputDiff && m.Old != nil && !has(old, path) {
			from = outputs(m.Old)
		}
		diff := pair(path, from, new)
		diff.ReplaceCause = strings.HasSuffix(string(d.Kind), "-replace")
		out = append(out, diff)
	}
	return sortDiffs(out)
}

// keyDiffs is diffsOf for providers that name only the properties.
func keyDiffs(m *apitype.StepEventMetadata, old, new map[string]any) []Diff {
	causes := map[string]bool{}
	for _, key := range m.Keys {
		causes[key] = true
	}
	var out []Diff
	for _, key := range append(append([]string(nil), m.Diffs...), m.Keys...) {
		d := pair(key, old, new)
		d.ReplaceCause = causes[key]
		out = append(out, d)
	}
	return sortDiffs(out)
}

// driftOf gives what a refresh step found changed, or nil. Its event has the
// state before and after as outputs.
func driftOf(m *apitype.StepEventMetadata) *Change {
	c := &Change{URN: m.URN, Type: m.Type, Name: nameOf(m.URN), Op: OpUpdate}
	if m.Old != nil {
		c.ID = m.Old.ID
	}
	if m.New == nil || m.Op == apitype.OpDelete {
		c.Op = OpDelete
		return c
	}
	if m.Old == nil {
		return nil
	}
	c.Diffs = compare("", outputs(m.Old), outputs(m.New))
	if len(c.Diffs) == 0 {
		return nil
	}
	return c
}

func inputs(s *apitype.StepEventStateMetadata) map[string]any {
	if s == nil {
		return nil
	}
	return unseal(s.Inputs)
}

func outputs(s *apitype.StepEventStateMetadata) map[string]any {
	if s == nil {
		return nil
	}
	return unseal(s.Outputs)
}

// unseal replaces the engine's special objects by the mask.
func unseal(m map[string]any) map[string]any {
	out, _ := mask(m).(map[string]any)
	return out
}

func mask(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if _, special := v[signature]; special {
			return masked
		}
		out := make(map[string]any, len(v))
		for key, item := range v {
			out[key] = mask(item)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = mask(item)
		}
		return out
	}
	return v
}

func has(m map[string]any, path string) bool {
	_, ok := at(m, path)
	return ok
}

// at finds the value at a Pulumi property path.
func at(m map[string]any, path string) (any, bool) {
	parts, err := resource.ParsePropertyPath(path)
	if err != nil {
		return nil, false
	}
	var v any = m
	for _, p := range parts {
		switch key := p.(type) {
		case string:
			obj, ok := v.(map[string]any)
			if !ok {
				return nil, false
			}
			if v, ok = obj[key]; !ok {
				return nil, false
			}
		case int:
			list, ok := v.([]any)
			if !ok || key < 0 || key >= len(list) {
				return nil, false
			}
			v = list[key]
		}
	}
	return v, true
}

func pair(path string, old, new map[string]any) Diff {
	o, _ := at(old, path)
	n, _ := at(new, path)
	return diffOf(path, o, n)
}

// diffOf masks what is secret and names what is not known.
func diffOf(path string, old, new any) Diff {
	d := Diff{Path: path, Old: clean(old), New: clean(new)}
	d.Secret = holds(old, isMasked) || holds(new, isMasked)
	d.Unknown = holds(new, isUnknown)
	return d
}

// clean drops the bookkeeping of the bridge and unknown values.
func clean(v any) any {
	switch v := v.(type) {
	case string:
		if isUnknown(v) {
			return nil
		}
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, item := range v {
			if !strings.HasPrefix(key, "__") {
				out[key] = clean(item)
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = clean(item)
		}
		return out
	}
	return v
}

func isMasked(s string) bool { return s == masked }

// isUnknown knows the engine's stand-ins for values that are not known yet.
func isUnknown(s string) bool {
	return s == "04da6b54-80e4-46f7-96ec-b56ff0331ba9" || (strings.HasPrefix(s, "output<") && strings.HasSuffix(s, ">"))
}

func holds(v any, is func(string) bool) bool {
	switch v := v.(type) {
	case string:
		return is(v)
	case map[string]any:
		for _, item := range v {
			if holds(item, is) {
				return true
			}
		}
	case []any:
		for _, item := range v {
			if holds(item, is) {
				return true
			}
		}
	}
	return false
}

// withoutDefaults drops what the provider filled in: the bridge lists, in each
// object, the names of the properties that the program did not set.
func withoutDefaults(v any) any {
	switch v := v.(type) {
	case map[string]any:
		skip := map[string]bool{defaultsKey: true}
		names, _ := v[defaultsKey].([]any)
		for _, name := range names {
			if s, ok := name.(string); ok {
				skip[s] = true
			}
		}
		out := make(map[string]any, len(v))
		for key, item := range v {
			if !skip[key] {
				out[key] = withoutDefaults(item)
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = withoutDefaults(item)
		}
		return out
	}
	return v
}

// compare lists the leaves in which two values differ, by path.
func compare(path string, old, new any) []Diff {
	var out []Diff
	walk(path, old, new, &out)
	return sortDiffs(out)
}

func walk(path string, old, new any, out *[]Diff) {
	om, oIsMap := old.(map[string]any)
	nm, nIsMap := new.(map[string]any)
	ol, oIsList := old.([]any)
	nl, nIsList := new.([]any)
	switch {
	case (oIsMap || nIsMap) && (oIsMap || old == nil) && (nIsMap || new == nil):
		for _, key := range union(om, nm) {
			walk(child(path, key), om[key], nm[key], out)
		}
	case (oIsList || nIsList) && (oIsList || old == nil) && (nIsList || new == nil):
		for i := range max(len(ol), len(nl)) {
			walk(path+"["+strconv.Itoa(i)+"]", item(ol, i), item(nl, i), out)
		}
	case !equal(old, new):
		*out = append(*out, diffOf(path, old, new))
	}
}

func union(a, b map[string]any) []string {
	all := make(map[string]bool, len(a)+len(b))
	for _, m := range []map[string]any{a, b} {
		for key := range m {
			if !strings.HasPrefix(key, "__") {
				all[key] = true
			}
		}
	}
	return sortedKeys(all)
}

func item(list []any, i int) any {
	if i < len(list) {
		return list[i]
	}
	return nil
}

func child(path, key string) string {
	if strings.ContainsAny(key, `.[]"`) {
		return path + "[" + strconv.Quote(key) + "]"
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

func equal(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

func sortDiffs(d []Diff) []Diff {
	sort.SliceStable(d, func(i, j int) bool { return d[i].Path < d[j].Path })
	return d
}
