package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit/siem"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/objectstore"
)

// PlaceKind says how a checkpoint is published.
type PlaceKind string

// The kinds of places.
const (
	PlaceFile    PlaceKind = "file"
	PlaceEmail   PlaceKind = "email"
	PlaceWebhook PlaceKind = "webhook"
	PlaceSyslog  PlaceKind = "syslog"
	PlaceObject  PlaceKind = "object"
)

// Place is one place where checkpoints are published, so that a rewrite of the
// chain shows to whoever keeps them.
type Place struct {
	ID      id.ID     `json:"id" required:"false" doc:"Left out, a new place is made."`
	Kind    PlaceKind `json:"kind" enum:"file,email,webhook,syslog,object"`
	Enabled bool      `json:"enabled"`

	Path      string   `json:"path,omitempty" doc:"Of a file or a directory of objects; the provider's only. A tenant's file is kept by the appliance."`
	To        []string `json:"to,omitempty" doc:"E-mail addresses."`
	URL       string   `json:"url,omitempty" doc:"Of a webhook."`
	Address   string   `json:"address,omitempty" doc:"Of syslog: host:port."`
	Transport string   `json:"transport,omitempty" enum:"udp,tcp,tls"`
	Format    string   `json:"format,omitempty" enum:"rfc5424,cef,json"`
	CAPEM     string   `json:"ca_pem,omitempty" doc:"Authorities to trust instead of the system's."`
	Endpoint  string   `json:"endpoint,omitempty" doc:"Of S3: host, with a port where it is not 443."`
	Bucket    string   `json:"bucket,omitempty"`
	Region    string   `json:"region,omitempty"`
	Prefix    string   `json:"prefix,omitempty"`
	AccessKey string   `json:"access_key,omitempty"`

	HasSecret bool   `json:"has_secret" required:"false"`
	Secret    string `json:"secret,omitempty" doc:"Signs webhooks, or opens S3. Never answered; empty keeps the one there is."`

	sealed []byte
}

// name is how the place is called in results. Of an address that may hold a
// secret it has the host only.
func (p Place) name() string {
	host := ""
	if u, err := url.Parse(p.URL); err == nil {
		host = u.Host
	}
	for _, detail := range []string{p.Path, strings.Join(p.To, ", "), host, p.Address, p.Bucket} {
		if detail != "" {
			return string(p.Kind) + " " + detail
		}
	}
	return string(p.Kind)
}

// Publishing says where and how often checkpoints of a chain are published.
type Publishing struct {
	IntervalMinutes int     `json:"interval_minutes" minimum:"10" maximum:"10080"`
	Places          []Place `json:"places" maxItems:"10"`
}

// Publication is one place that a checkpoint was, or should have been, published to.
type Publication struct {
	CheckpointID id.ID
	PlaceID      id.ID
	Place        string
	At           *time.Time // nil: not yet
	Error        string
}

// publishTimeout is how long one place may take.
const publishTimeout = time.Minute

const placePurpose = "audit publication"

// Publishing returns where checkpoints of the actor's tenant are published.
func (s *Service) Publishing(ctx context.Context) (Publishing, error) {
	a, err := s.authorise(ctx, PublishPermission)
	if err != nil {
		return Publishing{}, err
	}
	return s.publishing(ctx, a.TenantID)
}

func (s *Service) publishing(ctx context.Context, tenant id.ID) (p Publishing, err error) {
	err = s.in(ctx, tenant, func(ctx context.Context) error {
		p, err = s.store.publishing(ctx)
		return err
	})
	return p, err
}

