package certificate

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"

	"golang.org/x/crypto/acme"

	"nimbus/appliance/fault"
	"nimbus/appliance/web"
)

// obtain asks an authority for a certificate and returns it with a new key.
// It returns fault.Unavailable with what the authority said.
func (s *Service) obtain(ctx context.Context, a ACME, account crypto.Signer) (certPEM, keyPEM []byte, err error) {
	browser, err := s.Outbound.Client(a.CAPEM)
	if err != nil {
		return nil, nil, err
	}
	certPEM, keyPEM, err = s.ask(ctx, &acme.Client{Key: account, DirectoryURL: a.Directory, HTTPClient: browser, UserAgent: "nimbus/" + s.Version}, a)
	if err != nil {
		return nil, nil, fault.Wrap(fault.Unavailable, err, "The authority gave no certificate: %s The one in use stays in use.", said(err))
	}
	return certPEM, keyPEM, nil
}

func (s *Service) ask(ctx context.Context, c *acme.Client, a ACME) (certPEM, keyPEM []byte, err error) {
	person := &acme.Account{}
	if a.Email != "" {
		person.Contact = []string{"mailto:" + a.Email}
	}
	if _, err := c.Register(ctx, person, acme.AcceptTOS); err != nil && !errors.Is(err, acme.ErrAccountAlreadyExists) {
		return nil, nil, err
	}
	order, err := c.AuthorizeOrder(ctx, acme.DomainIDs(a.Domains...))
	if err != nil {
		return nil, nil, err
	}
	for _, authorization := range order.AuthzURLs {
		if err := s.prove(ctx, c, authorization, a.Challenge); err != nil {
			return nil, nil, err
		}
	}
	if order, err = c.WaitOrder(ctx, order.URI); err != nil {
		return nil, nil, err
	}
	return collect(ctx, c, order, a.Domains)
}

// prove answers the question about one name.
func (s *Service) prove(ctx context.Context, c *acme.Client, authorization string, kind Challenge) error {
	asked, err := c.GetAuthorization(ctx, authorization)
	if err != nil || asked.Status == acme.StatusValid {
		return err
	}
	for _, challenge := range asked.Challenges {
		if challenge.Type != string(kind) {
			continue
		}
		done, err := s.answer(c, challenge, asked.Identifier.Value)
		if err != nil {
			return err
		}
		defer done()
		if _, err := c.Accept(ctx, challenge); err != nil {
			return err
		}
		_, err = c.WaitAuthorization(ctx, authorization)
		return err
	}
	return fmt.Errorf("it does not offer %s for %s", kind, asked.Identifier.Value)
}

func (s *Service) answer(c *acme.Client, challenge *acme.Challenge, name string) (done func(), err error) {
	if challenge.Type == string(HTTP01) {
		text, err := c.HTTP01ChallengeResponse(challenge.Token)
		if err != nil {
			return nil, err
		}
		return s.Front.AnswerHTTP(c.HTTP01ChallengePath(challenge.Token), text), nil
	}
	answer, err := c.TLSALPN01ChallengeCert(challenge.Token, name)
	if err != nil {
		return nil, err
	}
	return s.Front.AnswerTLS(name, &answer), nil
}

// collect makes a key, sends the request for its certificate and fetches that.
func collect(ctx context.Context, c *acme.Client, order *acme.Order, domains []string) (certPEM, keyPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: domains}, key)
	if err != nil {
		return nil, nil, err
	}
	chain, _, err := c.CreateOrderCert(ctx, order.FinalizeURL, request, true)
	if err != nil {
		return nil, nil, err
	}
	for _, der := range chain {
		certPEM = append(certPEM, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	keyPEM, err = encodeKey(key)
	return certPEM, keyPEM, err
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}), nil
}

// said is what an authority, or the way to it, said, as a sentence.
func said(err error) string {
	var refused *acme.Error
	var order *acme.OrderError
	var name *acme.AuthorizationError
	var blocked *web.BlockedAddressError
	switch {
	case errors.As(err, &blocked):
		return blocked.Error() + ", so it is not reached. Allow its range under Sign-in, Private addresses."
	case errors.As(err, &name):
		return fmt.Sprintf("it could not see that %s leads here: %s.", name.Identifier, first(name))
	case errors.As(err, &refused) && refused.StatusCode == http.StatusTooManyRequests:
		return "it was asked too often: " + refused.Detail + "."
	case errors.As(err, &refused):
		return refused.Detail + "."
	case errors.As(err, &order):
		return "the order became " + order.Status + "."
	case errors.Is(err, context.DeadlineExceeded):
		return "it did not answer in time."
	}
	return err.Error() + "."
}

func first(a *acme.AuthorizationError) string {
	for _, err := range a.Errors {
		var refused *acme.Error
		if errors.As(err, &refused) {
			return refused.Detail
		}
	}
	return "it gave no reason"
}
