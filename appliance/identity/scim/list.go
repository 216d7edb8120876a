package scim

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// search is what a list asks for, from the query or from /.search.
type search struct {
	filter               string
	sortBy               string
	descending           bool
	start, count         int
	cursor               *string // nil: pages by index
	attributes, excluded []string
}

// position is what a cursor holds. Sum ties it to its question.
type position struct {
	After  string `json:"a,omitempty"`
	Offset int    `json:"o,omitempty"`
	Sum    string `json:"s"`
}

func (q search) sum(kinds []*kind) string {
	h := sha256.New()
	for _, k := range kinds {
		fmt.Fprintf(h, "%s ", k.name)
	}
	fmt.Fprintf(h, "%q %q %v", q.filter, q.sortBy, q.descending)
	return hex.EncodeToString(h.Sum(nil)[:8])
}

func (p position) String() string {
	text, _ := json.Marshal(p)
	return base64.RawURLEncoding.EncodeToString(text)
}

// begin tells where the page begins.
func (q search) begin(kinds []*kind) (position, error) {
	sum := q.sum(kinds)
	if q.cursor == nil {
		return position{Offset: q.start - 1, Sum: sum}, nil
	}
	if *q.cursor == "" {
		return position{Sum: sum}, nil
	}
	var p position
	text, err := base64.RawURLEncoding.DecodeString(*q.cursor)
	if err == nil {
		err = json.Unmarshal(text, &p)
	}
	if err != nil || p.Sum != sum || p.Offset < 0 {
		return p, bad(InvalidCursor, "The cursor does not belong to this question. Begin again without one.")
	}
	return p, nil
}

// found is a resource that a list has: its id, what it is sorted by, and the
// resource itself unless it has to be read again.
type found struct {
	kind     *kind
	id       string
	by       string
	resource Resource
}

// selection is what a list answers with.
type selection struct {
	items []found
	total int
	next  string // cursor of the next page, "" on the last
}

func (h *handler) list(ctx context.Context, kinds []*kind, q search) (Resource, error) {
	from, err := q.begin(kinds)
	if err != nil {
		return nil, err
	}
	var s selection
	switch {
	case len(kinds) == 1 && q.filter == "" && q.sortBy == "":
		s, err = h.page(ctx, kinds[0], q, from)
	default:
		s, err = h.choose(ctx, kinds, q, from)
	}
	if err != nil {
		return nil, err
	}
	shown := make([]any, 0, len(s.items))
	for _, f := range s.items {
		if f.resource == nil {
			continue // it went meanwhile
		}
		version(f.resource)
		shown = append(shown, f.kind.projection(q.attributes, q.excluded).apply(f.resource))
	}
	answer := Resource{"schemas": []any{listMessage}, "totalResults": s.total, "itemsPerPage": len(shown)}
	if len(shown) > 0 {
		answer["Resources"] = shown
	}
	if q.cursor == nil {
		answer["startIndex"] = q.start
	} else if s.next != "" {
		answer["nextCursor"] = s.next
	}
	return answer, nil
}

// page is one of all resources of a type, as the directory pages them.
func (h *handler) page(ctx context.Context, k *kind, q search, from position) (selection, error) {
	detail := k.projection(q.attributes, q.excluded).wants(k.detail)
	all, total, err := k.query(ctx, Query{After: from.After, Offset: from.Offset, Limit: q.count, Detail: detail})
	s := selection{total: total}
	for _, r := range all {
		s.items = append(s.items, found{kind: k, resource: r})
	}
	if n := len(all); n > 0 && n == q.count {
		id, _ := all[n-1]["id"].(string)
		s.next = position{After: id, Sum: from.Sum}.String()
	}
	return s, err
}

// choose filters and sorts. Of all that is looked at only the page is kept.
func (h *handler) choose(ctx context.Context, kinds []*kind, q search, from position) (selection, error) {
	questions, err := bind(kinds, q)
	if err != nil {
		return selection{}, err
	}
	sc := scan{begin: from.Offset, end: from.Offset + q.count, sorted: q.sortBy != "", left: maxScanned}
	for i, k := range kinds {
		if err := sc.over(ctx, k, questions[i]); err != nil {
			return selection{}, err
		}
	}
	order(sc.all, q)
	s := selection{total: len(sc.all)}
	begin := min(sc.begin, len(sc.all))
	end := min(sc.end, len(sc.all))
	if end < len(sc.all) && q.count > 0 {
		s.next = position{Offset: end, Sum: from.Sum}.String()
	}
	s.items = sc.all[begin:end]
	for i, k := range kinds {
		detail := k.projection(q.attributes, q.excluded).wants(k.detail)
		if err := k.complete(ctx, s.items, detail, detail && !questions[i].detail); err != nil {
			return s, err
		}
	}
	return s, nil
}

// question is a filter and an order for one type.
type question struct {
	test    test
	index   lookup
	detail  bool
	version bool
	by      target
	sorted  bool
}

func bind(kinds []*kind, q search) ([]question, error) {
	var f *filter
	var err error
	if q.filter != "" {
		if f, err = parseFilter(q.filter); err != nil {
			return nil, err
		}
	}
	questions, known, sortable := make([]question, len(kinds)), f == nil, q.sortBy == ""
	for i, k := range kinds {
		b := binding{resolve: k.resolve, lenient: len(kinds) > 1}
		one := question{test: func(map[string]any) bool { return true }}
		if f != nil {
			if one.test, err = b.test(f); err != nil {
				return nil, err
			}
			one.index, _ = k.indexed(f)
		}
		one.by, one.sorted = k.resolve(q.sortBy)
		one.sorted = one.sorted && one.by.leaf() != nil
		one.detail, one.version = k.needs(f, one, q), f.mentions(k.resourceType, "meta") > 0
		known, sortable = known || b.known, sortable || one.sorted
		questions[i] = one
	}
	if !known {
		return nil, bad(InvalidFilter, "No resource has the attributes of this filter.")
	}
	if !sortable {
		return nil, bad(InvalidPath, fmt.Sprintf("Nothing can be sorted by %q.", q.sortBy))
	}
	return questions, nil
}

