package identity

import (
	"context"
	"strings"
	"time"

	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// Choice is what somebody may sign in with.
type Choice struct {
	Methods   []string         `json:"methods"`
	Providers []ProviderChoice `json:"providers"`
}

// ProviderChoice is a provider as the sign-in page shows it.
type ProviderChoice struct {
	ID       id.ID        `json:"id"`
	Name     string       `json:"name"`
	Kind     ProviderKind `json:"kind"`
	StartURL string       `json:"start_url"`
}

// discoverTime is how long an answer of Discover takes at least, so that its
// time tells nothing.
const discoverTime = 150 * time.Millisecond

// Discover tells how somebody with an e-mail address may sign in. It looks at
// the domain only, never for an account, and takes the same time for all.
func (f *Federation) Discover(ctx context.Context, email string) (Choice, error) {
	done := time.NewTimer(discoverTime)
	defer done.Stop()
	c, err := f.choices(ctx, email)
	select {
	case <-done.C:
	case <-ctx.Done():
		err = ctx.Err()
	}
	return c, err
}

func (f *Federation) choices(ctx context.Context, email string) (Choice, error) {
	c := Choice{Methods: []string{"password", "passkey"}, Providers: []ProviderChoice{}}
	_, domain, ok := strings.Cut(strings.TrimSpace(email), "@")
	if !ok || domain == "" || len(email) > 254 {
		return c, nil
	}
	tenant, found, err := f.TenantForEmail(ctx, strings.TrimSpace(email))
	if err != nil || !found {
		return c, err
	}
	all, err := f.list(ctx, tenant)
	for _, p := range all {
		if p.Enabled {
			c.Providers = append(c.Providers, ProviderChoice{p.ID, p.Name, p.Kind, startURL(p.Provider)})
		}
	}
	return c, err
}

func startURL(p Provider) string {
	return "/v1/session/" + string(p.Kind) + "/" + p.ID.String() + "/start"
}

// StepUpProviders is Config.StepUpProviders: where somebody whose session a
// provider began proves again who they are.
func (f *Federation) StepUpProviders(ctx context.Context) ([]StepUpAtIdP, error) {
	a, err := inSession(ctx)
	if err != nil {
		return nil, err
	}
	var provider id.ID
	err = f.Identity.DB.Core(ctx, func(ctx context.Context) error {
		provider, err = f.store.providerOf(ctx, a.Session)
		return err
	})
	if err != nil || provider.IsZero() {
		return nil, err
	}
	p, err := f.public(ctx, provider)
	if fault.Is(err, fault.NotFound) || err == nil && !p.Enabled {
		return nil, nil
	}
	return []StepUpAtIdP{{Kind: string(p.Kind), Redirect: startURL(p.Provider) + "?reauthenticate=true"}}, err
}
