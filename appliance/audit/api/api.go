// Package api is the HTTP side of the audit trail.
package api

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
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
	registerLife(a, h)
	registerProof(a, h)
	registerRecording(a, h)
	registerRedaction(a, h)
	registerViews(a, h)
	registerQueries(a, h)
	registerInsight(a, h)
	registerSinks(a, s)
}

type handlers struct{ *audit.Service }

type listInput struct {
	FilterInput
	Cursor string `query:"cursor" doc:"The next of the page before."`
	Limit  int    `query:"limit" default:"50" minimum:"1" maximum:"200"`
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
	OnBehalfOf   *principal      `json:"on_behalf_of" doc:"For whom the actor acted; null: for nobody else."`
	Target       audit.Target    `json:"target"`
	TargetName   string          `json:"target_name"`
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

type principal struct {
	person
	Claimed bool `json:"claimed" doc:"Nothing proves it: the environment of a command on the machine says so."`
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
	before, err := cursor(in.Cursor)
	if err != nil {
		return page{}, err
	}
	f := in.filter()
	f.Before, f.Limit = before, in.Limit
	found, err := h.List(ctx, f)
	return paged(found, in.Limit), err
}

type getInput struct {
	Sequence int64 `path:"sequence" minimum:"1"`
}

// whole is a record with what proves it.
type whole struct {
	record
	Body    *string `json:"body" doc:"As stored and hashed; null when only the leaf is left."`
	Leaf    string  `json:"leaf" doc:"RFC 9162 leaf hash of the body, base64."`
	Link    *string `json:"link" doc:"Of the chain, base64; null when only the leaf is left."`
	TraceID string  `json:"trace_id" doc:"W3C trace that the caller sent."`
	Pruned  bool    `json:"pruned" doc:"The record was archived and taken away; its leaf is left."`
}

func (h handlers) get(ctx context.Context, in *getInput) (whole, error) {
	s, err := h.Get(ctx, in.Sequence)
	if err != nil {
		return whole{}, err
	}
	w := whole{record: present(s), Leaf: base64.StdEncoding.EncodeToString(s.Leaf), Pruned: s.Pruned, TraceID: s.Actor.TraceID}
	if !s.Pruned {
		body, link := string(s.Body), base64.StdEncoding.EncodeToString(s.Link)
		w.Body, w.Link = &body, &link
	}
	return w, nil
}

func present(s audit.Sealed) record {
	r := record{
		Sequence: s.Sequence, ID: s.ID, Time: s.Time, Event: s.Event, Category: audit.Category(s.Event),
		Priority: s.Priority, Outcome: s.Outcome,
		Actor:  person{ID: s.Actor.ID, Name: s.Actor.Name, Kind: string(s.Actor.Kind)},
		Target: s.Target, TargetName: s.Target.Name, Address: s.Actor.Address, RequestID: s.Actor.RequestID, Reason: s.Reason,
		Details: orNull(s.Details), Hash: hex.EncodeToString(s.Link), PreviousHash: hex.EncodeToString(s.Previous),
		SealedAt: s.SealedAt, BreakGlass: s.Actor.BreakGlass,
	}
	if other := s.Actor.OnBehalfOf; other != (actor.Principal{}) {
		r.OnBehalfOf = &principal{person{other.ID, other.Name, string(other.Kind)}, other.Claimed}
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
