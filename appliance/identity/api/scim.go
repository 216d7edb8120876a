package api

import (
	"context"
	"net/http"
	"time"

	"nimbus/appliance/id"
	"nimbus/appliance/identity"
	"nimbus/appliance/identity/scim"
	"nimbus/appliance/web"
)

// SCIM returns the handler of /scim/v2/.
func SCIM(s *identity.Service) http.Handler {
	return scim.NewHandler(scim.Config{Directory: s.Directory(), Authenticate: s.AuthenticateSCIM, URL: s.URL, Logger: s.Logger})
}

// SCIMKind is how a request of a directory is recorded.
func SCIMKind(r *http.Request) web.Kind { return scim.Kind(r) }

// RegisterSCIM declares the routes that manage SCIM tokens.
func RegisterSCIM(a *web.API, s *identity.Service) {
	const tag = "SCIM"
	h := scimHandlers{s}
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/scim-tokens", Tag: tag,
		Summary: "List the tokens of directories", Permission: identity.ReadSCIMToken}, h.tokens)
	web.Handle(a, web.Route{Method: http.MethodPost, Path: "/v1/scim-tokens", Tag: tag,
		Summary: "Create a token for a directory", Permission: identity.CreateSCIMToken, Status: http.StatusCreated}, h.create)
	web.Handle(a, web.Route{Method: http.MethodDelete, Path: "/v1/scim-tokens/{id}", Tag: tag,
		Summary: "End a token of a directory", Permission: identity.DeleteSCIMToken}, h.end)
}

type scimHandlers struct{ identity *identity.Service }

func (h scimHandlers) tokens(ctx context.Context, _ *web.None) (page[identity.SCIMToken], error) {
	all, err := h.identity.SCIMTokens(ctx)
	return page[identity.SCIMToken]{Items: all}, err
}

type createSCIMTokenInput struct {
	Body struct {
		Name          string `json:"name" minLength:"1" maxLength:"100"`
		ExpiresInDays int    `json:"expires_in_days" minimum:"1" maximum:"730"`
	}
}

type createdSCIMToken struct {
	ID        id.ID     `json:"id"`
	Name      string    `json:"name"`
	Token     string    `json:"token" doc:"Shown once. Put it into the directory's settings."`
	URL       string    `json:"url" doc:"The tenant URL that the directory asks for."`
	ExpiresAt time.Time `json:"expires_at"`
}

func (h scimHandlers) create(ctx context.Context, in *createSCIMTokenInput) (createdSCIMToken, error) {
	web.NoStore(ctx)
	secret, t, err := h.identity.NewSCIMToken(ctx, in.Body.Name, in.Body.ExpiresInDays)
	return createdSCIMToken{ID: t.ID, Name: t.Name, Token: secret, URL: h.identity.URL() + scim.Prefix, ExpiresAt: t.ExpiresAt}, err
}

func (h scimHandlers) end(ctx context.Context, in *idInput) (web.None, error) {
	return web.None{}, h.identity.EndSCIMToken(ctx, in.ID)
}
