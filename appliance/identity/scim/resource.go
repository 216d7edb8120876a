package scim

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// Resource is a user or group as JSON, its attributes by the names that the
// schemas spell.
type Resource = map[string]any

// Bounds of what one resource can hold.
const (
	maxText   = 4096
	maxBinary = 16 << 10
	maxValues = 200      // of a list other than members
	maxStored = 64 << 10 // of all attributes together
)

// decode reads one JSON object. A name that comes twice, in any case, is
// refused, because client and server could each believe another one.
func decode(body []byte) (Resource, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	v, err := decodeValue(d, 0)
	if err == nil {
		if _, extra := d.Token(); !errors.Is(extra, io.EOF) {
			err = errors.New("something follows the object")
		}
	}
	object, ok := v.(map[string]any)
	var e *Error
	switch {
	case errors.As(err, &e):
		return nil, e
	case err != nil || !ok:
		return nil, bad(InvalidSyntax, "The body is not a JSON object.")
	}
	return object, nil
}

func decodeValue(d *json.Decoder, depth int) (any, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	if depth > maxFilterDepth {
		return nil, bad(InvalidSyntax, "The body nests too deep.")
	}
	switch token {
	case json.Delim('{'):
		return decodeObject(d, depth)
	case json.Delim('['):
		list := []any{}
		for d.More() {
			v, err := decodeValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := d.Token()
		return list, err
	}
	if s, ok := token.(string); ok && strings.ContainsRune(s, 0) {
		return nil, bad(InvalidValue, "A text contains a NUL character.")
	}
	return token, nil
}

func decodeObject(d *json.Decoder, depth int) (any, error) {
	object, seen := map[string]any{}, map[string]bool{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, _ := key.(string)
		if fold := strings.ToLower(name); seen[fold] {
			return nil, bad(InvalidSyntax, fmt.Sprintf("%q comes twice.", name))
		} else {
			seen[fold] = true
		}
		if object[name], err = decodeValue(d, depth+1); err != nil {
			return nil, err
		}
	}
	_, err := d.Token()
	return object, err
}

// get reads a member in any case.
func get(object map[string]any, name string) any {
	if v, ok := object[name]; ok {
		return v
	}
	for k, v := range object {
		if strings.EqualFold(k, name) {
			return v
		}
	}
	return nil
}

// clean takes what the client may write out of a new resource: names as the
// schemas spell them, values of the right type. What is read-only or unknown
// is left out (RFC 7644, section 3.3).
func (t *resourceType) clean(in map[string]any) (Resource, error) {
	if err := t.checkSchemas(get(in, "schemas")); err != nil {
		return nil, err
	}
	out := Resource{}
	for _, name := range slices.Sorted(maps.Keys(in)) {
		at, ok := t.resolve(name)
		if !ok {
			continue
		}
		if err := at.put(out, in[name]); err != nil {
			return nil, err
		}
	}
	return out, t.check(out)
}

// put cleans a value and writes it to the target.
func (at target) put(out Resource, v any) error {
	if at.attr == nil {
		inner, ok := v.(map[string]any)
		if !ok && v != nil {
			return bad(InvalidValue, at.extension+" is an object.")
		}
		extension := enterpriseSchema.Attributes
		cleaned, err := cleanObject(extension, inner)
		if len(cleaned) > 0 {
			out[at.extension] = cleaned
		}
		return err
	}
	if at.attr.Mutability == readOnly || at.sub != nil {
		return nil
	}
	cleaned, err := at.attr.clean(v)
	if err != nil || cleaned == nil {
		return err
	}
	if at.extension == "" {
		out[at.attr.Name] = cleaned
		return nil
	}
	inner, _ := out[at.extension].(map[string]any)
	if inner == nil {
		inner = map[string]any{}
		out[at.extension] = inner
	}
	inner[at.attr.Name] = cleaned
	return nil
}

func (t *resourceType) checkSchemas(v any) error {
	if v == nil {
		return nil
	}
	has := slices.ContainsFunc(listed(v), func(s any) bool {
		text, _ := s.(string)
		return strings.EqualFold(text, t.schema.ID)
	})
	if !has {
		return bad(InvalidSyntax, fmt.Sprintf("schemas must contain %s.", t.schema.ID))
	}
	return nil
}

// check says what is missing, and what is too much.
func (t *resourceType) check(r Resource) error {
	for _, a := range t.top {
		if s, _ := r[a.Name].(string); a.Required && strings.TrimSpace(s) == "" {
			return bad(InvalidValue, a.Name+" is required.")
		}
		if a == membersAttribute {
			continue
		}
		if list, ok := r[a.Name].([]any); ok && len(list) > maxValues {
			return bad(InvalidValue, fmt.Sprintf("%s has more than %d values.", a.Name, maxValues))
		}
	}
	return nil
}

var membersAttribute = find(groupSchema.Attributes, "members")

// clean returns a value as the definition wants it, nil for none.
func (a *attribute) clean(v any) (any, error) {
	if v == nil {
		return nil, nil
	}
	if !a.MultiValued {
		if list, ok := v.([]any); ok && len(list) == 1 { // as older Entra ID sends single values
			v = list[0]
			if object, ok := v.(map[string]any); ok && a.Type != typeComplex {
				v = get(object, "value")
			}
		}
		return a.cleanOne(v)
	}
	var all []any
	for _, e := range listed(v) {
		cleaned, err := a.cleanOne(e)
		if err != nil {
			return nil, err
		}
		if cleaned != nil {
			all = append(all, cleaned)
		}
	}
	if primaries(all) > 1 {
		return nil, bad(InvalidValue, fmt.Sprintf("%s has more than one primary value.", a.Name))
	}
	if len(all) == 0 {
		return nil, nil
	}
	return all, nil
}

func primaries(all []any) int {
	n := 0
	for _, v := range all {
		if e, ok := v.(map[string]any); ok && e["primary"] == true {
			n++
		}
	}
	return n
}

func (a *attribute) cleanOne(v any) (any, error) {
	if v == nil {
		return nil, nil
	}
	switch a.Type {
	case typeComplex:
		return a.cleanComplex(v)
	case typeBoolean:
		b, ok := asBoolean(v)
		if !ok {
			return nil, bad(InvalidValue, a.Name+" is true or false.")
		}
		return b, nil
	}
	s, ok := v.(string)
	limit := maxText
	if a.Type == typeBinary || a.Type == typeReference {
		limit = maxBinary
	}
	switch {
	case !ok:
		return nil, bad(InvalidValue, a.Name+" is a text: put it into quotes.")
	case len(s) > limit:
		return nil, bad(InvalidValue, fmt.Sprintf("%s is longer than %d bytes.", a.Name, limit))
	}
	return s, nil
}

// cleanComplex takes a plain value for an object with that value, as some
// clients send a manager or a member.
func (a *attribute) cleanComplex(v any) (any, error) {
	object, ok := v.(map[string]any)
	if !ok {
		text, is := v.(string)
		if !is || a.sub("value") == nil {
			return nil, bad(InvalidValue, a.Name+" is an object.")
		}
		if text == "" {
			return nil, nil
		}
		object = map[string]any{"value": v}
	}
	cleaned, err := cleanObject(a.SubAttributes, object)
	if err != nil || len(cleaned) == 0 {
		return nil, err
	}
	return cleaned, nil
}

func cleanObject(attributes []*attribute, object map[string]any) (map[string]any, error) {
	out := map[string]any{}
	for name, v := range object {
		a := find(attributes, name)
		if a == nil || a.Mutability == readOnly {
			continue
		}
		cleaned, err := a.clean(v)
		if err != nil {
			return nil, err
		}
		if cleaned != nil {
			out[a.Name] = cleaned
		}
	}
	return out, nil
}

// userOf makes a User of a cleaned resource.
func userOf(r Resource) (User, error) {
	r = maps.Clone(r)
	take := func(name string) string {
		s, _ := r[name].(string)
		delete(r, name)
		return s
	}
	u := User{ID: take("id"), ExternalID: take("externalId"), UserName: take("userName"), DisplayName: take("displayName"), Password: take("password")}
	active, given := r["active"].(bool)
	u.Active = active || !given
	for _, name := range []string{"active", "schemas", "meta", "groups"} {
		delete(r, name)
	}
	if extension, ok := r[EnterpriseSchema].(map[string]any); ok {
		if manager, ok := extension["manager"].(map[string]any); ok {
			delete(manager, "$ref") // made of the value
		}
	}
	u.Attributes = r
	if stored, err := json.Marshal(r); err != nil || len(stored) > maxStored {
		return u, bad(InvalidValue, fmt.Sprintf("The attributes together are more than %d bytes.", maxStored))
	}
	return u, nil
}

func groupOf(r Resource) Group {
	text := func(name string) string { s, _ := r[name].(string); return s }
	g := Group{ID: text("id"), ExternalID: text("externalId"), DisplayName: text("displayName")}
	for _, v := range listed(r["members"]) {
		m, _ := v.(map[string]any)
		ref := Ref{}
		ref.ID, _ = m["value"].(string)
		ref.Kind, _ = m["type"].(string)
		if address, _ := m["$ref"].(string); ref.ID == "" {
			ref.ID = address[strings.LastIndexByte(address, '/')+1:]
		}
		if ref.ID != "" {
			g.Members = append(g.Members, ref)
		}
	}
	return g
}

// addresser makes the address of a resource.
type addresser func(endpoint, id string) string

func (u User) resource(at addresser) Resource {
	r, _ := clone(u.Attributes).(map[string]any)
	if r == nil {
		r = Resource{}
	}
	set(r, "externalId", u.ExternalID)
	set(r, "displayName", u.DisplayName)
	r["id"], r["userName"], r["active"] = u.ID, u.UserName, u.Active
	r["schemas"] = []any{UserSchema}
	if extension, ok := r[EnterpriseSchema].(map[string]any); ok {
		r["schemas"] = []any{UserSchema, EnterpriseSchema}
		if manager, ok := extension["manager"].(map[string]any); ok && manager["value"] != nil {
			manager["$ref"] = at("/Users", fmt.Sprint(manager["value"]))
		}
	}
	if len(u.Groups) > 0 {
		r["groups"] = refs(u.Groups, at, "direct")
	}
	r["meta"] = meta("User", at("/Users", u.ID), u.Created, u.Modified)
	return r
}

func (g Group) resource(at addresser) Resource {
	r := Resource{"schemas": []any{GroupSchema}, "id": g.ID, "displayName": g.DisplayName}
	set(r, "externalId", g.ExternalID)
	if len(g.Members) > 0 {
		r["members"] = refs(g.Members, at, "")
	}
	about := meta("Group", at("/Groups", g.ID), g.Created, g.Modified)
	about["version"] = `W/"` + g.Version + `"`
	r["meta"] = about
	return r
}

func set(r Resource, name, value string) {
	if value != "" {
		r[name] = value
	}
}

// refs are members, or with a relation the groups of a user.
func refs(all []Ref, at addresser, relation string) []any {
	list := make([]any, len(all))
	for i, ref := range all {
		e := map[string]any{"value": ref.ID, "type": ref.Kind, "$ref": at("/"+ref.Kind+"s", ref.ID)}
		if relation != "" {
			e["type"] = relation
		}
		set(e, "display", ref.Display)
		list[i] = e
	}
	return list
}

func meta(kind, location string, created, modified time.Time) map[string]any {
	return map[string]any{
		"resourceType": kind, "location": location,
		"created": created.UTC().Format(time.RFC3339Nano), "lastModified": modified.UTC().Format(time.RFC3339Nano),
	}
}

func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = clone(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = clone(e)
		}
		return out
	}
	return v
}

