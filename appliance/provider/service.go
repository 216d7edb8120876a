package provider

import (
	"context"
	"log/slog"
	"sync"
	"time"

	sdk "go.temporal.io/sdk/client"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/cmdb"
	"nimbus/appliance/db"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/permission"
	"nimbus/appliance/secret"
)

// Proxmox is the name of the one provider so far.
const Proxmox = "proxmox"

// Config is what the service needs. Temporal and all that is below it are optional.
type Config struct {
	DB    *db.DB
	Audit *audit.Service
	Check actor.Check
	// CheckOn is Check about one machine: conditions see what the inventory
	// knows of it, and the action.
	CheckOn func(ctx context.Context, permission string, on permission.Resource) error
	Events  *event.Bus
	Keyring *secret.Keyring
	CMDB    *cmdb.Service
	// Open has an opener for each provider.
	Open map[string]Opener
	// Temporal runs collections and tasks. Without it nothing runs by itself.
	Temporal sdk.Client
	// IsRoot tells the root tenant, which has no cloud.
	IsRoot func(tenant id.ID) bool
	// MayDelete refuses the deletion of a connection that is in use, with
	// fault.Conflict. It runs in the tenant's transaction.
	MayDelete func(ctx context.Context, connection id.ID) error
	// Poll is how often a new task is looked at; 0 means once a second.
	Poll   time.Duration
	Logger *slog.Logger
}

// Service keeps connections, collects through them, and runs tasks.
type Service struct {
	cfg     Config
	store   store
	clients clients

	mu        sync.Mutex
	stop      context.CancelFunc
	done      chan struct{}
	scheduled error // why schedules are not in place; nil when they are
}

// New returns the service.
func New(cfg Config) *Service {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Poll == 0 {
		cfg.Poll = time.Second
	}
	if cfg.IsRoot == nil {
		cfg.IsRoot = func(id.ID) bool { return false }
	}
	if cfg.MayDelete == nil {
		cfg.MayDelete = func(context.Context, id.ID) error { return nil }
	}
	return &Service{cfg: cfg}
}

// Connections lists the connections of the actor's tenant by name. Fault: Forbidden.
func (s *Service) Connections(ctx context.Context) ([]Connection, error) {
	tenant, err := s.authorise(ctx, ReadConnections)
	if err != nil {
		return nil, err
	}
	var list []Connection
	err = s.cfg.DB.Tenant(ctx, tenant, func(ctx context.Context) error {
		rows, err := s.store.connections(ctx)
		list = make([]Connection, len(rows))
		for i, row := range rows {
			list[i] = row.Connection
		}
		return err
	})
	return list, err
}

// Connection returns one connection. Faults: Forbidden, NotFound.
func (s *Service) Connection(ctx context.Context, connection id.ID) (Connection, error) {
	tenant, err := s.authorise(ctx, ReadConnections)
	if err != nil {
		return Connection{}, err
	}
	row, err := s.load(ctx, tenant, connection)
	return row.Connection, err
}

func (s *Service) authorise(ctx context.Context, permission string) (id.ID, error) {
	if err := s.cfg.Check(ctx, permission); err != nil {
		return id.ID{}, err
	}
	return tenantOf(ctx)
}

// testTimeout is the deadline of the one call that a person waits for.
const testTimeout = 15 * time.Second

// Test tries a connection that is not stored. What does not work is in the
// result. Faults: Forbidden, Invalid.
func (s *Service) Test(ctx context.Context, n NewConnection) (TestResult, error) {
	if err := s.cfg.Check(ctx, TestConnection); err != nil {
		return TestResult{}, err
	}
	return s.test(ctx, n)
}

func (s *Service) test(ctx context.Context, n NewConnection) (TestResult, error) {
	p, err := s.open(Proxmox, n.endpoint())
	if err != nil {
		return TestResult{}, err
	}
	defer p.Close()
	ctx, cancel := context.WithTimeout(ctx, testTimeout)
	defer cancel()
	return p.Test(ctx), nil
}

// Create stores a connection and begins to collect. It does not ask the
// cluster: a connection that does not work says so by its status. Faults:
// Forbidden, Invalid, and Conflict when the name is taken.
func (s *Service) Create(ctx context.Context, n NewConnection) (Connection, error) {
	tenant, err := s.authorise(ctx, CreateConnection)
	if err != nil {
		return Connection{}, err
	}
	if s.cfg.IsRoot(tenant) {
		return Connection{}, fault.New(fault.Invalid, "The provider's own tenant has no cloud. Switch to the tenant that is to use the cluster.")
	}
	row, err := s.build(ctx, tenant, n)
	if err != nil {
		return Connection{}, err
	}
	err = s.cfg.DB.Tenant(ctx, tenant, func(ctx context.Context) error {
		if err := s.store.addConnection(ctx, row); err != nil {
			return err
		}
		if err := s.cfg.DB.Core(ctx, func(ctx context.Context) error { return s.store.addOwner(ctx, row.ID, tenant) }); err != nil {
			return err
		}
		return s.tell(ctx, tenant, row.Connection, audit.Entry{Event: "provider.connection.created", After: row.Connection})
	})
	if err != nil {
		return Connection{}, err
	}
	s.begin(ctx, tenant, row.ID)
	return row.Connection, nil
}

