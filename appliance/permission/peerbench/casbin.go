package main

import (
	"github.com/casbin/casbin/v2"
	"github.com/casbin/casbin/v2/model"
)

const casbinModel = `
[request_definition]
r = sub, dom, res, act, mfa, env
[policy_definition]
p = sub, dom, res, act, cond, eft
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
m = r.sub == p.sub && (p.dom == "*" || r.dom == p.dom) && (p.res == "*" || r.res == p.res) && (p.act == "*" || r.act == p.act) && (p.cond == "no" || r.mfa && r.env == "test")
`

func newCasbin(policies []policy) (engine, error) {
	m, err := model.NewModelFromString(casbinModel)
	if err != nil {
		return nil, err
	}
	e, err := casbin.NewEnforcer(m)
	if err != nil {
		return nil, err
	}
	var rules [][]string
	for _, p := range policies {
		condition, effect := "no", "allow"
		if p.Conditional {
			condition = "yes"
		}
		if p.Deny {
			effect = "deny"
		}
		rules = append(rules, []string{"ann", p.Domain, p.Resource, p.Action, condition, effect})
	}
	if _, err := e.AddPolicies(rules); err != nil {
		return nil, err
	}
	return func(q asked) (bool, error) {
		return e.Enforce("ann", q.Domain, q.Resource, q.Action, q.MFA, q.Environment)
	}, nil
}
