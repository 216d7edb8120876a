package tenancy

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// Domain is an e-mail domain that leads a login to its tenant. One that the
// provider entered counts at once; one that a tenant entered, for itself or for
// one below it, counts when its DNS says so, see Record: else whoever may make
// sub-tenants could lead the people of others to a sign-in page of theirs.
type Domain struct {
	Domain    string    `json:"domain"`
	Verified  bool      `json:"verified"`
	CreatedAt time.Time `json:"created_at"`
	// Record is the TXT record that proves the domain; empty once it is proved.
	Record *TXT `json:"record"`
}

// TXT is a record of the DNS.
type TXT struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

const (
	txtName  = "_nimbus-challenge."
	txtValue = "nimbus-domain-verification="
	// lookupTimeout bounds the question to the DNS.
	lookupTimeout = 10 * time.Second
)

var hostname = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])$`)

// validDomain returns the one form in which a domain is kept and compared.
func validDomain(domain string) (string, error) {
	domain = strings.ToLower(strings.TrimSuffix(strings.TrimSpace(domain), "."))
	if len(domain) > 253 || !hostname.MatchString(domain) {
		return "", fault.BadField("body.domain", "Enter a domain such as example.com; one with other letters in its xn-- form.")
	}
	return domain, nil
}

// Domains lists the domains of the actor's tenant or one below it.
func (s *Service) Domains(ctx context.Context, tenant id.ID) (all []Domain, err error) {
	if _, err := s.reach(ctx, ReadDomain, tenant); err != nil {
		return nil, err
	}
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		all, err = s.store.domains(ctx, tenant)
		return err
	})
	return all, err
}

// AddDomain adds a domain. It returns fault.Conflict when it belongs to
// another tenant.
func (s *Service) AddDomain(ctx context.Context, tenant id.ID, domain string) (Domain, error) {
	t, err := s.reach(ctx, CreateDomain, tenant)
	if err != nil {
		return Domain{}, err
	}
	if domain, err = validDomain(domain); err != nil {
		return Domain{}, err
	}
	return s.addDomain(ctx, t, domain)
}

func (s *Service) addDomain(ctx context.Context, t Tenant, domain string) (d Domain, err error) {
	a, err := actor.Require(ctx)
	if err != nil {
		return Domain{}, err
	}
	byProvider := a.Kind.Trusted() || s.IsRoot(a.TenantID)
	err = s.changeDomain(ctx, t, domain, "tenancy.domain.created", func(ctx context.Context) error {
		d, err = s.store.addDomain(ctx, t.ID, domain, rand.Text(), byProvider)
		return domainTaken(err)
	})
	return d, err
}

func domainTaken(err error) error {
	if fault.Is(nameTaken(err), fault.Invalid) {
		return fault.New(fault.Conflict, "This domain is in use already.")
	}
	return err
}

func (s *Service) changeDomain(ctx context.Context, t Tenant, domain, code string, do func(ctx context.Context) error) error {
	return s.change(ctx, t, change{
		do: do,
		entry: func() audit.Entry {
			return audit.Entry{Event: code, Priority: audit.Notice, Details: map[string]any{"domain": domain}}
		},
		event: event.Event{Type: "tenant.domains_changed", ID: t.ID, Tenant: t.ID, Permission: ReadDomain},
	})
}

// VerifyDomain asks the DNS whether the tenant holds the domain.
func (s *Service) VerifyDomain(ctx context.Context, tenant id.ID, domain string) (Domain, error) {
	t, err := s.reach(ctx, CreateDomain, tenant)
	if err != nil {
		return Domain{}, err
	}
	d, err := s.domain(ctx, tenant, domain)
	if err != nil || d.Verified {
		return d, err
	}
	if err := s.proved(ctx, *d.Record); err != nil {
		return Domain{}, err
	}
	err = s.changeDomain(ctx, t, d.Domain, "tenancy.domain.verified", func(ctx context.Context) error {
		return domainTaken(s.store.verifyDomain(ctx, tenant, d.Domain))
	})
	if err != nil {
		return Domain{}, err
	}
	return s.domain(ctx, tenant, domain)
}

func (s *Service) domain(ctx context.Context, tenant id.ID, domain string) (d Domain, err error) {
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		d, err = s.store.domain(ctx, tenant, strings.ToLower(domain))
		return err
	})
	return d, err
}

// proved is nil when the DNS holds the record.
func (s *Service) proved(ctx context.Context, want TXT) error {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	found, err := s.LookupTXT(ctx, want.Name)
	var dns *net.DNSError
	switch {
	case slices.Contains(found, want.Value):
		return nil
	case err == nil || errors.As(err, &dns) && dns.IsNotFound:
		return fault.New(fault.Conflict, "The TXT record %s does not hold %s yet. New records take a while to be seen.", want.Name, want.Value)
	}
	return fault.Wrap(fault.Unavailable, err, "The DNS does not answer for %s. Try again, or ask the provider to enter the domain.", want.Name)
}

// RemoveDomain removes a domain.
func (s *Service) RemoveDomain(ctx context.Context, tenant id.ID, domain string) error {
	t, err := s.reach(ctx, DeleteDomain, tenant)
	if err != nil {
		return err
	}
	return s.changeDomain(ctx, t, strings.ToLower(domain), "tenancy.domain.deleted", func(ctx context.Context) error {
		return s.store.removeDomain(ctx, tenant, strings.ToLower(domain))
	})
}

// TenantForEmail tells which active tenant an address leads to by its domain.
// It does not authorise.
func (s *Service) TenantForEmail(ctx context.Context, email string) (tenant id.ID, found bool, err error) {
	at := strings.LastIndex(email, "@")
	domain, bad := validDomain(email[at+1:])
	if at < 1 || bad != nil {
		return id.ID{}, false, nil
	}
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		tenant, found, err = s.store.tenantOfDomain(ctx, domain)
		return err
	})
	return tenant, found, err
}
