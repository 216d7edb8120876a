package api

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"nimbus/appliance/audit"
	"nimbus/appliance/fault"
)

// liveFilter has the names of the query parameters of the list of records.
type liveFilter struct {
	Event      texts     `json:"event"`
	Category   string    `json:"category"`
	Priority   string    `json:"priority"`
	Outcome    string    `json:"outcome"`
	Actor      string    `json:"actor"`
	OnBehalfOf string    `json:"on_behalf_of"`
	Target     string    `json:"target"`
	TargetKind string    `json:"target_kind"`
	Address    string    `json:"address"`
	RequestID  string    `json:"request_id"`
	From       time.Time `json:"from"`
	To         time.Time `json:"to"`
}

// texts are a list of texts, or one.
type texts []string

// UnmarshalJSON takes a text as a list of one.
func (t *texts) UnmarshalJSON(raw []byte) error {
	if len(raw) > 0 && raw[0] == '"' {
		*t = texts{""}
		return json.Unmarshal(raw, &(*t)[0])
	}
	return json.Unmarshal(raw, (*[]string)(t))
}

// Follow is Service.Follow with a filter as browsers send it; nothing is all.
// It returns fault.Invalid for one that says something else: words are made
// searchable behind the sealer, so that a feed cannot look for them.
func Follow(s *audit.Service) func(ctx context.Context, filter json.RawMessage) (<-chan audit.Batch, error) {
	return func(ctx context.Context, filter json.RawMessage) (<-chan audit.Batch, error) {
		var f liveFilter
		if len(filter) > 0 {
			d := json.NewDecoder(bytes.NewReader(filter))
			d.DisallowUnknownFields()
			if err := d.Decode(&f); err != nil {
				return nil, fault.Wrap(fault.Invalid, err, "The filter of the live feed is not one: use the filters of the list of records, besides words.")
			}
		}
		return s.Follow(ctx, audit.Filter{
			Events: f.Event, Category: f.Category, Priority: audit.Priority(f.Priority), Outcome: audit.Outcome(f.Outcome), Actor: f.Actor, OnBehalfOf: f.OnBehalfOf,
			Target: f.Target, TargetKind: f.TargetKind, Address: f.Address, RequestID: f.RequestID, From: f.From, To: f.To,
		})
	}
}

// Record is a sealed record as it is in lists.
func Record(s audit.Sealed) any { return present(s) }
