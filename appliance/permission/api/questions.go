package api

import (
	"context"
	"net/http"
	"time"

	"nimbus/appliance/id"
	"nimbus/appliance/permission"
	"nimbus/appliance/web"
)

func registerQuestions(a *web.API, h handlers) {
	others := "About yourself always; about others with " + permission.ExplainAny + "."
	web.Handle(a, web.Route{Method: http.MethodPost, Path: "/v1/permissions/check", Tag: tag,
		Summary: "Tell what you may do of several things", Permission: web.SignedIn}, h.check)
	web.Handle(a, web.Route{Method: http.MethodPost, Path: "/v1/permissions/explain", Tag: tag,
		Summary: "Tell whether somebody may do something, and why", Permission: web.SignedIn, Description: others}, h.explain)
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/permissions/effective", Tag: tag,
		Summary: "List what somebody holds and where they have it from", Permission: web.SignedIn, Sensitive: true, Description: others}, h.effective)
	web.Handle(a, web.Route{Method: http.MethodPost, Path: "/v1/permissions/holders", Tag: tag,
		Summary: "List who may do something", Permission: permission.ExplainAny}, h.holders)
	web.Handle(a, web.Route{Method: http.MethodPost, Path: "/v1/permissions/simulate", Tag: tag,
		Summary: "Show what a change would allow and deny, without making it", Permission: permission.ExplainAny}, h.simulate)
}

type checkInput struct {
	Body struct {
		Questions []checkQuestion `json:"questions" minItems:"1" maxItems:"200"`
	}
}

type checkQuestion struct {
	Permission string              `json:"permission" maxLength:"200" example:"deployment:stack:approve"`
	Resource   permission.Resource `json:"resource,omitzero"`
}

type answers struct {
	Answers []bool `json:"answers"`
}

func (h handlers) check(ctx context.Context, in *checkInput) (answers, error) {
	questions := make([]permission.Question, len(in.Body.Questions))
	for i, q := range in.Body.Questions {
		questions[i] = permission.Question{Permission: q.Permission, Resource: q.Resource}
	}
	all, err := h.Ask(ctx, questions)
	return answers{all}, err
}

// AskedSubject says whom a question is about: nobody means who asks. Its name is
// exported because only then its fields become those of the bodies it is in.
type AskedSubject struct {
	Kind permission.SubjectKind `json:"subject_kind,omitempty" enum:"user,group,service_account"`
	ID   id.ID                  `json:"subject_id,omitzero" doc:"Yourself when left out."`
}

func (b AskedSubject) subject() permission.Subject {
	if b.Kind == "" {
		b.Kind = permission.UserSubject
	}
	return permission.Subject{Kind: b.Kind, ID: b.ID}
}

type explainBody struct {
	AskedSubject
	UserID     id.ID               `json:"user_id,omitzero" doc:"The same as a subject_id of the kind user."`
	Permission string              `json:"permission" maxLength:"200" example:"deployment:stack:approve"`
	Resource   permission.Resource `json:"resource,omitzero"`
	At         time.Time           `json:"at,omitzero" doc:"Now when left out."`
	Address    string              `json:"address,omitempty" maxLength:"100" doc:"From where it is asked."`
	MFA        bool                `json:"mfa,omitempty" doc:"Of somebody else: as if they had proved a second factor."`
}

func (b explainBody) question() permission.Question {
	q := permission.Question{Subject: b.subject(), Permission: b.Permission, Resource: b.Resource, At: b.At, Address: b.Address, MFA: b.MFA}
	if !b.UserID.IsZero() {
		q.Subject = permission.Subject{Kind: permission.UserSubject, ID: b.UserID}
	}
	return q
}

type explainInput struct{ Body explainBody }

func (h handlers) explain(ctx context.Context, in *explainInput) (permission.Decision, error) {
	return h.ExplainFor(ctx, in.Body.question())
}

func (h handlers) effective(ctx context.Context, in *subjectFilterInput) (page[permission.Source], error) {
	return pageOf(h.Effective(ctx, AskedSubject{permission.SubjectKind(in.Kind), in.Subject}.subject()))
}

type holdersInput struct{ Body checkQuestion }

func (h handlers) holders(ctx context.Context, in *holdersInput) (page[permission.Holding], error) {
	return pageOf(h.Holders(ctx, in.Body.Permission, in.Body.Resource))
}

type changeBody struct {
	Assign       []assignmentBody `json:"assign,omitempty" maxItems:"100"`
	Unassign     []id.ID          `json:"unassign,omitempty" maxItems:"100" doc:"Ids of assignments."`
	GrantsAdd    []grantBody      `json:"grants_add,omitempty" maxItems:"100"`
	GrantsRemove []id.ID          `json:"grants_remove,omitempty" maxItems:"100" doc:"Ids of direct grants."`
	Role         *changedRole     `json:"role,omitempty" doc:"A role as it would be. With an id that no role has it is a new one."`
}

type changedRole struct {
	ID id.ID `json:"id,omitzero"`
	RoleBody
}

func (b changeBody) change() permission.Change {
	c := permission.Change{Unassign: b.Unassign, GrantsRemove: b.GrantsRemove}
	for _, n := range b.Assign {
		c.Assign = append(c.Assign, n.assignment())
	}
	for _, g := range b.GrantsAdd {
		c.GrantsAdd = append(c.GrantsAdd, g.grant())
	}
	if b.Role != nil {
		r := b.Role.role(b.Role.ID)
		c.Role = &r
	}
	return c
}

type simulateInput struct {
	Body struct {
		Change    changeBody    `json:"change"`
		Questions []explainBody `json:"questions" minItems:"1" maxItems:"100"`
	}
}

type outcomes struct {
	Results []permission.Outcome `json:"results"`
}

func (h handlers) simulate(ctx context.Context, in *simulateInput) (outcomes, error) {
	questions := make([]permission.Question, len(in.Body.Questions))
	for i, b := range in.Body.Questions {
		questions[i] = b.question()
	}
	all, err := h.Simulate(ctx, in.Body.Change.change(), questions)
	return outcomes{all}, err
}
