package scim

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// change is one operation of a patch (RFC 7644, section 3.5.2).
type change struct {
	op    string // add, replace or remove
	path  string
	value any
	given bool // the operation has a value
}

// parsePatch reads a patch. Operation names come in any case, as Entra ID
// sends them.
func parsePatch(body map[string]any) ([]change, error) {
	if s := get(body, "schemas"); s != nil && !slices.Contains(listed(s), any(patchMessage)) {
		return nil, bad(InvalidSyntax, "schemas must contain "+patchMessage+".")
	}
	list, ok := get(body, "Operations").([]any)
	if !ok || len(list) == 0 {
		return nil, bad(InvalidSyntax, "A patch has at least one operation in Operations.")
	}
	if len(list) > maxOperations {
		return nil, bad(TooMany, fmt.Sprintf("A patch has at most %d operations.", maxOperations))
	}
	changes := make([]change, len(list))
	for i, v := range list {
		o, _ := v.(map[string]any)
		op, _ := get(o, "op").(string)
		path, text := get(o, "path").(string)
		c := change{op: strings.ToLower(op), path: strings.TrimSpace(path), value: get(o, "value")}
		c.given = c.value != nil
		if c.op != "add" && c.op != "replace" && c.op != "remove" {
			return nil, bad(InvalidSyntax, fmt.Sprintf("%q is not add, replace or remove.", op))
		}
		if !text && get(o, "path") != nil {
			return nil, bad(InvalidPath, "A path is a text.")
		}
		changes[i] = c
	}
	return changes, nil
}

// patch applies the changes in their order. The resource is undefined after an
// error.
func (t *resourceType) patch(r Resource, changes []change) error {
	for _, c := range changes {
		if err := t.apply(r, c); err != nil {
			return err
		}
	}
	return t.check(r)
}

func (t *resourceType) apply(r Resource, c change) error {
	if c.path == "" {
		return t.applyObject(r, c, "")
	}
	path, err := parsePath(c.path)
	if err != nil {
		return err
	}
	at, ok := t.resolve(path.Attr)
	switch {
	case !ok:
		return bad(InvalidPath, fmt.Sprintf("There is no attribute %q.", path.Attr))
	case at.attr == nil && path.Where != nil:
		return bad(InvalidPath, "An extension cannot be followed by brackets.")
	case at.attr == nil:
		return t.applyExtension(r, c, at)
	}
	if err := mayWrite(at); err != nil {
		return err
	}
	holder, done := at.holder(r, c.op != "remove")
	if done {
		return nil
	}
	defer at.tidy(r)
	if path.Where != nil {
		return where(holder, at, path, c)
	}
	return at.change(holder, c)
}

// applyObject is a change without a path: each member of the value is one
// path. Clients also repeat the id and the schemas there.
func (t *resourceType) applyObject(r Resource, c change, prefix string) error {
	if c.op == "remove" {
		return bad(NoTarget, "Say with path what to remove.")
	}
	object, ok := c.value.(map[string]any)
	if !ok {
		return bad(InvalidValue, "A change without a path has an object as value.")
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		v := object[name]
		if prefix == "" && repeats(r, name, v) {
			continue
		}
		inner := change{op: c.op, path: prefix + name, value: v, given: v != nil}
		if err := t.apply(r, inner); err != nil {
			return err
		}
	}
	return nil
}

// repeats is true for the members that tell which resource it is.
func repeats(r Resource, name string, v any) bool {
	switch strings.ToLower(name) {
	case "id":
		return v == r["id"]
	case "schemas", "meta":
		return true
	}
	return false
}

func (t *resourceType) applyExtension(r Resource, c change, at target) error {
	if c.op == "remove" {
		delete(r, at.extension)
		return nil
	}
	return t.applyObject(r, c, at.extension+":")
}

func mayWrite(at target) error {
	switch {
	case at.attr.Mutability == readOnly || at.sub != nil && at.sub.Mutability == readOnly:
		return bad(Mutability, at.attr.Name+" is read-only.")
	case at.attr.Mutability == writeOnly:
		return bad(Mutability, at.attr.Name+" can be given once, when the person is made.")
	case at.sub != nil && at.sub.Mutability == immutable:
		return bad(Mutability, fmt.Sprintf("%s.%s cannot be changed: remove the value and add another.", at.attr.Name, at.sub.Name))
	}
	return nil
}

// holder is the object that has the attribute: the resource or its extension.
// done is true when there is none and none is to be made.
func (at target) holder(r Resource, make bool) (holder map[string]any, done bool) {
	if at.extension == "" {
		return r, false
	}
	inner, ok := r[at.extension].(map[string]any)
	if !ok && !make {
		return nil, true
	}
	if !ok {
		inner = map[string]any{}
		r[at.extension] = inner
	}
	return inner, false
}

