// Package api is the HTTP side of tenancy.
package api

import (
	"context"
	"net/http"

	"nimbus/appliance/id"
	"nimbus/appliance/tenancy"
	"nimbus/appliance/web"
)

const tag = "Tenants"

// Register declares the routes.
func Register(a *web.API, s *tenancy.Service) {
	h := handlers{s}
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/tenants", Tag: tag,
		Summary: "List your tenant and those below it", Permission: tenancy.ReadTenant}, h.list)
	web.Handle(a, web.Route{Method: http.MethodPost, Path: "/v1/tenants", Tag: tag,
		Summary: "Create a tenant", Permission: tenancy.CreateTenant, Status: http.StatusCreated}, h.create)
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/tenants/{id}", Tag: tag,
		Summary: "Read a tenant", Permission: tenancy.ReadTenant}, h.get)
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/tenants/{id}/settings", Tag: tag,
		Summary: "Read a tenant's settings", Permission: tenancy.ReadSettings}, h.settings)
	web.Handle(a, web.Route{Method: http.MethodPut, Path: "/v1/tenants/{id}/settings", Tag: tag,
		Summary: "Change a tenant's settings", Permission: tenancy.UpdateSettings}, h.setSettings)
}

type handlers struct{ *tenancy.Service }

type list struct {
	Items []tenancy.Tenant `json:"items"`
	Next  *string          `json:"next"`
}

func (h handlers) list(ctx context.Context, _ *web.None) (list, error) {
	all, err := h.List(ctx)
	return list{Items: all}, err
}

type createInput struct {
	Body struct {
		Name         string `json:"name" minLength:"1" maxLength:"100"`
		ParentID     id.ID  `json:"parent_id,omitempty" doc:"Your own tenant when left out."`
		Description  string `json:"description,omitempty" maxLength:"1000"`
		ContactEmail string `json:"contact_email,omitempty" maxLength:"254"`
	}
}

func (h handlers) create(ctx context.Context, in *createInput) (tenancy.Tenant, error) {
	return h.Create(ctx, tenancy.Tenant{
		Name: in.Body.Name, ParentID: in.Body.ParentID, Description: in.Body.Description, ContactEmail: in.Body.ContactEmail,
	})
}

type idInput struct {
	ID id.ID `path:"id"`
}

func (h handlers) get(ctx context.Context, in *idInput) (tenancy.Tenant, error) {
	return h.Get(ctx, in.ID)
}

func (h handlers) settings(ctx context.Context, in *idInput) (tenancy.Settings, error) {
	return h.Settings(ctx, in.ID)
}

type settingsInput struct {
	ID   id.ID `path:"id"`
	Body tenancy.Settings
}

func (h handlers) setSettings(ctx context.Context, in *settingsInput) (tenancy.Settings, error) {
	return in.Body, h.SetSettings(ctx, in.ID, in.Body)
}
