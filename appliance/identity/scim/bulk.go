package scim

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// bulkOperation is one of a bulk request (RFC 7644, section 3.7).
type bulkOperation struct {
	operation
	bulkID  string
	refers  []string // bulkIds of others
	refused error    // why it cannot be performed at all
	done    bool
}

// bulk performs operations in an order in which each comes after those whose
// resources it refers to with bulkId:. Each succeeds or fails alone.
func (h *handler) bulk(ctx context.Context, body map[string]any) (Resource, error) {
	list, ok := get(body, "Operations").([]any)
	if !ok || len(list) == 0 {
		return nil, bad(InvalidSyntax, "A bulk request has at least one operation in Operations.")
	}
	if len(list) > maxOperations {
		return nil, &Error{Status: http.StatusRequestEntityTooLarge, Detail: fmt.Sprintf("A bulk request has at most %d operations.", maxOperations)}
	}
	limit, err := number("failOnErrors", get(body, "failOnErrors"), len(list))
	if err != nil {
		return nil, err
	}
	b := &bulkRun{h: h, ids: map[string]string{}, all: make([]*bulkOperation, len(list)), limit: max(limit, 1)}
	for i, v := range list {
		b.all[i] = h.bulkOperation(v)
		if id := b.all[i].bulkID; id != "" {
			if _, twice := b.ids[id]; twice {
				return nil, bad(InvalidValue, fmt.Sprintf("bulkId %q comes twice.", id))
			}
			b.ids[id] = ""
		}
	}
	b.run(ctx)
	return Resource{"schemas": []any{bulkResponse}, "Operations": b.answers}, nil
}

// bulkRun is a bulk request in progress.
type bulkRun struct {
	h       *handler
	all     []*bulkOperation
	ids     map[string]string // what bulkIds became; "" until then
	answers []any
	failed  int
	limit   int
}

// run goes over the operations until none is left, or none can go on: what
// then is left refers to itself or to what failed.
func (b *bulkRun) run(ctx context.Context) {
	for progress := true; progress; {
		progress = false
		for _, o := range b.all {
			if o.done || b.failed >= b.limit || o.refused == nil && b.waits(o) {
				continue
			}
			progress, o.done = true, true
			b.answer(o, b.perform(ctx, o))
		}
	}
	for _, o := range b.all {
		if !o.done && b.failed < b.limit {
			b.answer(o, outcome{err: &Error{Status: http.StatusConflict, Type: InvalidValue, Detail: "It refers to a bulkId that was not made, or in a circle."}})
		}
	}
}

type outcome struct {
	result
	err error
}

func (b *bulkRun) perform(ctx context.Context, o *bulkOperation) outcome {
	if o.refused != nil {
		return outcome{err: o.refused}
	}
	o.id, _ = b.resolved(o.id).(string)
	o.body, _ = b.resolved(o.body).(map[string]any)
	r, err := o.kind.perform(ctx, o.operation)
	if err == nil && o.bulkID != "" && o.method == http.MethodPost {
		b.ids[o.bulkID], _ = r.resource["id"].(string)
	}
	return outcome{r, err}
}

func (b *bulkRun) answer(o *bulkOperation, out outcome) {
	a := Resource{"method": o.method}
	if o.bulkID != "" {
		a["bulkId"] = o.bulkID
	}
	if o.kind != nil && o.id != "" {
		a["location"] = b.h.address(o.kind.endpoint, o.id)
	}
	if out.err != nil {
		b.failed++
		e := b.h.refusal(out.err)
		a["status"], a["response"] = strconv.Itoa(e.Status), e.body()
	} else {
		a["status"] = strconv.Itoa(out.status)
		if out.resource != nil {
			a["location"], a["version"] = location(out.resource), version(out.resource)
		}
	}
	b.answers = append(b.answers, a)
}

const bulkPrefix = "bulkId:"

// waits is true while something the operation refers to has no id yet.
func (b *bulkRun) waits(o *bulkOperation) bool {
	return slices.ContainsFunc(o.refers, func(name string) bool { return b.ids[name] == "" })
}

// references lists the bulkIds that a value contains.
func references(v any, into []string) []string {
	switch v := v.(type) {
	case string:
		if name, is := strings.CutPrefix(v, bulkPrefix); is {
			into = append(into, name)
		}
	case []any:
		for _, e := range v {
			into = references(e, into)
		}
	case map[string]any:
		for _, e := range v {
			into = references(e, into)
		}
	}
	return into
}

// resolved puts ids in the place of bulkIds.
func (b *bulkRun) resolved(v any) any {
	switch v := v.(type) {
	case string:
		if name, is := strings.CutPrefix(v, bulkPrefix); is {
			return b.ids[name]
		}
	case []any:
		for i, e := range v {
			v[i] = b.resolved(e)
		}
	case map[string]any:
		for k, e := range v {
			v[k] = b.resolved(e)
		}
	}
	return v
}

// bulkOperation reads one operation.
func (h *handler) bulkOperation(v any) *bulkOperation {
	in, _ := v.(map[string]any)
	text := func(name string) string { s, _ := get(in, name).(string); return s }
	o := &bulkOperation{bulkID: text("bulkId")}
	o.method, o.ifMatch = strings.ToUpper(text("method")), text("version")
	o.body, _ = get(in, "data").(map[string]any)
	endpoint, id, _ := strings.Cut(strings.TrimPrefix(text("path"), "/"), "/")
	o.kind, o.id = h.kindAt(endpoint), id
	o.refers = references(o.body, references(id, nil))
	switch o.method {
	case http.MethodPost:
		if o.bulkID == "" {
			o.refused = bad(InvalidSyntax, "A POST of a bulk request has a bulkId.")
		}
	case http.MethodPut, http.MethodPatch, http.MethodDelete:
	default:
		o.refused = bad(InvalidSyntax, fmt.Sprintf("%q is not POST, PUT, PATCH or DELETE.", text("method")))
	}
	switch {
	case o.refused != nil:
	case o.kind == nil || (o.id == "") != (o.method == http.MethodPost) || strings.Contains(o.id, "/"):
		o.refused = bad(InvalidPath, fmt.Sprintf("%q is not the path of a user or a group.", text("path")))
	case o.body == nil && o.method != http.MethodDelete:
		o.refused = bad(InvalidSyntax, "The operation has no data.")
	}
	return o
}
