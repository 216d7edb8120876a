// Package api is the HTTP side of the audit trail.
package api

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"nimbus/appliance/audit"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/web"
)

const tag = "Audit"

// Register declares the routes.
func Register(a *web.API, s *audit.Service) {
	h := handlers{s}
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/audit/records", Tag: tag,
		Summary: "List audit records, newest first", Permission: audit.ReadPermission}, h.list)
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/audit/records/{sequence}", Tag: tag,
		Summary: "Read one audit record", Permission: audit.ReadPermission}, h.get)
	registerExports(a, h)
	registerProof(a, h)
	registerRecording(a, h)
	registerInsight(a, h)
}

type handlers struct{ *audit.Service }

type listInput struct {
	Cursor     string    `query:"cursor" doc:"The next of the page before."`
	Limit      int       `query:"limit" default:"50" minimum:"1" maximum:"200"`
	Event      []string  `query:"event,explode" doc:"Event codes, or beginnings of them up to a dot."`
	Category   string    `query:"category" doc:"What the event code begins with."`
	Priority   string    `query:"priority" enum:"debug,info,notice,warning,error,critical" doc:"The least."`
	TargetKind string    `query:"target_kind"`
	Address    string    `query:"address"`
	RequestID  string    `query:"request_id"`
	Actor      string    `query:"actor" doc:"An id, or part of a name."`
	Target     string    `query:"target" doc:"The id of what was acted upon."`
	Outcome    string    `query:"outcome" enum:"success,failure,denied"`
	From       time.Time `query:"from"`
	To         time.Time `query:"to"`
	Q          string    `query:"q" doc:"Words that are in the record, \"a phrase\", or -without one."`
}

type record struct {
	Sequence     int64           `json:"sequence"`
	ID           id.ID           `json:"id"`
	Time         time.Time       `json:"time"`
	Event        string          `json:"event"`
	Category     string          `json:"category"`
	Priority     audit.Priority  `json:"priority"`
	Outcome      audit.Outcome   `json:"outcome"`
	Actor        person          `json:"actor"`
	Target       audit.Target    `json:"target"`
	Address      string          `json:"address"`
	RequestID    string          `json:"request_id"`
	Reason       string          `json:"reason"`
	Changes      *changes        `json:"changes"`
	Details      json.RawMessage `json:"details"`
	Hash         string          `json:"hash"`
	PreviousHash string          `json:"previous_hash"`
	SealedAt     time.Time       `json:"sealed_at"`
	BreakGlass   id.ID           `json:"break_glass"`
}

type person struct {
	ID   id.ID  `json:"id"`
	Name string `json:"name"`
	Kind string `json:"kind"`
}

type changes struct {
	Before json.RawMessage `json:"before"`
	After  json.RawMessage `json:"after"`
}

type page struct {
	Items []record `json:"items"`
	Next  *string  `json:"next"`
}

func (h handlers) list(ctx context.Context, in *listInput) (page, error) {
	f := audit.Filter{
		Limit: in.Limit, Events: in.Event, Category: in.Category, Priority: audit.Priority(in.Priority), TargetKind: in.TargetKind, Address: in.Address, RequestID: in.RequestID, Actor: in.Actor, Target: in.Target,
		Outcome: audit.Outcome(in.Outcome), From: in.From, To: in.To, Text: in.Q,
	}
	if in.Cursor != "" {
		before, err := strconv.ParseInt(in.Cursor, 10, 64)
		if err != nil {
			return page{}, fault.BadField("query.cursor", "The cursor is not one that a page before gave.")
		}
		f.Before = before
	}
	found, err := h.List(ctx, f)
	if err != nil {
		return page{}, err
	}
	p := page{Items: make([]record, len(found))}
	for i, s := range found {
		p.Items[i] = present(s)
	}
	if len(found) == in.Limit {
		next := strconv.FormatInt(found[len(found)-1].Sequence, 10)
		p.Next = &next
	}
	return p, nil
}

type getInput struct {
	Sequence int64 `path:"sequence" minimum:"1"`
}

func (h handlers) get(ctx context.Context, in *getInput) (record, error) {
	s, err := h.Get(ctx, in.Sequence)
	return present(s), err
}

func present(s audit.Sealed) record {
	r := record{
		Sequence: s.Sequence, ID: s.ID, Time: s.Time, Event: s.Event, Category: audit.Category(s.Event),
		Priority: s.Priority, Outcome: s.Outcome,
		Actor:  person{ID: s.Actor.ID, Name: s.Actor.Name, Kind: string(s.Actor.Kind)},
		Target: s.Target, Address: s.Actor.Address, RequestID: s.Actor.RequestID, Reason: s.Reason,
		Details: orNull(s.Details), Hash: hex.EncodeToString(s.Link), PreviousHash: hex.EncodeToString(s.Previous),
		SealedAt: s.SealedAt, BreakGlass: s.Actor.BreakGlass,
	}
	if s.Before != nil || s.After != nil {
		r.Changes = &changes{Before: orNull(s.Before), After: orNull(s.After)}
	}
	return r
}

func orNull(raw json.RawMessage) json.RawMessage {
	if raw == nil {
		return json.RawMessage("null")
	}
	return raw
}
