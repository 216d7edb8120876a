// Package api is the HTTP side of backups.
package api

import (
	"context"
	"net/http"

	"nimbus/appliance/backup"
	"nimbus/appliance/id"
	"nimbus/appliance/web"
)

const (
	tag  = "Backups"
	root = "/v1/system/backups"
)

// Register declares the routes.
func Register(a *web.API, s *backup.Service) {
	h := handlers{s}
	route := func(method, path, permission, summary string, status int) web.Route {
		return web.Route{Method: method, Path: root + path, Tag: tag, Summary: summary, Permission: permission, Status: status}
	}
	get, post, put, del := http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete
	web.Handle(a, route(get, "", backup.Read, "List backups, newest first", 0), h.list)
	web.Handle(a, route(post, "", backup.Create, "Make a backup now", http.StatusAccepted), h.create)
	web.Handle(a, route(get, "/settings", backup.Read, "Where and when backups are made", 0), h.settings)
	web.Handle(a, route(put, "/settings", backup.Update, "Change where and when backups are made", 0), h.setSettings)
	web.Handle(a, route(post, "/settings/test", backup.Update, "Write to a target, read back and delete", 0), h.test)
	web.Handle(a, route(post, "/prune", backup.Delete, "Delete the backups that the policy does not keep", 0).InReserve(), h.prune)
	web.Handle(a, route(get, "/{id}", backup.Read, "Read a backup", 0), h.get)
	web.Handle(a, route(del, "/{id}", backup.Delete, "Delete a backup, or stop one that is being made or verified", 0).InReserve(), h.remove)
	web.Handle(a, route(post, "/{id}/verify", backup.Check, "Restore a backup into a scratch directory and check it", http.StatusAccepted), h.verify)
}

type handlers struct{ s *backup.Service }

type page struct {
	Items []backup.Backup `json:"items"`
	Next  string          `json:"next,omitempty"`
}

type listInput struct {
	Limit int   `query:"limit" minimum:"1" maximum:"200" default:"50"`
	After id.ID `query:"after" doc:"The last backup of the page before."`
}

func (h handlers) list(ctx context.Context, in *listInput) (page, error) {
	all, err := h.s.List(ctx)
	if err != nil {
		return page{}, err
	}
	if !in.After.IsZero() {
		for i, b := range all {
			if b.ID == in.After {
				all = all[i+1:]
				break
			}
		}
	}
	p := page{Items: all}
	if len(all) > in.Limit {
		p.Items, p.Next = all[:in.Limit], all[in.Limit-1].ID.String()
	}
	return p, nil
}

type made struct {
	ID id.ID `json:"id"`
}

func (h handlers) create(ctx context.Context, _ *web.None) (made, error) {
	b, err := h.s.Create(ctx, backup.Manual)
	return made{b.ID}, err
}

type oneInput struct {
	ID id.ID `path:"id"`
}

func (h handlers) get(ctx context.Context, in *oneInput) (backup.Backup, error) {
	return h.s.Backup(ctx, in.ID)
}

func (h handlers) remove(ctx context.Context, in *oneInput) (web.None, error) {
	return web.None{}, h.s.Remove(ctx, in.ID)
}

func (h handlers) verify(ctx context.Context, in *oneInput) (backup.Backup, error) {
	return h.s.Verify(ctx, in.ID)
}

func (h handlers) settings(ctx context.Context, _ *web.None) (backup.Settings, error) {
	return h.s.Settings(ctx)
}

type settingsInput struct{ Body backup.Settings }

func (h handlers) setSettings(ctx context.Context, in *settingsInput) (backup.Settings, error) {
	return h.s.SetSettings(ctx, in.Body)
}

func (h handlers) test(ctx context.Context, in *settingsInput) (web.None, error) {
	return web.None{}, h.s.TestTarget(ctx, in.Body)
}

type pruned struct {
	Items []backup.Backup `json:"items"`
}

func (h handlers) prune(ctx context.Context, _ *web.None) (pruned, error) {
	gone, err := h.s.Prune(ctx)
	return pruned{append([]backup.Backup{}, gone...)}, err
}
