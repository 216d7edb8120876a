package main

import (
	"fmt"
	"strings"

	"github.com/cedar-policy/cedar-go"
)

// newCedar writes a domain as a parent of its resources, as Cedar's
// documentation does with folders.
func newCedar(policies []policy) (engine, error) {
	var text strings.Builder
	for _, p := range policies {
		text.WriteString(cedarText(p))
	}
	all, err := cedar.NewPolicySetFromBytes("policies.cedar", []byte(text.String()))
	if err != nil {
		return nil, err
	}
	principal := cedar.NewEntityUID("User", "ann")
	return func(q asked) (bool, error) {
		domain := cedar.NewEntityUID("Domain", cedar.String(q.Domain))
		resource := cedar.NewEntityUID("Resource", cedar.String(q.Domain+":"+q.Resource))
		entities := cedar.EntityMap{
			principal: cedar.Entity{UID: principal},
			domain:    cedar.Entity{UID: domain},
			resource: cedar.Entity{UID: resource, Parents: cedar.NewEntityUIDSet(domain),
				Attributes: cedar.NewRecord(cedar.RecordMap{"environment": cedar.String(q.Environment)})},
		}
		decision, d := cedar.Authorize(all, entities, cedar.Request{
			Principal: principal, Action: cedar.NewEntityUID("Action", cedar.String(q.Action)), Resource: resource,
			Context: cedar.NewRecord(cedar.RecordMap{"mfa": cedar.Boolean(q.MFA)}),
		})
		if len(d.Errors) > 0 {
			return false, fmt.Errorf("%v", d.Errors[0])
		}
		return decision == cedar.Allow, nil
	}, nil
}

func cedarText(p policy) string {
	verb, action, resource, when := "permit", "action", "resource", ""
	if p.Deny {
		verb = "forbid"
	}
	if p.Action != "*" {
		action = fmt.Sprintf("action == Action::%q", p.Action)
	}
	switch {
	case p.Domain != "*" && p.Resource != "*":
		resource = fmt.Sprintf("resource == Resource::%q", p.Domain+":"+p.Resource)
	case p.Domain != "*":
		resource = fmt.Sprintf("resource in Domain::%q", p.Domain)
	}
	if p.Conditional {
		when = ` when { context.mfa && resource.environment == "test" }`
	}
	return fmt.Sprintf("%s (principal == User::\"ann\", %s, %s)%s;\n", verb, action, resource, when)
}