// version is the resource's entity tag. That of a user is made when it is
// asked for: a weak tag over all that the client may write.
func version(r Resource) string {
	about, _ := r["meta"].(map[string]any)
	if v, ok := about["version"].(string); ok || about == nil {
		return v
	}
	written := maps.Clone(r)
	delete(written, "meta")
	delete(written, "groups")
	text, _ := json.Marshal(written) // maps marshal in the order of their keys
	sum := sha256.Sum256(text)
	v := `W/"` + hex.EncodeToString(sum[:8]) + `"`
	about["version"] = v
	return v
}

func location(r Resource) string {
	m, _ := r["meta"].(map[string]any)
	v, _ := m["location"].(string)
	return v
}

// projection is what the client wants to see (RFC 7644, section 3.9).
type projection struct {
	only, without []target
	narrow        bool // only counts, even when it is empty
}

func (t *resourceType) projection(attributes, excluded []string) projection {
	p := projection{narrow: len(attributes) > 0}
	for _, name := range attributes {
		if at, ok := t.resolve(name); ok {
			p.only = append(p.only, at)
		}
	}
	for _, name := range excluded {
		if at, ok := t.resolve(name); ok && (at.attr == nil || at.attr.Returned != "always") {
			p.without = append(p.without, at)
		}
	}
	return p
}

