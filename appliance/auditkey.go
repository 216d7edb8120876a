package appliance

import (
	"context"
	"errors"
	"path/filepath"

	"nimbus/appliance/audit"
	"nimbus/appliance/audit/ledger"
	"nimbus/appliance/breakglass/hsm"
	"nimbus/appliance/fault"
)

// auditSigner signs checkpoints: with the HSM that was chosen, and nothing
// else then; with a key file where there is none. It is nil while the HSM is not
// started.
func (a *Appliance) auditSigner() audit.Signer {
	s := a.settings.Load()
	switch {
	case s == nil:
		return nil
	case s.HSM.Module == "":
		return audit.NewFileSigner(filepath.Join(a.cfg.DataDir, "keys", "audit.ed25519"))
	case a.hsm == nil:
		return nil
	}
	return auditToken{a.hsm}
}

// auditToken is a key that never leaves its token.
type auditToken struct{ token *hsm.Token }

// Key implements audit.Signer.
func (t auditToken) Key(ctx context.Context) (ledger.Key, error) {
	found, err := t.token.EnsureSigningKey(ctx, audit.KeyLabel, hsm.ECDSAP256, hsm.Ed25519)
	if err != nil {
		return ledger.Key{Kind: "hsm"}, unusableToken(err)
	}
	key, err := ledger.NewKey("", found.DER)
	key.Kind, key.Label = "hsm", audit.KeyLabel
	return key, err
}

// Sign implements audit.Signer.
func (t auditToken) Sign(ctx context.Context, message []byte) ([]byte, error) {
	signature, err := t.token.Sign(ctx, audit.KeyLabel, message)
	return signature, unusableToken(err)
}

func unusableToken(err error) error {
	if err == nil {
		return nil
	}
	reason := "The hardware security module does not sign."
	var e *hsm.Error
	if errors.As(err, &e) {
		reason = e.Reason
	}
	return fault.Wrap(fault.Unavailable, err, "Checkpoints cannot be signed. %s", reason)
}
