package firstrun

import (
	"context"
	"os"
	"strings"
	"time"

	"nimbus/appliance/fault"
)

// The modes that steps have.
const (
	modeSelfSigned = "self_signed"
	modeOwn        = "own"
	modeEmbedded   = "embedded"
	modeExternal   = "external"
	modeNone       = "none"
	modeSoftHSM    = "softhsm"
	modePKCS11     = "pkcs11"
	modeReal       = "real"
	modeSimulated  = "simulated"
	modeLater      = "later"
)

// The names of the steps, in their order.
const (
	stepAppliance    = "appliance"
	stepDatabase     = "database"
	stepHSM          = "hsm"
	stepOrganisation = "organisation"
	stepProxmox      = "proxmox"
	stepKit          = "recovery_kit"
)

// Step is one step of the wizard as it stands.
type Step struct {
	Name string `json:"name" enum:"appliance,database,hsm,organisation,proxmox,recovery_kit"`
	Done bool   `json:"done"`
	// Answers refill the form; there are no secrets in them.
	Answers map[string]any `json:"answers"`
}

// Defaults are offered where nothing was answered yet.
type Defaults struct {
	URL      string `json:"url"`
	TimeZone string `json:"time_zone"`
	Name     string `json:"name"`
}

// Overview is the whole wizard for one browser. Steps and Defaults are shown
// to the claimed browser only.
type Overview struct {
	Open           bool      `json:"open"`
	Authenticated  bool      `json:"authenticated"`
	TokenExpiresAt time.Time `json:"token_expires_at"`
	Steps          []Step    `json:"steps"`
	Defaults       *Defaults `json:"defaults,omitempty"`
}

// Overview tells how far the wizard is. Fault: NotFound when it is closed.
func (s *Setup) Overview(ctx context.Context, authenticated bool) (Overview, error) {
	if !s.Open() {
		return Overview{}, errClosed
	}
	o := Overview{Open: true, Authenticated: authenticated, TokenExpiresAt: s.gate.expiry().UTC(), Steps: []Step{}}
	if !authenticated {
		return o, nil
	}
	st, err := s.load(ctx)
	if err != nil {
		return Overview{}, err
	}
	o.Steps = s.stepsOf(st)
	o.Defaults = &Defaults{URL: s.cfg.URL, TimeZone: localZone(), Name: "Nimbus"}
	return o, nil
}

func (s *Setup) stepsOf(st state) []Step {
	return []Step{st.applianceStep(), s.databaseStep(st), st.hsmStep(), st.organisationStep(), st.proxmoxStep(), st.kitStep()}
}

func (st state) applianceStep() Step {
	a := st.Appliance
	if a == nil {
		return undone(stepAppliance)
	}
	return Step{stepAppliance, true, map[string]any{
		"name": a.Name, "url": a.URL, "time_zone": a.TimeZone, "certificate": map[string]any{"mode": a.Certificate},
	}}
}

func (s *Setup) databaseStep(st state) Step {
	d := st.Database
	if d == nil {
		return undone(stepDatabase)
	}
	answers := map[string]any{"mode": d.Mode, "fixed": st.fixed()}
	done := d.Done && !s.starting()
	if !done {
		answers["progress"] = s.databaseProgress()
	}
	return Step{stepDatabase, done, answers}
}

func (st state) hsmStep() Step {
	t := st.HSM
	if t == nil {
		return undone(stepHSM)
	}
	answers := map[string]any{"mode": t.Mode, "module": t.Module, "token_label": t.Label, "key_type": t.KeyType, "fixed": st.fixed()}
	if t.Slot != nil {
		answers["slot"] = *t.Slot
	}
	return Step{stepHSM, t.Done, answers}
}

func (st state) organisationStep() Step {
	o := st.Organisation
	if o == nil {
		return undone(stepOrganisation)
	}
	return Step{stepOrganisation, o.Done, map[string]any{
		"provider_name": o.Provider, "tenant_name": o.Tenant, "admin_name": o.AdminName, "admin_email": o.AdminEmail,
	}}
}

func (st state) proxmoxStep() Step {
	c := st.Proxmox
	if c == nil {
		return undone(stepProxmox)
	}
	return Step{stepProxmox, true, map[string]any{"mode": c.Mode, "name": c.Name, "url": c.URL, "token_id": c.TokenID}}
}

func (st state) kitStep() Step {
	k := st.Kit
	if k == nil {
		return undone(stepKit)
	}
	return Step{stepKit, k.Verified, map[string]any{"made_at": k.MadeAt, "verified": k.Verified}}
}

func undone(name string) Step { return Step{name, false, map[string]any{}} }

// needs refuses a step before those that it builds on.
func needs(ok bool, what string) error {
	if ok {
		return nil
	}
	return fault.New(fault.Conflict, "Finish the step before first: %s.", what)
}

// localZone is the machine's IANA time zone, or UTC.
func localZone() string {
	name := os.Getenv("TZ")
	if target, err := os.Readlink("/etc/localtime"); name == "" && err == nil {
		_, name, _ = strings.Cut(target, "zoneinfo/")
	}
	if checkZone(name) != nil {
		return "UTC"
	}
	return name
}
