package api

import (
	"context"
	"net/http"

	"nimbus/appliance/audit"
	"nimbus/appliance/web"
)

// registerRecording declares the routes about what is recorded and how.
func registerRecording(a *web.API, h handlers) {
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/audit/events", Tag: tag,
		Summary: "List the events that are recorded", Permission: audit.ReadPermission}, h.events)
}

type eventPage struct {
	Items []audit.EventType `json:"items"`
	Next  *string           `json:"next"`
}

func (h handlers) events(ctx context.Context, _ *web.None) (eventPage, error) {
	all, err := h.EventTypes(ctx)
	return eventPage{Items: all}, err
}