// needs tells whether the test looks at what only detail shows. A few that an
// index finds are read as they will be shown, in one go.
func (k *kind) needs(f *filter, one question, q search) bool {
	asked := f.mentions(k.resourceType, k.detail)
	if one.index.attribute == k.detail {
		asked-- // the directory answers that
	}
	shown := one.index.attribute != "" && k.projection(q.attributes, q.excluded).wants(k.detail)
	return asked > 0 || shown || one.sorted && one.by.attr.Name == k.detail
}

// scan collects what passes a test, and how much it may still look at.
type scan struct {
	begin, end int // the page that is wanted
	sorted     bool
	left       int
	all        []found
}

// over goes over the resources of a type: by an index when there is one, else
// over all, page by page.
func (s *scan) over(ctx context.Context, k *kind, q question) error {
	ask := Query{Attribute: q.index.attribute, Value: q.index.value, Limit: scanPage, Detail: q.detail}
	for {
		some, _, err := k.query(ctx, ask)
		if err != nil {
			return err
		}
		if s.left -= len(some); s.left < 0 {
			return bad(TooMany, "The filter would look at too many resources. Ask for userName, externalId, displayName or id.")
		}
		for _, r := range some {
			if q.version {
				version(r)
			}
			if q.test(r) {
				s.keep(k, q, r)
			}
		}
		if len(some) < scanPage || q.index.attribute != "" {
			return nil
		}
		ask.After, _ = some[len(some)-1]["id"].(string)
	}
}

// keep remembers where a resource is, and the resource when it is known to be
// on the page.
func (s *scan) keep(k *kind, q question, r Resource) {
	f := found{kind: k, by: q.sortKey(r)}
	f.id, _ = r["id"].(string)
	if n := len(s.all); !s.sorted && n >= s.begin && n < s.end {
		f.resource = r
	}
	s.all = append(s.all, f)
}

// sortKey is the primary value of a list, else its first.
func (q question) sortKey(r Resource) string {
	if !q.sorted {
		return ""
	}
	leaf, best := q.by.leaf(), ""
	for i, v := range (target{extension: q.by.extension, attr: q.by.attr}).values(r) {
		value := v
		if e, ok := v.(map[string]any); ok {
			value = e[leaf.Name]
			if i > 0 && e["primary"] != true {
				continue
			}
		}
		if value != nil {
			best = folded(leaf, fmt.Sprint(value))
		}
	}
	return best
}

// order sorts; what has no value comes last, or first when descending
// (RFC 7644, section 3.4.2.3).
func order(all []found, q search) {
	if q.sortBy == "" {
		return
	}
	slices.SortStableFunc(all, func(a, b found) int {
		c := cmp.Compare(a.by, b.by)
		if (a.by == "") != (b.by == "") {
			c = -c
		}
		if q.descending {
			c = -c
		}
		return c
	})
}

// complete reads the resources of this kind on a page that are missing, or all
// of them again when they need more detail.
func (k *kind) complete(ctx context.Context, page []found, detail, again bool) error {
	var ids []string
	for _, f := range page {
		if f.kind == k && (again || f.resource == nil) {
			ids = append(ids, f.id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	some, _, err := k.query(ctx, Query{IDs: ids, Limit: len(ids), Detail: detail})
	byID := map[string]Resource{}
	for _, r := range some {
		id, _ := r["id"].(string)
		byID[id] = r
	}
	for i, f := range page {
		if f.kind == k && (again || f.resource == nil) {
			page[i].resource = byID[f.id]
		}
	}
	return err
}

// searchOf reads the members of /.search or of the query.
func searchOf(get func(string) any) (search, error) {
	q := search{start: 1, count: defaultCount}
	text := func(name string) string { s, _ := get(name).(string); return s }
	q.filter, q.sortBy = strings.TrimSpace(text("filter")), text("sortBy")
	switch strings.ToLower(text("sortOrder")) {
	case "", "ascending":
	case "descending":
		q.descending = true
	default:
		return q, bad(InvalidValue, "sortOrder is ascending or descending.")
	}
	if cursor, ok := get("cursor").(string); ok {
		q.cursor = &cursor
	}
	var err1, err2 error
	q.start, err1 = number("startIndex", get("startIndex"), 1)
	q.count, err2 = number("count", get("count"), defaultCount)
	q.start, q.count = max(q.start, 1), min(max(q.count, 0), maxResults)
	q.attributes, q.excluded = names(get("attributes")), names(get("excludedAttributes"))
	return q, cmp.Or(err1, err2)
}

func number(name string, v any, otherwise int) (int, error) {
	var n int
	switch v := v.(type) {
	case nil:
		return otherwise, nil
	case float64:
		if v >= -1<<31 && v < 1<<31 && v == float64(int(v)) {
			return int(v), nil
		}
	case string:
		if _, err := fmt.Sscanf(v+"\n", "%d\n", &n); err == nil && n < 1<<31 && n > -1<<31 {
			return n, nil
		}
	}
	return 0, &Error{Status: http.StatusBadRequest, Type: InvalidValue, Detail: name + " is a whole number."}
}

// names reads a list of names, or a text with commas.
func names(v any) []string {
	var all []string
	for _, e := range listed(v) {
		text, _ := e.(string)
		for name := range strings.SplitSeq(text, ",") {
			if name = strings.TrimSpace(name); name != "" {
				all = append(all, name)
			}
		}
	}
	return all
}