// tidy removes an extension that has become empty.
func (at target) tidy(r Resource) {
	if inner, ok := r[at.extension].(map[string]any); ok && len(inner) == 0 {
		delete(r, at.extension)
	}
}

// change is one without brackets.
func (at target) change(r map[string]any, c change) error {
	empty := c.value == nil
	if list, ok := c.value.([]any); ok && len(list) == 0 {
		empty = true
	}
	switch {
	case c.op == "remove" && c.given && at.attr.MultiValued && at.sub == nil:
		return at.attr.removeValues(r, c.value)
	case c.op == "remove" || c.op == "replace" && empty:
		return at.remove(r)
	case empty:
		return nil
	case at.sub != nil:
		return at.setSub(r, c.value)
	}
	cleaned, err := at.attr.clean(c.value)
	if err != nil {
		return err
	}
	before := r[at.attr.Name]
	switch {
	case cleaned == nil && c.op == "replace":
		return at.remove(r)
	case at.attr.MultiValued && c.op == "add":
		added, _ := cleaned.([]any)
		r[at.attr.Name] = join(listed(before), added)
	case at.attr.Type == typeComplex && !at.attr.MultiValued:
		r[at.attr.Name] = merged(before, cleaned)
	case cleaned != nil:
		r[at.attr.Name] = cleaned
	}
	return nil
}

func (at target) remove(r map[string]any) error {
	if at.sub != nil {
		at.drop(r)
		at.attr.dropEmpty(r)
		return nil
	}
	if at.attr.Required {
		return bad(Mutability, at.attr.Name+" is required and cannot be removed.")
	}
	delete(r, at.attr.Name)
	return nil
}

// dropEmpty removes objects without members, and the attribute without values.
func (a *attribute) dropEmpty(r map[string]any) {
	kept := slices.DeleteFunc(listed(r[a.Name]), func(v any) bool {
		e, ok := v.(map[string]any)
		return ok && len(e) == 0
	})
	switch {
	case len(kept) == 0:
		delete(r, a.Name)
	case a.MultiValued:
		r[a.Name] = kept
	}
}

// removeValues takes the listed values away, as Entra ID removes members.
func (a *attribute) removeValues(r map[string]any, v any) error {
	cleaned, err := a.clean(v)
	if err != nil {
		return err
	}
	gone := map[any]bool{}
	for _, e := range listed(cleaned) {
		gone[valueOf(e)] = true
	}
	r[a.Name] = slices.DeleteFunc(listed(r[a.Name]), func(e any) bool { return gone[valueOf(e)] })
	a.dropEmpty(r)
	return nil
}

// valueOf is what tells values of a list apart: their value when they have one.
func valueOf(v any) any {
	e, ok := v.(map[string]any)
	if !ok {
		return v
	}
	if value, ok := e["value"].(string); ok {
		return value
	}
	return fmt.Sprint(e)
}

// setSub writes a sub-attribute of one object, or of every value of a list.
func (at target) setSub(r map[string]any, v any) error {
	cleaned, err := at.sub.clean(v)
	if err != nil || cleaned == nil {
		return err
	}
	all := listed(r[at.attr.Name])
	if len(all) == 0 && at.attr.MultiValued {
		return bad(NoTarget, fmt.Sprintf("%s has no values to change.", at.attr.Name))
	}
	if len(all) == 0 {
		all = []any{map[string]any{}}
		r[at.attr.Name] = all[0]
	}
	for _, e := range all {
		if object, ok := e.(map[string]any); ok {
			object[at.sub.Name] = cleaned
		}
	}
	if primaries(all) > 1 {
		return bad(InvalidValue, at.attr.Name+" can have one primary value only.")
	}
	return nil
}

// merged writes the members of an object over those before it.
func merged(before, over any) any {
	out, _ := before.(map[string]any)
	if out == nil {
		return over
	}
	members, _ := over.(map[string]any)
	maps.Copy(out, members)
	return out
}

// key is what makes two values of a list the same: their value and type.
type key struct{ value, kind string }

func keyOf(v any) (key, bool) {
	e, _ := v.(map[string]any)
	value, ok := e["value"].(string)
	kind, _ := e["type"].(string)
	if _, member := e["$ref"]; member || kind == "User" || kind == "Group" {
		kind = "" // ids are unique over all kinds of members
	}
	return key{strings.ToLower(value), strings.ToLower(kind)}, ok
}

