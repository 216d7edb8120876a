package api

import (
	"context"
	"net/http"
	"time"

	"nimbus/appliance/id"
	"nimbus/appliance/permission"
	"nimbus/appliance/web"
)

func registerGrants(a *web.API, h handlers) {
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/assignments", Tag: tag,
		Summary: "List who has which role", Permission: permission.ReadRole}, h.assignments)
	web.Handle(a, web.Route{Method: http.MethodPost, Path: "/v1/assignments", Tag: tag,
		Summary: "Give somebody a role", Permission: permission.AssignRole, Status: http.StatusCreated,
		Description: "Everywhere, or in one compartment and all below it; for ever, or for a time."}, h.assign)
	web.Handle(a, web.Route{Method: http.MethodDelete, Path: "/v1/assignments/{id}", Tag: tag,
		Summary: "Take a role away", Permission: permission.AssignRole}, h.unassign)
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/grants", Tag: tag,
		Summary: "List what was given directly, without a role", Permission: permission.ReadGrant}, h.grants)
	web.Handle(a, web.Route{Method: http.MethodPost, Path: "/v1/grants", Tag: tag,
		Summary: "Allow or deny somebody something directly", Permission: permission.CreateGrant, Status: http.StatusCreated}, h.createGrant)
	web.Handle(a, web.Route{Method: http.MethodDelete, Path: "/v1/grants/{id}", Tag: tag,
		Summary: "Take a direct grant away", Permission: permission.DeleteGrant}, h.deleteGrant)
}

type filterInput struct {
	Kind    string `query:"subject_kind" enum:"user,group,service_account"`
	Subject id.ID  `query:"subject_id"`
	Role    id.ID  `query:"role_id"`
}

func (in filterInput) filter() permission.Filter {
	return permission.Filter{Kind: permission.SubjectKind(in.Kind), Subject: in.Subject, Role: in.Role}
}

func (h handlers) assignments(ctx context.Context, in *filterInput) (page[permission.Assignment], error) {
	return pageOf(h.Assignments(ctx, in.filter()))
}

// assignmentBody is an assignment as somebody asks for it.
type assignmentBody struct {
	permission.Subject
	RoleID      id.ID     `json:"role_id"`
	Compartment id.ID     `json:"compartment_id,omitzero" nullable:"true" doc:"It holds in this compartment and all below it; everywhere when left out."`
	NotBefore   time.Time `json:"not_before,omitzero" nullable:"true"`
	ExpiresAt   time.Time `json:"expires_at,omitzero" nullable:"true"`
}

func (b assignmentBody) assignment() permission.Assignment {
	return permission.Assignment{Subject: b.Subject, RoleID: b.RoleID, Compartment: b.Compartment, NotBefore: b.NotBefore, ExpiresAt: b.ExpiresAt}
}

type assignInput struct{ Body assignmentBody }

func (h handlers) assign(ctx context.Context, in *assignInput) (permission.Assignment, error) {
	return h.AssignTo(ctx, in.Body.assignment())
}

func (h handlers) unassign(ctx context.Context, in *idInput) (web.None, error) {
	return web.None{}, h.UnassignOne(ctx, in.ID)
}

type subjectFilterInput struct {
	Kind    string `query:"subject_kind" enum:"user,group,service_account"`
	Subject id.ID  `query:"subject_id"`
}

func (h handlers) grants(ctx context.Context, in *subjectFilterInput) (page[permission.DirectGrant], error) {
	return pageOf(h.Grants(ctx, permission.Filter{Kind: permission.SubjectKind(in.Kind), Subject: in.Subject}))
}

// grantBody is a direct grant as somebody asks for it.
type grantBody struct {
	permission.Subject
	permission.Grant
}

func (b grantBody) grant() permission.DirectGrant {
	return permission.DirectGrant{Subject: b.Subject, Grant: b.Grant}
}

type createGrantInput struct{ Body grantBody }

func (h handlers) createGrant(ctx context.Context, in *createGrantInput) (permission.DirectGrant, error) {
	return h.CreateGrant(ctx, in.Body.grant())
}

func (h handlers) deleteGrant(ctx context.Context, in *idInput) (web.None, error) {
	return web.None{}, h.DeleteGrant(ctx, in.ID)
}
