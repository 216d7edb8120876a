package api

import (
	"context"
	"net/http"

	"nimbus/appliance/doctor/certificate"
	"nimbus/appliance/web"
)

// RegisterCertificate declares the routes about the certificate of the port.
func RegisterCertificate(a *web.API, s *certificate.Service) {
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/system/certificate", Tag: tag,
		Summary: "The certificate of the HTTPS port", Permission: certificate.Read},
		func(ctx context.Context, _ *web.None) (certificate.Info, error) { return s.Certificate(ctx) })
	web.Handle(a, web.Route{Method: http.MethodPut, Path: "/v1/system/certificate", Tag: tag,
		Summary: "Use another certificate for the HTTPS port", Permission: certificate.Update,
		Description: "Takes effect at once, without a restart. When it cannot be used, or the authority gives none, the one in use stays."},
		func(ctx context.Context, in *certificateInput) (certificate.Info, error) {
			b := in.Body
			return s.Change(ctx, certificate.Change{Source: b.Source, CertPEM: b.CertificatePEM, KeyPEM: b.KeyPEM, ACME: b.ACME})
		})
}

type certificateInput struct {
	Body struct {
		Source         certificate.Source `json:"source" enum:"self-signed,own,acme"`
		CertificatePEM string             `json:"certificate_pem,omitempty" maxLength:"262144" doc:"Own certificate: the server's first, then those above it."`
		KeyPEM         string             `json:"key_pem,omitempty" maxLength:"65536" doc:"Its private key. It is never answered."`
		ACME           *certificate.ACME  `json:"acme,omitempty"`
	}
}