// join adds values to a list. One that is there already is brought up to date
// instead, and a new primary value takes the place of the old one.
func join(before, added []any) []any {
	index := map[key]int{}
	for i, v := range before {
		if k, ok := keyOf(v); ok {
			index[k] = i
		}
	}
	for _, v := range added {
		at := len(before)
		k, keyed := keyOf(v)
		if i, there := index[k]; keyed && there {
			at, before[i] = i, merged(before[i], v)
		} else if !keyed && slices.ContainsFunc(before, func(b any) bool { return reflect.DeepEqual(b, v) }) {
			continue
		} else {
			before = append(before, v)
			index[k] = at
		}
		onlyPrimary(before, at, v)
	}
	return before
}

// onlyPrimary clears the other primary values when v, at that place, is one.
func onlyPrimary(all []any, at int, v any) {
	if e, ok := v.(map[string]any); !ok || e["primary"] != true {
		return
	}
	for i, other := range all {
		if e, ok := other.(map[string]any); ok && i != at && e["primary"] == true {
			e["primary"] = false
		}
	}
}

// where is a change of the values that the brackets choose.
func where(r map[string]any, at target, path patchPath, c change) error {
	matches, err := elementTest(at, path.Where)
	if err != nil {
		e := *errorOf(err)
		e.Type = InvalidFilter
		return &e
	}
	if path.Sub != "" {
		sub := at.attr.sub(path.Sub)
		if sub == nil {
			return bad(InvalidPath, fmt.Sprintf("%s has no sub-attribute %q.", at.attr.Name, path.Sub))
		}
		at.sub = sub
		if err := mayWrite(at); err != nil {
			return err
		}
	}
	if !at.attr.MultiValued {
		return bad(InvalidPath, at.attr.Name+" has one value only: it cannot be followed by brackets.")
	}
	all := listed(r[at.attr.Name])
	var chosen []int
	for i, v := range all {
		if e, ok := v.(map[string]any); ok && matches(e) {
			chosen = append(chosen, i)
		}
	}
	if c.op == "remove" || c.op == "replace" && c.value == nil {
		return at.removeChosen(r, all, chosen)
	}
	if len(chosen) == 0 {
		return at.makeChosen(r, all, path, c)
	}
	return at.changeChosen(all, chosen, c)
}

func (at target) removeChosen(r map[string]any, all []any, chosen []int) error {
	for _, i := range chosen {
		if e := all[i].(map[string]any); at.sub != nil {
			delete(e, at.sub.Name)
		} else {
			clear(e)
		}
	}
	at.attr.dropEmpty(r)
	return nil
}

func (at target) changeChosen(all []any, chosen []int, c change) error {
	for _, i := range chosen {
		e := all[i].(map[string]any)
		over, err := at.overlay(c.value)
		if err != nil {
			return err
		}
		if c.op == "replace" && at.sub == nil {
			clear(e)
		}
		maps.Copy(e, over)
		onlyPrimary(all, i, e)
	}
	return nil
}

// overlay is what the value writes into an object.
func (at target) overlay(v any) (map[string]any, error) {
	if at.sub != nil {
		cleaned, err := at.sub.clean(v)
		if err != nil || cleaned == nil {
			return nil, err
		}
		return map[string]any{at.sub.Name: cleaned}, nil
	}
	if list, ok := v.([]any); ok && len(list) == 1 {
		v = list[0]
	}
	cleaned, err := at.attr.cleanOne(v)
	over, _ := cleaned.(map[string]any)
	return over, err
}

// makeChosen adds the value that the brackets describe when there is none: an
// add of emails[type eq "work"].value makes a work address. Other changes of
// what is not there fail (RFC 7644, section 3.5.2.3).
func (at target) makeChosen(r map[string]any, all []any, path patchPath, c change) error {
	described := map[string]any{}
	if c.op != "add" || !at.describe(path.Where, described) {
		return bad(NoTarget, fmt.Sprintf("No value of %s matches %s.", at.attr.Name, path.Where))
	}
	over, err := at.overlay(c.value)
	if err != nil {
		return err
	}
	maps.Copy(described, over)
	r[at.attr.Name] = append(all, described)
	onlyPrimary(append(all, described), len(all), described)
	return nil
}

// describe collects the equalities of a filter; false when it has anything else.
func (at target) describe(f *filter, into map[string]any) bool {
	if f.Op == "and" {
		return at.describe(f.Left, into) && at.describe(f.Right, into)
	}
	sub := at.attr.sub(f.Attr)
	if f.Op != "eq" || sub == nil || f.Value == nil {
		return false
	}
	cleaned, err := sub.clean(f.Value)
	into[sub.Name] = cleaned
	return err == nil && cleaned != nil
}
