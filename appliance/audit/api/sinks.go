package api

import (
	"context"
	"net/http"

	"nimbus/appliance/audit"
	"nimbus/appliance/audit/siem"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/web"
)

// registerSinks declares the routes of sinks and their dead letters.
func registerSinks(a *web.API, s *audit.Service) {
	h := sinkHandlers{s}
	route := func(method, path, summary, permission string, status int) web.Route {
		return web.Route{Method: method, Path: "/v1/audit/sinks" + path, Tag: tag, Summary: summary, Permission: permission, Status: status}
	}
	web.Handle(a, route(http.MethodGet, "", "List the collectors that get the audit trail", audit.ReadSinks, 0), h.list)
	web.Handle(a, route(http.MethodPost, "", "Add a collector", audit.CreateSink, http.StatusCreated), h.create)
	web.Handle(a, route(http.MethodGet, "/{id}", "Read a collector and how delivery goes", audit.ReadSinks, 0), h.get)
	web.Handle(a, route(http.MethodPatch, "/{id}", "Change, pause or resume a collector", audit.UpdateSink, 0), h.update)
	web.Handle(a, route(http.MethodDelete, "/{id}", "Remove a collector", audit.DeleteSink, 0), h.remove)
	web.Handle(a, route(http.MethodPost, "/{id}/test", "Send a collector a test message", audit.UpdateSink, 0), h.test)
	web.Handle(a, route(http.MethodPost, "/{id}/replay", "Deliver again from a sequence number on", audit.UpdateSink, http.StatusAccepted), h.replay)
	web.Handle(a, route(http.MethodGet, "/{id}/dead-letters", "List what a collector refused", audit.ReadSinks, 0), h.letters)
	web.Handle(a, route(http.MethodPost, "/{id}/dead-letters/replay-all", "Send all dead letters again", audit.UpdateSink, http.StatusAccepted), h.replayAll)
	web.Handle(a, route(http.MethodPost, "/{id}/dead-letters/{dl}/replay", "Send a dead letter again", audit.UpdateSink, http.StatusAccepted), h.replayLetter)
	web.Handle(a, route(http.MethodDelete, "/{id}/dead-letters/{dl}", "Give a dead letter up", audit.UpdateSink, 0), h.removeLetter)
}

type sinkHandlers struct{ *audit.Service }

type sinkPage struct {
	Items []audit.Sink `json:"items"`
	Next  *string      `json:"next"`
}

func (h sinkHandlers) list(ctx context.Context, _ *web.None) (sinkPage, error) {
	all, err := h.Sinks(ctx)
	return sinkPage{Items: append([]audit.Sink{}, all...)}, err
}

type newSinkInput struct {
	Body struct {
		Kind siem.Kind `json:"kind" enum:"webhook,syslog"`
		From int64     `json:"from_sequence,omitempty" minimum:"1" doc:"The first record that it gets; left out: from now on."`
		audit.SinkChange
	}
}

func (h sinkHandlers) create(ctx context.Context, in *newSinkInput) (audit.Sink, error) {
	return h.NewSink(ctx, in.Body.Kind, in.Body.From, in.Body.SinkChange)
}

type sinkInput struct {
	ID id.ID `path:"id"`
}

func (h sinkHandlers) get(ctx context.Context, in *sinkInput) (audit.Sink, error) {
	return h.Sink(ctx, in.ID)
}

type sinkChangeInput struct {
	ID   id.ID `path:"id"`
	Body audit.SinkChange
}

func (h sinkHandlers) update(ctx context.Context, in *sinkChangeInput) (audit.Sink, error) {
	return h.ChangeSink(ctx, in.ID, in.Body)
}

func (h sinkHandlers) remove(ctx context.Context, in *sinkInput) (web.None, error) {
	return web.None{}, h.RemoveSink(ctx, in.ID)
}

func (h sinkHandlers) test(ctx context.Context, in *sinkInput) (web.None, error) {
	return web.None{}, h.TestSink(ctx, in.ID)
}

type replayInput struct {
	ID   id.ID `path:"id"`
	Body struct {
		From int64 `json:"from_sequence" minimum:"1"`
	}
}

func (h sinkHandlers) replay(ctx context.Context, in *replayInput) (web.None, error) {
	return web.None{}, h.ReplaySink(ctx, in.ID, in.Body.From)
}

type lettersInput struct {
	ID     id.ID  `path:"id"`
	Cursor string `query:"cursor" doc:"The next of the page before."`
	Limit  int    `query:"limit" default:"50" minimum:"1" maximum:"200"`
}

type letterPage struct {
	Items []audit.DeadLetter `json:"items"`
	Next  *string            `json:"next"`
}

func (h sinkHandlers) letters(ctx context.Context, in *lettersInput) (p letterPage, err error) {
	// A zero id is null in a query, and nothing is greater than null.
	after := id.ID{15: 1}
	if in.Cursor != "" {
		if after, err = id.Parse(in.Cursor); err != nil {
			return p, fault.BadField("query.cursor", "The cursor is not one that a page before gave.")
		}
	}
	found, err := h.DeadLetters(ctx, in.ID, after, in.Limit)
	p.Items = append([]audit.DeadLetter{}, found...)
	if n := len(found); n == in.Limit {
		next := found[n-1].ID.String()
		p.Next = &next
	}
	return p, err
}

type letterInput struct {
	ID     id.ID `path:"id"`
	Letter id.ID `path:"dl"`
}

func (h sinkHandlers) replayLetter(ctx context.Context, in *letterInput) (web.None, error) {
	if in.Letter.IsZero() {
		return web.None{}, fault.New(fault.NotFound, "It does not exist, or it is not yours.")
	}
	return web.None{}, h.ReplayDeadLetters(ctx, in.ID, in.Letter)
}

func (h sinkHandlers) replayAll(ctx context.Context, in *sinkInput) (web.None, error) {
	return web.None{}, h.ReplayDeadLetters(ctx, in.ID, id.ID{})
}

func (h sinkHandlers) removeLetter(ctx context.Context, in *letterInput) (web.None, error) {
	return web.None{}, h.RemoveDeadLetter(ctx, in.ID, in.Letter)
}
