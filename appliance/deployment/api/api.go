// Package api is the HTTP side of stacks, deployments and their approvals.
package api

import (
	"context"
	"encoding/json"
	"net/http"

	"nimbus/appliance/approval"
	"nimbus/appliance/deployment"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/web"
)

const tag = "Stacks and deployments"

// Register declares the routes.
func Register(a *web.API, s *deployment.Service) {
	h := handlers{s}
	stacks(a, h)
	runs(a, h)
}

func stacks(a *web.API, h handlers) {
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/stacks", Tag: tag,
		Summary: "List stacks, newest first", Permission: deployment.ReadStack}, h.listStacks)
	web.Handle(a, web.Route{Method: http.MethodPost, Path: "/v1/stacks", Tag: tag,
		Summary: "Create a stack", Permission: deployment.CreateStack, Status: http.StatusCreated}, h.createStack)
	web.Handle(a, web.Route{Method: http.MethodPost, Path: "/v1/stacks/validate", Tag: tag,
		Summary: "Check a program without running it", Permission: deployment.UpdateStack}, h.validate)
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/stacks/schema", Tag: tag,
		Summary: "What a program can be made of", Permission: deployment.ReadStack}, h.schema)
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/stacks/{id}", Tag: tag,
		Summary: "Read a stack", Permission: deployment.ReadStack}, h.stack)
	web.Handle(a, web.Route{Method: http.MethodPut, Path: "/v1/stacks/{id}", Tag: tag,
		Summary: "Change a stack", Permission: deployment.UpdateStack}, h.updateStack)
	web.Handle(a, web.Route{Method: http.MethodDelete, Path: "/v1/stacks/{id}", Tag: tag,
		Summary: "Delete a stack that has no resources", Permission: deployment.DeleteStack}, h.deleteStack)
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/stacks/{id}/state", Tag: tag,
		Summary: "Download a stack's state", Permission: deployment.ExportStack,
		Description: "As `pulumi stack export` gives it. Secrets in it are encrypted."}, h.state)
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/stacks/{id}/deployments", Tag: tag,
		Summary: "List a stack's deployments, newest first", Permission: deployment.ReadStack}, h.history)
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/templates", Tag: tag,
		Summary: "List the templates that a stack can begin with", Permission: deployment.ReadStack}, h.templates)
}

func runs(a *web.API, h handlers) {
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/deployments", Tag: tag,
		Summary: "List deployments, newest first", Permission: deployment.ReadStack}, h.list)
	web.Handle(a, web.Route{Method: http.MethodPost, Path: "/v1/deployments", Tag: tag,
		Summary: "Preview, deploy, refresh or destroy a stack", Permission: deployment.DeployStack, Status: http.StatusAccepted,
		Description: "Destroying needs " + deployment.DestroyStack + " instead."}, h.deploy)
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/deployments/{id}", Tag: tag,
		Summary: "Read a deployment with its plan", Permission: deployment.ReadStack}, h.get)
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/deployments/{id}/events", Tag: tag,
		Summary: "List what happened in a deployment", Permission: deployment.ReadStack}, h.events)
	web.Handle(a, web.Route{Method: http.MethodPost, Path: "/v1/deployments/{id}/approve", Tag: tag,
		Summary: "Approve a plan that you read", Permission: deployment.ApproveStack}, h.approve)
	web.Handle(a, web.Route{Method: http.MethodPost, Path: "/v1/deployments/{id}/reject", Tag: tag,
		Summary: "Reject a plan", Permission: deployment.ApproveStack}, h.reject)
	web.Handle(a, web.Route{Method: http.MethodPost, Path: "/v1/deployments/{id}/cancel", Tag: tag,
		Summary: "Cancel a deployment", Permission: deployment.DeployStack,
		Description: "Cancelling a destruction needs " + deployment.DestroyStack + " instead."}, h.cancel)
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/approvals", Tag: tag,
		Summary: "List deployments that wait for somebody", Permission: deployment.ReadStack}, h.waiting)
}

type handlers struct{ *deployment.Service }

