package appliance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"

	"filippo.io/age"

	"nimbus/appliance/breakglass"
	"nimbus/appliance/breakglass/hsm"
	"nimbus/appliance/fault"
	"nimbus/appliance/secret"
)

// wrappingKey is the label of the root key in a token.
const wrappingKey = "nimbus-root"

// rootKey is the key in the HSM that was chosen, or else one in a file.
func (a *Appliance) rootKey(ctx context.Context) (secret.RootKey, error) {
	token, err := a.token(ctx)
	if err != nil {
		return nil, err
	}
	switch {
	case token == nil && a.cfg.RootKey != nil:
		return secret.GivenRoot(a.cfg.RootKey)
	case token == nil:
		return secret.OpenFileRoot(filepath.Join(a.cfg.DataDir, "keys", "root.key"))
	}
	if err := token.EnsureWrappingKey(ctx, wrappingKey); err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "The HSM cannot be used: %s", err)
	}
	return hsmRoot{token, "hsm:" + a.settings.Load().HSM.TokenLabel}, nil
}

// token starts the HSM that was chosen, once; nil when there is none.
func (a *Appliance) token(ctx context.Context) (*hsm.Token, error) {
	s := a.settings.Load().HSM
	if s.Module == "" || a.hsm != nil {
		return a.hsm, nil
	}
	token := hsm.New(a.hsmConfig(s))
	if err := a.running.start(ctx, "hsm", subsystem{part: token}); err != nil {
		return nil, err
	}
	a.hsm = token
	return token, nil
}

// signer signs emergency sessions: with the HSM where there is one.
func (a *Appliance) signer(ctx context.Context) (breakglass.Signer, error) {
	token, err := a.token(ctx)
	if err != nil {
		return nil, err
	}
	if token == nil {
		return breakglass.NewFileSigner(filepath.Join(a.cfg.DataDir, "keys", "breakglass.ed25519")), nil
	}
	return breakglass.NewTokenSigner(token), nil
}

func (a *Appliance) newBreakGlass(c *Core, signer breakglass.Signer) *breakglass.Service {
	return breakglass.New(breakglass.Config{
		DB: c.DB, Audit: c.Audit, Permissions: c.Permissions, Identity: c.Identity, Events: c.Events,
		Signer: signer, Root: c.Tenants.Root, Logger: a.cfg.Logger,
	})
}

// hsmConfig is how a chosen token is reached.
func (a *Appliance) hsmConfig(s HSM) hsm.Config {
	return hsm.Config{
		Module: s.Module, TokenLabel: s.TokenLabel, Slot: s.Slot, WorkerEnv: s.Env, Logger: a.cfg.Logger,
		Dir: filepath.Join(a.cfg.DataDir, "hsm"),
		PIN: func(ctx context.Context) (string, error) {
			if a.cfg.PIN != "" {
				return a.cfg.PIN, nil
			}
			pin, err := a.OpenLocal(ctx, "hsm pin", s.PIN)
			return string(pin), err
		},
	}
}

// hsmRoot is a root key that never leaves its token.
type hsmRoot struct {
	token *hsm.Token
	name  string
}

// Name implements secret.RootKey.
func (h hsmRoot) Name() string { return h.name }

// Wrap implements secret.RootKey.
func (h hsmRoot) Wrap(ctx context.Context, plaintext, aad []byte) ([]byte, error) {
	return h.token.Wrap(ctx, wrappingKey, plaintext, aad)
}

// Unwrap implements secret.RootKey.
func (h hsmRoot) Unwrap(ctx context.Context, wrapped, aad []byte) ([]byte, error) {
	return h.token.Unwrap(ctx, wrappingKey, wrapped, aad)
}

// escrow encrypts a new data key to the recovery kit (age, X25519). Before
// there is a kit it returns nothing: making one escrows every key there is.
func (a *Appliance) escrow(plaintext []byte) ([]byte, error) {
	recipient := a.settings.Load().Recovery
	if recipient == "" {
		return nil, nil
	}
	to, err := age.ParseX25519Recipient(recipient)
	if err != nil {
		return nil, fmt.Errorf("recovery kit: %w", err)
	}
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, to)
	if err != nil {
		return nil, err
	}
	_, err = w.Write(plaintext)
	if err = errors.Join(err, w.Close()); err != nil {
		return nil, err
	}
	return sealed.Bytes(), nil
}

// externalDSN is a server's address with another database in its place.
func externalDSN(dsn string) func(database string) string {
	return func(database string) string {
		u, err := url.Parse(dsn)
		if err != nil || u.Scheme == "" {
			return dsn + " dbname=" + database // keyword/value form; the last one counts
		}
		u.Path = "/" + database
		if q := u.Query(); q.Has("dbname") || q.Has("database") { // they count more than the path
			q.Del("dbname")
			q.Del("database")
			u.RawQuery = q.Encode()
		}
		return u.String()
	}
}
