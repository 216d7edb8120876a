package api

import (
	"context"
	"net/http"

	"nimbus/appliance/audit"
	"nimbus/appliance/web"
)

// registerRedaction declares the routes of what is hidden before it is stored.
func registerRedaction(a *web.API, h handlers) {
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/audit/redaction", Tag: tag,
		Summary: "What is hidden in records before they are stored", Permission: audit.ReadRedaction}, h.redaction)
	web.Handle(a, web.Route{Method: http.MethodPut, Path: "/v1/audit/redaction", Tag: tag,
		Summary: "Choose what is hidden in records from now on", Permission: audit.UpdateRedaction}, h.setRedaction)
	web.Handle(a, web.Route{Method: http.MethodPost, Path: "/v1/audit/redaction/test", Tag: tag,
		Summary: "Show what is left of a sample", Permission: audit.UpdateRedaction}, h.testRedaction)
}

func (h handlers) redaction(ctx context.Context, _ *web.None) (audit.Redaction, error) {
	return h.Redaction(ctx)
}

type redactionInput struct {
	Body struct {
		Rules []audit.RedactionRule `json:"rules" maxItems:"50"`
	}
}

func (h handlers) setRedaction(ctx context.Context, in *redactionInput) (audit.Redaction, error) {
	return h.SetRedaction(ctx, in.Body.Rules)
}

type redactionSample struct {
	Body struct {
		Sample any                   `json:"sample" doc:"A text, or JSON as it is in a record; a text with JSON is taken as JSON."`
		Rules  []audit.RedactionRule `json:"rules" maxItems:"50"`
		Event  string                `json:"event" required:"false" maxLength:"100" doc:"Leaves rules of other scopes out."`
	}
}

type redactionResult struct {
	Result any `json:"result"`
}

func (h handlers) testRedaction(ctx context.Context, in *redactionSample) (redactionResult, error) {
	result, err := h.TestRedaction(ctx, in.Body.Sample, in.Body.Rules, in.Body.Event)
	return redactionResult{result}, err
}
