package firstrun

import (
	"context"
	"time"

	"nimbus/appliance/id"
	"nimbus/appliance/provider"
)

// stateKey is where the local store keeps the wizard's state.
const stateKey = "firstrun"

// state is what the wizard remembers. Secrets in it are sealed.
type state struct {
	Session      *session      `json:"session,omitempty"`
	Appliance    *appliance    `json:"appliance,omitempty"`
	Database     *database     `json:"database,omitempty"`
	HSM          *token        `json:"hsm,omitempty"`
	Soft         *softPINs     `json:"soft,omitempty"`
	Organisation *organisation `json:"organisation,omitempty"`
	Proxmox      *cluster      `json:"proxmox,omitempty"`
	Kit          *kit          `json:"kit,omitempty"`
	Complete     bool          `json:"complete"`
}

type appliance struct {
	Name        string `json:"name"`
	URL         string `json:"url"`
	TimeZone    string `json:"time_zone"`
	Certificate string `json:"certificate"` // a mode
}

type database struct {
	Mode string `json:"mode"`
	DSN  []byte `json:"dsn,omitempty"` // sealed
	Done bool   `json:"done"`
}

type token struct {
	Mode    string   `json:"mode"`
	Module  string   `json:"module,omitempty"`
	Slot    *uint    `json:"slot,omitempty"`
	Label   string   `json:"token_label,omitempty"`
	PIN     []byte   `json:"pin,omitempty"` // sealed
	Env     []string `json:"env,omitempty"`
	KeyType string   `json:"key_type,omitempty"`
	Done    bool     `json:"done"`
}

// softPINs are those of the token that the wizard made in SoftHSM, sealed.
type softPINs struct {
	PIN   []byte `json:"pin"`
	SOPIN []byte `json:"so_pin"`
}

type organisation struct {
	Provider   string `json:"provider_name"`
	Tenant     string `json:"tenant_name"`
	AdminName  string `json:"admin_name"`
	AdminEmail string `json:"admin_email"`
	TenantID   id.ID  `json:"tenant_id,omitzero"`
	Done       bool   `json:"done"`
}

type cluster struct {
	Mode    string `json:"mode"`
	Name    string `json:"name,omitempty"`
	URL     string `json:"url,omitempty"`
	TokenID string `json:"token_id,omitempty"`
	// Result is what the test found when it was connected.
	Result *provider.TestResult `json:"result,omitempty"`
}

type kit struct {
	Recipient string    `json:"recipient"`
	MadeAt    time.Time `json:"made_at"`
	Verified  bool      `json:"verified"`
}

// Purposes under which secrets are sealed with the local key; whoever opens
// Settings.DSN and Settings.PIN needs them.
const (
	PurposeDSN   = "database dsn"
	PurposePIN   = "hsm pin"
	purposeSOPIN = "hsm so pin"
)

// Settings are the answers that an appliance needs at every start. DSN and PIN
// are sealed: secret.FileRoot.Unwrap with the purpose as additional data.
type Settings struct {
	Name, URL, TimeZone string
	ProviderName        string

	External bool // an own database server, reached with DSN
	DSN      []byte

	HSMModule     string // empty: there is no HSM
	HSMTokenLabel string
	HSMSlot       *uint
	HSMEnv        []string // for the module's process
	PIN           []byte

	Recipient string // age recipient of the recovery kit, once there is one
	Complete  bool
}

func (st state) settings() Settings {
	set := Settings{Complete: st.Complete}
	if a := st.Appliance; a != nil {
		set.Name, set.URL, set.TimeZone = a.Name, a.URL, a.TimeZone
	}
	if d := st.Database; d != nil {
		set.External, set.DSN = d.Mode == modeExternal, d.DSN
	}
	if t := st.HSM; t != nil {
		set.HSMModule, set.HSMTokenLabel, set.HSMSlot, set.HSMEnv, set.PIN = t.Module, t.Label, t.Slot, t.Env, t.PIN
	}
	if o := st.Organisation; o != nil {
		set.ProviderName = o.Provider
	}
	if st.Kit != nil {
		set.Recipient = st.Kit.Recipient
	}
	return set
}

// fixed tells that database and HSM hold data and cannot be chosen again.
func (st state) fixed() bool { return st.Organisation != nil }

func (s *Setup) load(ctx context.Context) (state, error) {
	var st state
	_, err := s.cfg.Store.Get(ctx, stateKey, &st)
	return st, err
}

// change alters the state in one step and returns it.
func (s *Setup) change(ctx context.Context, alter func(*state)) (state, error) {
	var st state
	err := s.cfg.Store.Update(ctx, stateKey, &st, func() error { alter(&st); return nil })
	return st, err
}

// changeAndApply also tells the appliance.
func (s *Setup) changeAndApply(ctx context.Context, alter func(*state)) error {
	st, err := s.change(ctx, alter)
	if err != nil {
		return err
	}
	return s.cfg.Apply(ctx, st.settings())
}

func (s *Setup) seal(ctx context.Context, purpose, plaintext string) ([]byte, error) {
	if plaintext == "" {
		return nil, nil
	}
	return s.local.Wrap(ctx, []byte(plaintext), []byte(purpose))
}

func (s *Setup) unseal(ctx context.Context, purpose string, sealed []byte) (string, error) {
	if len(sealed) == 0 {
		return "", nil
	}
	plaintext, err := s.local.Unwrap(ctx, sealed, []byte(purpose))
	return string(plaintext), err
}
