// Package cmdb keeps the configuration items: what exists in the clusters
// that a tenant has connected, as it was when it was last collected.
//
// Items come in whole collections through Service.Merge. An item keeps its id
// when it is renamed or moved, and loses it when another thing appears under
// its key: a VMID that was deleted and used again is a new item. What a
// collection does not mention is gone only when there is evidence; behind a
// node that does not answer, items turn stale and stay.
package cmdb

import (
	"embed"
	"encoding/base64"
	"encoding/json"
	"time"

	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/permission"
)

// Migrations holds the tables of this domain.
//
//go:embed migrations/*.sql
var Migrations embed.FS

// Permissions that this domain checks.
const (
	ReadItems = "cmdb:ci:read"
)

// Kind is what sort of thing an item is.
type Kind string

// The kinds of items.
const (
	Node      Kind = "node"
	VM        Kind = "vm"
	Container Kind = "container"
	Storage   Kind = "storage"
	Network   Kind = "network"
	Pool      Kind = "pool"
)

// Kinds are all of them.
var Kinds = []Kind{Node, VM, Container, Storage, Network, Pool}

// StatusUnknown is the status of what is listed while nobody answers for it.
const StatusUnknown = "unknown"

// StaleAfter is the age at which what was collected is called stale even
// though nothing was heard of a fault.
const StaleAfter = 3 * time.Minute

// Observed is one thing as a provider reports it.
type Observed struct {
	Kind Kind
	// Key is unique within the connection: "qemu/100", "node/pve1",
	// "storage/pve1/local".
	Key    string
	Name   string
	Node   string // where it is; empty for things of the whole cluster
	Status string
	// Properties are shown as they are. Sizes are in bytes, times in seconds.
	Properties map[string]any
	// Managed says that it carries our mark, StackID whose it is.
	Managed bool
	StackID id.ID
	// Marks tell it from another thing under the same key. Two sets without
	// a common mark are two things; an empty set says that none were read.
	Marks []string
	// Recreated is evidence from elsewhere that it replaced its predecessor.
	Recreated bool
	// Silent says that it is listed but nobody answers for it: name and
	// properties are unknown and the stored ones stay.
	Silent bool
}

// Snapshot is one collection of everything behind a connection.
type Snapshot struct {
	ConnectionID id.ID
	Connection   string // its name
	// TakenAt is when the collection began.
	TakenAt time.Time
	Items   []Observed
	// Partial are the kinds that could not be listed in full: what is missing
	// of them turns stale and is not called gone.
	Partial []Kind
	// Gone are keys that were asked for one by one and do not exist, whatever
	// else is known.
	Gone []string
}

// Item is one configuration item.
type Item struct {
	ID           id.ID          `json:"id"`
	ConnectionID id.ID          `json:"connection_id"`
	Kind         Kind           `json:"kind"`
	Key          string         `json:"key"`
	Name         string         `json:"name"`
	Node         string         `json:"node"`
	Status       string         `json:"status"`
	Managed      bool           `json:"managed"`
	StackID      id.ID          `json:"stack_id,omitzero"`
	Properties   map[string]any `json:"properties"`
	// CollectedAt is when what is shown was read, LastSeenAt when it last answered.
	CollectedAt time.Time `json:"collected_at"`
	FirstSeenAt time.Time `json:"first_seen_at"`
	LastSeenAt  time.Time `json:"last_seen_at"`
	// Stale says that what is shown may be outdated.
	Stale bool `json:"stale"`
}

// Resource is the item as conditions in grants see it.
func (i Item) Resource() permission.Resource {
	return permission.Resource{Kind: string(i.Kind), ID: i.ID, Attributes: map[string]any{
		"name": i.Name, "key": i.Key, "node": i.Node, "status": i.Status, "connection_id": i.ConnectionID.String(),
		"managed": i.Managed, "stack_id": i.StackID.String(),
	}}
}

// Filter selects items. Zero fields select everything.
type Filter struct {
	Kind         Kind
	ConnectionID id.ID
	Status       string
	Node         string
	Text         string // part of a name or key, in any case
	Cursor       string // of the previous page
	Limit        int    // 0 means 50, at most 200
}

// ItemPage is one page of items, ordered by kind and name.
type ItemPage struct {
	Items []Item `json:"items"`
	// Next is the cursor of the next page, nil on the last one.
	Next *string `json:"next"`
	// CollectedAt is the oldest collection that the answer rests on, zero
	// before the first one. Stale says that it, or something on the page, is.
	CollectedAt time.Time `json:"collected_at,omitzero"`
	Stale       bool      `json:"stale"`
}

// Known is what a collector has to know of an item to tell a new one from it.
type Known struct {
	Name        string
	Marks       []string
	MarksReadAt time.Time
}

// Changes say what a collection did.
type Changes struct {
	Appeared []id.ID
	Gone     []id.ID
	Updated  int
	Stale    int
	// Outdated says that a newer collection was there already and nothing was written.
	Outdated bool
}

const (
	defaultPage = 50
	maxPage     = 200
)

// position is where a page begins: after this item.
type position struct {
	Kind Kind
	Name string
	ID   id.ID
}

func (f Filter) normal() (Filter, position, error) {
	if f.Limit == 0 {
		f.Limit = defaultPage
	}
	f.Limit = min(max(f.Limit, 1), maxPage)
	var after position
	if f.Cursor == "" {
		return f, after, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(f.Cursor)
	if err == nil {
		err = json.Unmarshal(raw, &after)
	}
	if err != nil || after.ID.IsZero() {
		return f, after, fault.BadField("query.cursor", "This cursor is not one of ours. Begin again without one.")
	}
	return f, after, nil
}

func cursorAfter(i Item) *string {
	raw, err := json.Marshal(position{i.Kind, i.Name, i.ID})
	if err != nil {
		return nil
	}
	text := base64.RawURLEncoding.EncodeToString(raw)
	return &text
}
