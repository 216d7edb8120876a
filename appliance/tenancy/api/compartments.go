package api

import (
	"context"
	"net/http"

	"nimbus/appliance/id"
	"nimbus/appliance/tenancy"
	"nimbus/appliance/web"
)

func registerCompartments(a *web.API, h handlers) {
	const tag = "Compartments"
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/compartments", Tag: tag,
		Summary: "List the compartments of your tenant", Permission: tenancy.ReadCompartment}, h.compartments)
	web.Handle(a, web.Route{Method: http.MethodPost, Path: "/v1/compartments", Tag: tag,
		Summary: "Create a compartment", Permission: tenancy.CreateCompartment, Status: http.StatusCreated}, h.createCompartment)
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/compartments/{id}", Tag: tag,
		Summary: "Read a compartment", Permission: tenancy.ReadCompartment}, h.compartment)
	web.Handle(a, web.Route{Method: http.MethodPatch, Path: "/v1/compartments/{id}", Tag: tag,
		Summary: "Rename or describe a compartment", Permission: tenancy.UpdateCompartment}, h.updateCompartment)
	web.Handle(a, web.Route{Method: http.MethodPost, Path: "/v1/compartments/{id}/move", Tag: tag,
		Summary: "Move a compartment with all inside it", Permission: tenancy.MoveCompartment}, h.moveCompartment)
	web.Handle(a, web.Route{Method: http.MethodDelete, Path: "/v1/compartments/{id}", Tag: tag,
		Summary: "Delete an empty compartment", Permission: tenancy.DeleteCompartment}, h.deleteCompartment)
}

func (h handlers) compartments(ctx context.Context, _ *web.None) (page[tenancy.Compartment], error) {
	all, err := h.Compartments(ctx)
	return page[tenancy.Compartment]{Items: some(all)}, err
}

type createCompartmentInput struct {
	Body struct {
		Name        string `json:"name" minLength:"1" maxLength:"100"`
		ParentID    *id.ID `json:"parent_id,omitempty" nullable:"true" doc:"Outermost when left out."`
		Description string `json:"description,omitempty" maxLength:"1000"`
	}
}

func (h handlers) createCompartment(ctx context.Context, in *createCompartmentInput) (tenancy.Compartment, error) {
	c := tenancy.Compartment{Name: in.Body.Name, Description: in.Body.Description}
	if in.Body.ParentID != nil {
		c.ParentID = *in.Body.ParentID
	}
	return h.CreateCompartment(ctx, c)
}

func (h handlers) compartment(ctx context.Context, in *idInput) (tenancy.Compartment, error) {
	return h.Compartment(ctx, in.ID)
}

type updateCompartmentInput struct {
	ID   id.ID `path:"id"`
	Body struct {
		Name        *string `json:"name,omitempty" minLength:"1" maxLength:"100"`
		Description *string `json:"description,omitempty" maxLength:"1000"`
	}
}

func (h handlers) updateCompartment(ctx context.Context, in *updateCompartmentInput) (tenancy.Compartment, error) {
	return h.UpdateCompartment(ctx, in.ID, in.Body.Name, in.Body.Description)
}

type moveCompartmentInput struct {
	ID   id.ID `path:"id"`
	Body struct {
		ParentID *id.ID `json:"parent_id" nullable:"true" required:"true" doc:"null: outermost."`
	}
}

func (h handlers) moveCompartment(ctx context.Context, in *moveCompartmentInput) (tenancy.Compartment, error) {
	var parent id.ID
	if in.Body.ParentID != nil {
		parent = *in.Body.ParentID
	}
	return h.MoveCompartment(ctx, in.ID, parent)
}

func (h handlers) deleteCompartment(ctx context.Context, in *idInput) (web.None, error) {
	return web.None{}, h.DeleteCompartment(ctx, in.ID)
}
