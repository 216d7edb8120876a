// Package api is the HTTP side of tenancy.
package api

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"

	"nimbus/appliance/id"
	"nimbus/appliance/tenancy"
	"nimbus/appliance/web"
)

const tag = "Tenants"

// Register declares the routes.
func Register(a *web.API, s *tenancy.Service) {
	h := handlers{s}
	route := func(method, path, permission, summary string) web.Route {
		return web.Route{Method: method, Path: path, Tag: tag, Summary: summary, Permission: permission}
	}
	created := func(r web.Route) web.Route {
		r.Status = http.StatusCreated
		return r
	}
	get, post, put, patch, del := http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete
	web.Handle(a, route(get, "/v1/tenants", tenancy.ReadTenant, "List your tenant and those below it"), h.list)
	web.Handle(a, created(route(post, "/v1/tenants", tenancy.CreateTenant, "Create a tenant")), h.create)
	web.Handle(a, created(route(post, "/v1/tenants/onboard", tenancy.CreateTenant, "Create a tenant with all its parts, or nothing")), h.onboard)
	web.Handle(a, route(get, "/v1/tenants/{id}", tenancy.ReadTenant, "Read a tenant"), h.get)
	web.Handle(a, route(patch, "/v1/tenants/{id}", tenancy.UpdateTenant, "Rename or describe a tenant"), h.update)
	web.Handle(a, route(del, "/v1/tenants/{id}", tenancy.DeleteTenant, "Delete a tenant; it can be restored for a while"), h.delete)
	web.Handle(a, route(post, "/v1/tenants/{id}/move", tenancy.MoveTenant, "Move a tenant below another"), h.move)
	web.Handle(a, route(post, "/v1/tenants/{id}/suspend", tenancy.SuspendTenant, "Suspend a tenant and those below it"), h.suspend)
	web.Handle(a, route(post, "/v1/tenants/{id}/resume", tenancy.SuspendTenant, "Resume a suspended tenant"), h.resume)
	web.Handle(a, route(post, "/v1/tenants/{id}/restore", tenancy.RestoreTenant, "Restore a deleted tenant"), h.restore)
	purge := route(post, "/v1/tenants/{id}/purge", tenancy.PurgeTenant, "Remove a deleted tenant for good")
	purge.Status = http.StatusAccepted
	web.Handle(a, purge, h.purge)
	web.HandleDownload(a, route(post, "/v1/tenants/{id}/export", tenancy.ExportTenant, "Export all data of a tenant as a zip"), h.export)
	web.Handle(a, route(get, "/v1/tenants/{id}/settings", tenancy.ReadSettings, "Read a tenant's settings"), h.settings)
	web.Handle(a, route(put, "/v1/tenants/{id}/settings", tenancy.UpdateSettings, "Change a tenant's settings"), h.setSettings)
	web.Handle(a, route(get, "/v1/tenants/{id}/quotas", tenancy.ReadQuota, "List a tenant's quotas and what is used"), h.quotas)
	web.Handle(a, route(put, "/v1/tenants/{id}/quotas", tenancy.UpdateQuota, "Change the quotas of a tenant below yours"), h.setQuotas)
	web.Handle(a, route(get, "/v1/tenants/{id}/domains", tenancy.ReadDomain, "List a tenant's e-mail domains"), h.domains)
	web.Handle(a, created(route(post, "/v1/tenants/{id}/domains", tenancy.CreateDomain, "Add an e-mail domain")), h.addDomain)
	web.Handle(a, route(post, "/v1/tenants/{id}/domains/{domain}/verify", tenancy.CreateDomain, "Prove an e-mail domain by its DNS"), h.verifyDomain)
	web.Handle(a, route(del, "/v1/tenants/{id}/domains/{domain}", tenancy.DeleteDomain, "Remove an e-mail domain"), h.removeDomain)
	web.Handle(a, route(get, "/v1/tenants/{id}/checklist", tenancy.ReadTenant, "List what a tenant still lacks"), h.checklist)
	registerCompartments(a, h)
}

type handlers struct{ *tenancy.Service }

type page[T any] struct {
	Items []T     `json:"items"`
	Next  *string `json:"next"`
}

type listInput struct {
	Include string `query:"include" enum:"deleted" doc:"deleted: those too that can still be restored."`
}

