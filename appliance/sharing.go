package appliance

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/url"
	"sync"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/doctor/certificate"
	"nimbus/appliance/event"
	"nimbus/appliance/id"
	"nimbus/appliance/node"
)

// common are the settings that are the same at every node. What leads to the
// database and to the HSM is each node's own.
type common struct {
	Name     string   `json:"name"`
	URL      string   `json:"url"`
	TimeZone string   `json:"time_zone"`
	Recovery string   `json:"recovery"`
	Outbound []string `json:"outbound"`
}

func (s Settings) common() common { return common{s.Name, s.URL, s.TimeZone, s.Recovery, s.Outbound} }

func (s *Settings) take(c common) {
	s.Name, s.URL, s.TimeZone, s.Recovery, s.Outbound = c.Name, c.URL, c.TimeZone, c.Recovery, c.Outbound
}

// keeper keeps JSON values by key: the local store on one machine, the database
// where nodes share one.
type keeper interface {
	Get(ctx context.Context, key string, v any) (bool, error)
	Put(ctx context.Context, key string, v any) error
	Update(ctx context.Context, key string, v any, change func() error) error
}

func (a *Appliance) keeps(c *Core) keeper {
	if a.external() {
		return c.Shared
	}
	return a.front
}

// share takes over what all nodes have the same, or, at the first of them, tells it:
// the settings, and how the certificate is renewed, which lay here until then.
func (a *Appliance) share(ctx context.Context, c *Core) error {
	if !a.external() {
		return nil
	}
	var all common
	found, err := c.Shared.Get(ctx, settingsKey, &all)
	switch {
	case err != nil:
		return err
	case !found:
		return a.shareFirst(ctx, c)
	}
	_, err = a.changeHere(ctx, func(s *Settings) { s.take(all) })
	return err
}

func (a *Appliance) shareFirst(ctx context.Context, c *Core) error {
	var renewal json.RawMessage
	kept, err := a.front.Get(ctx, certificateKey, &renewal)
	if err != nil {
		return err
	}
	if kept {
		if err := c.Shared.Put(ctx, certificateKey, renewal); err != nil {
			return err
		}
	}
	return c.Shared.Put(ctx, settingsKey, a.settings.Load().common())
}

const (
	portKey      = "appliance.port-certificate"
	challengeKey = "appliance.challenges"
	// heardIn is how long other nodes may take to hear of a question.
	heardIn = time.Second
)

// portCertificate is the certificate that every web node serves; empty is one
// of its own.
type portCertificate struct {
	Sealed []byte `json:"sealed,omitempty"` // chain and key
}

// challenges are what an authority asks while it gives a certificate: it may
// come to any web node.
type challenges struct {
	HTTP map[string]string `json:"http,omitempty"` // by path
	TLS  map[string][]byte `json:"tls,omitempty"`  // by name: certificate and key, which prove nothing else
}

// certificateFront is the port of this node, and of all others where there are some.
func (a *Appliance) certificateFront(c *Core) certificate.Front {
	asked := a.front.Challenges()
	own := certificate.Front{
		Current: a.front.Certificate, Set: a.front.SetCertificate, SelfSign: a.front.SelfSign,
		AnswerTLS: asked.AnswerTLS, AnswerHTTP: asked.AnswerHTTP,
	}
	if !a.external() {
		return own
	}
	every := own
	every.Set = func(certPEM, keyPEM []byte) error {
		if err := own.Set(certPEM, keyPEM); err != nil {
			return err
		}
		return a.tellCertificate(c, certPEM, keyPEM)
	}
	every.SelfSign = func(names ...string) error {
		if err := own.SelfSign(names...); err != nil {
			return err
		}
		return c.Shared.Put(context.Background(), portKey, portCertificate{})
	}
	every.AnswerTLS = func(name string, answer *tls.Certificate) func() {
		return a.everywhere(c, own.AnswerTLS(name, answer), challenges{TLS: map[string][]byte{name: pemOf(answer)}})
	}
	every.AnswerHTTP = func(path, answer string) func() {
		return a.everywhere(c, own.AnswerHTTP(path, answer), challenges{HTTP: map[string]string{path: answer}})
	}
	return every
}

func (a *Appliance) tellCertificate(c *Core, certPEM, keyPEM []byte) error {
	ctx := context.Background()
	sealed, err := a.SealLocal(ctx, portKey, append(append(bytes.Clone(certPEM), '\n'), keyPEM...))
	if err != nil {
		return err
	}
	return c.Shared.Put(ctx, portKey, portCertificate{sealed})
}