// page is a list with the cursor of the next one.
type page[T any] struct {
	Items []T     `json:"items"`
	Next  *string `json:"next"`
}

// pageOf tells by a full page that there may be more.
func pageOf[T any](items []T, limit int, cursor func(T) id.ID) page[T] {
	p := page[T]{Items: items}
	if p.Items == nil {
		p.Items = []T{}
	}
	if n := len(items); n == limit {
		next := cursor(items[n-1]).String()
		p.Next = &next
	}
	return p
}

// Paging is which part of a list is asked for; exported as StackBody is.
type Paging struct {
	Cursor string `query:"cursor" doc:"The next of the page before."`
	Limit  int    `query:"limit" default:"50" minimum:"1" maximum:"200"`
}

func (p Paging) before() (id.ID, error) { return optional("query.cursor", p.Cursor) }

// optional reads an id that may be left out.
func optional(location, text string) (id.ID, error) {
	if text == "" {
		return id.ID{}, nil
	}
	parsed, err := id.Parse(text)
	if err != nil {
		return id.ID{}, fault.BadField(location, "%s.", err)
	}
	return parsed, nil
}

type idInput struct {
	ID id.ID `path:"id"`
}

func (h handlers) listStacks(ctx context.Context, in *Paging) (page[deployment.Stack], error) {
	before, err := in.before()
	if err != nil {
		return page[deployment.Stack]{}, err
	}
	all, err := h.Stacks(ctx, before, in.Limit)
	return pageOf(all, in.Limit, func(s deployment.Stack) id.ID { return s.ID }), err
}

// StackBody is what a person writes of a stack. It is exported so that the
// framework sees its members where it is embedded.
type StackBody struct {
	Name         string                            `json:"name" minLength:"1" maxLength:"100"`
	Description  string                            `json:"description,omitempty" maxLength:"2000"`
	ConnectionID id.ID                             `json:"connection_id"`
	Compartment  id.ID                             `json:"compartment_id,omitempty" doc:"Where it lies; left out: in no compartment."`
	Program      string                            `json:"program" doc:"A Pulumi YAML document."`
	Config       map[string]deployment.ConfigValue `json:"config,omitempty" doc:"A secret sent back masked stays as it is."`
}

func (b StackBody) stack() deployment.Stack {
	return deployment.Stack{Name: b.Name, Description: b.Description, ConnectionID: b.ConnectionID, CompartmentID: b.Compartment, Program: b.Program, Config: b.Config}
}

type createInput struct {
	Body StackBody
}

func (h handlers) createStack(ctx context.Context, in *createInput) (deployment.Stack, error) {
	return h.CreateStack(ctx, in.Body.stack())
}

func (h handlers) stack(ctx context.Context, in *idInput) (deployment.Stack, error) {
	return h.Stack(ctx, in.ID)
}

type updateInput struct {
	ID   id.ID `path:"id"`
	Body struct {
		StackBody
		Version int `json:"version" minimum:"1" doc:"The version that was read."`
	}
}

func (h handlers) updateStack(ctx context.Context, in *updateInput) (deployment.Stack, error) {
	s := in.Body.stack()
	s.ID, s.Version = in.ID, in.Body.Version
	return h.UpdateStack(ctx, s)
}

func (h handlers) deleteStack(ctx context.Context, in *idInput) (web.None, error) {
	return web.None{}, h.DeleteStack(ctx, in.ID)
}

func (h handlers) state(ctx context.Context, in *idInput) (json.RawMessage, error) {
	web.NoStore(ctx)
	return h.State(ctx, in.ID)
}

type validateInput struct {
	Body struct {
		Program string `json:"program"`
	}
}

type diagnostics struct {
	Diagnostics []deployment.Diagnostic `json:"diagnostics"`
}

func (h handlers) validate(ctx context.Context, in *validateInput) (diagnostics, error) {
	found, err := h.Validate(ctx, in.Body.Program)
	return diagnostics{found}, err
}

func (h handlers) schema(ctx context.Context, _ *web.None) (deployment.Schema, error) {
	return h.Schema(ctx)
}