func (h handlers) list(ctx context.Context, in *listInput) (page[tenancy.Tenant], error) {
	read := h.List
	if in.Include == "deleted" {
		read = h.ListAll
	}
	all, err := read(ctx)
	return page[tenancy.Tenant]{Items: all}, err
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

type onboardInput struct {
	Body struct {
		Name          string                 `json:"name" minLength:"1" maxLength:"100"`
		ParentID      id.ID                  `json:"parent_id,omitempty" doc:"Your own tenant when left out."`
		Description   string                 `json:"description,omitempty" maxLength:"1000"`
		ContactEmail  string                 `json:"contact_email,omitempty" maxLength:"254"`
		Domains       []string               `json:"domains,omitempty" maxItems:"50"`
		Quotas        []tenancy.Quota        `json:"quotas,omitempty" maxItems:"20"`
		Administrator *tenancy.Administrator `json:"administrator,omitempty"`
		SignIn        json.RawMessage        `json:"sign_in,omitempty" doc:"As POST /v1/identity-providers takes it."`
		SCIMToken     *tenancy.SCIMToken     `json:"scim_token,omitempty"`
	}
}

func (h handlers) onboard(ctx context.Context, in *onboardInput) (tenancy.Onboarded, error) {
	web.NoStore(ctx) // the answer may hold a token and an invitation's link
	b := in.Body
	return h.OnboardTenant(ctx, tenancy.Onboarding{
		Tenant:  tenancy.Tenant{Name: b.Name, ParentID: b.ParentID, Description: b.Description, ContactEmail: b.ContactEmail},
		Domains: b.Domains, Quotas: b.Quotas, Administrator: b.Administrator, SignIn: b.SignIn, SCIMToken: b.SCIMToken,
	})
}

type idInput struct {
	ID id.ID `path:"id"`
}

func (h handlers) get(ctx context.Context, in *idInput) (tenancy.Tenant, error) {
	return h.Get(ctx, in.ID)
}

type updateInput struct {
	ID   id.ID `path:"id"`
	Body struct {
		Name         *string `json:"name,omitempty" minLength:"1" maxLength:"100"`
		Description  *string `json:"description,omitempty" maxLength:"1000"`
		ContactEmail *string `json:"contact_email,omitempty" maxLength:"254"`
	}
}

func (h handlers) update(ctx context.Context, in *updateInput) (tenancy.Tenant, error) {
	return h.Update(ctx, in.ID, tenancy.Change{Name: in.Body.Name, Description: in.Body.Description, ContactEmail: in.Body.ContactEmail})
}

func (h handlers) delete(ctx context.Context, in *idInput) (tenancy.Tenant, error) {
	return h.Delete(ctx, in.ID)
}

type moveInput struct {
	ID   id.ID `path:"id"`
	Body struct {
		ParentID id.ID `json:"parent_id"`
	}
}

func (h handlers) move(ctx context.Context, in *moveInput) (tenancy.Tenant, error) {
	return h.Move(ctx, in.ID, in.Body.ParentID)
}

type suspendInput struct {
	ID   id.ID `path:"id"`
	Body struct {
		Reason string `json:"reason" minLength:"1" maxLength:"500"`
	}
}

func (h handlers) suspend(ctx context.Context, in *suspendInput) (tenancy.Tenant, error) {
	return h.Suspend(ctx, in.ID, in.Body.Reason)
}

func (h handlers) resume(ctx context.Context, in *idInput) (tenancy.Tenant, error) {
	return h.Resume(ctx, in.ID)
}

func (h handlers) restore(ctx context.Context, in *idInput) (tenancy.Tenant, error) {
	return h.Restore(ctx, in.ID)
}

type purgeInput struct {
	ID   id.ID `path:"id"`
	Body struct {
		Name string `json:"name" doc:"The tenant's name, repeated."`
	}
}

func (h handlers) purge(ctx context.Context, in *purgeInput) (tenancy.Tenant, error) {
	return h.Purge(ctx, in.ID, in.Body.Name)
}

func (h handlers) export(ctx context.Context, in *idInput) (web.Download, error) {
	t, write, err := h.Export(ctx, in.ID)
	return web.Download{
		ContentType: "application/zip", Filename: "nimbus-tenant-" + t.ID.String() + ".zip",
		Write: func(ctx context.Context, w io.Writer) error { return write(ctx, w) },
	}, err
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

func (h handlers) quotas(ctx context.Context, in *idInput) (page[tenancy.Quota], error) {
	all, err := h.Quotas(ctx, in.ID)
	return page[tenancy.Quota]{Items: all}, err
}

type quotasInput struct {
	ID   id.ID `path:"id"`
	Body struct {
		Items []tenancy.Quota `json:"items" maxItems:"20"`
	}
}

func (h handlers) setQuotas(ctx context.Context, in *quotasInput) (page[tenancy.Quota], error) {
	all, err := h.SetQuotas(ctx, in.ID, in.Body.Items)
	return page[tenancy.Quota]{Items: all}, err
}

func (h handlers) domains(ctx context.Context, in *idInput) (page[tenancy.Domain], error) {
	all, err := h.Domains(ctx, in.ID)
	return page[tenancy.Domain]{Items: some(all)}, err
}

type addDomainInput struct {
	ID   id.ID `path:"id"`
	Body struct {
		Domain string `json:"domain" minLength:"1" maxLength:"253"`
	}
}

func (h handlers) addDomain(ctx context.Context, in *addDomainInput) (tenancy.Domain, error) {
	return h.AddDomain(ctx, in.ID, in.Body.Domain)
}

type domainInput struct {
	ID     id.ID  `path:"id"`
	Domain string `path:"domain" maxLength:"253"`
}

func (h handlers) verifyDomain(ctx context.Context, in *domainInput) (tenancy.Domain, error) {
	return h.VerifyDomain(ctx, in.ID, in.Domain)
}

func (h handlers) removeDomain(ctx context.Context, in *domainInput) (web.None, error) {
	return web.None{}, h.RemoveDomain(ctx, in.ID, in.Domain)
}

func (h handlers) checklist(ctx context.Context, in *idInput) (page[tenancy.Point], error) {
	all, err := h.Checklist(ctx, in.ID)
	return page[tenancy.Point]{Items: all}, err
}

// some makes an empty list out of none.
func some[T any](all []T) []T { return slices.Concat([]T{}, all) }
