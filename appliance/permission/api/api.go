// Package api is the HTTP side of roles, grants and permissions.
package api

import (
	"context"
	"net/http"

	"nimbus/appliance/id"
	"nimbus/appliance/permission"
	"nimbus/appliance/web"
)

const tag = "Roles and permissions"

// Register declares the routes. routes lists all routes of the appliance when
// somebody asks for the catalogue of permissions.
func Register(a *web.API, s *permission.Service, routes func() []web.Route) {
	h := handlers{s, routes}
	registerRoles(a, h)
	registerGrants(a, h)
	registerQuestions(a, h)
	registerWords(a, h)
}

type handlers struct {
	*permission.Service
	routes func() []web.Route
}

type page[T any] struct {
	Items []T     `json:"items"`
	Next  *string `json:"next"`
}

func pageOf[T any](all []T, err error) (page[T], error) {
	if all == nil {
		all = []T{}
	}
	return page[T]{Items: all}, err
}

type idInput struct {
	ID id.ID `path:"id"`
}

func registerRoles(a *web.API, h handlers) {
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/roles", Tag: tag,
		Summary: "List the roles of your tenant", Permission: permission.ReadRole}, h.list)
	web.Handle(a, web.Route{Method: http.MethodPost, Path: "/v1/roles", Tag: tag,
		Summary: "Create a role", Permission: permission.CreateRole, Status: http.StatusCreated}, h.create)
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/roles/{id}", Tag: tag,
		Summary: "Read a role", Permission: permission.ReadRole}, h.read)
	web.Handle(a, web.Route{Method: http.MethodPut, Path: "/v1/roles/{id}", Tag: tag,
		Summary: "Replace a role", Permission: permission.UpdateRole}, h.update)
	web.Handle(a, web.Route{Method: http.MethodDelete, Path: "/v1/roles/{id}", Tag: tag,
		Summary: "Delete a role that nobody holds", Permission: permission.DeleteRole}, h.delete)
}

func (h handlers) list(ctx context.Context, _ *web.None) (page[permission.Role], error) {
	return pageOf(h.Roles(ctx))
}

// RoleBody is a role as somebody writes it.
type RoleBody struct {
	Name        string             `json:"name" minLength:"1" maxLength:"100"`
	Description string             `json:"description,omitempty" maxLength:"1000"`
	Grants      []permission.Grant `json:"grants,omitempty" maxItems:"1000"`
	Inherits    []id.ID            `json:"inherits,omitempty" maxItems:"50" doc:"Roles whose grants it has too."`
}

func (b RoleBody) role(role id.ID) permission.Role {
	return permission.Role{ID: role, Name: b.Name, Description: b.Description, Grants: b.Grants, Inherits: b.Inherits}
}

type createInput struct{ Body RoleBody }

func (h handlers) create(ctx context.Context, in *createInput) (permission.Role, error) {
	return h.CreateRole(ctx, in.Body.role(id.ID{}))
}

func (h handlers) read(ctx context.Context, in *idInput) (permission.Role, error) {
	return h.Role(ctx, in.ID)
}

type updateInput struct {
	ID   id.ID `path:"id"`
	Body RoleBody
}

func (h handlers) update(ctx context.Context, in *updateInput) (permission.Role, error) {
	return h.UpdateRole(ctx, in.Body.role(in.ID))
}

func (h handlers) delete(ctx context.Context, in *idInput) (web.None, error) {
	return web.None{}, h.DeleteRole(ctx, in.ID)
}
