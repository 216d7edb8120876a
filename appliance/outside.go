package appliance

import (
	"context"
	"encoding/json"
	"path/filepath"
	"time"

	"nimbus/appliance/audit"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
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
	// Files is the folder that it fills besides; "" is none. What lies in another
	// one is somebody else's.
	Files string `json:"files,omitempty"`
	// Sums are of the rows there, by database and schema, when all was proved.
	Sums map[string]string `json:"sums,omitempty"`
	// Done is when the settings were switched; nil before, and after a return.
	Done *time.Time `json:"done_at,omitempty"`
	// Used is set before anything is written on the new place, by whatever opens it.
	Used bool `json:"used,omitempty"`
	// Returned is set from a return until it is recorded.
	Returned bool `json:"returned,omitempty"`
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
	return a.Change(ctx, func(s *Settings) {
		s.Database, s.Outside = Database{}, nil
		s.Move.Done, s.Move.Used, s.Move.Returned = nil, false, true
	})
}

// noteUse remembers that something is about to be written on the new place: from
// then on a return would lose it. It does not hang on a clock, nor on whether what
// writes is the appliance or a command.
func (a *Appliance) noteUse(ctx context.Context) error {
	m := a.settings.Load().Move
	if m == nil || m.Done == nil || m.Used || !a.external() {
		return nil
	}
	return a.Change(ctx, func(s *Settings) { s.Move.Used = true })
}

// tellReturn records a return that was not recorded yet.
func (a *Appliance) tellReturn(ctx context.Context, c *Core) error {
	m := a.settings.Load().Move
	if m == nil || !m.Returned || a.external() {
		return nil
	}
	err := c.Audit.RecordAlone(as(ctx), id.ID{}, audit.Entry{
		Event: "system.database.returned", Priority: audit.Critical, Target: audit.Target{Kind: "database", Name: m.Target}})
	if err != nil {
		return err
	}
	return a.Change(ctx, func(s *Settings) { s.Move.Returned = false })
}

// absolute makes paths mean the same wherever the appliance is started.
func (o Outside) absolute() (Outside, error) {
	for _, path := range []*string{&o.ValkeyCA, &o.SharedDir, &o.Temporal.CA, &o.Temporal.Cert, &o.Temporal.Key} {
		if *path == "" {
			continue
		}
		abs, err := filepath.Abs(*path)
		if err != nil {
			return o, err
		}
		*path = abs
	}
	return o, nil
}
