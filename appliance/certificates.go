package appliance

import (
	"context"

	"nimbus/appliance/audit"
	"nimbus/appliance/doctor/certificate"
	"nimbus/appliance/web"
)

const certificateKey = "appliance.certificate"

// newCertificate makes what looks after the certificate of the port.
func (a *Appliance) newCertificate(c *Core) *certificate.Service {
	kept := a.keeps(c)
	return certificate.New(certificate.Config{
		Front: a.certificateFront(c),
		URL:   func() string { return a.settings.Load().URL },
		Load: func(ctx context.Context, to *certificate.State) error {
			_, err := kept.Get(ctx, certificateKey, to)
			return err
		},
		Save: func(ctx context.Context, s certificate.State) error { return kept.Put(ctx, certificateKey, s) },
		Seal: a.SealLocal, Open: a.OpenLocal, Outbound: &web.Outbound{Allowed: a.outboundRanges},
		Record:    func(ctx context.Context, e audit.Entry) error { return c.Audit.RecordAlone(ctx, rootless, e) },
		Authorise: c.atProvider, Logger: a.cfg.Logger, Version: a.cfg.Version,
	})
}

// certificateRenews tells whether the certificate is renewed by itself.
func (a *Appliance) certificateRenews() bool {
	c := a.core.Load()
	return c != nil && c.Certificate != nil && c.Certificate.Automatic(context.Background())
}
