package appliance

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"nimbus/appliance/db"
	"nimbus/appliance/durable"
	"nimbus/appliance/id"
	"nimbus/appliance/secret"
)

// Settings are what the first run decides and every start needs. They lie in
// the local store; what is secret in them is sealed with the local key.
type Settings struct {
	Name     string   `json:"name"`
	URL      string   `json:"url"`
	TimeZone string   `json:"time_zone"`
	Database Database `json:"database"`
	HSM      HSM      `json:"hsm"`
	// Recovery is the age recipient of the recovery kit.
	Recovery string `json:"recovery"`
	// Outbound are ranges of addresses that sign-in providers may have although
	// they are not public.
	Outbound []string `json:"outbound,omitempty"`
	// Outside are the services that a move decided, sealed; see Outside.
	Outside []byte `json:"outside,omitempty"`
	// Move is one to services outside that was begun, or is over.
	Move *Move `json:"move,omitempty"`
	// Simulated starts the simulated cluster with the appliance.
	Simulated bool `json:"simulated"`
	// Complete is set when the first run is over; from then on it cannot be
	// opened again.
	Complete bool `json:"complete"`
}

// Database says where the application's data lies.
type Database struct {
	External bool   `json:"external"`
	DSN      []byte `json:"dsn,omitempty"` // sealed
}

// HSM says which token holds the root key; without a module there is none.
type HSM struct {
	Module     string   `json:"module"`
	TokenLabel string   `json:"token_label"`
	Slot       *uint    `json:"slot,omitempty"`
	PIN        []byte   `json:"pin,omitempty"` // sealed
	Env        []string `json:"env,omitempty"`
}

const settingsKey = "appliance.settings"

// Settings returns the current settings.
func (a *Appliance) Settings(ctx context.Context) (Settings, error) {
	var s Settings
	_, err := a.front.Get(ctx, settingsKey, &s)
	return s, err
}

// Change alters the settings in one step, here and, on a server that is shared, for
// all nodes. What another node changed stays, also when this one has not heard of it.
func (a *Appliance) Change(ctx context.Context, change func(*Settings)) error {
	c := a.core.Load()
	if c == nil || !a.external() {
		_, err := a.changeHere(ctx, change)
		return err
	}
	known := a.settings.Load().common() // where nothing is shared yet
	return c.Shared.Update(ctx, settingsKey, &known, func() error {
		s, err := a.changeHere(ctx, func(s *Settings) { s.take(known); change(s) })
		known = s.common()
		return err
	})
}

func (a *Appliance) changeHere(ctx context.Context, change func(*Settings)) (s Settings, err error) {
	err = a.front.Update(ctx, settingsKey, &s, func() error { change(&s); return nil })
	if err == nil {
		a.settings.Store(&s)
	}
	return s, err
}

// SealLocal encrypts a setting with the key of the data directory, for a
// purpose. It keeps secrets out of copies of the local store; who can read the
// whole data directory can read them.
func (a *Appliance) SealLocal(ctx context.Context, purpose string, plaintext []byte) ([]byte, error) {
	return a.local.Wrap(ctx, plaintext, []byte(purpose))
}

// OpenLocal reverses SealLocal.
func (a *Appliance) OpenLocal(ctx context.Context, purpose string, sealed []byte) ([]byte, error) {
	return a.local.Unwrap(ctx, sealed, []byte(purpose))
}

// passwords are those of the database's roles, made once and kept beside the keys.
func (a *Appliance) passwords() (db.Passwords, error) {
	path := filepath.Join(a.cfg.DataDir, "keys", "database.json")
	var p db.Passwords
	data, err := os.ReadFile(path)
	if err == nil {
		return p, json.Unmarshal(data, &p)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return p, err
	}
	p = db.Passwords{App: randomHex(), Owner: randomHex()}
	if data, err = json.Marshal(p); err != nil {
		return p, err
	}
	return p, durable.Write(path, data)
}

func randomHex() string {
	raw := make([]byte, 24)
	rand.Read(raw)
	return hex.EncodeToString(raw)
}

// temporalKeys derives the key of Temporal's payloads from the provider's data key.
type temporalKeys struct{ keyring *secret.Keyring }

const temporalKeyID = "v1"

// Current implements temporal.Keyring.
func (k temporalKeys) Current(ctx context.Context) (string, []byte, error) {
	key, err := k.Key(ctx, temporalKeyID)
	return temporalKeyID, key, err
}

// Key implements temporal.Keyring.
func (k temporalKeys) Key(ctx context.Context, name string) ([]byte, error) {
	if name != temporalKeyID {
		return nil, fmt.Errorf("unknown payload key %q", name)
	}
	return k.keyring.Derive(ctx, id.ID{}, "temporal payloads "+name)
}
