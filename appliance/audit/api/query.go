package api

import (
	"context"
	"net/http"
	"time"

	"nimbus/appliance/audit"
	"nimbus/appliance/id"
	"nimbus/appliance/web"
)

// registerQueries declares the routes of saved queries.
func registerQueries(a *web.API, h handlers) {
	const shared = "Sharing needs " + audit.ShareQueryPermission + " besides."
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/audit/queries", Tag: tag,
		Summary: "List one's own saved queries and those that are shared", Permission: audit.ReadPermission}, h.queries)
	web.Handle(a, web.Route{Method: http.MethodPost, Path: "/v1/audit/queries", Tag: tag, Status: http.StatusCreated,
		Summary: "Save a query", Description: shared, Permission: audit.ReadPermission}, h.saveQuery)
	web.Handle(a, web.Route{Method: http.MethodPatch, Path: "/v1/audit/queries/{id}", Tag: tag,
		Summary: "Change a saved query", Description: shared, Permission: audit.ReadPermission}, h.changeQuery)
	web.Handle(a, web.Route{Method: http.MethodDelete, Path: "/v1/audit/queries/{id}", Tag: tag,
		Summary: "Delete a saved query", Permission: audit.ReadPermission}, h.deleteQuery)
}

type query struct {
	ID        id.ID          `json:"id"`
	Name      string         `json:"name"`
	Filter    map[string]any `json:"filter" doc:"The query parameters of the list of records."`
	Shared    bool           `json:"shared"`
	Owner     audit.Owner    `json:"owner"`
	CreatedAt time.Time      `json:"created_at"`
}

type queryPage struct {
	Items []query `json:"items"`
	Next  *string `json:"next"`
}

func (h handlers) queries(ctx context.Context, _ *web.None) (queryPage, error) {
	all, err := h.Queries(ctx)
	p := queryPage{Items: make([]query, len(all))}
	for i, q := range all {
		p.Items[i] = query(q)
	}
	return p, err
}

type saveQueryInput struct {
	Body struct {
		Name   string         `json:"name" minLength:"1" maxLength:"100"`
		Filter map[string]any `json:"filter"`
		Shared bool           `json:"shared" required:"false"`
	}
}

func (h handlers) saveQuery(ctx context.Context, in *saveQueryInput) (query, error) {
	q, err := h.SaveQuery(ctx, audit.Query{Name: in.Body.Name, Filter: in.Body.Filter, Shared: in.Body.Shared})
	return query(q), err
}

type changeQueryInput struct {
	ID   id.ID `path:"id"`
	Body struct {
		Name   *string        `json:"name,omitempty" maxLength:"100"`
		Filter map[string]any `json:"filter,omitempty"`
		Shared *bool          `json:"shared,omitempty"`
	}
}

func (h handlers) changeQuery(ctx context.Context, in *changeQueryInput) (query, error) {
	q, err := h.ChangeQuery(ctx, in.ID, audit.QueryChange(in.Body))
	return query(q), err
}

type queryInput struct {
	ID id.ID `path:"id"`
}

func (h handlers) deleteQuery(ctx context.Context, in *queryInput) (web.None, error) {
	return web.None{}, h.DeleteQuery(ctx, in.ID)
}
