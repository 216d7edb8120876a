package tenancy

import (
	"context"
	"log/slog"
	"sync/atomic"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/db"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// Permissions of this domain.
const (
	ReadTenant     = "tenancy:tenant:read"
	CreateTenant   = "tenancy:tenant:create"
	ReadSettings   = "tenancy:settings:read"
	UpdateSettings = "tenancy:settings:update"
)

// Config is what the service needs.
type Config struct {
	DB      *db.DB
	History []db.Migration
	Audit   *audit.Service
	Check   actor.Check
	Logger  *slog.Logger
	// Seed writes what every new tenant begins with, such as its system roles.
	// It may run twice.
	Seed func(ctx context.Context, tenant id.ID) error
}

// Service makes and lists tenants.
type Service struct {
	Config
	store store
	root  atomic.Pointer[Tenant]
}

// New returns a service; Load tells it the root tenant.
func New(cfg Config) *Service { return &Service{Config: cfg} }

// Load reads the root tenant, and finishes or removes tenants whose making was
// interrupted.
func (s *Service) Load(ctx context.Context) error {
	var unfinished []Tenant
	err := s.DB.Core(ctx, func(ctx context.Context) error {
		root, found, err := s.store.root(ctx)
		if err != nil {
			return err
		}
		if found {
			s.root.Store(&root)
		}
		unfinished, err = s.store.unfinished(ctx)
		return err
	})
	for _, t := range unfinished {
		if err == nil {
			err = s.finish(actor.AsSystem(ctx, "tenancy", id.ID{}), t)
		}
	}
	return err
}

// Root returns the root tenant's id; zero before the first run.
func (s *Service) Root() id.ID {
	if t := s.root.Load(); t != nil {
		return t.ID
	}
	return id.ID{}
}

// IsRoot tells the root tenant.
func (s *Service) IsRoot(tenant id.ID) bool { return !tenant.IsZero() && tenant == s.Root() }

// CreateRoot makes the root tenant, or returns the one there is. Only the
// first-run wizard calls it.
func (s *Service) CreateRoot(ctx context.Context) (Tenant, error) {
	if t := s.root.Load(); t != nil {
		return *t, nil
	}
	t := Tenant{ID: id.New(), Name: RootName, IsRoot: true, Status: Creating, Description: "Who runs this appliance."}
	return s.create(ctx, t)
}

// Create makes a tenant below the given parent (zero: the actor's tenant). The
// parent must be the actor's tenant or below it.
func (s *Service) Create(ctx context.Context, t Tenant) (Tenant, error) {
	a, err := actor.Require(ctx)
	if err != nil {
		return Tenant{}, err
	}
	if err := s.Check(ctx, CreateTenant); err != nil {
		return Tenant{}, err
	}
	t.ID, t.IsRoot, t.Status = id.New(), false, Creating
	if t.ParentID.IsZero() {
		t.ParentID = a.TenantID
	}
	if t, err = t.valid(); err != nil {
		return Tenant{}, err
	}
	if err := s.mayBePlaced(ctx, a, t); err != nil {
		return Tenant{}, err
	}
	return s.create(ctx, t)
}

func (s *Service) mayBePlaced(ctx context.Context, a actor.Actor, t Tenant) error {
	if _, err := s.get(ctx, a, t.ParentID); err != nil {
		return err
	}
	return s.DB.Core(ctx, func(ctx context.Context) error {
		depth, err := s.store.depth(ctx, t.ParentID)
		if err == nil && depth >= MaxDepth {
			err = fault.BadField("body.parent_id", "There are three levels: provider, tenant and sub-tenant. Choose a parent further up.")
		}
		return err
	})
}

// create writes the row, makes the schema, seeds it and activates it. When it
// is interrupted Load goes on; when it fails nothing remains.
func (s *Service) create(ctx context.Context, t Tenant) (Tenant, error) {
	if err := s.DB.Core(ctx, func(ctx context.Context) error { return s.store.insert(ctx, t) }); err != nil {
		if fault.Is(err, fault.Conflict) {
			return Tenant{}, fault.BadField("body.name", "A tenant with this name exists already.")
		}
		return Tenant{}, err
	}
	if t.IsRoot {
		s.root.Store(&t)
	}
	if err := s.finish(ctx, t); err != nil {
		s.undo(context.WithoutCancel(ctx), t)
		return Tenant{}, err
	}
	return s.read(ctx, t.ID)
}

func (s *Service) finish(ctx context.Context, t Tenant) error {
	if err := s.DB.AddTenant(ctx, t.ID, s.History); err != nil {
		return err
	}
	if err := s.Seed(ctx, t.ID); err != nil {
		return err
	}
	created := audit.Entry{
		Event: "tenancy.tenant.created", Priority: audit.Notice,
		Target: audit.Target{Kind: "tenant", ID: t.ID.String(), Name: t.Name}, After: t,
	}
	return s.DB.Core(ctx, func(ctx context.Context) error {
		if err := s.store.activate(ctx, t.ID); err != nil {
			return err
		}
		if err := s.Audit.Record(ctx, created); err != nil || t.IsRoot {
			return err
		}
		return s.DB.Tenant(ctx, t.ID, func(ctx context.Context) error { return s.Audit.Record(ctx, created) })
	})
}

func (s *Service) undo(ctx context.Context, t Tenant) {
	err := s.DB.DropTenant(ctx, t.ID)
	if err == nil {
		err = s.DB.Core(ctx, func(ctx context.Context) error { return s.store.remove(ctx, t.ID) })
	}
	if err != nil {
		s.Logger.Error("a tenant that could not be made could not be removed either; the next start finishes it", "tenant", t.ID, "error", err)
		return
	}
	if t.IsRoot {
		s.root.Store(nil)
	}
}

func (s *Service) read(ctx context.Context, tenant id.ID) (Tenant, error) {
	var t Tenant
	err := s.DB.Core(ctx, func(ctx context.Context) error {
		var err error
		t, err = s.store.get(ctx, tenant)
		return err
	})
	return t, err
}

// Named returns tenants by id, for showing their names to people who belong
// to them. It does not authorise.
func (s *Service) Named(ctx context.Context, tenants []id.ID) ([]Tenant, error) {
	var all []Tenant
	for _, tenant := range tenants {
		t, err := s.read(ctx, tenant)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

// List returns the actor's tenant and everything below it.
func (s *Service) List(ctx context.Context) ([]Tenant, error) {
	a, err := actor.Require(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.Check(ctx, ReadTenant); err != nil {
		return nil, err
	}
	return s.below(ctx, a.TenantID)
}

func (s *Service) below(ctx context.Context, tenant id.ID) ([]Tenant, error) {
	var all []Tenant
	err := s.DB.Core(ctx, func(ctx context.Context) error {
		var err error
		all, err = s.store.below(ctx, tenant)
		return err
	})
	return all, err
}

// Get returns the actor's tenant or one below it; any other is
// fault.NotFound, as if it did not exist.
func (s *Service) Get(ctx context.Context, tenant id.ID) (Tenant, error) {
	a, err := actor.Require(ctx)
	if err != nil {
		return Tenant{}, err
	}
	if err := s.Check(ctx, ReadTenant); err != nil {
		return Tenant{}, err
	}
	return s.get(ctx, a, tenant)
}

func (s *Service) get(ctx context.Context, a actor.Actor, tenant id.ID) (Tenant, error) {
	if a.Kind.Trusted() && a.TenantID.IsZero() {
		a.TenantID = s.Root()
	}
	all, err := s.below(ctx, a.TenantID)
	if err != nil {
		return Tenant{}, err
	}
	for _, t := range all {
		if t.ID == tenant {
			return t, nil
		}
	}
	return Tenant{}, fault.New(fault.NotFound, "It does not exist, or it is not yours.")
}

// Settings returns the settings of the actor's tenant or one below it.
func (s *Service) Settings(ctx context.Context, tenant id.ID) (Settings, error) {
	a, err := actor.Require(ctx)
	if err != nil {
		return Settings{}, err
	}
	if err := s.Check(ctx, ReadSettings); err != nil {
		return Settings{}, err
	}
	if _, err := s.get(ctx, a, tenant); err != nil {
		return Settings{}, err
	}
	return s.SettingsOf(ctx, tenant)
}

// SettingsOf is Settings for services that decide by them; it does not authorise.
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
	a, err := actor.Require(ctx)
	if err != nil {
		return err
	}
	if err := s.Check(ctx, UpdateSettings); err != nil {
		return err
	}
	t, err := s.get(ctx, a, tenant)
	if err != nil {
		return err
	}
	if err := set.validate(); err != nil {
		return err
	}
	return s.DB.Tenant(ctx, tenant, func(ctx context.Context) error {
		return s.changeSettings(ctx, t, set)
	})
}

// changeSettings writes the row at the provider level and the record in the
// tenant's chain, in one transaction.
func (s *Service) changeSettings(ctx context.Context, t Tenant, set Settings) error {
	var before Settings
	err := s.DB.Core(ctx, func(ctx context.Context) error {
		var err error
		if before, err = s.store.settings(ctx, t.ID); err != nil {
			return err
		}
		return s.store.setSettings(ctx, t.ID, set)
	})
	if err != nil {
		return err
	}
	return s.Audit.Record(ctx, audit.Entry{
		Event: "tenancy.settings.updated", Priority: audit.Notice,
		Target: audit.Target{Kind: "tenant", ID: t.ID.String(), Name: t.Name}, Before: before, After: set,
	})
}