// everywhere has all nodes answer until the returned function is called.
func (a *Appliance) everywhere(c *Core, done func(), q challenges) func() {
	if err := c.Shared.Put(context.Background(), challengeKey, q); err != nil {
		a.cfg.Logger.Error("other nodes cannot answer the certificate authority", "error", err)
		return done
	}
	time.Sleep(heardIn)
	return func() {
		done()
		if err := c.Shared.Put(context.Background(), challengeKey, challenges{}); err != nil {
			a.cfg.Logger.Error("other nodes go on answering the certificate authority", "error", err)
		}
	}
}

func pemOf(c *tls.Certificate) []byte {
	var text bytes.Buffer
	for _, der := range c.Certificate {
		_ = pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	if key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey); err == nil { // it was made here, of a kind that can be
		_ = pem.Encode(&text, &pem.Block{Type: "PRIVATE KEY", Bytes: key})
	}
	return text.Bytes()
}

// apart are the certificates and the key of a text with both.
func apart(both []byte) (certPEM, keyPEM []byte) {
	for block, rest := pem.Decode(both); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			certPEM = append(certPEM, pem.EncodeToMemory(block)...)
		} else {
			keyPEM = append(keyPEM, pem.EncodeToMemory(block)...)
		}
	}
	return certPEM, keyPEM
}

// sharing takes over what other nodes change.
type sharing struct {
	appliance *Appliance
	core      *Core
	wake      chan struct{}

	mu      sync.Mutex
	cancel  context.CancelFunc
	done    sync.WaitGroup
	failed  error
	answers []func() // end what is answered for another node
}

func newSharing(a *Appliance, c *Core) *sharing {
	return &sharing{appliance: a, core: c, wake: make(chan struct{}, 1)}
}

// Start takes over what there is, and listens.
func (s *sharing) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancel != nil {
		return nil
	}
	if err := s.take(ctx); err != nil {
		return err
	}
	running, stop := context.WithCancel(actor.AsSystem(context.Background(), "nodes", id.ID{}))
	unsubscribe := s.core.Events.Subscribe(s.hear)
	s.cancel = func() { unsubscribe(); stop() }
	s.done.Go(func() { s.run(running) })
	return nil
}

func (s *sharing) hear(e event.Event) {
	if e.Type != node.ChangedEvent && e.Type != event.MissedEvent {
		return
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *sharing) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
		err := s.take(ctx)
		if err != nil && ctx.Err() == nil {
			s.appliance.cfg.Logger.Error("what another node changed could not be taken over", "error", err)
		}
		s.mu.Lock()
		s.failed = err
		s.mu.Unlock()
	}
}

// take reads all that is shared.
func (s *sharing) take(ctx context.Context) error {
	if err := s.appliance.share(ctx, s.core); err != nil {
		return err
	}
	if err := s.takeCertificate(ctx); err != nil {
		return err
	}
	var q challenges
	if _, err := s.core.Shared.Get(ctx, challengeKey, &q); err != nil {
		return err
	}
	s.answer(q)
	return nil
}

func (s *sharing) takeCertificate(ctx context.Context) error {
	var p portCertificate
	found, err := s.core.Shared.Get(ctx, portKey, &p)
	if err != nil {
		return err
	}
	front, now := s.appliance.front, s.appliance.front.Certificate()
	selfSigned := now == nil || bytes.Equal(now.RawIssuer, now.RawSubject)
	switch {
	case !found && !selfSigned: // chosen in the first run
		both, err := front.CertificatePEM()
		if err != nil {
			return err
		}
		certPEM, keyPEM := apart(both)
		return s.appliance.tellCertificate(s.core, certPEM, keyPEM)
	case len(p.Sealed) == 0 && !selfSigned:
		u, err := url.Parse(s.appliance.settings.Load().URL)
		if err != nil {
			return err
		}
		return front.SelfSign(u.Hostname())
	case len(p.Sealed) == 0:
		return nil
	}
	both, err := s.appliance.OpenLocal(ctx, portKey, p.Sealed)
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(both, both)
	if err != nil || now != nil && bytes.Equal(pair.Leaf.Raw, now.Raw) {
		return err
	}
	return front.SetCertificate(apart(both))
}

// answer replaces what is answered for other nodes.
func (s *sharing) answer(q challenges) {
	for _, end := range s.answers {
		end()
	}
	s.answers = nil
	to := s.appliance.front.Challenges()
	for path, text := range q.HTTP {
		s.answers = append(s.answers, to.AnswerHTTP(path, text))
	}
	for name, both := range q.TLS {
		if pair, err := tls.X509KeyPair(both, both); err == nil {
			s.answers = append(s.answers, to.AnswerTLS(name, &pair))
		}
	}
}

// Ready is nil when the last change of another node was taken over.
func (s *sharing) Ready(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// Stop ends that. A second one does nothing.
func (s *sharing) Stop(context.Context) error {
	s.mu.Lock()
	cancel := s.cancel
	s.cancel = nil
	s.mu.Unlock()
	if cancel != nil {
		cancel()
		s.done.Wait()
	}
	return nil
}
