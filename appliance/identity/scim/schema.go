package scim

import (
	"slices"
	"strings"
)

// The types of attributes that our schemas have (RFC 7643, section 2.3).
const (
	typeString    = "string"
	typeBoolean   = "boolean"
	typeDateTime  = "dateTime"
	typeBinary    = "binary"
	typeReference = "reference"
	typeComplex   = "complex"
)

const (
	readOnly  = "readOnly"
	readWrite = "readWrite"
	immutable = "immutable"
	writeOnly = "writeOnly"
)

// attribute is the definition of an attribute, as /Schemas shows it.
type attribute struct {
	Name            string       `json:"name"`
	Type            string       `json:"type"`
	SubAttributes   []*attribute `json:"subAttributes,omitempty"`
	MultiValued     bool         `json:"multiValued"`
	Description     string       `json:"description"`
	Required        bool         `json:"required"`
	CanonicalValues []string     `json:"canonicalValues,omitempty"`
	CaseExact       bool         `json:"caseExact"`
	Mutability      string       `json:"mutability"`
	Returned        string       `json:"returned"`
	Uniqueness      string       `json:"uniqueness"`
	ReferenceTypes  []string     `json:"referenceTypes,omitempty"`
}

// schema is a named list of attributes.
type schema struct {
	ID          string       `json:"id"`
	Name        string       `json:"name"`
	Description string       `json:"description"`
	Attributes  []*attribute `json:"attributes"`
}

func find(all []*attribute, name string) *attribute {
	i := slices.IndexFunc(all, func(a *attribute) bool { return strings.EqualFold(a.Name, name) })
	if i < 0 {
		return nil
	}
	return all[i]
}

func (a *attribute) sub(name string) *attribute { return find(a.SubAttributes, name) }

// option changes a definition from the defaults: one readWrite string, in any
// case, returned by default, not unique.
type option func(*attribute)

func define(name, description string, options ...option) *attribute {
	a := &attribute{Name: name, Type: typeString, Description: description, Mutability: readWrite, Returned: "default", Uniqueness: "none"}
	for _, o := range options {
		o(a)
	}
	return a
}

func required(a *attribute) { a.Required = true }
func exact(a *attribute)    { a.CaseExact = true }
func fixed(a *attribute)    { a.Mutability = readOnly }
func once(a *attribute)     { a.Mutability = immutable }
func many(a *attribute)     { a.MultiValued = true }
func unique(a *attribute)   { a.Uniqueness = "server" }
func always(a *attribute)   { a.Returned = "always" }
func secret(a *attribute)   { a.Mutability, a.Returned = writeOnly, "never" }

func boolean(a *attribute)  { a.Type = typeBoolean }
func dateTime(a *attribute) { a.Type = typeDateTime }
func binary(a *attribute)   { a.Type, a.CaseExact = typeBinary, true }

func reference(types ...string) option {
	return func(a *attribute) { a.Type, a.CaseExact, a.ReferenceTypes = typeReference, true, types }
}

func canonical(values ...string) option {
	return func(a *attribute) { a.CanonicalValues = values }
}

func complexOf(subs ...*attribute) option {
	return func(a *attribute) { a.Type, a.SubAttributes = typeComplex, subs }
}

// listOf makes a multi-valued complex attribute with the usual sub-attributes.
func listOf(value *attribute, types ...string) option {
	return func(a *attribute) {
		many(a)
		complexOf(value,
			define("display", "A name to show."),
			define("type", "What it is for.", canonical(types...)),
			define("primary", "Whether it is the preferred one. Only one can be.", boolean))(a)
	}
}

// common attributes belong to every resource and to no schema (RFC 7643,
// section 3.1).
var common = []*attribute{
	define("id", "The id that this server gave.", fixed, exact, always, unique),
	define("externalId", "The client's own key of the resource.", exact),
	define("schemas", "The schemas of the resource.", many, fixed, always, reference("uri")),
	define("meta", "About the resource itself.", fixed, complexOf(
		define("resourceType", "The type of the resource.", fixed, exact),
		define("created", "When it was made.", fixed, dateTime),
		define("lastModified", "When it was last changed.", fixed, dateTime),
		define("location", "Its address.", fixed, reference("uri")),
		define("version", "Its entity tag.", fixed, exact))),
}

