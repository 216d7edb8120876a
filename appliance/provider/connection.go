package provider

import (
	"context"
	"strings"
	"sync"
	"time"
	"unicode"

	"nimbus/appliance/actor"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// stored is a connection as it lies in the database.
type stored struct {
	Connection
	provider    string
	sealed      []byte
	caPEM       string
	position    string
	failures    int
	nextAttempt time.Time
	revision    int64
}

// purpose binds a sealed secret to its connection.
func purpose(connection id.ID) string { return "connection/" + connection.String() + "/token" }

const maxName = 100

func (n NewConnection) validate() error {
	if n.Name == "" || len(n.Name) > maxName || strings.ContainsFunc(n.Name, unicode.IsControl) {
		return fault.BadField("body.name", "Give the connection a name of at most %d characters on one line.", maxName)
	}
	return nil
}

// interval is how often a connection is collected; its schedule fires as often.
const interval = 30 * time.Second

// maxBackOff is the longest pause after failures.
const maxBackOff = 10 * time.Minute

// backOff is the pause after so many failures in a row: 30 s, 1 min, 2 min, …
// It is a second short of what is said, so that the firing at that time counts.
func backOff(failures int) time.Duration {
	pause := maxBackOff
	if failures < 6 {
		pause = min(interval<<max(failures-1, 0), maxBackOff)
	}
	return pause - time.Second
}

// clients are the open connections of this process, at most one for each.
type clients struct {
	mu   sync.Mutex
	open map[id.ID]client
}

type client struct {
	CloudProviderInterface
	revision int64
}

// get returns the client of a connection as it is stored, and closes one that
// was made for an older form of it. open may take its time: others do not wait.
func (c *clients) get(connection id.ID, revision int64, open func() (CloudProviderInterface, error)) (CloudProviderInterface, error) {
	if have, ok := c.find(connection, revision); ok {
		return have, nil
	}
	made, err := open()
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	have, ok := c.open[connection]
	if ok && have.revision >= revision {
		made.Close()
		return have, nil
	}
	if ok {
		have.Close()
	}
	if c.open == nil {
		c.open = map[id.ID]client{}
	}
	c.open[connection] = client{made, revision}
	return made, nil
}

func (c *clients) find(connection id.ID, revision int64) (client, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	have, ok := c.open[connection]
	return have, ok && have.revision == revision
}

func (c *clients) drop(connection id.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if have, ok := c.open[connection]; ok {
		have.Close()
		delete(c.open, connection)
	}
}

func (c *clients) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, have := range c.open {
		have.Close()
	}
	clear(c.open)
}

// client opens a stored connection. It refuses one whose certificate has
// changed and was not accepted: fault.Conflict.
func (s *Service) client(ctx context.Context, tenant id.ID, row stored) (CloudProviderInterface, error) {
	if row.Status == StatusFingerprintChanged {
		return nil, fault.New(fault.Conflict, "The connection %s is closed: %s", row.Name, row.StatusDetail)
	}
	return s.clients.get(row.ID, row.revision, func() (CloudProviderInterface, error) {
		e, err := s.endpoint(ctx, tenant, row)
		if err != nil {
			return nil, err
		}
		return s.open(row.provider, e)
	})
}

func (s *Service) open(provider string, e Endpoint) (CloudProviderInterface, error) {
	open, ok := s.cfg.Open[provider]
	if !ok {
		return nil, fault.New(fault.Invalid, "There is no provider %q.", provider)
	}
	return open(e)
}

func (s *Service) endpoint(ctx context.Context, tenant id.ID, row stored) (Endpoint, error) {
	secret, err := s.cfg.Keyring.Open(ctx, tenant, purpose(row.ID), row.sealed)
	if err != nil {
		return Endpoint{}, err
	}
	return Endpoint{
		URL: row.URL, TokenID: row.TokenID, Secret: string(secret),
		Fingerprint: row.Fingerprint, CAPEM: row.caPEM, Simulated: row.Simulated,
	}, nil
}

// connect loads and opens a connection of a tenant. Faults: NotFound, Conflict.
func (s *Service) connect(ctx context.Context, tenant, connection id.ID) (stored, CloudProviderInterface, error) {
	row, err := s.load(ctx, tenant, connection)
	if err != nil {
		return row, nil, err
	}
	p, err := s.client(ctx, tenant, row)
	return row, p, err
}

func (s *Service) load(ctx context.Context, tenant, connection id.ID) (row stored, err error) {
	err = s.cfg.DB.Tenant(ctx, tenant, func(ctx context.Context) error {
		row, err = s.store.connection(ctx, connection)
		return err
	})
	return row, err
}

// tenantOf is the tenant in which the actor acts.
func tenantOf(ctx context.Context) (id.ID, error) {
	a, err := actor.Require(ctx)
	if err != nil {
		return id.ID{}, err
	}
	if a.TenantID.IsZero() {
		return id.ID{}, fault.New(fault.Invalid, "Choose a tenant first: connections belong to one.")
	}
	return a.TenantID, nil
}
