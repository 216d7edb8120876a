package api

import (
	"context"
	"net/http"
	"strings"

	"nimbus/appliance/actor"
	"nimbus/appliance/id"
	"nimbus/appliance/identity"
	"nimbus/appliance/web"
)

func registerInvitations(a *web.API, h handlers) {
	const tag = "Invitations"
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/invitations", Tag: tag,
		Summary: "List the open invitations of your tenant", Permission: identity.ReadInvitation}, h.invitations)
	web.Handle(a, web.Route{Method: http.MethodPost, Path: "/v1/invitations", Tag: tag,
		Summary: "Invite somebody to your tenant", Permission: identity.CreateInvitation, Status: http.StatusCreated}, h.invite)
	web.Handle(a, web.Route{Method: http.MethodDelete, Path: "/v1/invitations/{id}", Tag: tag,
		Summary: "Withdraw an invitation", Permission: identity.DeleteInvitation}, h.deleteInvitation)
	web.Handle(a, web.Route{Method: http.MethodPost, Path: "/v1/invitations/inspect", Tag: tag,
		Summary: "What an invitation's link is for", Permission: web.Public}, h.inspectInvitation)
	web.Handle(a, web.Route{Method: http.MethodPost, Path: "/v1/invitations/accept", Tag: tag,
		Summary: "Accept an invitation and sign in", Permission: web.Public, Status: http.StatusCreated,
		Description: "Whoever has no account yet chooses a password. Whoever has one is signed in, or gives its password."}, h.acceptInvitation)
}

func (h handlers) invitations(ctx context.Context, _ *web.None) (page[identity.Invitation], error) {
	all, err := h.Identity.Invitations(ctx)
	return listOf(all), err
}

type inviteInput struct {
	Body struct {
		Name     string  `json:"name" maxLength:"100"`
		Email    string  `json:"email" maxLength:"254"`
		RoleIDs  []id.ID `json:"role_ids,omitempty" maxItems:"50"`
		GroupIDs []id.ID `json:"group_ids,omitempty" maxItems:"50"`
	}
}

type createdInvitation struct {
	identity.Invitation
	Link string `json:"link" doc:"Shown once. Give it to the person and to nobody else."`
	identity.Mailed
}

func (h handlers) invite(ctx context.Context, in *inviteInput) (createdInvitation, error) {
	web.NoStore(ctx)
	i, link, err := h.Identity.Invite(ctx, identity.NewInvitation{
		Name: in.Body.Name, Email: in.Body.Email, Roles: in.Body.RoleIDs, Groups: in.Body.GroupIDs,
	})
	if err != nil {
		return createdInvitation{}, err
	}
	return createdInvitation{Invitation: i, Link: link, Mailed: h.Identity.MailInvitation(ctx, i, link)}, nil
}

func (h handlers) deleteInvitation(ctx context.Context, in *idInput) (web.None, error) {
	return web.None{}, h.Identity.DeleteInvitation(ctx, in.ID)
}

type inspectInput struct {
	Body struct {
		Token string `json:"token" maxLength:"200"`
	}
}

func (h handlers) inspectInvitation(ctx context.Context, in *inspectInput) (identity.Invited, error) {
	return h.Identity.InspectInvitation(ctx, in.Body.Token, web.RemoteAddress(ctx))
}

type acceptInput struct {
	UserAgent string `header:"User-Agent"`
	Body      struct {
		Token    string `json:"token" maxLength:"200"`
		Password string `json:"password,omitempty" maxLength:"200"`
	}
}

// acceptInvitation ends in the session that the person is in already, or in
// one that begins as any sign-in does.
func (h handlers) acceptInvitation(ctx context.Context, in *acceptInput) (signInAnswer, error) {
	email, err := h.Identity.AcceptInvitation(ctx, in.Body.Token, in.Body.Password, web.RemoteAddress(ctx))
	if err != nil {
		return signInAnswer{}, err
	}
	if _, ok := actor.From(ctx); ok {
		if mine, _, err := h.Identity.Me(ctx); err == nil && strings.EqualFold(mine, email) {
			mine, err := h.session(ctx, nil)
			return signInAnswer{SessionAnswer: &mine}, err
		}
	}
	var signIn signInInput
	signIn.UserAgent, signIn.Body.Email, signIn.Body.Password = in.UserAgent, email, in.Body.Password
	return h.signIn(ctx, &signIn)
}
