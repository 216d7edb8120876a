package appliance

import (
	"context"
	"encoding/json"
	"time"

	"nimbus/appliance/fault"
)

// Outside names the services that an appliance uses instead of its own.
type Outside struct {
	DatabaseURL string `json:"database_url"` // as settings name it; kept with the settings of the database
	// TemporalAddress is empty when Temporal goes on running inside, on the
	// databases that move with the others.
	TemporalAddress string         `json:"temporal_address,omitempty"`
	Temporal        TemporalAccess `json:"temporal"`
	ValkeyURL       string         `json:"valkey_url,omitempty"`
	ValkeyCA        string         `json:"valkey_ca,omitempty"`
	SharedDir       string         `json:"shared_dir,omitempty"`
}

// Move is how far an appliance is on its way to services outside. It lies in the
// settings: what is there decides where the appliance lives.
type Move struct {
	ID     string    `json:"id"`
	Target string    `json:"target"` // host:port
	Began  time.Time `json:"began_at"`
	// Sums are of the rows there, by database and schema, when all was proved.
	Sums map[string]string `json:"sums,omitempty"`
	// Done is when the settings were switched; nil before, and after a return.
	Done *time.Time `json:"done_at,omitempty"`
}

// Purposes of what is sealed with the local key.
const (
	sealedDSN     = "database dsn"
	sealedOutside = "outside"
)

// adopt takes what a move decided where the configuration says nothing.
func (a *Appliance) adopt(ctx context.Context) error {
	sealed := a.settings.Load().Outside
	if len(sealed) == 0 {
		return nil
	}
	var o Outside
	raw, err := a.OpenLocal(ctx, sealedOutside, sealed)
	if err == nil {
		err = json.Unmarshal(raw, &o)
	}
	if err != nil {
		return fault.Wrap(fault.Internal, err, "The settings of the services outside cannot be read. Name them in the configuration file.")
	}
	if a.cfg.TemporalAddress == "" {
		a.cfg.TemporalAddress, a.cfg.Temporal = o.TemporalAddress, o.Temporal
	}
	if a.cfg.ValkeyURL == "" {
		a.cfg.ValkeyURL, a.cfg.ValkeyCA = o.ValkeyURL, o.ValkeyCA
	}
	if a.cfg.SharedDir == "" {
		a.cfg.SharedDir = o.SharedDir
	}
	return nil
}

// switchTo makes the services outside those of the appliance, in one step.
func (a *Appliance) switchTo(ctx context.Context, o Outside) error {
	dsn, err := a.SealLocal(ctx, sealedDSN, []byte(o.DatabaseURL))
	if err != nil {
		return err
	}
	o.DatabaseURL = ""
	raw, err := json.Marshal(o)
	if err != nil {
		return err
	}
	sealed, err := a.SealLocal(ctx, sealedOutside, raw)
	if err != nil {
		return err
	}
	return a.Change(ctx, func(s *Settings) {
		now := time.Now().UTC()
		s.Database, s.Outside, s.Move.Done = Database{External: true, DSN: dsn}, sealed, &now
	})
}

// switchBack makes the appliance's own services its own again, in one step.
func (a *Appliance) switchBack(ctx context.Context) error {
	return a.Change(ctx, func(s *Settings) { s.Database, s.Outside, s.Move.Done = Database{}, nil, nil })
}