func (h handlers) templates(ctx context.Context, _ *web.None) (page[deployment.Template], error) {
	all, err := h.Templates(ctx)
	return page[deployment.Template]{Items: all}, err
}

type historyInput struct {
	ID id.ID `path:"id"`
	Paging
}

func (h handlers) history(ctx context.Context, in *historyInput) (page[deployment.Deployment], error) {
	if _, err := h.Stack(ctx, in.ID); err != nil {
		return page[deployment.Deployment]{}, err
	}
	return h.deployments(ctx, deployment.Filter{StackID: in.ID}, in.Paging)
}

type listInput struct {
	Status  string `query:"status" enum:"accepted,previewing,awaiting_approval,applying,verifying,succeeded,failed,compensating,rejected,cancelled,expired"`
	StackID string `query:"stack_id"`
	Paging
}

func (h handlers) list(ctx context.Context, in *listInput) (page[deployment.Deployment], error) {
	stack, err := optional("query.stack_id", in.StackID)
	if err != nil {
		return page[deployment.Deployment]{}, err
	}
	return h.deployments(ctx, deployment.Filter{StackID: stack, Status: deployment.Status(in.Status)}, in.Paging)
}

func (h handlers) deployments(ctx context.Context, f deployment.Filter, p Paging) (page[deployment.Deployment], error) {
	var err error
	if f.Before, err = p.before(); err != nil {
		return page[deployment.Deployment]{}, err
	}
	f.Limit = p.Limit
	all, err := h.Deployments(ctx, f)
	return pageOf(all, p.Limit, func(d deployment.Deployment) id.ID { return d.ID }), err
}

type deployInput struct {
	Body struct {
		StackID   id.ID                `json:"stack_id"`
		Operation deployment.Operation `json:"operation" enum:"preview,up,destroy,refresh"`
		Refresh   bool                 `json:"refresh,omitempty" doc:"Read what is real first. A preview then shows drift."`
	}
}

func (h handlers) deploy(ctx context.Context, in *deployInput) (deployment.Deployment, error) {
	return h.Deploy(ctx, in.Body.StackID, in.Body.Operation, in.Body.Refresh)
}

func (h handlers) get(ctx context.Context, in *idInput) (deployment.Deployment, error) {
	return h.Deployment(ctx, in.ID)
}

type eventsInput struct {
	ID    id.ID `path:"id"`
	After int64 `query:"after" minimum:"0" doc:"The last number that you have."`
	Limit int   `query:"limit" default:"200" minimum:"1" maximum:"1000"`
}

func (h handlers) events(ctx context.Context, in *eventsInput) (page[deployment.Event], error) {
	all, err := h.EventsOf(ctx, in.ID, in.After, in.Limit)
	if all == nil {
		all = []deployment.Event{}
	}
	return page[deployment.Event]{Items: all}, err
}

type approveInput struct {
	ID   id.ID `path:"id"`
	Body struct {
		Digest  string `json:"digest" minLength:"1" doc:"Of the plan that you read."`
		Comment string `json:"comment,omitempty" maxLength:"2000"`
	}
}

func (h handlers) approve(ctx context.Context, in *approveInput) (deployment.Deployment, error) {
	return h.Decide(ctx, in.ID, approval.Approve, in.Body.Digest, in.Body.Comment)
}

type rejectInput struct {
	ID   id.ID `path:"id"`
	Body *struct {
		Comment string `json:"comment,omitempty" maxLength:"2000"`
	}
}

func (h handlers) reject(ctx context.Context, in *rejectInput) (deployment.Deployment, error) {
	comment := ""
	if in.Body != nil {
		comment = in.Body.Comment
	}
	return h.Decide(ctx, in.ID, approval.Reject, "", comment)
}

func (h handlers) cancel(ctx context.Context, in *idInput) (deployment.Deployment, error) {
	return h.Cancel(ctx, in.ID)
}

func (h handlers) waiting(ctx context.Context, _ *web.None) (page[deployment.Deployment], error) {
	all, err := h.Waiting(ctx)
	return page[deployment.Deployment]{Items: all}, err
}
