package identity

import (
	"encoding/json"
	"errors"
	"net"
	"net/url"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// passkey is a credential with its public key and counter.
type passkey struct {
	Passkey
	UserID id.ID
	Key    webauthn.Credential
}

// holder is a person as package webauthn knows them. The user handle is the
// account's id: it tells nothing about the person and never changes.
type holder struct {
	account
	keys []passkey
}

// WebAuthnID implements webauthn.User.
func (h holder) WebAuthnID() []byte { return h.ID[:] }

// WebAuthnName implements webauthn.User.
func (h holder) WebAuthnName() string { return h.Email }

// WebAuthnDisplayName implements webauthn.User.
func (h holder) WebAuthnDisplayName() string { return h.Name }

// WebAuthnCredentials implements webauthn.User.
func (h holder) WebAuthnCredentials() []webauthn.Credential {
	all := make([]webauthn.Credential, len(h.keys))
	for i, k := range h.keys {
		all[i] = k.Key
	}
	return all
}

// relyingParty is who passkeys are made for: the host of the configured
// address and nothing else. The host a request names is never believed, or
// whoever controls a name could collect assertions for it. An address without
// a name is fault.Conflict, because browsers refuse passkeys there.
func relyingParty(address string) (*webauthn.WebAuthn, error) {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" {
		return nil, fault.New(fault.Conflict, "Passkeys need the address of this appliance. Set its URL in the settings.")
	}
	if net.ParseIP(u.Hostname()) != nil {
		return nil, fault.New(fault.Conflict, "Passkeys need a host name, and the address of this appliance is %s. Give it a name and set its URL in the settings.", u.Hostname())
	}
	if u.Scheme != "https" && u.Hostname() != "localhost" {
		return nil, fault.New(fault.Conflict, "Passkeys need HTTPS, and the address of this appliance is %s. Correct its URL in the settings.", address)
	}
	timeout := webauthn.TimeoutConfig{Timeout: challengeLife, TimeoutUVD: challengeLife}
	return webauthn.New(&webauthn.Config{
		RPID: u.Hostname(), RPDisplayName: "Nimbus", RPOrigins: []string{u.Scheme + "://" + u.Host},
		AttestationPreference: protocol.PreferNoAttestation,
		Timeouts:              webauthn.TimeoutsConfig{Login: timeout, Registration: timeout},
		// Password managers add outputs nobody asked for; they are not looked at.
		ExtensionsUnsolicitedOutputPolicy: protocol.UnsolicitedOutputPolicyIgnore,
	})
}

// beginRegistration makes the options of a new passkey: discoverable where the
// authenticator can, never a second one on the same authenticator.
func beginRegistration(rp *webauthn.WebAuthn, h holder) (any, *webauthn.SessionData, error) {
	made, challenge, err := rp.BeginRegistration(h,
		webauthn.WithAuthenticatorSelection(protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementPreferred, UserVerification: protocol.VerificationPreferred,
		}),
		webauthn.WithExclusions(webauthn.Credentials(h.WebAuthnCredentials()).CredentialDescriptors()))
	if err != nil {
		return nil, nil, err
	}
	return made.Response, challenge, nil
}

// beginLogin makes the options of an assertion with one of the person's passkeys.
func beginLogin(rp *webauthn.WebAuthn, h holder) (any, *webauthn.SessionData, error) {
	asked, challenge, err := rp.BeginLogin(h, webauthn.WithUserVerification(protocol.VerificationPreferred))
	if err != nil {
		return nil, nil, err
	}
	return asked.Response, challenge, nil
}

// beginAlone makes the options of a sign-in with any passkey of anybody; the
// authenticator has to verify the person.
func beginAlone(rp *webauthn.WebAuthn) (any, *webauthn.SessionData, error) {
	asked, challenge, err := rp.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return nil, nil, err
	}
	return asked.Response, challenge, nil
}

// finishRegistration checks the answer to beginRegistration.
func finishRegistration(rp *webauthn.WebAuthn, h holder, challenge webauthn.SessionData, answer json.RawMessage) (*webauthn.Credential, error) {
	parsed, err := protocol.ParseCredentialCreationResponseBytes(answer)
	if err != nil {
		return nil, errPasskey(err)
	}
	made, err := rp.CreateCredential(h, challenge, parsed)
	if err != nil {
		return nil, errPasskey(err)
	}
	made.Attestation = webauthn.CredentialAttestation{}
	return made, nil
}

// verifyAssertion checks the answer to a login challenge and returns the
// credential with its new counter; Authenticator.CloneWarning is set when the
// counter did not rise. find returns the owner of a user handle when nobody
// is known yet.
func verifyAssertion(rp *webauthn.WebAuthn, challenge webauthn.SessionData, answer json.RawMessage, find func(handle []byte) (holder, error)) (holder, *webauthn.Credential, error) {
	parsed, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		return holder{}, nil, errPasskey(err)
	}
	var h holder
	if len(challenge.UserID) > 0 {
		if h, err = find(challenge.UserID); err != nil {
			return h, nil, err
		}
		used, err := rp.ValidateLogin(h, challenge, parsed)
		return h, used, errPasskey(err)
	}
	_, used, err := rp.ValidatePasskeyLogin(func(_, handle []byte) (webauthn.User, error) {
		h, err = find(handle)
		return h, err
	}, challenge, parsed)
	return h, used, errPasskey(err)
}

// errPasskey hides the library's reason from the person and keeps it for the
// log. A fault of ours on the way, such as a database that is down, stays what it is.
func errPasskey(err error) error {
	var f *fault.Error
	if err == nil || errors.As(err, &f) && f.Kind != fault.NotFound {
		return err
	}
	return fault.Wrap(fault.Unauthenticated, err, "This passkey was not accepted. Try again, or use another way.")
}