// SetPublishing replaces the places. It returns fault.Invalid for what cannot be.
func (s *Service) SetPublishing(ctx context.Context, p Publishing) (Publishing, error) {
	a, err := s.authorise(ctx, PublishPermission)
	if err != nil {
		return p, err
	}
	before, err := s.publishing(ctx, a.TenantID)
	if err != nil {
		return p, err
	}
	if p.IntervalMinutes < 10 || p.IntervalMinutes > 10080 {
		return p, fault.BadField("body.interval_minutes", "Choose 10 minutes to 7 days.")
	}
	for i := range p.Places {
		if err := s.placeWith(ctx, a.TenantID, &p.Places[i], before.Places); err != nil {
			return p, err
		}
	}
	err = s.in(ctx, a.TenantID, func(ctx context.Context) error {
		if err := s.store.setPublishing(ctx, p); err != nil {
			return err
		}
		return s.Record(ctx, Entry{Event: "audit.publication.updated", Target: Target{Kind: "chain", ID: chainName(s.chainOf(a.TenantID))},
			Priority: Warning, Before: named(before), After: named(p)})
	})
	if err != nil {
		return p, err
	}
	return s.publishing(ctx, a.TenantID)
}

// named is what a record says of places.
func named(p Publishing) map[string]any {
	places := []string{}
	for _, place := range p.Places {
		text := place.name()
		if !place.Enabled {
			text += " (off)"
		}
		places = append(places, text)
	}
	return map[string]any{"interval_minutes": p.IntervalMinutes, "places": places}
}

// placeWith checks a place and seals its secret, or keeps the one it had.
func (s *Service) placeWith(ctx context.Context, tenant id.ID, p *Place, before []Place) error {
	if err := s.checkPlace(tenant, *p); err != nil {
		return err
	}
	at := slices.IndexFunc(before, func(b Place) bool { return b.ID == p.ID && b.Kind == p.Kind })
	if at < 0 {
		p.ID = id.New()
	} else if p.Secret == "" {
		if len(before[at].sealed) > 0 && (before[at].URL != p.URL || before[at].Endpoint != p.Endpoint) {
			return fault.BadField("body.places", "Give the secret again: it was for another address.")
		}
		p.sealed = before[at].sealed
	}
	if p.Secret == "" {
		return nil
	}
	if s.Keyring == nil || s.Keyring() == nil {
		return fault.New(fault.Unavailable, "Secrets cannot be kept yet. Try again when the appliance has started.")
	}
	var err error
	p.sealed, err = s.Keyring().Seal(ctx, s.chainOf(tenant), placePurpose+" "+p.ID.String(), []byte(p.Secret))
	p.Secret = ""
	return err
}

func (s *Service) checkPlace(tenant id.ID, p Place) error {
	provider := s.chainOf(tenant).IsZero()
	bad := func(text string) error { return fault.BadField("body.places", "%s", text) }
	switch p.Kind {
	case PlaceFile:
		if p.Path != "" && !provider {
			return bad("Only the provider chooses paths on the appliance; leave the path empty.")
		}
		if p.Path != "" && !filepath.IsAbs(p.Path) {
			return bad("Give the full path of the file.")
		}
	case PlaceEmail:
		if len(p.To) == 0 || len(p.To) > 20 {
			return bad("Name one to twenty e-mail addresses.")
		}
	case PlaceWebhook:
		if !strings.HasPrefix(p.URL, "https://") {
			return bad("The address of a webhook begins with https://.")
		}
	case PlaceSyslog:
		if p.Address == "" || !slices.Contains([]string{"udp", "tcp", "tls"}, p.Transport) {
			return bad("Syslog needs host:port, and udp, tcp or tls.")
		}
	case PlaceObject:
		if p.Endpoint == "" && !provider {
			return bad("Name the endpoint of the object storage.")
		}
		if p.Endpoint == "" && !filepath.IsAbs(p.Path) {
			return bad("Name the endpoint of the object storage, or the full path of a directory.")
		}
	default:
		return bad("A place is a file, e-mail, a webhook, syslog or object storage.")
	}
	return nil
}

