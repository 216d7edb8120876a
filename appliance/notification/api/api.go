// Package api is the HTTP side of notifications.
package api

import (
	"context"
	"net/http"

	"nimbus/appliance/notification"
	"nimbus/appliance/web"
)

const tag = "System"

// Register declares the routes.
func Register(a *web.API, s *notification.Service) {
	h := handlers{s}
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/system/mail", Tag: tag,
		Summary: "How the mail server is reached", Permission: notification.ReadMail}, h.mail)
	web.Handle(a, web.Route{Method: http.MethodPut, Path: "/v1/system/mail", Tag: tag,
		Summary: "Change how the mail server is reached", Permission: notification.UpdateMail}, h.setMail)
	web.Handle(a, web.Route{Method: http.MethodDelete, Path: "/v1/system/mail", Tag: tag,
		Summary: "Forget the mail server", Permission: notification.UpdateMail}, h.removeMail)
	web.Handle(a, web.Route{Method: http.MethodPost, Path: "/v1/system/mail/test", Tag: tag,
		Summary: "Send a test message", Permission: notification.UpdateMail, Status: http.StatusNoContent}, h.test)
}

type handlers struct{ *notification.Service }

func (h handlers) mail(ctx context.Context, _ *web.None) (notification.Mail, error) {
	return h.Mail(ctx)
}

type mailInput struct {
	Body struct {
		Host        string                `json:"host" maxLength:"253"`
		Port        int                   `json:"port" minimum:"1" maximum:"65535"`
		Security    notification.Security `json:"security" enum:"starttls,tls,none"`
		Username    string                `json:"username,omitempty" maxLength:"254"`
		Password    *string               `json:"password,omitempty" maxLength:"1024" doc:"Left out, the stored one is kept; empty, it is removed."`
		FromAddress string                `json:"from_address" maxLength:"254"`
		FromName    string                `json:"from_name,omitempty" maxLength:"100"`
	}
}

func (h handlers) setMail(ctx context.Context, in *mailInput) (notification.Mail, error) {
	b := in.Body
	return h.SetMail(ctx, notification.Mail{
		Host: b.Host, Port: b.Port, Security: b.Security, Username: b.Username, FromAddress: b.FromAddress, FromName: b.FromName,
	}, b.Password)
}

func (h handlers) removeMail(ctx context.Context, _ *web.None) (web.None, error) {
	return web.None{}, h.RemoveMail(ctx)
}

type testInput struct {
	Body struct {
		To string `json:"to" maxLength:"254"`
	}
}

func (h handlers) test(ctx context.Context, in *testInput) (web.None, error) {
	return web.None{}, h.Test(ctx, in.Body.To)
}
