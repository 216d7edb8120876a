package main

import (
	"context"

	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
)

// opaPolicy looks up the forms of a permission that can match, which is the
// fastest way to say it in Rego: the grants are data, not rules.
const opaPolicy = `package nimbus

default allow := false

forms contains [d, r, a] if {
	some d in [input.domain, "*"]
	some r in [input.resource, "*"]
	some a in [input.action, "*"]
}

holds(kind) if {
	some f in forms
	data.grants[kind].plain[f[0]][f[1]][f[2]]
}

holds(kind) if {
	input.mfa
	input.environment == "test"
	some f in forms
	data.grants[kind].conditional[f[0]][f[1]][f[2]]
}

allow if {
	holds("allow")
	not holds("deny")
}
`

func newOPA(policies []policy) (engine, error) {
	ctx := context.Background()
	query, err := rego.New(
		rego.Query("data.nimbus.allow"), rego.Module("nimbus.rego", opaPolicy),
		rego.Store(inmem.NewFromObject(map[string]any{"grants": opaData(policies)})),
	).PrepareForEval(ctx)
	if err != nil {
		return nil, err
	}
	return func(q asked) (bool, error) {
		results, err := query.Eval(ctx, rego.EvalInput(map[string]any{
			"domain": q.Domain, "resource": q.Resource, "action": q.Action, "mfa": q.MFA, "environment": q.Environment,
		}))
		return err == nil && results.Allowed(), err
	}, nil
}

// opaData nests grants by effect, kind and the parts of the permission.
func opaData(policies []policy) map[string]any {
	data := map[string]any{}
	for _, p := range policies {
		effect, kind := "allow", "plain"
		if p.Deny {
			effect = "deny"
		}
		if p.Conditional {
			kind = "conditional"
		}
		at := data
		for _, key := range []string{effect, kind, p.Domain, p.Resource} {
			next, ok := at[key].(map[string]any)
			if !ok {
				next = map[string]any{}
				at[key] = next
			}
			at = next
		}
		at[p.Action] = true
	}
	return data
}
