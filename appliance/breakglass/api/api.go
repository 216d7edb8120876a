// Package api is the HTTP side of break-glass.
package api

import (
	"context"
	"net/http"

	"nimbus/appliance/breakglass"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/web"
)

const tag = "Break-glass"

// Register declares the routes.
func Register(a *web.API, s *breakglass.Service) {
	h := handlers{s}
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/breakglass", Tag: tag,
		Permission: breakglass.ReadPermission, Summary: "See the key, the open session and the latest requests"}, h.view)
	web.Handle(a, web.Route{Method: http.MethodPost, Path: "/v1/breakglass/requests", Tag: tag, Status: http.StatusCreated,
		Permission: breakglass.RequestPermission, Summary: "Ask for an emergency session"}, h.request)
	web.Handle(a, web.Route{Method: http.MethodPost, Path: "/v1/breakglass/requests/{id}/approve", Tag: tag,
		Permission: breakglass.ApprovePermission, Summary: "Approve a request with one's password",
		Description: "The second person's approval has the challenge signed and opens the session."}, h.approve)
	web.Handle(a, web.Route{Method: http.MethodPost, Path: "/v1/breakglass/requests/{id}/end", Tag: tag,
		Permission: web.SignedIn, Summary: "End a session early, or turn a request down",
		Description: "For the person whose rights are raised, the requester, and whoever may approve."}, h.end)
}

type handlers struct{ service *breakglass.Service }

func (h handlers) view(ctx context.Context, _ *struct{}) (breakglass.View, error) {
	return h.service.View(ctx)
}

type requestInput struct {
	Body struct {
		Reason  string `json:"reason" minLength:"5" maxLength:"500" doc:"Why it is needed; the approvers and the audit trail show it."`
		Minutes int    `json:"minutes" minimum:"1" maximum:"60"`
	}
}

func (h handlers) request(ctx context.Context, in *requestInput) (breakglass.Request, error) {
	return h.service.Request(ctx, breakglass.Ask{Reason: in.Body.Reason, Minutes: in.Body.Minutes})
}

type approveInput struct {
	ID   string `path:"id"`
	Body struct {
		Password string `json:"password" minLength:"1" maxLength:"1000" writeOnly:"true"`
	}
}

func (h handlers) approve(ctx context.Context, in *approveInput) (breakglass.Request, error) {
	request, err := parse(in.ID)
	if err != nil {
		return breakglass.Request{}, err
	}
	return h.service.Approve(ctx, request, in.Body.Password)
}

type endInput struct {
	ID string `path:"id"`
}

func (h handlers) end(ctx context.Context, in *endInput) (breakglass.Request, error) {
	request, err := parse(in.ID)
	if err != nil {
		return breakglass.Request{}, err
	}
	return h.service.End(ctx, request)
}

// parse reads an id; what is none names nothing.
func parse(text string) (id.ID, error) {
	request, err := id.Parse(text)
	if err != nil {
		return id.ID{}, fault.New(fault.NotFound, "This request does not exist, or it is not yours.")
	}
	return request, nil
}
