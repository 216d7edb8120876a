package audit

import (
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"nimbus/appliance/audit/siem"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// Permissions of sinks.
const (
	ReadSinks  = "audit:sink:read"
	CreateSink = "audit:sink:create"
	UpdateSink = "audit:sink:update"
	DeleteSink = "audit:sink:delete"
)

// Limits of sinks.
const (
	maxSinks       = 20     // per tenant
	maxDeadLetters = 10_000 // per sink
	maxSinkPEM     = 64 << 10
	minSinkSecret  = 16
	standardBatch  = 100
)

// Sink is a collector that gets a tenant's records as they are sealed. Its
// secrets are not in it.
type Sink struct {
	ID               id.ID          `json:"id"`
	Name             string         `json:"name"`
	Kind             siem.Kind      `json:"kind" enum:"webhook,syslog"`
	Enabled          bool           `json:"enabled"`
	Filter           SinkFilter     `json:"filter"`
	BatchSize        int            `json:"batch_size"`
	Format           siem.Format    `json:"format" enum:"json,cef,rfc5424"`
	URL              string         `json:"url"`
	Address          string         `json:"address"`
	Transport        siem.Transport `json:"transport" enum:",udp,tcp,tls"`
	CAPEM            string         `json:"ca_pem"`
	ClientCertPEM    string         `json:"client_cert_pem"`
	HasSecret        bool           `json:"has_secret"`
	HasAuthorization bool           `json:"has_authorization"`
	HasClientKey     bool           `json:"has_client_key"`
	Cursor           int64          `json:"cursor" doc:"The last sequence number that was delivered, left out by the filter or made a dead letter."`
	Health           SinkHealth     `json:"health"`
	CreatedAt        time.Time      `json:"created_at"`
	UpdatedAt        time.Time      `json:"updated_at"`
}

// SinkFilter says which records a sink gets. Empty members do not narrow.
type SinkFilter struct {
	Events      []string  `json:"events" nullable:"false" doc:"Event codes, or the beginning of some up to a dot."`
	Categories  []string  `json:"categories" nullable:"false"`
	MinPriority Priority  `json:"min_priority" enum:",debug,info,notice,warning,error,critical"`
	Outcomes    []Outcome `json:"outcomes" nullable:"false"`
}

// SinkState says how a sink is.
type SinkState string

// The states.
const (
	SinkOK       SinkState = "ok"
	SinkRetrying SinkState = "retrying"
	SinkDead     SinkState = "dead" // nothing arrived for an hour; it is tried all the same
	SinkPaused   SinkState = "paused"
)

// deadAfter is how long a sink fails until it is called dead.
const deadAfter = time.Hour

// SinkHealth is how delivery goes.
type SinkHealth struct {
	State       SinkState  `json:"state" enum:"ok,retrying,dead,paused"`
	LastSuccess *time.Time `json:"last_success"`
	LastError   string     `json:"last_error"`
	Lag         int64      `json:"lag" doc:"How many records the chain is ahead."`
	Sent        int64      `json:"sent"`
	Dead        int64      `json:"dead" doc:"How many dead letters there are."`
	RetryAt     *time.Time `json:"retry_at"`
}

// DeadLetter is a record that the collector refused while it took others.
type DeadLetter struct {
	ID        id.ID     `json:"id"`
	First     int64     `json:"first"`
	Last      int64     `json:"last"`
	Reason    string    `json:"reason"`
	Attempts  int       `json:"attempts"`
	Due       bool      `json:"due" doc:"It is about to be sent again."`
	CreatedAt time.Time `json:"created_at"`
}

// SinkChange is what of a sink is set or changed; nil keeps. An empty secret removes it.
type SinkChange struct {
	Name          *string         `json:"name,omitempty" maxLength:"100"`
	Enabled       *bool           `json:"enabled,omitempty"`
	Filter        *SinkFilter     `json:"filter,omitempty"`
	BatchSize     *int            `json:"batch_size,omitempty" minimum:"1" maximum:"1000"`
	Format        *siem.Format    `json:"format,omitempty" enum:"json,cef,rfc5424"`
	URL           *string         `json:"url,omitempty" maxLength:"2000"`
	Address       *string         `json:"address,omitempty" maxLength:"260"`
	Transport     *siem.Transport `json:"transport,omitempty" enum:",udp,tcp,tls"`
	CAPEM         *string         `json:"ca_pem,omitempty"`
	ClientCertPEM *string         `json:"client_cert_pem,omitempty"`
	Secret        *string         `json:"secret,omitempty" maxLength:"500" doc:"Signs what a webhook gets: at least 16 characters."`
	Authorization *string         `json:"authorization,omitempty" maxLength:"2000" doc:"The Authorization header of a webhook's requests, such as Splunk <token>."`
	ClientKeyPEM  *string         `json:"client_key_pem,omitempty" doc:"The key of the client certificate."`
}

// sinkSecrets are sealed as one JSON text.
type sinkSecrets struct {
	Secret        string `json:"secret,omitempty"`
	Authorization string `json:"authorization,omitempty"`
	ClientKey     string `json:"client_key,omitempty"`
}

func (s Sink) destination() string {
	return strings.Join([]string{string(s.Kind), s.URL, s.Address, string(s.Transport), s.CAPEM}, "\n")
}

// apply changes a sink. Secrets that are kept never go to another place than
// the one they were entered for.
func (c SinkChange) apply(s *Sink, secrets *sinkSecrets) error {
	before, kept := s.destination(), *secrets
	set(&s.Name, c.Name)
	set(&s.Enabled, c.Enabled)
	set(&s.Filter, c.Filter)
	set(&s.BatchSize, c.BatchSize)
	set(&s.Format, c.Format)
	set(&s.URL, c.URL)
	set(&s.Address, c.Address)
	set(&s.Transport, c.Transport)
	set(&s.CAPEM, c.CAPEM)
	set(&s.ClientCertPEM, c.ClientCertPEM)
	set(&secrets.Secret, c.Secret)
	set(&secrets.Authorization, c.Authorization)
	set(&secrets.ClientKey, c.ClientKeyPEM)
	s.Name = strings.TrimSpace(s.Name)
	s.complete(*secrets)
	if s.destination() != before && (kept.Secret != "" && c.Secret == nil || kept.Authorization != "" && c.Authorization == nil || kept.ClientKey != "" && c.ClientKeyPEM == nil) {
		return fault.BadField("body", "Enter the secrets again: the stored ones belong to the address before.")
	}
	return s.validate(*secrets)
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

func (s *Sink) complete(secrets sinkSecrets) {
	if s.BatchSize == 0 {
		s.BatchSize = standardBatch
	}
	if s.Format == "" {
		s.Format = map[siem.Kind]siem.Format{siem.Webhook: siem.JSON, siem.Syslog: siem.RFC5424}[s.Kind]
	}
	if s.Kind == siem.Syslog && s.Transport == "" {
		s.Transport = siem.TLS
	}
	s.Filter.complete()
	s.HasSecret, s.HasAuthorization, s.HasClientKey = secrets.Secret != "", secrets.Authorization != "", secrets.ClientKey != ""
}

func (f *SinkFilter) complete() {
	f.Events, f.Categories = append([]string{}, f.Events...), append([]string{}, f.Categories...)
	f.Outcomes = append([]Outcome{}, f.Outcomes...)
}

func (s *Sink) validate(secrets sinkSecrets) error {
	switch {
	case s.Name == "" || utf8.RuneCountInString(s.Name) > 100:
		return fault.BadField("body.name", "Give a name of at most 100 characters.")
	case s.Kind != siem.Webhook && s.Kind != siem.Syslog:
		return fault.BadField("body.kind", "The kind is webhook or syslog.")
	case s.BatchSize < 1 || s.BatchSize > 1000:
		return fault.BadField("body.batch_size", "A batch has 1 to 1000 records.")
	case !slices.Contains([]siem.Format{siem.JSON, siem.CEF, siem.RFC5424}, s.Format):
		return fault.BadField("body.format", "The format is json, cef or rfc5424.")
	case len(s.CAPEM) > maxSinkPEM || len(s.ClientCertPEM) > maxSinkPEM || len(secrets.ClientKey) > maxSinkPEM:
		return fault.BadField("body.ca_pem", "These are too many certificates. Give only the authority of the collector, and one client certificate with its key.")
	}
	if err := s.Filter.validate(); err != nil {
		return err
	}
	if s.Kind == siem.Webhook {
		return s.validateWebhook(secrets)
	}
	return s.validateSyslog(secrets)
}

func (s *Sink) validateWebhook(secrets sinkSecrets) error {
	u, err := url.Parse(s.URL)
	switch {
	case err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || len(s.URL) > 2000:
		return fault.BadField("body.url", "The address of a webhook begins with https:// and holds no password.")
	case s.Address != "" || s.Transport != "" || s.ClientCertPEM != "" || secrets.ClientKey != "":
		return fault.BadField("body.address", "A webhook has a url only; address, transport and client certificate belong to syslog.")
	case len(secrets.Secret) < minSinkSecret || len(secrets.Secret) > 500:
		return fault.BadField("body.secret", "Give a secret of at least %d characters: batches are signed with it, so that the collector can tell ours from others.", minSinkSecret)
	case len(secrets.Authorization) > 2000 || strings.ContainsFunc(secrets.Authorization, func(r rune) bool { return r < ' ' || r > '~' }):
		return fault.BadField("body.authorization", "The Authorization header is one line of ASCII text.")
	}
	return certificates(siem.Target{Address: "localhost:1", CAPEM: s.CAPEM})
}

func (s *Sink) validateSyslog(secrets sinkSecrets) error {
	host, port, err := net.SplitHostPort(s.Address)
	n, bad := strconv.ParseUint(port, 10, 16)
	switch {
	case err != nil || bad != nil || n == 0 || host == "" || len(s.Address) > 260:
		return fault.BadField("body.address", "The address is a name or an IP address with a port, such as logs.example.org:6514.")
	case !slices.Contains([]siem.Transport{siem.UDP, siem.TCP, siem.TLS}, s.Transport):
		return fault.BadField("body.transport", "The transport is udp, tcp or tls.")
	case s.URL != "" || secrets.Secret != "" || secrets.Authorization != "":
		return fault.BadField("body.url", "Syslog has an address only; url, secret and authorization belong to a webhook.")
	case s.Transport != siem.TLS && (s.CAPEM != "" || s.ClientCertPEM != "" || secrets.ClientKey != ""):
		return fault.BadField("body.ca_pem", "Certificates are for the transport tls.")
	}
	return certificates(siem.Target{Address: s.Address, CAPEM: s.CAPEM, ClientCertPEM: s.ClientCertPEM, ClientKey: secrets.ClientKey})
}

func certificates(t siem.Target) error {
	if err := siem.CheckTLS(t); err != nil {
		return fault.BadField("body.ca_pem", "%s", err.Error())
	}
	return nil
}

var (
	eventCode = regexp.MustCompile(`^[a-z0-9_.\-]{1,120}$`)
	rank      = []Priority{Debug, Info, Notice, Warning, Error, Critical}
)

func (f SinkFilter) validate() error {
	for _, text := range slices.Concat(f.Events, f.Categories) {
		if !eventCode.MatchString(text) {
			return fault.BadField("body.filter", "%q is not an event code, the beginning of one, or a category.", shortText(text))
		}
	}
	for _, o := range f.Outcomes {
		if o != Success && o != Failure && o != Denied {
			return fault.BadField("body.filter.outcomes", "An outcome is success, failure or denied.")
		}
	}
	switch {
	case len(f.Events) > 100 || len(f.Categories) > 100 || len(f.Outcomes) > 3:
		return fault.BadField("body.filter", "There can be at most 100 events and 100 categories.")
	case f.MinPriority != "" && !slices.Contains(rank, f.MinPriority):
		return fault.BadField("body.filter.min_priority", "The priority is debug, info, notice, warning, error or critical.")
	}
	return nil
}

func shortText(s string) string {
	if len(s) > 40 {
		return strings.ToValidUTF8(s[:40], "") + "…"
	}
	return s
}

// recorded is what the trail says about a sink: where it is, not what a URL's
// path or query may hold.
func (s Sink) recorded() map[string]any {
	where := s.Address
	if u, err := url.Parse(s.URL); err == nil && s.URL != "" {
		where = u.Host
	}
	return map[string]any{
		"name": s.Name, "kind": s.Kind, "enabled": s.Enabled, "filter": s.Filter, "batch_size": s.BatchSize, "format": s.Format,
		"host": where, "transport": s.Transport, "ca_pem": s.CAPEM, "client_cert_pem": s.ClientCertPEM,
		"has_secret": s.HasSecret, "has_authorization": s.HasAuthorization, "has_client_key": s.HasClientKey,
	}
}

// judge says how a sink is from what is stored.
func (h *SinkHealth) judge(enabled bool, failures int, since *time.Time, now time.Time) {
	switch {
	case !enabled:
		h.State = SinkPaused
	case failures == 0:
		h.State = SinkOK
	case since != nil && now.Sub(*since) >= deadAfter:
		h.State = SinkDead
	default:
		h.State = SinkRetrying
	}
}