// TestPlace publishes the newest checkpoint to one place now, and returns
// fault.Unavailable with the reason when that fails.
func (s *Service) TestPlace(ctx context.Context, place id.ID) (Publication, error) {
	a, err := s.authorise(ctx, PublishPermission)
	if err != nil {
		return Publication{}, err
	}
	p, err := s.publishing(ctx, a.TenantID)
	if err != nil {
		return Publication{}, err
	}
	at := slices.IndexFunc(p.Places, func(p Place) bool { return p.ID == place })
	if at < 0 {
		return Publication{}, fault.New(fault.NotFound, "It does not exist, or it is not yours.")
	}
	c, err := s.Checkpoint(ctx, a.TenantID)
	if err != nil {
		return Publication{}, err
	}
	return s.publishTo(ctx, a.TenantID, c, p.Places[at])
}

// publishDue publishes the newest checkpoint to the places that are due, and
// returns why some failed.
func (s *Service) publishDue(ctx context.Context, tenant id.ID) error {
	var p Publishing
	var c Checkpoint
	var found bool
	last := map[id.ID]time.Time{}
	err := s.in(ctx, tenant, func(ctx context.Context) error {
		var err error
		if p, err = s.store.publishing(ctx); err != nil {
			return err
		}
		if c, found, err = s.store.newestCheckpoint(ctx); err != nil || !found {
			return err
		}
		last, err = s.store.lastPublished(ctx, c.ID)
		return err
	})
	if err != nil || !found {
		return err
	}
	var failed []error
	for _, place := range p.Places {
		// A minute less, because runs do not begin to the second.
		if at, ok := last[place.ID]; !place.Enabled || ok && time.Since(at) < time.Duration(p.IntervalMinutes)*time.Minute-time.Minute {
			continue
		}
		_, err := s.publishTo(ctx, tenant, c, place)
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// publishTo publishes and keeps the result. That a place fails, and that it works
// again, is recorded once each.
func (s *Service) publishTo(ctx context.Context, tenant id.ID, c Checkpoint, p Place) (Publication, error) {
	attempt, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	failed := s.deliver(attempt, tenant, c, p)
	result := Publication{CheckpointID: c.ID, PlaceID: p.ID, Place: p.name()}
	if failed != nil {
		failed = fault.Wrap(fault.Unavailable, failed, "The checkpoint could not be published to %s. %s", p.name(), placeProblem(failed))
		result.Error = fault.Message(failed)
	}
	err := s.in(context.WithoutCancel(ctx), tenant, func(ctx context.Context) error {
		before, err := s.store.placeFailed(ctx, p.ID)
		if err != nil {
			return err
		}
		if result, err = s.store.setPublication(ctx, result); err != nil {
			return err
		}
		e := Entry{Event: "audit.publication.recovered", Target: Target{Kind: "place", ID: p.ID.String(), Name: p.name()}, Priority: Notice}
		switch {
		case before == (failed != nil):
			return nil
		case failed != nil:
			e.Event, e.Outcome, e.Priority, e.Reason = "audit.publication.failed", Failure, Error, result.Error
		}
		return s.Record(ctx, e)
	})
	return result, errors.Join(err, failed)
}

func placeProblem(err error) string {
	var remote *siem.Error
	var f *fault.Error
	switch {
	case errors.As(err, &remote):
		return remote.Reason
	case errors.As(err, &f):
		return f.Message
	}
	return "The reason is in the appliance's log."
}

func (s *Service) deliver(ctx context.Context, tenant id.ID, c Checkpoint, p Place) error {
	switch p.Kind {
	case PlaceFile:
		path := p.Path
		if path == "" {
			path = filepath.Join(s.Dir, "audit", "published", chainName(s.chainOf(tenant)))
		}
		return appendNote(path, c.Note)
	case PlaceEmail:
		return s.mailNote(ctx, c, p)
	case PlaceObject:
		return s.storeNote(ctx, tenant, c, p)
	}
	return s.sendNote(ctx, tenant, c, p)
}

func (s *Service) mailNote(ctx context.Context, c Checkpoint, p Place) error {
	if s.Mail == nil {
		return fault.New(fault.Conflict, "Mail is not set up. Set it up under System, Mail.")
	}
	text := fmt.Sprintf("This is a signed checkpoint of an audit trail in Nimbus. Keep it: with it, nimbus-verify finds out whether any of its %d records was changed later.\n\n%s", c.Size, c.Note)
	return s.Mail(ctx, p.To, fmt.Sprintf("Audit checkpoint of %d records", c.Size), text)
}

func (s *Service) placeSecret(ctx context.Context, tenant id.ID, p Place) (string, error) {
	if len(p.sealed) == 0 {
		return "", nil
	}
	if s.Keyring == nil || s.Keyring() == nil {
		return "", fault.New(fault.Unavailable, "The secret cannot be opened yet.")
	}
	plain, err := s.Keyring().Open(ctx, s.chainOf(tenant), placePurpose+" "+p.ID.String(), p.sealed)
	return string(plain), err
}

// storeNote writes an object for each checkpoint, and never over another one:
// the root is in its name, so that a chain that was rewritten does not hide what
// was published before.
func (s *Service) storeNote(ctx context.Context, tenant id.ID, c Checkpoint, p Place) error {
	secret, err := s.placeSecret(ctx, tenant, p)
	if err != nil {
		return err
	}
	cfg := objectstore.Config{Kind: objectstore.Directory, Path: p.Path}
	if p.Endpoint != "" {
		if s.Outbound == nil {
			return fault.New(fault.Unavailable, "It is not known which addresses may be reached.")
		}
		cfg = objectstore.Config{Kind: objectstore.S3, Endpoint: p.Endpoint, Region: p.Region, Bucket: p.Bucket, Prefix: p.Prefix,
			AccessKey: p.AccessKey, SecretKey: secret, CAPEM: p.CAPEM, Dial: s.Outbound.Dial}
	}
	store, err := objectstore.Open(cfg)
	if err != nil {
		return err
	}
	key := fmt.Sprintf("checkpoints/%s/%020d-%s-%x", chainName(s.chainOf(tenant)), c.Size, c.Fingerprint[:16], c.Root[:8])
	_, err = store.Put(ctx, key, strings.NewReader(c.Note))
	return err
}

// sendNote tells a webhook or syslog.
func (s *Service) sendNote(ctx context.Context, tenant id.ID, c Checkpoint, p Place) error {
	secret, err := s.placeSecret(ctx, tenant, p)
	if err != nil {
		return err
	}
	target := siem.Target{
		Kind: siem.Kind(p.Kind), Format: siem.Format(p.Format), URL: p.URL, Secret: []byte(secret), Address: p.Address,
		Transport: siem.Transport(p.Transport), CAPEM: p.CAPEM, Outbound: s.Outbound,
	}
	if p.Kind == PlaceWebhook {
		target.Format = siem.JSON
	}
	conn, err := siem.Dial(ctx, target)
	if err != nil {
		return err
	}
	defer conn.Close()
	return conn.Send(ctx, []siem.Message{noteMessage(chainName(s.chainOf(tenant)), c)})
}

// noteBody is the JSON that a webhook gets of a checkpoint.
func noteBody(c Checkpoint) []byte {
	body, _ := json.Marshal(map[string]any{"event": "audit.checkpoint.published", "size": c.Size, "root": c.Root[:], "note": c.Note, "created_at": c.CreatedAt})
	return body
}

func noteMessage(chain string, c Checkpoint) siem.Message {
	return siem.Message{
		Sequence: c.Size, ID: c.ID.String(), Time: c.CreatedAt, Chain: chain, Event: "audit.checkpoint.published", Category: "audit",
		Priority: string(Notice), Outcome: string(Success), Actor: siem.Party{Kind: string(actor.System), Name: "checkpoints"},
		Target: siem.Party{Kind: "checkpoint", ID: c.ID.String()}, Body: noteBody(c),
		More: []siem.Field{{Name: "note", Value: strings.ReplaceAll(c.Note, "\n", "|")}},
	}
}
