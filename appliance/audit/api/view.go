package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"nimbus/appliance/audit"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/web"
)

// registerViews declares the routes that look at many records at once.
func registerViews(a *web.API, h handlers) {
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/audit/timeline", Tag: tag,
		Summary: "Count records in hours or days", Permission: audit.ReadPermission}, h.timeline)
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/audit/facets", Tag: tag,
		Summary: "List the most frequent values of records", Permission: audit.ReadPermission}, h.facets)
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/audit/activity/{user}", Tag: tag,
		Summary: "Read what somebody did, and what was done on their behalf", Permission: audit.ReadPermission, Sensitive: true}, h.activity)
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/audit/history/{kind}/{id}", Tag: tag,
		Summary: "List the records about one resource, oldest first", Permission: audit.ReadPermission}, h.history)
}

// FilterInput is exported because it is embedded.
type FilterInput struct {
	Event      []string  `query:"event,explode" doc:"Event codes, or beginnings of them up to a dot."`
	Category   string    `query:"category" doc:"What the event code begins with."`
	Priority   string    `query:"priority" enum:"debug,info,notice,warning,error,critical" doc:"The least."`
	TargetKind string    `query:"target_kind"`
	Address    string    `query:"address"`
	RequestID  string    `query:"request_id"`
	Actor      string    `query:"actor" doc:"Who acted, or on whose behalf: an id, or part of a name."`
	OnBehalfOf string    `query:"on_behalf_of" doc:"On whose behalf somebody else acted: an id, or part of a name."`
	Target     string    `query:"target" doc:"The id of what was acted upon."`
	Outcome    string    `query:"outcome" enum:"success,failure,denied"`
	From       time.Time `query:"from"`
	To         time.Time `query:"to"`
	Q          string    `query:"q" doc:"Words that are in the record, \"a phrase\", or -without one."`
}

func (in FilterInput) filter() audit.Filter {
	return audit.Filter{
		Events: in.Event, Category: in.Category, Priority: audit.Priority(in.Priority), TargetKind: in.TargetKind, Address: in.Address,
		RequestID: in.RequestID, Actor: in.Actor, OnBehalfOf: in.OnBehalfOf, Target: in.Target, Outcome: audit.Outcome(in.Outcome), From: in.From, To: in.To, Text: in.Q,
	}
}

type timelineInput struct {
	FilterInput
	Bucket string `query:"bucket" enum:"hour,day" default:"day" doc:"Of the tenant's time zone."`
}

func (h handlers) timeline(ctx context.Context, in *timelineInput) (audit.Timeline, error) {
	return h.Timeline(ctx, in.filter(), in.Bucket)
}

func (h handlers) facets(ctx context.Context, in *FilterInput) (audit.Facets, error) {
	return h.Facets(ctx, in.filter())
}

type activityInput struct {
	User   id.ID     `path:"user"`
	Cursor string    `query:"cursor" doc:"The next of the page before."`
	Limit  int       `query:"limit" default:"50" minimum:"1" maximum:"200"`
	From   time.Time `query:"from"`
	To     time.Time `query:"to"`
}

type activity struct {
	User struct {
		ID   id.ID  `json:"id"`
		Name string `json:"name"`
	} `json:"user"`
	FirstSeen *time.Time   `json:"first_seen"`
	LastSeen  *time.Time   `json:"last_seen"`
	Events    []eventCount `json:"events"`
	Addresses []audit.Used `json:"addresses"`
	Hours     [24]int64    `json:"hours" doc:"Records by the hour of the day in the tenant's time zone."`
	Complete  bool         `json:"complete" doc:"False when there is more than was counted."`
	Items     []record     `json:"items"`
	Next      *string      `json:"next"`
}

type eventCount struct {
	Event string `json:"event"`
	Count int64  `json:"count"`
}

func (h handlers) activity(ctx context.Context, in *activityInput) (activity, error) {
	before, err := cursor(in.Cursor)
	if err != nil {
		return activity{}, err
	}
	found, err := h.Activity(ctx, in.User, audit.Filter{Before: before, Limit: in.Limit, From: in.From, To: in.To})
	if err != nil {
		return activity{}, err
	}
	p := paged(found.Items, in.Limit)
	a := activity{FirstSeen: found.FirstSeen, LastSeen: found.LastSeen, Events: []eventCount{}, Addresses: found.Addresses,
		Hours: found.Hours, Complete: found.Complete, Items: p.Items, Next: p.Next}
	a.User.ID, a.User.Name = in.User, found.Name
	for _, v := range found.Events {
		a.Events = append(a.Events, eventCount{v.Value, v.Count})
	}
	return a, nil
}

type historyInput struct {
	Kind   string `path:"kind" maxLength:"200"`
	ID     string `path:"id" maxLength:"500"`
	Cursor string `query:"cursor" doc:"The next of the page before."`
	Limit  int    `query:"limit" default:"50" minimum:"1" maximum:"200"`
}

func (h handlers) history(ctx context.Context, in *historyInput) (page, error) {
	after, err := cursor(in.Cursor)
	if err != nil {
		return page{}, err
	}
	found, err := h.History(ctx, in.Kind, in.ID, after, in.Limit)
	return paged(found, in.Limit), err
}

// cursor is the sequence number that a page before ended with; 0 without one.
func cursor(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 {
		return 0, fault.BadField("query.cursor", "The cursor is not one that a page before gave.")
	}
	return n, nil
}

// paged presents records; a full page has a next one.
func paged(found []audit.Sealed, limit int) page {
	p := page{Items: make([]record, len(found))}
	for i, s := range found {
		p.Items[i] = present(s)
	}
	if len(found) == limit {
		next := strconv.FormatInt(found[len(found)-1].Sequence, 10)
		p.Next = &next
	}
	return p
}
