package api

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"nimbus/appliance/fault"
	"nimbus/appliance/permission/condition"
	"nimbus/appliance/web"
)

func registerWords(a *web.API, h handlers) {
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/permissions/catalogue", Tag: tag,
		Summary: "List every permission and what it is for", Permission: web.SignedIn}, h.catalogue)
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/permissions/condition/vocabulary", Tag: tag,
		Summary: "List what conditions can ask about", Permission: web.SignedIn}, h.vocabulary)
	web.Handle(a, web.Route{Method: http.MethodPost, Path: "/v1/permissions/condition/test", Tag: tag,
		Summary: "Try a condition on a sample", Permission: web.SignedIn}, h.tryCondition)
}

// known is a permission that a route asks for.
type known struct {
	Permission string `json:"permission"`
	Summary    string `json:"summary" doc:"What the operations that ask for it do."`
	Domain     string `json:"domain"`
	Resource   string `json:"resource"`
	Action     string `json:"action"`
}

func (h handlers) catalogue(context.Context, *web.None) (page[known], error) {
	return pageOf(catalogue(h.routes()), nil)
}

// catalogue is every permission of the routes once, in order.
func catalogue(routes []web.Route) []known {
	summaries := map[string][]string{}
	for _, r := range routes {
		if r.Permission != web.Public && r.Permission != web.SignedIn && !slices.Contains(summaries[r.Permission], r.Summary) {
			summaries[r.Permission] = append(summaries[r.Permission], r.Summary)
		}
	}
	all := []known{}
	for p, texts := range summaries {
		words := append(strings.Split(p, ":"), "", "", "")
		all = append(all, known{p, strings.Join(texts, "; "), words[0], words[1], words[2]})
	}
	slices.SortFunc(all, func(a, b known) int { return cmp.Compare(a.Permission, b.Permission) })
	return all
}

type vocabulary struct {
	Names     []condition.Name     `json:"names"`
	Functions []condition.Function `json:"functions"`
	MaxLength int                  `json:"max_length"`
	CostLimit int                  `json:"cost_limit"`
}

func (h handlers) vocabulary(context.Context, *web.None) (vocabulary, error) {
	return vocabulary{condition.Vocabulary(), condition.Functions(), condition.MaxSource, condition.CostLimit}, nil
}

type testInput struct {
	Body struct {
		Condition string `json:"condition" doc:"CEL."`
		Sample    sample `json:"sample,omitzero"`
	}
}

type sample struct {
	Actor    condition.Actor   `json:"actor,omitzero"`
	Time     time.Time         `json:"time,omitzero" doc:"Now when left out."`
	Address  string            `json:"address,omitempty"`
	Resource condition.Object  `json:"resource,omitzero"`
	Request  condition.Request `json:"request,omitzero"`
}

type tried struct {
	Result *bool  `json:"result" doc:"Null when there is no answer: then an allowance does not allow and a denial denies."`
	Error  string `json:"error"`
	Cost   uint64 `json:"cost"`
}

// tryCondition answers what is wrong with a condition as part of the answer,
// because an editor asks while somebody writes.
func (h handlers) tryCondition(_ context.Context, in *testInput) (tried, error) {
	p, err := condition.Compile(in.Body.Condition)
	if fault.Is(err, fault.Invalid) {
		return tried{Error: fault.Message(err)}, nil
	}
	if err != nil {
		return tried{}, err
	}
	s := in.Body.Sample
	if s.Time.IsZero() {
		s.Time = time.Now()
	}
	result, cost, err := p.Measure(&condition.Input{Actor: s.Actor, Time: s.Time, Address: s.Address, Resource: s.Resource, Request: s.Request})
	if err != nil {
		return tried{Error: "It has no answer: " + err.Error(), Cost: cost}, nil
	}
	return tried{Result: &result, Cost: cost}, nil
}
