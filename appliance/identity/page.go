package identity

import (
	"encoding/base64"
	"strings"

	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// Filter chooses a page of a list that is ordered by name.
type Filter struct {
	ID     id.ID  // one only; zero means all
	Search string // part of the name, or of a person's address
	After  string // the Next of the page before
	Limit  int    // 0 means 50, at most 200
}

// Page is part of a list; Next is "" on the last.
type Page[T any] struct {
	Items []T
	Next  string
}

// place is where a page begins: after this name and id.
type place struct {
	Name string
	ID   id.ID
}

const (
	pageSize    = 50
	maxPageSize = 200
)

// valid fills what was left open and reads the cursor.
func (f Filter) valid() (Filter, place, error) {
	f.Search = strings.TrimSpace(f.Search)
	if f.Limit <= 0 {
		f.Limit = pageSize
	}
	f.Limit = min(f.Limit, maxPageSize)
	if f.After == "" {
		return f, place{}, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(f.After)
	if err != nil || len(raw) < len(id.ID{}) {
		return f, place{}, errCursor
	}
	at := len(raw) - len(id.ID{})
	return f, place{Name: strings.ToValidUTF8(string(raw[:at]), ""), ID: id.ID(raw[at:])}, nil
}

var errCursor = fault.BadField("query.after", "This is not the next of a page before. Begin again without it.")

// pageOf cuts a list that holds one more than asked for.
func pageOf[T any](all []T, limit int, at func(T) place) Page[T] {
	if len(all) <= limit {
		return Page[T]{Items: all}
	}
	last := at(all[limit-1])
	return Page[T]{Items: all[:limit], Next: base64.RawURLEncoding.EncodeToString(append([]byte(last.Name), last.ID[:]...))}
}