var userSchema = &schema{ID: UserSchema, Name: "User", Description: "A person who is a member of the tenant.", Attributes: []*attribute{
	define("userName", "The name that the directory signs the person in with, usually an e-mail address.", required, unique),
	define("name", "The parts of the person's name.", complexOf(
		define("formatted", "The whole name."),
		define("familyName", "The family name."),
		define("givenName", "The given name."),
		define("middleName", "The middle names."),
		define("honorificPrefix", "Such as Dr."),
		define("honorificSuffix", "Such as III."))),
	define("displayName", "The name to show."),
	define("nickName", "The casual name."),
	define("profileUrl", "A page about the person.", reference("external")),
	define("title", "Such as Vice President."),
	define("userType", "Such as Employee or Contractor."),
	define("preferredLanguage", "As in Accept-Language."),
	define("locale", "For dates, numbers and money, such as en-US."),
	define("timezone", "Such as Europe/Zurich."),
	define("active", "Whether the person may sign in to this tenant.", boolean),
	define("password", "The first password of a new person. It can be given once, when the person is made.", secret, exact),
	define("emails", "E-mail addresses.", listOf(define("value", "An e-mail address."), "work", "home", "other")),
	define("phoneNumbers", "Telephone numbers.", listOf(define("value", "A telephone number."), "work", "home", "mobile", "fax", "pager", "other")),
	define("ims", "Instant messaging addresses.", listOf(define("value", "An address."), "aim", "gtalk", "icq", "xmpp", "msn", "skype", "qq", "yahoo")),
	define("photos", "Addresses of pictures.", listOf(define("value", "The address of a picture.", reference("external")), "photo", "thumbnail")),
	define("addresses", "Postal addresses.", many, complexOf(
		define("formatted", "The whole address."),
		define("streetAddress", "Street, number and the like."),
		define("locality", "City."),
		define("region", "State or region."),
		define("postalCode", "Postal code."),
		define("country", "Country."),
		define("type", "What it is for.", canonical("work", "home", "other")),
		define("primary", "Whether it is the preferred one. Only one can be.", boolean))),
	define("groups", "The groups that the person is in. Change the group to change it.", fixed, many, complexOf(
		define("value", "The id of the group.", fixed, exact),
		define("$ref", "The address of the group.", fixed, reference("Group")),
		define("display", "The group's name.", fixed),
		define("type", "Whether the person is in the group itself or in a group inside it.", fixed, canonical("direct", "indirect")))),
	define("entitlements", "Not used: rights are given in this product only.", fixed, listOf(define("value", "An entitlement."))),
	define("roles", "Not used: roles are given in this product only.", fixed, listOf(define("value", "A role."))),
	define("x509Certificates", "Certificates.", listOf(define("value", "A certificate in DER, as base64.", binary))),
}}

var groupSchema = &schema{ID: GroupSchema, Name: "Group", Description: "A group of people and groups.", Attributes: []*attribute{
	define("displayName", "The group's name.", required, unique),
	define("members", "Who is in the group.", many, complexOf(
		define("value", "The id of the member.", once, exact),
		define("$ref", "The address of the member.", once, reference("User", "Group")),
		define("type", "What the member is.", once, canonical("User", "Group")),
		define("display", "The member's name.", fixed))),
}}

var enterpriseSchema = &schema{ID: EnterpriseSchema, Name: "EnterpriseUser", Description: "A person as an employee.", Attributes: []*attribute{
	define("employeeNumber", "A number or text that the organisation gave."),
	define("costCenter", "Cost centre."),
	define("organization", "Organisation."),
	define("division", "Division."),
	define("department", "Department."),
	define("manager", "The person's manager.", complexOf(
		define("value", "The id of the manager's User.", exact),
		define("$ref", "The address of the manager's User.", reference("User")),
		define("displayName", "The manager's name.", fixed))),
}}

// resourceType is what an endpoint serves.
type resourceType struct {
	name, endpoint, description string
	schema                      *schema
	extension                   *schema // nil: none
	top                         []*attribute
}

func newType(name, endpoint, description string, s, extension *schema) *resourceType {
	return &resourceType{name, endpoint, description, s, extension, slices.Concat(common, s.Attributes)}
}

var (
	userType  = newType("User", "/Users", "People", userSchema, enterpriseSchema)
	groupType = newType("Group", "/Groups", "Groups", groupSchema, nil)
)

// target is a path bound to a type: a whole extension (attr is nil), an
// attribute, or a sub-attribute.
type target struct {
	extension string // URN, or "" for the resource itself
	attr, sub *attribute
}

// resolve binds a name such as userName, name.familyName,
// urn:…:core:2.0:User:userName or urn:…:enterprise:2.0:User. It is false for
// what the type does not have.
func (t *resourceType) resolve(name string) (target, bool) {
	attributes, extension := t.top, ""
	if t.extension != nil && hasPrefixFold(name, t.extension.ID) {
		attributes, extension = t.extension.Attributes, t.extension.ID
		if len(name) == len(extension) {
			return target{extension: extension}, true
		}
		if name = name[len(extension):]; name[0] != ':' && name[0] != '.' {
			return target{}, false
		}
		name = name[1:]
	} else if hasPrefixFold(name, t.schema.ID+":") {
		name = name[len(t.schema.ID)+1:]
	}
	top, sub, nested := strings.Cut(name, ".")
	found := target{extension: extension, attr: find(attributes, top)}
	if found.attr != nil && nested {
		found.sub = found.attr.sub(sub)
	}
	return found, found.attr != nil && (found.sub != nil) == nested
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// leaf is the definition that values of the target have; nil when they are
// objects without a value of their own.
func (t target) leaf() *attribute {
	switch {
	case t.attr == nil:
		return nil
	case t.sub != nil:
		return t.sub
	case t.attr.Type == typeComplex:
		return t.attr.sub("value")
	}
	return t.attr
}

// values lists what the resource has at the target, objects as they are.
func (t target) values(r Resource) []any {
	if t.extension != "" {
		inner, _ := r[t.extension].(map[string]any)
		if t.attr == nil {
			if len(inner) == 0 {
				return nil
			}
			return []any{inner}
		}
		r = inner
	}
	all := listed(r[t.attr.Name])
	if t.sub == nil {
		return all
	}
	var subs []any
	for _, v := range all {
		if object, ok := v.(map[string]any); ok && object[t.sub.Name] != nil {
			subs = append(subs, object[t.sub.Name])
		}
	}
	return subs
}

// listed makes a list of one value or of a list, and of nothing an empty one.
func listed(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	}
	return []any{v}
}
