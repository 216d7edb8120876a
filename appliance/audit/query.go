package audit

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// ShareQueryPermission lets others of the tenant see a saved query.
const ShareQueryPermission = "audit:query:share"

// queriesMost bounds what one person saves.
const queriesMost = 200

// Query is a filter that somebody gave a name. Its members are the query
// parameters of the list of records.
type Query struct {
	ID        id.ID
	Name      string
	Filter    map[string]any
	Shared    bool
	Owner     Owner
	CreatedAt time.Time
}

// Owner is who saved a query.
type Owner struct {
	ID   id.ID  `json:"id"`
	Name string `json:"name"`
}

// queryMembers are the parameters that may be saved; "last" is a time before now.
var queryMembers = []string{"event", "category", "priority", "outcome", "actor", "on_behalf_of", "target", "target_kind", "address", "request_id", "from", "to", "last", "q"}

func (q Query) validate() error {
	if name := strings.TrimSpace(q.Name); name == "" || len(q.Name) > 100 {
		return fault.BadField("body.name", "Give the query a name of at most 100 characters.")
	}
	for member, value := range q.Filter {
		if !slices.Contains(queryMembers, member) {
			return fault.BadField("body.filter", "%q is not what records are filtered by.", member)
		}
		if !plain(value) {
			return fault.BadField("body.filter."+member, "A filter is a text or a list of texts.")
		}
	}
	if raw, err := json.Marshal(q.Filter); err != nil || len(raw) > 4096 {
		return fault.BadField("body.filter", "The filter is longer than 4096 characters.")
	}
	return nil
}

// plain is true of a text and of a list of texts.
func plain(value any) bool {
	list, ok := value.([]any)
	if !ok {
		_, ok = value.(string)
		return ok
	}
	return !slices.ContainsFunc(list, func(one any) bool { _, ok := one.(string); return !ok })
}

// Queries lists the actor's own saved queries and those that are shared in its
// tenant, by name. It returns fault.Forbidden without audit:record:read.
func (s *Service) Queries(ctx context.Context) (all []Query, err error) {
	a, err := s.authorise(ctx, ReadPermission)
	if err != nil {
		return nil, err
	}
	err = s.in(ctx, a.TenantID, func(ctx context.Context) error {
		all, err = s.store.queries(ctx, a.ID)
		return err
	})
	return all, err
}

// SaveQuery saves a query of the actor's. It returns fault.Forbidden without
// audit:record:read, or without audit:query:share when it is shared.
func (s *Service) SaveQuery(ctx context.Context, q Query) (Query, error) {
	a, err := s.authorise(ctx, ReadPermission)
	if err != nil {
		return q, err
	}
	if err := s.mayShare(ctx, q.Shared); err != nil {
		return q, err
	}
	if err := q.validate(); err != nil {
		return q, err
	}
	if q.Filter == nil {
		q.Filter = map[string]any{}
	}
	q.ID, q.Owner, q.CreatedAt = id.New(), Owner{a.ID, a.Name}, time.Now().UTC().Truncate(time.Microsecond)
	return q, s.in(ctx, a.TenantID, func(ctx context.Context) error {
		n, err := s.store.saved(ctx, a.ID)
		if err != nil {
			return err
		}
		if n >= queriesMost {
			return fault.New(fault.Conflict, "You have saved %d queries already. Delete one first.", n)
		}
		if err := s.store.insertQuery(ctx, q); err != nil {
			return err
		}
		return s.Record(ctx, queryEntry("audit.query.saved", q, nil, queryState(q)))
	})
}

func (s *Service) mayShare(ctx context.Context, shared bool) error {
	if !shared {
		return nil
	}
	return s.Check(ctx, ShareQueryPermission)
}

// QueryChange is what ChangeQuery replaces; nil keeps.
type QueryChange struct {
	Name   *string
	Filter map[string]any
	Shared *bool
}

// apply is the query after a change.
func (c QueryChange) apply(q Query) Query {
	if c.Name != nil {
		q.Name = *c.Name
	}
	if c.Filter != nil {
		q.Filter = c.Filter
	}
	if c.Shared != nil {
		q.Shared = *c.Shared
	}
	return q
}

// ChangeQuery changes a query. Its owner may, and of a shared one who has
// audit:query:share; it returns fault.NotFound to everybody who does not see it.
func (s *Service) ChangeQuery(ctx context.Context, query id.ID, change QueryChange) (Query, error) {
	var q Query
	shares := func(old Query) bool { return change.apply(old).Shared }
	err := s.onQuery(ctx, query, shares, func(ctx context.Context, old Query) error {
		q = change.apply(old)
		if err := q.validate(); err != nil {
			return err
		}
		if err := s.store.updateQuery(ctx, q); err != nil {
			return err
		}
		return s.Record(ctx, queryEntry("audit.query.changed", q, queryState(old), queryState(q)))
	})
	return q, err
}

// DeleteQuery deletes a query, by the rules of ChangeQuery; the owner of a
// shared one needs no permission to take it away.
func (s *Service) DeleteQuery(ctx context.Context, query id.ID) error {
	return s.onQuery(ctx, query, func(Query) bool { return false }, func(ctx context.Context, old Query) error {
		if err := s.store.deleteQuery(ctx, query); err != nil {
			return err
		}
		return s.Record(ctx, queryEntry("audit.query.deleted", old, queryState(old), nil))
	})
}

// onQuery changes a query that the actor may change, in one transaction. Rights
// are asked before it, because a refusal must be recorded and the transaction
// of what is refused is undone.
func (s *Service) onQuery(ctx context.Context, query id.ID, shares func(Query) bool, do func(context.Context, Query) error) error {
	a, err := s.authorise(ctx, ReadPermission)
	if err != nil {
		return err
	}
	var seen Query
	err = s.in(ctx, a.TenantID, func(ctx context.Context) error {
		seen, err = s.store.query(ctx, query)
		return err
	})
	if err != nil {
		return err
	}
	mine := seen.Owner.ID == a.ID
	if !mine && !seen.Shared {
		return fault.New(fault.NotFound, "There is no such query.")
	}
	if err := s.mayShare(ctx, !mine || shares(seen)); err != nil {
		return err
	}
	return s.in(ctx, a.TenantID, func(ctx context.Context) error {
		now, err := s.store.query(ctx, query)
		if err == nil && now.Shared != seen.Shared {
			err = fault.New(fault.Conflict, "The query was changed meanwhile. Look at it again.")
		}
		if err != nil {
			return err
		}
		return do(ctx, now)
	})
}

func queryEntry(event string, q Query, before, after any) Entry {
	return Entry{Event: event, Target: Target{Kind: "audit query", ID: q.ID.String(), Name: q.Name}, Before: before, After: after}
}

func queryState(q Query) any {
	return map[string]any{"name": q.Name, "filter": q.Filter, "shared": q.Shared}
}
