package scim

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// test decides about a resource, or about one value of a list.
type test func(map[string]any) bool

// lookup is an equality that every resource a filter matches has.
type lookup struct{ attribute, value string }

// binding makes tests of a filter for one type. In a search over several types
// an attribute that this type does not have is one without a value.
type binding struct {
	resolve func(name string) (target, bool)
	lenient bool
	known   bool // some attribute was found
}

func never(map[string]any) bool { return false }

func (b *binding) test(f *filter) (test, error) {
	switch f.Op {
	case "not":
		inner, err := b.test(f.Left)
		return func(r map[string]any) bool { return !inner(r) }, err
	case "and", "or":
		left, err := b.test(f.Left)
		if err != nil {
			return nil, err
		}
		right, err := b.test(f.Right)
		if f.Op == "and" {
			return func(r map[string]any) bool { return left(r) && right(r) }, err
		}
		return func(r map[string]any) bool { return left(r) || right(r) }, err
	}
	at, ok := b.resolve(f.Attr)
	if !ok && b.lenient {
		return never, nil
	}
	if !ok {
		return nil, bad(InvalidFilter, fmt.Sprintf("There is no attribute %q.", f.Attr))
	}
	b.known = true
	if f.Where != nil {
		return valuePath(at, f)
	}
	return comparison(at, f)
}

// valuePath is attr[where], or attr[where].sub compared.
func valuePath(at target, f *filter) (test, error) {
	where, err := elementTest(at, f.Where)
	if err != nil {
		return nil, err
	}
	inner := test(func(map[string]any) bool { return true })
	if f.Op != "[]" {
		sub := at.attr.sub(f.Sub)
		if f.Sub == "" {
			sub = at.attr.sub("value")
		}
		if sub == nil {
			return nil, bad(InvalidFilter, fmt.Sprintf("%s has no sub-attribute %q.", at.attr.Name, f.Sub))
		}
		if inner, err = comparison(target{attr: sub}, f); err != nil {
			return nil, err
		}
	}
	return func(r map[string]any) bool {
		for _, v := range at.values(r) {
			if e, ok := v.(map[string]any); ok && where(e) && inner(e) {
				return true
			}
		}
		return false
	}, nil
}

// elementTest is the test inside the brackets, about one value of the list.
func elementTest(at target, where *filter) (test, error) {
	if at.attr == nil || at.sub != nil || at.attr.Type != typeComplex {
		return nil, bad(InvalidFilter, "Only an attribute with sub-attributes can be followed by brackets.")
	}
	b := binding{resolve: func(name string) (target, bool) {
		sub := at.attr.sub(name)
		return target{attr: sub}, sub != nil
	}}
	return b.test(where)
}

func comparison(at target, f *filter) (test, error) {
	if f.Op == "pr" {
		return func(r map[string]any) bool { return present(at.values(r)) }, nil
	}
	if f.Value == nil {
		return isNull(at, f.Op)
	}
	leaf := at.leaf()
	if leaf == nil {
		return nil, bad(InvalidFilter, fmt.Sprintf("%s has no value of its own: name a sub-attribute.", f.Attr))
	}
	if leaf.Returned == "never" {
		return nil, bad(InvalidFilter, fmt.Sprintf("%s cannot be searched.", f.Attr))
	}
	holds, err := comparer(leaf, f)
	if err != nil {
		return nil, err
	}
	return func(r map[string]any) bool {
		all := at.values(r)
		for _, v := range all {
			if object, ok := v.(map[string]any); ok {
				v = object[leaf.Name]
			}
			if holds(v) {
				return true
			}
		}
		return len(all) == 0 && f.Op == "ne"
	}, nil
}

// present is true when there is a value that is not empty (RFC 7643, section 2.5).
func present(all []any) bool {
	for _, v := range all {
		if object, ok := v.(map[string]any); ok && len(object) == 0 {
			continue
		}
		if v != nil && v != "" {
			return true
		}
	}
	return false
}

// isNull compares with null, which is what an attribute without a value has.
func isNull(at target, op string) (test, error) {
	switch op {
	case "eq":
		return func(r map[string]any) bool { return !present(at.values(r)) }, nil
	case "ne":
		return func(r map[string]any) bool { return present(at.values(r)) }, nil
	}
	return nil, bad(InvalidFilter, "null can be compared with eq and ne only.")
}

