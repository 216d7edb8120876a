package api

import (
	"context"
	"net/http"

	"nimbus/appliance/id"
	"nimbus/appliance/identity"
	"nimbus/appliance/web"
)

func registerServiceAccounts(a *web.API, h handlers) {
	const tag = "Service accounts"
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/service-accounts", Tag: tag,
		Summary: "List the service accounts of your tenant", Permission: identity.ReadServiceAccount}, h.serviceAccounts)
	web.Handle(a, web.Route{Method: http.MethodPost, Path: "/v1/service-accounts", Tag: tag,
		Summary: "Create a service account", Permission: identity.CreateServiceAccount, Status: http.StatusCreated}, h.createServiceAccount)
	web.Handle(a, web.Route{Method: http.MethodPatch, Path: "/v1/service-accounts/{id}", Tag: tag,
		Summary: "Rename, disable or enable a service account", Permission: identity.UpdateServiceAccount}, h.updateServiceAccount)
	web.Handle(a, web.Route{Method: http.MethodDelete, Path: "/v1/service-accounts/{id}", Tag: tag,
		Summary: "Delete a service account and its tokens", Permission: identity.DeleteServiceAccount}, h.deleteServiceAccount)
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/service-accounts/{id}/tokens", Tag: tag,
		Summary: "List the API tokens of a service account", Permission: identity.ReadServiceAccount}, h.serviceTokens)
	web.Handle(a, web.Route{Method: http.MethodPost, Path: "/v1/service-accounts/{id}/tokens", Tag: tag,
		Summary: "Create an API token of a service account", Permission: identity.UpdateServiceAccount, Status: http.StatusCreated}, h.createServiceToken)
	web.Handle(a, web.Route{Method: http.MethodDelete, Path: "/v1/service-accounts/{id}/tokens/{token_id}", Tag: tag,
		Summary: "Delete an API token of a service account", Permission: identity.UpdateServiceAccount}, h.deleteServiceToken)
}

func (h handlers) serviceAccounts(ctx context.Context, in *Paging) (page[identity.ServiceAccount], error) {
	all, err := h.Identity.ServiceAccounts(ctx, in.filter())
	return pageOf(all, same), err
}

type createServiceAccountInput struct {
	Body struct {
		Name        string `json:"name" maxLength:"100"`
		Description string `json:"description,omitempty" maxLength:"1000"`
	}
}

func (h handlers) createServiceAccount(ctx context.Context, in *createServiceAccountInput) (identity.ServiceAccount, error) {
	return h.Identity.CreateServiceAccount(ctx, in.Body.Name, in.Body.Description)
}

type updateServiceAccountInput struct {
	ID   id.ID `path:"id"`
	Body struct {
		Name        *string          `json:"name,omitempty" maxLength:"100"`
		Description *string          `json:"description,omitempty" maxLength:"1000"`
		Status      *identity.Status `json:"status,omitempty" enum:"active,disabled"`
	}
}

func (h handlers) updateServiceAccount(ctx context.Context, in *updateServiceAccountInput) (identity.ServiceAccount, error) {
	return h.Identity.UpdateServiceAccount(ctx, in.ID, identity.ServiceAccountChange{
		Name: in.Body.Name, Description: in.Body.Description, Status: in.Body.Status,
	})
}

func (h handlers) deleteServiceAccount(ctx context.Context, in *idInput) (web.None, error) {
	return web.None{}, h.Identity.DeleteServiceAccount(ctx, in.ID)
}

func (h handlers) serviceTokens(ctx context.Context, in *idInput) (page[identity.Token], error) {
	all, err := h.Identity.ServiceAccountTokens(ctx, in.ID)
	return listOf(all), err
}

type createServiceTokenInput struct {
	ID   id.ID `path:"id"`
	Body newToken
}

func (h handlers) createServiceToken(ctx context.Context, in *createServiceTokenInput) (createdToken, error) {
	web.NoStore(ctx)
	secret, t, err := h.Identity.CreateServiceAccountToken(ctx, in.ID, in.Body.wanted())
	return createdToken{ID: t.ID, Name: t.Name, Token: secret, ExpiresAt: t.ExpiresAt, Scopes: t.Scopes}, err
}

type serviceTokenInput struct {
	ID      id.ID `path:"id"`
	TokenID id.ID `path:"token_id"`
}

func (h handlers) deleteServiceToken(ctx context.Context, in *serviceTokenInput) (web.None, error) {
	return web.None{}, h.Identity.DeleteServiceAccountToken(ctx, in.ID, in.TokenID)
}
