package api

import (
	"context"
	"net/http"

	"nimbus/appliance/id"
	"nimbus/appliance/identity"
	"nimbus/appliance/permission"
	"nimbus/appliance/web"
)

func registerUsers(a *web.API, h handlers) {
	const tag = "Users"
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/users", Tag: tag,
		Summary: "List the members of your tenant", Permission: identity.ReadUser}, h.users)
	web.Handle(a, web.Route{Method: http.MethodPost, Path: "/v1/users", Tag: tag,
		Summary: "Create a user", Permission: identity.CreateUser, Status: http.StatusCreated}, h.createUser)
	web.Handle(a, web.Route{Method: http.MethodPatch, Path: "/v1/users/{id}", Tag: tag,
		Summary: "Rename, disable or enable a user", Permission: identity.UpdateUser}, h.updateUser)
	web.Handle(a, web.Route{Method: http.MethodDelete, Path: "/v1/users/{id}", Tag: tag,
		Summary: "Take a user out of your tenant", Permission: identity.DeleteUser,
		Description: "The account goes when this was its last tenant."}, h.deleteUser)
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/users/{id}/sessions", Tag: tag,
		Summary: "List the sessions of a user", Permission: identity.ReadSession, Sensitive: true}, h.userSessions)
	web.Handle(a, web.Route{Method: http.MethodPost, Path: "/v1/users/{id}/sessions/end", Tag: tag,
		Summary: "End the sessions of a user", Permission: identity.EndSession, Status: http.StatusNoContent}, h.endUserSessions)
	web.Handle(a, web.Route{Method: http.MethodPost, Path: "/v1/users/{id}/password-reset", Tag: tag,
		Summary: "Make a link with which a user chooses a new password", Permission: identity.UpdateUser, Status: http.StatusCreated}, h.resetPassword)
	web.Handle(a, web.Route{Method: http.MethodPost, Path: "/v1/password-reset", Tag: tag,
		Summary: "Choose a new password with a link", Permission: web.Public, Status: http.StatusNoContent}, h.finishReset)
	web.Handle(a, web.Route{Method: http.MethodPost, Path: "/v1/users/{id}/roles", Tag: tag,
		Summary: "Give a user a role", Permission: permission.AssignRole, Status: http.StatusNoContent}, h.assign)
	web.Handle(a, web.Route{Method: http.MethodDelete, Path: "/v1/users/{id}/roles/{role_id}", Tag: tag,
		Summary: "Take a role from a user", Permission: permission.AssignRole}, h.unassign)
}

type userItem struct {
	identity.User
	Roles []roleName `json:"roles"`
}

type roleName struct {
	ID   id.ID  `json:"id"`
	Name string `json:"name"`
}

func present(u identity.User) userItem {
	item := userItem{User: u, Roles: []roleName{}}
	if item.Groups == nil {
		item.Groups = []identity.GroupName{}
	}
	for _, r := range u.Roles {
		item.Roles = append(item.Roles, roleName{r.ID, r.Name})
	}
	return item
}

func (h handlers) users(ctx context.Context, in *Paging) (page[userItem], error) {
	all, err := h.Identity.People(ctx, in.filter())
	return pageOf(all, present), err
}

type createUserInput struct {
	Body struct {
		Name     string  `json:"name" maxLength:"100"`
		Email    string  `json:"email" maxLength:"254"`
		Password string  `json:"password" maxLength:"200"`
		RoleIDs  []id.ID `json:"role_ids,omitempty" maxItems:"50"`
	}
}

func (h handlers) createUser(ctx context.Context, in *createUserInput) (userItem, error) {
	u, err := h.Identity.CreateUser(ctx, identity.NewUser{
		Name: in.Body.Name, Email: in.Body.Email, Password: in.Body.Password, Roles: in.Body.RoleIDs,
	})
	return present(u), err
}

type updateUserInput struct {
	ID   id.ID `path:"id"`
	Body struct {
		Name   *string          `json:"name,omitempty" maxLength:"100"`
		Status *identity.Status `json:"status,omitempty" enum:"active,disabled"`
	}
}

func (h handlers) updateUser(ctx context.Context, in *updateUserInput) (userItem, error) {
	u, err := h.Identity.UpdateUser(ctx, in.ID, in.Body.Name, in.Body.Status)
	return present(u), err
}

func (h handlers) deleteUser(ctx context.Context, in *idInput) (web.None, error) {
	return web.None{}, h.Identity.DeleteUser(ctx, in.ID)
}

func (h handlers) userSessions(ctx context.Context, in *idInput) (page[identity.Session], error) {
	all, err := h.Identity.UserSessions(ctx, in.ID)
	return listOf(all), err
}

func (h handlers) endUserSessions(ctx context.Context, in *idInput) (web.None, error) {
	return web.None{}, h.Identity.EndUserSessions(ctx, in.ID)
}

type madeReset struct {
	identity.Reset
	identity.Mailed
}

func (h handlers) resetPassword(ctx context.Context, in *idInput) (madeReset, error) {
	web.NoStore(ctx)
	r, err := h.Identity.ResetPassword(ctx, in.ID)
	if err != nil {
		return madeReset{}, err
	}
	return madeReset{Reset: r, Mailed: h.Identity.MailReset(ctx, r)}, nil
}

type finishResetInput struct {
	Body struct {
		Token    string `json:"token" maxLength:"200"`
		Password string `json:"password" maxLength:"200"`
	}
}

func (h handlers) finishReset(ctx context.Context, in *finishResetInput) (web.None, error) {
	return web.None{}, h.Identity.FinishReset(ctx, in.Body.Token, in.Body.Password, web.RemoteAddress(ctx))
}

type assignInput struct {
	ID   id.ID `path:"id"`
	Body struct {
		RoleID id.ID `json:"role_id"`
	}
}

func (h handlers) assign(ctx context.Context, in *assignInput) (web.None, error) {
	return web.None{}, h.Permissions.Assign(ctx, in.ID, in.Body.RoleID)
}

type unassignInput struct {
	ID     id.ID `path:"id"`
	RoleID id.ID `path:"role_id"`
}

func (h handlers) unassign(ctx context.Context, in *unassignInput) (web.None, error) {
	return web.None{}, h.Permissions.Unassign(ctx, in.ID, in.RoleID)
}