// comparer returns what holds for one value.
func comparer(leaf *attribute, f *filter) (func(any) bool, error) {
	switch leaf.Type {
	case typeBoolean:
		return compareBoolean(leaf, f)
	case typeDateTime:
		return compareTime(leaf, f)
	}
	want, ok := f.Value.(string)
	if !ok {
		return nil, bad(InvalidFilter, fmt.Sprintf("%s is a text: put what it is compared with into quotes.", leaf.Name))
	}
	if leaf.Type == typeBinary && ordered(f.Op) {
		return nil, bad(InvalidFilter, fmt.Sprintf("%s has no order: %s cannot be asked.", leaf.Name, f.Op))
	}
	want = folded(leaf, want)
	return func(v any) bool {
		got, ok := v.(string)
		return ok && compareText(f.Op, folded(leaf, got), want)
	}, nil
}

func folded(leaf *attribute, s string) string {
	if leaf.CaseExact {
		return s
	}
	return strings.ToLower(s)
}

func ordered(op string) bool { return op == "gt" || op == "ge" || op == "lt" || op == "le" }

func compareText(op, got, want string) bool {
	switch op {
	case "co":
		return strings.Contains(got, want)
	case "sw":
		return strings.HasPrefix(got, want)
	case "ew":
		return strings.HasSuffix(got, want)
	}
	return compareOrder(op, strings.Compare(got, want))
}

func compareOrder(op string, c int) bool {
	switch op {
	case "eq":
		return c == 0
	case "ne":
		return c != 0
	case "gt":
		return c > 0
	case "ge":
		return c >= 0
	case "lt":
		return c < 0
	}
	return c <= 0
}

func compareBoolean(leaf *attribute, f *filter) (func(any) bool, error) {
	want, ok := asBoolean(f.Value)
	if !ok {
		return nil, bad(InvalidFilter, fmt.Sprintf("%s is true or false.", leaf.Name))
	}
	if f.Op != "eq" && f.Op != "ne" {
		return nil, bad(InvalidFilter, fmt.Sprintf("%s can be compared with eq and ne only.", leaf.Name))
	}
	return func(v any) bool {
		got, _ := v.(bool) // without a value it is false
		return (got == want) == (f.Op == "eq")
	}, nil
}

// asBoolean takes "True" and "False" too, as Entra ID sends them.
func asBoolean(v any) (bool, bool) {
	switch v := v.(type) {
	case bool:
		return v, true
	case string:
		if strings.EqualFold(v, "true") || strings.EqualFold(v, "false") {
			return strings.EqualFold(v, "true"), true
		}
	}
	return false, false
}

func compareTime(leaf *attribute, f *filter) (func(any) bool, error) {
	text, _ := f.Value.(string)
	if f.Op == "co" || f.Op == "sw" || f.Op == "ew" {
		return func(v any) bool {
			got, ok := v.(string)
			return ok && text != "" && compareText(f.Op, got, text)
		}, nil
	}
	want, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return nil, bad(InvalidFilter, fmt.Sprintf(`%s is a time such as "2026-11-26T09:50:00Z".`, leaf.Name))
	}
	return func(v any) bool {
		s, _ := v.(string)
		got, err := time.Parse(time.RFC3339Nano, s)
		return err == nil && compareOrder(f.Op, got.Compare(want))
	}, nil
}

// indexed finds an equality over an attribute that directories have an index
// of, which everything that f matches has. The narrowest comes first.
func (t *resourceType) indexed(f *filter) (lookup, bool) {
	switch f.Op {
	case "and":
		left, one := t.indexed(f.Left)
		right, other := t.indexed(f.Right)
		if !one || other && right.attribute == "members" {
			return right, other
		}
		return left, true
	case "[]":
		at, ok := t.resolve(f.Attr)
		if ok && at.attr == membersAttribute && f.Where.Op == "eq" && strings.EqualFold(f.Where.Attr, "value") {
			return indexedBy("members", f.Where.Value)
		}
	case "eq":
		at, ok := t.resolve(f.Attr)
		switch {
		case !ok || f.Where != nil || at.extension != "":
		case at.attr == membersAttribute && at.leaf().Name == "value":
			return indexedBy("members", f.Value)
		case at.sub == nil && slices.Contains([]string{"id", "externalId", "userName", "displayName"}, at.attr.Name):
			return indexedBy(at.attr.Name, f.Value)
		}
	}
	return lookup{}, false
}

func indexedBy(attribute string, v any) (lookup, bool) {
	value, _ := v.(string)
	return lookup{attribute, value}, value != ""
}

// mentions counts the conditions about an attribute.
func (f *filter) mentions(t *resourceType, name string) int {
	if f == nil {
		return 0
	}
	n := f.Left.mentions(t, name) + f.Right.mentions(t, name)
	if at, ok := t.resolve(f.Attr); ok && at.attr != nil && at.attr.Name == name {
		n++
	}
	return n
}
