// Package api is the HTTP side of roles and permissions.
package api

import (
	"context"
	"net/http"

	"nimbus/appliance/id"
	"nimbus/appliance/permission"
	"nimbus/appliance/web"
)

const tag = "Roles and permissions"

// Register declares the routes.
func Register(a *web.API, s *permission.Service) {
	h := handlers{s}
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/roles", Tag: tag,
		Summary: "List the roles of your tenant", Permission: permission.ReadRole}, h.list)
	web.Handle(a, web.Route{Method: http.MethodPost, Path: "/v1/roles", Tag: tag,
		Summary: "Create a role", Permission: permission.CreateRole, Status: http.StatusCreated}, h.create)
	web.Handle(a, web.Route{Method: http.MethodDelete, Path: "/v1/roles/{id}", Tag: tag,
		Summary: "Delete a role that nobody holds", Permission: permission.DeleteRole}, h.delete)
	web.Handle(a, web.Route{Method: http.MethodPost, Path: "/v1/permissions/explain", Tag: tag,
		Summary: "Tell whether somebody may do something, and why", Permission: web.SignedIn,
		Description: "About yourself always; about others with " + permission.ExplainAny + "."}, h.explain)
}

type handlers struct{ *permission.Service }

type list struct {
	Items []permission.Role `json:"items"`
	Next  *string           `json:"next"`
}

func (h handlers) list(ctx context.Context, _ *web.None) (list, error) {
	all, err := h.Roles(ctx)
	return list{Items: all}, err
}

type createInput struct {
	Body struct {
		Name        string             `json:"name" minLength:"1" maxLength:"100"`
		Description string             `json:"description,omitempty" maxLength:"1000"`
		Grants      []permission.Grant `json:"grants" minItems:"1" maxItems:"1000"`
	}
}

func (h handlers) create(ctx context.Context, in *createInput) (permission.Role, error) {
	return h.CreateRole(ctx, permission.Role{Name: in.Body.Name, Description: in.Body.Description, Grants: in.Body.Grants})
}

type idInput struct {
	ID id.ID `path:"id"`
}

func (h handlers) delete(ctx context.Context, in *idInput) (web.None, error) {
	return web.None{}, h.DeleteRole(ctx, in.ID)
}

type explainInput struct {
	Body struct {
		UserID     id.ID  `json:"user_id,omitempty" doc:"Yourself when left out."`
		Permission string `json:"permission" example:"deployment:stack:approve"`
	}
}

func (h handlers) explain(ctx context.Context, in *explainInput) (permission.Decision, error) {
	return h.Explain(ctx, in.Body.UserID, in.Body.Permission)
}
