package api

import (
	"context"
	"net/http"

	"nimbus/appliance/id"
	"nimbus/appliance/identity"
	"nimbus/appliance/permission"
	"nimbus/appliance/web"
)

func registerGroups(a *web.API, h handlers) {
	const tag = "Groups"
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/groups", Tag: tag,
		Summary: "List the groups of your tenant", Permission: identity.ReadGroup}, h.groups)
	web.Handle(a, web.Route{Method: http.MethodPost, Path: "/v1/groups", Tag: tag,
		Summary: "Create a group", Permission: identity.CreateGroup, Status: http.StatusCreated}, h.createGroup)
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/groups/{id}", Tag: tag,
		Summary: "Show a group", Permission: identity.ReadGroup}, h.group)
	web.Handle(a, web.Route{Method: http.MethodPatch, Path: "/v1/groups/{id}", Tag: tag,
		Summary: "Rename or describe a group", Permission: identity.UpdateGroup}, h.updateGroup)
	web.Handle(a, web.Route{Method: http.MethodDelete, Path: "/v1/groups/{id}", Tag: tag,
		Summary: "Delete a group", Permission: identity.DeleteGroup}, h.deleteGroup)
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/groups/{id}/members", Tag: tag,
		Summary: "List the direct members of a group", Permission: identity.ReadGroup}, h.members)
	web.Handle(a, web.Route{Method: http.MethodPut, Path: "/v1/groups/{id}/members/{kind}/{member_id}", Tag: tag,
		Summary: "Put a user, a service account or a group into a group", Permission: identity.UpdateGroup}, h.addMember)
	web.Handle(a, web.Route{Method: http.MethodDelete, Path: "/v1/groups/{id}/members/{kind}/{member_id}", Tag: tag,
		Summary: "Take a member out of a group", Permission: identity.UpdateGroup}, h.removeMember)
}

func (h handlers) groups(ctx context.Context, in *Paging) (page[identity.Group], error) {
	all, err := h.Identity.Groups(ctx, in.filter())
	return pageOf(all, same), err
}

type createGroupInput struct {
	Body struct {
		Name        string `json:"name" maxLength:"100"`
		Description string `json:"description,omitempty" maxLength:"1000"`
	}
}

func (h handlers) createGroup(ctx context.Context, in *createGroupInput) (identity.Group, error) {
	return h.Identity.CreateGroup(ctx, in.Body.Name, in.Body.Description)
}

func (h handlers) group(ctx context.Context, in *idInput) (identity.Group, error) {
	return h.Identity.Group(ctx, in.ID)
}

type updateGroupInput struct {
	ID   id.ID `path:"id"`
	Body struct {
		Name        *string `json:"name,omitempty" maxLength:"100"`
		Description *string `json:"description,omitempty" maxLength:"1000"`
	}
}

func (h handlers) updateGroup(ctx context.Context, in *updateGroupInput) (identity.Group, error) {
	return h.Identity.UpdateGroup(ctx, in.ID, in.Body.Name, in.Body.Description)
}

func (h handlers) deleteGroup(ctx context.Context, in *idInput) (web.None, error) {
	return web.None{}, h.Identity.DeleteGroup(ctx, in.ID)
}

func (h handlers) members(ctx context.Context, in *idInput) (page[identity.Member], error) {
	all, err := h.Identity.Members(ctx, in.ID)
	return listOf(all), err
}

type memberInput struct {
	ID       id.ID  `path:"id"`
	Kind     string `path:"kind" enum:"user,group,service_account"`
	MemberID id.ID  `path:"member_id"`
}

func (in memberInput) subject() permission.Subject {
	return permission.Subject{Kind: permission.SubjectKind(in.Kind), ID: in.MemberID}
}

func (h handlers) addMember(ctx context.Context, in *memberInput) (web.None, error) {
	return web.None{}, h.Identity.AddMember(ctx, in.ID, in.subject())
}

func (h handlers) removeMember(ctx context.Context, in *memberInput) (web.None, error) {
	return web.None{}, h.Identity.RemoveMember(ctx, in.ID, in.subject())
}