// wants is true when the attribute will be shown.
func (p projection) wants(name string) bool {
	is := func(at target) bool { return at.attr != nil && at.attr.Name == name && at.extension == "" }
	if p.narrow {
		return slices.ContainsFunc(p.only, is)
	}
	return !slices.ContainsFunc(p.without, func(at target) bool { return is(at) && at.sub == nil })
}

func (p projection) apply(r Resource) Resource {
	if p.narrow {
		out := Resource{"id": r["id"], "schemas": r["schemas"]}
		for _, at := range p.only {
			at.copy(out, r)
		}
		return out
	}
	for _, at := range p.without {
		at.drop(r)
	}
	return r
}

// copy takes what is at the target from one resource to another.
func (at target) copy(out, r Resource) {
	if at.extension != "" {
		inner, ok := r[at.extension].(map[string]any)
		if !ok {
			return
		}
		if at.attr == nil {
			out[at.extension] = inner
			return
		}
		kept, _ := out[at.extension].(map[string]any)
		if kept == nil {
			kept = map[string]any{}
		}
		target{attr: at.attr, sub: at.sub}.copy(kept, inner)
		if len(kept) > 0 {
			out[at.extension] = kept
		}
		return
	}
	v, ok := r[at.attr.Name]
	switch {
	case !ok:
	case at.sub == nil:
		out[at.attr.Name] = v
	default:
		out[at.attr.Name] = pick(out[at.attr.Name], v, at.sub.Name)
	}
}

// pick adds one sub-attribute of v to what was picked of it before.
func pick(before, v any, sub string) any {
	if list, ok := v.([]any); ok {
		picked, _ := before.([]any)
		if picked == nil {
			picked = make([]any, len(list))
		}
		for i, e := range list {
			picked[i] = pick(picked[i], e, sub)
		}
		return picked
	}
	object, _ := v.(map[string]any)
	out, _ := before.(map[string]any)
	if out == nil {
		out = map[string]any{}
	}
	if s, ok := object[sub]; ok {
		out[sub] = s
	}
	return out
}

// drop takes what is at the target away.
func (at target) drop(r Resource) {
	if at.extension != "" {
		inner, _ := r[at.extension].(map[string]any)
		if at.attr == nil {
			delete(r, at.extension)
		} else if inner != nil {
			target{attr: at.attr, sub: at.sub}.drop(inner)
		}
		return
	}
	if at.sub == nil {
		delete(r, at.attr.Name)
		return
	}
	for _, v := range listed(r[at.attr.Name]) {
		if e, ok := v.(map[string]any); ok {
			delete(e, at.sub.Name)
		}
	}
}