func (s *Service) build(ctx context.Context, tenant id.ID, n NewConnection) (stored, error) {
	if err := n.validate(); err != nil {
		return stored{}, err
	}
	p, err := s.open(Proxmox, n.endpoint())
	if err != nil {
		return stored{}, err
	}
	p.Close()
	row := stored{provider: Proxmox, caPEM: n.CAPEM, revision: 1, Connection: Connection{
		ID: id.New(), Name: n.Name, URL: n.URL, TokenID: n.TokenID, Fingerprint: n.Fingerprint,
		Simulated: n.Simulated, Status: StatusUnknown, StatusSince: time.Now().UTC(),
	}}
	row.sealed, err = s.cfg.Keyring.Seal(ctx, tenant, purpose(row.ID), []byte(n.Secret))
	return row, err
}

// tell records what was done to a connection and publishes how it is now.
func (s *Service) tell(ctx context.Context, tenant id.ID, c Connection, e audit.Entry) error {
	e.Target = audit.Target{Kind: "connection", ID: c.ID.String(), Name: c.Name}
	if err := s.cfg.Audit.Record(ctx, e); err != nil {
		return err
	}
	return s.cfg.Events.Publish(ctx, event.Event{
		Type: "connection.updated", ID: c.ID, Tenant: tenant, Permission: ReadConnections,
	}, c)
}

// Delete removes a connection and calls its items gone; the cluster itself is
// not touched. Faults: Forbidden, NotFound, and Conflict while it is in use.
func (s *Service) Delete(ctx context.Context, connection id.ID) error {
	tenant, err := s.authorise(ctx, DeleteConnection)
	if err != nil {
		return err
	}
	err = s.cfg.DB.Tenant(ctx, tenant, func(ctx context.Context) error {
		row, err := s.store.connection(ctx, connection)
		if err != nil {
			return err
		}
		if err := s.cfg.MayDelete(ctx, connection); err != nil {
			return err
		}
		return s.remove(ctx, tenant, row)
	})
	if err != nil {
		return err
	}
	s.clients.drop(connection)
	s.unschedule(ctx, connection)
	return nil
}

func (s *Service) remove(ctx context.Context, tenant id.ID, row stored) error {
	gone, err := s.cfg.CMDB.Forget(ctx, tenant, row.ID, "Its connection was deleted.")
	if err != nil {
		return err
	}
	if err := s.store.deleteConnection(ctx, row.ID); err != nil {
		return err
	}
	if err := s.cfg.DB.Core(ctx, func(ctx context.Context) error { return s.store.deleteOwner(ctx, row.ID) }); err != nil {
		return err
	}
	return s.tell(ctx, tenant, row.Connection, audit.Entry{
		Event: "provider.connection.deleted", Before: row.Connection, Details: map[string]any{"items": gone},
	})
}

// AcceptFingerprint pins the certificate that the cluster offered, or the one
// pinned before, in place of authorities, and collects again. Faults: Forbidden, NotFound, and Conflict
// when the fingerprint is neither.
func (s *Service) AcceptFingerprint(ctx context.Context, connection id.ID, fingerprint string) (Connection, error) {
	tenant, err := s.authorise(ctx, UpdateConnection)
	if err != nil {
		return Connection{}, err
	}
	var after Connection
	err = s.cfg.DB.Tenant(ctx, tenant, func(ctx context.Context) error {
		row, err := s.store.connection(ctx, connection)
		if err != nil {
			return err
		}
		if fingerprint == "" || fingerprint != row.OfferedFingerprint && fingerprint != row.Fingerprint {
			return fault.New(fault.Conflict, "This is not the fingerprint that the cluster shows now. Reload, compare it with the node's, and accept that one.")
		}
		if after, err = s.store.accept(ctx, connection, fingerprint); err != nil {
			return err
		}
		return s.tell(ctx, tenant, after, audit.Entry{
			Event: "provider.connection.fingerprint-accepted", Priority: audit.Notice, Before: row.Connection, After: after,
		})
	})
	if err != nil {
		return Connection{}, err
	}
	s.begin(ctx, tenant, connection)
	return after, nil
}

// CollectNow asks for a collection at once; its result comes as an event.
// Faults: Forbidden, NotFound, Conflict while the certificate is not accepted,
// Unavailable.
func (s *Service) CollectNow(ctx context.Context, connection id.ID) error {
	tenant, err := s.authorise(ctx, CollectConnection)
	if err != nil {
		return err
	}
	row, err := s.load(ctx, tenant, connection)
	if err != nil {
		return err
	}
	if row.Status == StatusFingerprintChanged {
		return fault.New(fault.Conflict, "The connection %s is closed: %s", row.Name, row.StatusDetail)
	}
	return s.startCollect(ctx, tenant, connection)
}

// Endpoint is a connection with its secret, for a deployment that runs in the
// tenant. It authorises nobody. Faults: NotFound, Conflict while the
// certificate is not accepted.
func (s *Service) Endpoint(ctx context.Context, tenant, connection id.ID) (Endpoint, error) {
	row, err := s.load(ctx, tenant, connection)
	if err != nil {
		return Endpoint{}, err
	}
	if row.Status == StatusFingerprintChanged {
		return Endpoint{}, fault.New(fault.Conflict, "The connection %s is closed: %s", row.Name, row.StatusDetail)
	}
	return s.endpoint(ctx, tenant, row)
}

// Certificate is the accepted certificate of a connection as PEM. A deployment
// gives it, and nothing else, as the authorities that its provider trusts,
// whichever way the connection was verified. It authorises nobody. Faults:
// NotFound, Conflict while the certificate is not accepted, Unavailable.
func (s *Service) Certificate(ctx context.Context, tenant, connection id.ID) (string, error) {
	_, p, err := s.connect(ctx, tenant, connection)
	if err != nil {
		return "", err
	}
	text, err := p.Certificate(ctx)
	return text, asFault(err)
}
