package tenancy

import (
	"context"
	"encoding/json"
	"regexp"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// ApprovalPolicy says who may approve a deployment.
type ApprovalPolicy string

// The approval policies.
const (
	SecondPerson ApprovalPolicy = "second_person" // somebody else than who asked
	ConfirmSelf  ApprovalPolicy = "confirm_self"  // who asked may, after signing in again
)

// Who needs a second factor.
const (
	MFANobody         = "nobody"
	MFAAdministrators = "administrators"
	MFAEverybody      = "everybody"
)

// Settings of a tenant. What is left out when they are set, or was never set,
// has its default.
type Settings struct {
	ApprovalPolicy ApprovalPolicy   `json:"approval_policy" required:"false" enum:"second_person,confirm_self"`
	RetentionDays  int              `json:"retention_days" required:"false" minimum:"1" maximum:"3650" doc:"How long a deleted tenant can be restored. 30 when left out."`
	Session        SessionSettings  `json:"session" required:"false"`
	Password       PasswordSettings `json:"password" required:"false"`
	MFA            MFASettings      `json:"mfa" required:"false"`
	LocalSignIn    bool             `json:"local_sign_in" required:"false" doc:"Whether people may sign in with a password of this appliance. true when left out."`
	TimeZone       string           `json:"time_zone" required:"false" maxLength:"64" doc:"A name of the IANA database. Left out, people see times in their own zone, and reports, digests and mails use UTC."`
	Locale         string           `json:"locale" required:"false" maxLength:"35" doc:"A BCP 47 tag. en when left out."`
}

// SessionSettings bound sign-in sessions.
type SessionSettings struct {
	MaxPerUser  int `json:"max_per_user" required:"false" minimum:"1" maximum:"1000"`
	IdleMinutes int `json:"idle_minutes" required:"false" minimum:"5" maximum:"43200"`
	MaxHours    int `json:"max_hours" required:"false" minimum:"1" maximum:"2160"`
}

// PasswordSettings say what a password must be.
type PasswordSettings struct {
	MinLength     int  `json:"min_length" required:"false" minimum:"8" maximum:"128"`
	History       int  `json:"history" required:"false" minimum:"0" maximum:"24" doc:"How many earlier passwords cannot be used again."`
	BreachedCheck bool `json:"breached_check" required:"false" doc:"Refuse passwords that are known to attackers."`
}

// MFASettings say who needs a second factor, and for how long a proof counts.
type MFASettings struct {
	RequiredFor   string `json:"required_for" required:"false" enum:"nobody,administrators,everybody"`
	StepUpMinutes int    `json:"step_up_minutes" required:"false" minimum:"1" maximum:"1440"`
}

// DefaultSettings are those of a new tenant.
func DefaultSettings() Settings {
	return Settings{
		ApprovalPolicy: SecondPerson, RetentionDays: 30,
		Session:     SessionSettings{MaxPerUser: 20, IdleMinutes: 720, MaxHours: 168},
		Password:    PasswordSettings{MinLength: 12, History: 5, BreachedCheck: true},
		MFA:         MFASettings{RequiredFor: MFANobody, StepUpMinutes: 10},
		LocalSignIn: true, Locale: "en",
	}
}

// UnmarshalJSON fills in the defaults of what is left out.
func (s *Settings) UnmarshalJSON(raw []byte) error {
	type plain Settings
	p := plain(DefaultSettings())
	if err := json.Unmarshal(raw, &p); err != nil {
		return err
	}
	*s = Settings(p)
	return nil
}

var locale = regexp.MustCompile(`^[a-zA-Z]{2,3}(-[a-zA-Z0-9]{2,8})*$`)

func (s Settings) validate() error {
	if s.ApprovalPolicy != SecondPerson && s.ApprovalPolicy != ConfirmSelf {
		return fault.BadField("body.approval_policy", "The approval policy is second_person or confirm_self.")
	}
	if s.MFA.RequiredFor != MFANobody && s.MFA.RequiredFor != MFAAdministrators && s.MFA.RequiredFor != MFAEverybody {
		return fault.BadField("body.mfa.required_for", "A second factor is required for nobody, administrators or everybody.")
	}
	if _, err := time.LoadLocation(s.TimeZone); err != nil || s.TimeZone == "Local" {
		return fault.BadField("body.time_zone", "%q is not a time zone. It looks like Europe/Vienna.", s.TimeZone)
	}
	if !locale.MatchString(s.Locale) {
		return fault.BadField("body.locale", "%q is not a language tag. It looks like en or de-AT.", s.Locale)
	}
	return s.inRange()
}

func (s Settings) inRange() error {
	for _, f := range []struct {
		field           string
		value, min, max int
	}{
		{"retention_days", s.RetentionDays, 1, 3650},
		{"session.max_per_user", s.Session.MaxPerUser, 1, 1000},
		{"session.idle_minutes", s.Session.IdleMinutes, 5, 43200},
		{"session.max_hours", s.Session.MaxHours, 1, 2160},
		{"password.min_length", s.Password.MinLength, 8, 128},
		{"password.history", s.Password.History, 0, 24},
		{"mfa.step_up_minutes", s.MFA.StepUpMinutes, 1, 1440},
	} {
		if f.value < f.min || f.value > f.max {
			return fault.BadField("body."+f.field, "%s is between %d and %d.", f.field, f.min, f.max)
		}
	}
	return nil
}

// Settings returns the settings of the actor's tenant or one below it.
func (s *Service) Settings(ctx context.Context, tenant id.ID) (Settings, error) {
	if _, err := s.reach(ctx, ReadSettings, tenant); err != nil {
		return Settings{}, err
	}
	return s.SettingsOf(ctx, tenant)
}

// SettingsOf is Settings for services that decide by them; it does not
// authorise. It may be called inside a transaction.
func (s *Service) SettingsOf(ctx context.Context, tenant id.ID) (Settings, error) {
	var set Settings
	err := s.DB.Core(ctx, func(ctx context.Context) error {
		var err error
		set, err = s.store.settings(ctx, tenant)
		return err
	})
	return set, err
}

// SetSettings changes the settings of the actor's tenant or one below it.
func (s *Service) SetSettings(ctx context.Context, tenant id.ID, set Settings) error {
	t, err := s.reach(ctx, UpdateSettings, tenant)
	if err != nil {
		return err
	}
	if err := set.validate(); err != nil {
		return err
	}
	var before Settings
	return s.change(ctx, t, change{
		do: func(ctx context.Context) error {
			if before, err = s.store.settings(ctx, t.ID); err != nil {
				return err
			}
			return s.store.setSettings(ctx, t.ID, set)
		},
		event: event.Event{Type: "tenant.settings_changed", ID: t.ID, Tenant: t.ID, Permission: ReadSettings},
		entry: func() audit.Entry {
			return audit.Entry{Event: "tenancy.settings.updated", Priority: audit.Notice, Before: before, After: set}
		},
	})
}

// change is one change of a tenant's row: what is done at the provider level,
// what is recorded, and what is told.
type change struct {
	do    func(ctx context.Context) error
	entry func() audit.Entry
	event event.Event
	tell  any // what the event carries
	// above records at the provider level too: the change was made from above
	// and outlives the tenant.
	above bool
}

// change writes the row and the record in the tenant's chain in one
// transaction.
func (s *Service) change(ctx context.Context, t Tenant, c change) error {
	return s.DB.Tenant(ctx, t.ID, func(ctx context.Context) error {
		if err := s.DB.Core(ctx, c.do); err != nil {
			return err
		}
		e := c.entry()
		e.Target = audit.Target{Kind: "tenant", ID: t.ID.String(), Name: t.Name}
		if err := s.Audit.Record(ctx, e); err != nil {
			return err
		}
		if c.above && !s.IsRoot(t.ID) {
			if err := s.recordAbove(ctx, t, e, c); err != nil {
				return err
			}
		}
		return s.publish(ctx, c.event, c.tell)
	})
}

// recordAbove records at the provider level, and tells those who look at the
// tenant from above: an event reaches one tenant only.
func (s *Service) recordAbove(ctx context.Context, t Tenant, e audit.Entry, c change) error {
	return s.DB.Core(ctx, func(ctx context.Context) error {
		if err := s.Audit.Record(ctx, e); err != nil {
			return err
		}
		path, err := s.store.path(ctx, t.ID)
		for _, above := range path {
			if err == nil && above != t.ID {
				c.event.Tenant = above
				err = s.publish(ctx, c.event, c.tell)
			}
		}
		return err
	})
}

// publish tells that something happened; without a bus nobody hears.
func (s *Service) publish(ctx context.Context, e event.Event, data any) error {
	if s.Events == nil || e.Type == "" {
		return nil
	}
	return s.Events.Publish(ctx, e, data)
}

// reach authorises and returns the actor's tenant or one below it; any other
// is fault.NotFound, as if it did not exist.
func (s *Service) reach(ctx context.Context, permission string, tenant id.ID) (Tenant, error) {
	a, err := actor.Require(ctx)
	if err != nil {
		return Tenant{}, err
	}
	if err := s.Check(ctx, permission); err != nil {
		return Tenant{}, err
	}
	return s.get(ctx, a, tenant)
}
