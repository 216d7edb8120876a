// Package scim speaks SCIM 2.0 (RFC 7643, RFC 7644, paging by cursor after
// RFC 9865): the protocol by which an organisation's directory, such as Entra
// ID or Okta, makes, changes and disables users and groups. It knows HTTP, the
// schemas, filters and patches. What users and groups are it asks a Directory.
package scim

import (
	"context"
	"time"
)

// The URNs of the schemas and messages.
const (
	UserSchema       = "urn:ietf:params:scim:schemas:core:2.0:User"
	GroupSchema      = "urn:ietf:params:scim:schemas:core:2.0:Group"
	EnterpriseSchema = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"

	listMessage   = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
	searchMessage = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"
	patchMessage  = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
	bulkRequest   = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
	bulkResponse  = "urn:ietf:params:scim:api:messages:2.0:BulkResponse"
	errorMessage  = "urn:ietf:params:scim:api:messages:2.0:Error"
)

// Limits of one request. They stand in ServiceProviderConfig where it has a
// place for them.
const (
	maxPayload    = 1 << 20
	maxOperations = 1000   // of a bulk request, and of a patch
	maxResults    = 200    // of a list page
	defaultCount  = 100    // of a list page
	scanPage      = 1000   // resources read at once when a filter has no index
	maxScanned    = 50_000 // resources looked at for one list
)

// User is a person as a member of one tenant.
type User struct {
	ID         string
	ExternalID string // the client's own key
	UserName   string
	// DisplayName is what the client asked for; see Name for what to show.
	DisplayName string
	Active      bool
	// Password is set on the way in only, when the client sent one.
	Password string
	// Attributes are all others of the schemas that the client may write, by
	// their names; an extension's lie under its URN.
	Attributes map[string]any
	// Groups are those the user is in, when Query.Detail asked for them.
	Groups            []Ref
	Created, Modified time.Time
}

// Group is a group of users and groups.
type Group struct {
	ID          string
	ExternalID  string
	DisplayName string
	// Members are there when Query.Detail asked for them, and on every change.
	Members []Ref
	// Version changes with the group and its members.
	Version           string
	Created, Modified time.Time
}

// Ref points at a user or a group.
type Ref struct {
	ID      string
	Kind    string // "User" or "Group"; on the way in "" when the client did not say
	Display string
}

// Query chooses users or groups. They come in the order in which they were
// made. Without Attribute and IDs it is a page of all.
type Query struct {
	// Attribute is id, externalId, userName or displayName, and Value what it
	// equals; userName and displayName match in any case. A few more may come:
	// the filter is tested on all of them. Groups can also be asked for by one
	// of their members; without Detail they then show that member alone.
	Attribute, Value string
	IDs              []string
	// After is the ID of the last resource of the page before; Offset counts.
	After  string
	Offset int
	Limit  int
	Detail bool
}

// Page is what a query found; Total counts all when it chose a page of all.
type Page[T any] struct {
	Items []T
	Total int
}

// Directory keeps users and groups of the tenant that the context's token
// belongs to. Its errors are faults (NotFound, Conflict for what must be
// unique, Invalid, Forbidden) or an *Error.
//
// Change functions get the current resource and return the new one, inside the
// directory's transaction; when they fail nothing happens.
type Directory interface {
	Users(ctx context.Context, q Query) (Page[User], error)
	CreateUser(ctx context.Context, u User) (User, error)
	ChangeUser(ctx context.Context, id string, change func(User) (User, error)) (User, error)
	DeleteUser(ctx context.Context, id string, check func(User) error) error

	Groups(ctx context.Context, q Query) (Page[Group], error)
	CreateGroup(ctx context.Context, g Group) (Group, error)
	ChangeGroup(ctx context.Context, id string, change func(Group) (Group, error)) (Group, error)
	DeleteGroup(ctx context.Context, id string, check func(Group) error) error
}

// Name is what to call the user: the display name, else the name in parts,
// else the user name.
func (u User) Name() string {
	name, _ := u.Attributes["name"].(map[string]any)
	given, _ := name["givenName"].(string)
	family, _ := name["familyName"].(string)
	formatted, _ := name["formatted"].(string)
	parts := given + " " + family
	if given == "" || family == "" {
		parts = given + family
	}
	for _, choice := range []string{u.DisplayName, formatted, parts} {
		if choice != "" {
			return choice
		}
	}
	return u.UserName
}

// Email is the primary e-mail address, else the one for work, else the first.
func (u User) Email() string {
	all, _ := u.Attributes["emails"].([]any)
	best, rank := "", 0
	for _, e := range all {
		entry, _ := e.(map[string]any)
		value, _ := entry["value"].(string)
		r := 1
		if entry["type"] == "work" {
			r = 2
		}
		if entry["primary"] == true {
			r = 3
		}
		if value != "" && r > rank {
			best, rank = value, r
		}
	}
	return best
}
