package tenancy

import (
	"context"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/db"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// Permissions of this domain.
const (
	ReadTenant        = "tenancy:tenant:read"
	CreateTenant      = "tenancy:tenant:create"
	UpdateTenant      = "tenancy:tenant:update"
	MoveTenant        = "tenancy:tenant:move"
	SuspendTenant     = "tenancy:tenant:suspend"
	DeleteTenant      = "tenancy:tenant:delete"
	RestoreTenant     = "tenancy:tenant:restore"
	PurgeTenant       = "tenancy:tenant:purge"
	ExportTenant      = "tenancy:tenant:export"
	ReadSettings      = "tenancy:settings:read"
	UpdateSettings    = "tenancy:settings:update"
	ReadQuota         = "tenancy:quota:read"
	UpdateQuota       = "tenancy:quota:update"
	ReadDomain        = "tenancy:domain:read"
	CreateDomain      = "tenancy:domain:create"
	DeleteDomain      = "tenancy:domain:delete"
	ReadCompartment   = "tenancy:compartment:read"
	CreateCompartment = "tenancy:compartment:create"
	UpdateCompartment = "tenancy:compartment:update"
	MoveCompartment   = "tenancy:compartment:move"
	DeleteCompartment = "tenancy:compartment:delete"
)

// Config is what the service needs. The functions after Seed are what other
// domains add; each may be nil, and what it would do is then not done.
type Config struct {
	DB      *db.DB
	History []db.Migration
	Audit   *audit.Service
	Check   actor.Check
	Events  *event.Bus
	Logger  *slog.Logger
	// Seed writes what every new tenant begins with, such as its system roles.
	// It may run twice.
	Seed func(ctx context.Context, tenant id.ID) error
	// Workflows is the workflow engine; nil while there is none.
	Workflows func() Workflows
	// Fresh fails with fault.StepUp unless the person proved themselves within
	// that time.
	Fresh func(ctx context.Context, within time.Duration) error
	// Usage counts, in a transaction of a tenant, what exists of each kind and
	// what is being created. Compartments are counted here.
	Usage map[QuotaKind]func(ctx context.Context) (int64, error)
	// Checklist answers, in a transaction of a tenant, whether a point of the
	// completion checklist is done. Domains and quotas are answered here.
	Checklist map[string]func(ctx context.Context, tenant id.ID) (bool, error)
	// Onboard makes the parts of a new tenant that belong to other domains.
	Onboard Onboard
	// Purge removes what other domains keep of a tenant outside its schema and
	// the rows of the core schema, such as schedules, files and caches. Each may
	// run twice, also for a tenant that is gone.
	Purge []func(ctx context.Context, tenant id.ID) error
	// RightsChanged tells that rights which depend on compartments are stale.
	// It is called in the transaction of the tenant.
	RightsChanged func(ctx context.Context, tenant id.ID) error
	// LookupTXT asks the DNS; nil is the system's resolver.
	LookupTXT func(ctx context.Context, name string) ([]string, error)
}

// Service makes and lists tenants.
type Service struct {
	Config
	store   store
	root    atomic.Pointer[Tenant]
	exports chan struct{} // one token for each export that may run
}

// New returns a service; Load tells it the root tenant.
func New(cfg Config) *Service {
	if cfg.LookupTXT == nil {
		cfg.LookupTXT = net.DefaultResolver.LookupTXT
	}
	s := &Service{Config: cfg, exports: make(chan struct{}, maxExports)}
	s.Usage = maps.Clone(cfg.Usage)
	if s.Usage == nil {
		s.Usage = map[QuotaKind]func(context.Context) (int64, error){}
	}
	s.Usage[Compartments] = s.store.countCompartments
	return s
}

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
	if err == nil {
		err = s.dropAbandoned(actor.AsSystem(ctx, "tenancy", id.ID{}))
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
	if t, err = s.planned(ctx, a, t); err != nil {
		return Tenant{}, err
	}
	return s.create(ctx, t)
}

// planned is a new tenant, not yet made, at a place where it may be.
func (s *Service) planned(ctx context.Context, a actor.Actor, t Tenant) (Tenant, error) {
	t.ID, t.IsRoot, t.Status = id.New(), false, Creating
	if t.ParentID.IsZero() {
		t.ParentID = a.TenantID
	}
	t, err := t.valid()
	if err != nil {
		return Tenant{}, err
	}
	parent, err := s.get(ctx, a, t.ParentID)
	if err != nil {
		return Tenant{}, err
	}
	return t, parent.mayHaveChildren()
}

// mayHaveChildren refuses a parent that is on its way out.
func (t Tenant) mayHaveChildren() error {
	if t.Status.gone() {
		return fault.BadField("body.parent_id", "The tenant %q is deleted. Restore it first, or choose another parent.", t.Name)
	}
	return nil
}

// tooDeep is the answer to a place below the third level.
var tooDeep = fault.BadField("body.parent_id", "There are three levels: provider, tenant and sub-tenant. Choose a parent further up.")

// create writes the row, makes the schema, seeds it and activates it. When it
// is interrupted Load goes on; when it fails nothing remains.
func (s *Service) create(ctx context.Context, t Tenant) (Tenant, error) {
	if err := s.begin(ctx, t, false); err != nil {
		return Tenant{}, err
	}
	if err := s.finish(ctx, t); err != nil {
		s.undo(context.WithoutCancel(ctx), t)
		return Tenant{}, err
	}
	return s.read(ctx, t.ID)
}

// begin writes the row. The tree is locked, so that what was checked holds.
func (s *Service) begin(ctx context.Context, t Tenant, onboarding bool) error {
	err := s.DB.Core(ctx, func(ctx context.Context) error {
		if err := s.store.lockTree(ctx); err != nil {
			return err
		}
		if !t.IsRoot {
			if depth, err := s.store.depth(ctx, t.ParentID); err != nil {
				return err
			} else if depth >= MaxDepth {
				return tooDeep
			}
		}
		if err := s.store.insert(ctx, t, onboarding); err != nil {
			return nameTaken(err)
		}
		return s.store.inheritQuotas(ctx, t.ID)
	})
	if err == nil && t.IsRoot {
		s.root.Store(&t)
	}
	return err
}

// nameTaken puts a conflict of names into words.
func nameTaken(err error) error {
	if fault.Is(db.Fault(err), fault.Conflict) {
		return fault.BadField("body.name", "A tenant with this name exists already in the same place.")
	}
	return err
}

func (s *Service) finish(ctx context.Context, t Tenant) error {
	if err := s.furnish(ctx, t); err != nil {
		return err
	}
	return s.open(ctx, t)
}

// furnish makes the schema and what every tenant begins with.
func (s *Service) furnish(ctx context.Context, t Tenant) error {
	if err := s.DB.AddTenant(ctx, t.ID, s.History); err != nil {
		return err
	}
	return s.Seed(ctx, t.ID)
}

// open activates the tenant and records that it was made.
func (s *Service) open(ctx context.Context, t Tenant) error {
	created := audit.Entry{
		Event: "tenancy.tenant.created", Priority: audit.Notice,
		Target: audit.Target{Kind: "tenant", ID: t.ID.String(), Name: t.Name}, After: t,
	}
	return s.DB.Core(ctx, func(ctx context.Context) error {
		if err := s.store.activate(ctx, t.ID); err != nil {
			return err
		}
		if err := s.store.reckon(ctx); err != nil {
			return err
		}
		if err := s.Audit.Record(ctx, created); err != nil || t.IsRoot {
			return err
		}
		if err := s.publish(ctx, event.Event{Type: "tenant.created", ID: t.ID, Tenant: t.ParentID, Permission: ReadTenant}, t); err != nil {
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

// List returns the actor's tenant and everything below it that is not deleted.
func (s *Service) List(ctx context.Context) ([]Tenant, error) {
	all, err := s.ListAll(ctx)
	return slices.DeleteFunc(all, func(t Tenant) bool { return t.Status.gone() }), err
}

// ListAll is List with what is deleted and can still be restored.
func (s *Service) ListAll(ctx context.Context) ([]Tenant, error) {
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
	return s.reach(ctx, ReadTenant, tenant)
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
