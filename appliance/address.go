package appliance

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"nimbus/appliance/audit"
	"nimbus/appliance/fault"
	"nimbus/appliance/web"
)

// Address is how the appliance is called and where browsers reach it.
type Address struct {
	Name     string   `json:"name" maxLength:"100"`
	URL      string   `json:"url" maxLength:"300"`
	Passkeys int      `json:"passkeys" readOnly:"true" doc:"Passkeys that people have. They are bound to the host of the address."`
	Warnings []string `json:"warnings" readOnly:"true" nullable:"false" doc:"What stops working by a change, and what to do."`
}

type addressInput struct {
	Check bool `query:"check" doc:"Only say what a change would mean."`
	Body  struct {
		Name string `json:"name" maxLength:"100"`
		URL  string `json:"url" maxLength:"300" doc:"https://host or https://host:port"`
	}
}

// registerAddress declares the routes about name and address.
func (a *Appliance) registerAddress(api *web.API, c *Core) {
	web.Handle(api, web.Route{Method: http.MethodGet, Path: "/v1/system/address", Tag: "System",
		Summary: "Name and address of the appliance", Permission: readSettings},
		func(ctx context.Context, _ *web.None) (Address, error) {
			if err := c.atProvider(ctx, readSettings); err != nil {
				return Address{}, err
			}
			s := a.settings.Load()
			return a.address(ctx, c, s.Name, s.URL)
		})
	web.Handle(api, web.Route{Method: http.MethodPut, Path: "/v1/system/address", Tag: "System",
		Summary: "Rename the appliance, or change its address", Permission: updateSettings,
		Description: "Another host makes passkeys useless: they are bound to it. The answer says what else to change."},
		func(ctx context.Context, in *addressInput) (Address, error) {
			if err := c.atProvider(ctx, updateSettings); err != nil {
				return Address{}, err
			}
			return a.setAddress(ctx, c, in)
		})
}

func (a *Appliance) setAddress(ctx context.Context, c *Core, in *addressInput) (Address, error) {
	name, err := cleanName(in.Body.Name)
	if err != nil {
		return Address{}, err
	}
	address, err := cleanURL(in.Body.URL)
	if err != nil {
		return Address{}, err
	}
	after, err := a.address(ctx, c, name, address)
	if err != nil || in.Check {
		return after, err
	}
	s := a.settings.Load()
	before := Address{Name: s.Name, URL: s.URL}
	return after, c.DB.Core(ctx, func(ctx context.Context) error {
		err := c.Audit.Record(ctx, audit.Entry{
			Event: "system.address.updated", Priority: audit.Warning, Target: audit.Target{Kind: "settings", Name: "address"},
			Before: map[string]any{"name": before.Name, "url": before.URL}, After: map[string]any{"name": name, "url": address},
		})
		if err != nil {
			return err
		}
		return a.Change(ctx, func(s *Settings) { s.Name, s.URL = name, address })
	})
}

// address tells what a name and an address mean, against those in use.
func (a *Appliance) address(ctx context.Context, c *Core, name, address string) (Address, error) {
	n, err := c.Identity.CountPasskeys(ctx)
	if err != nil {
		return Address{}, err
	}
	s := a.settings.Load()
	to := Address{Name: name, URL: address, Passkeys: n, Warnings: []string{}}
	from, _ := url.Parse(s.URL)
	next, err := url.Parse(address)
	if err != nil || from == nil {
		return to, nil //nolint:nilerr // an address of an older release that cannot be read changes nothing
	}
	if leaf := a.front.Certificate(); leaf != nil && next.Hostname() != "" && leaf.VerifyHostname(next.Hostname()) != nil {
		to.Warnings = append(to.Warnings, fmt.Sprintf("The certificate in use does not name %s, so browsers warn until there is one that does.", next.Hostname()))
	}
	if from.Host == next.Host {
		return to, nil
	}
	to.Warnings = append(to.Warnings, "Sign-in providers know the old address: register the new redirect and assertion addresses with them. Programs that use SCIM or the API need the new one.",
		"Links in messages that were sent already lead to the old address.")
	if n > 0 && from.Hostname() != next.Hostname() {
		to.Warnings = append(to.Warnings, fmt.Sprintf("%d passkeys are bound to %s and cannot be used at %s. Their owners sign in otherwise and add new ones; who has nothing but a passkey needs a reset.", n, from.Hostname(), next.Hostname()))
	}
	return to, nil
}

func cleanName(name string) (string, error) {
	name = strings.TrimSpace(name)
	if name == "" || strings.ContainsFunc(name, unicode.IsControl) {
		return "", fault.BadField("body.name", "Give the appliance a name on one line.")
	}
	return name, nil
}

// cleanURL is scheme, host and port of an https address, nothing else.
func cleanURL(text string) (string, error) {
	u, err := url.Parse(strings.TrimSpace(text))
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		return "", fault.BadField("body.url", "The address is https://host or https://host:port, with nothing behind it.")
	}
	return "https://" + strings.ToLower(u.Host), nil
}
