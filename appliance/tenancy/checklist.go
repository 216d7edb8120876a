package tenancy

import (
	"context"
	"strings"

	"nimbus/appliance/id"
)

// The points of the completion checklist.
const (
	CheckAdministrator = "administrator"
	CheckDomain        = "domain"
	CheckSignIn        = "sign_in"
	CheckMFA           = "mfa"
	CheckConnection    = "connection"
	CheckFirstStack    = "first_stack"
	CheckQuotas        = "quotas"
)

// Point is one point of the checklist that follows an onboarding.
type Point struct {
	Key   string `json:"key" enum:"administrator,domain,sign_in,mfa,connection,first_stack,quotas"`
	Title string `json:"title"`
	Done  bool   `json:"done"`
	Link  string `json:"link" doc:"Where in the interface it is done."`
}

var points = []Point{
	{Key: CheckAdministrator, Title: "Somebody administers the tenant", Link: "/users"},
	{Key: CheckDomain, Title: "An e-mail domain leads people to the tenant", Link: "/tenants/{id}/domains"},
	{Key: CheckSignIn, Title: "People sign in with the organisation's identity provider", Link: "/identity-providers"},
	{Key: CheckMFA, Title: "A second factor is required", Link: "/tenants/{id}/settings"},
	{Key: CheckConnection, Title: "A cluster is connected", Link: "/connections"},
	{Key: CheckFirstStack, Title: "The first stack is deployed", Link: "/stacks"},
	{Key: CheckQuotas, Title: "Quotas bound what the tenant may use", Link: "/tenants/{id}/quotas"},
}

// Checklist tells what a tenant still lacks.
func (s *Service) Checklist(ctx context.Context, tenant id.ID) ([]Point, error) {
	t, err := s.reach(ctx, ReadTenant, tenant)
	if err != nil {
		return nil, err
	}
	all := make([]Point, len(points))
	err = s.DB.Tenant(ctx, tenant, func(ctx context.Context) error {
		for i, p := range points {
			if p.Done, err = s.done(ctx, t, p.Key); err != nil {
				return err
			}
			p.Link = strings.ReplaceAll(p.Link, "{id}", tenant.String())
			all[i] = p
		}
		return nil
	})
	return all, err
}

// done answers one point. One that no domain answers is not done.
func (s *Service) done(ctx context.Context, t Tenant, key string) (done bool, err error) {
	if ask := s.Config.Checklist[key]; ask != nil {
		return ask(ctx, t.ID)
	}
	switch key {
	case CheckDomain, CheckQuotas:
		err = s.DB.Core(ctx, func(ctx context.Context) error {
			done, err = s.store.has(ctx, t.ID, map[string]string{CheckDomain: "tenant_domain", CheckQuotas: "tenant_quota"}[key])
			return err
		})
	case CheckMFA:
		set, err := s.SettingsOf(ctx, t.ID)
		return set.MFA.RequiredFor != MFANobody, err
	}
	return done, err
}
