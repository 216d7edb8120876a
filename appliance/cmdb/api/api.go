// Package api is the HTTP side of the inventory.
package api

import (
	"context"
	"net/http"

	"nimbus/appliance/cmdb"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/web"
)

// Register declares the routes of the inventory.
func Register(a *web.API, s *cmdb.Service) {
	h := handlers{s}
	web.Handle(a, web.Route{
		Method: http.MethodGet, Path: "/v1/inventory", Tag: "Inventory", Permission: cmdb.ReadItems,
		Summary:     "List what exists in the connected clusters",
		Description: "What was collected last, with its age; no cluster is asked.",
	}, h.list)
	web.Handle(a, web.Route{
		Method: http.MethodGet, Path: "/v1/inventory/{id}", Tag: "Inventory", Permission: cmdb.ReadItems,
		Summary: "Read one item",
	}, h.get)
}

type handlers struct{ cmdb *cmdb.Service }

type listInput struct {
	Kind         string `query:"kind" enum:"node,vm,container,storage,network,pool" doc:"Only this kind."`
	ConnectionID string `query:"connection_id" doc:"Only behind this connection."`
	Status       string `query:"status" maxLength:"40"`
	Node         string `query:"node" maxLength:"255"`
	Text         string `query:"q" maxLength:"200" doc:"Part of a name or key."`
	Cursor       string `query:"cursor" maxLength:"1000"`
	Limit        int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
}

func (h handlers) list(ctx context.Context, in *listInput) (cmdb.ItemPage, error) {
	connection, err := optionalID("query.connection_id", in.ConnectionID)
	if err != nil {
		return cmdb.ItemPage{}, err
	}
	return h.cmdb.List(ctx, cmdb.Filter{
		Kind: cmdb.Kind(in.Kind), ConnectionID: connection, Status: in.Status, Node: in.Node,
		Text: in.Text, Cursor: in.Cursor, Limit: in.Limit,
	})
}

type getInput struct {
	ID string `path:"id"`
}

func (h handlers) get(ctx context.Context, in *getInput) (cmdb.Item, error) {
	item, err := id.Parse(in.ID)
	if err != nil {
		return cmdb.Item{}, fault.New(fault.NotFound, "There is no such item.")
	}
	return h.cmdb.Get(ctx, item)
}

func optionalID(location, text string) (id.ID, error) {
	if text == "" {
		return id.ID{}, nil
	}
	parsed, err := id.Parse(text)
	if err != nil {
		return id.ID{}, fault.BadField(location, "This is not an id.")
	}
	return parsed, nil
}
