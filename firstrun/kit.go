package firstrun

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"filippo.io/age"

	"nimbus/appliance/audit"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/secret"
)

const (
	kitFileName   = "nimbus-recovery-kit.txt"
	keyLine       = "AGE-SECRET-KEY-1"
	checksumLine  = "Checksum: "
	maxKit        = 16 << 10
	maxEscrowed   = 4 << 10
	provenPurpose = "recovery kit"
)

// Kit is what a person keeps: the text of a file, shown once.
type Kit struct {
	Kit      string `json:"kit"`
	FileName string `json:"file_name"`
}

// KitResult is what the proof of a kit found.
type KitResult struct {
	OK      bool   `json:"ok"`
	Message string `json:"message"`
}

// MakeKit makes a recovery kit: an age identity (X25519) to which every data
// key is encrypted in the same step. The kit itself is kept nowhere. Making
// one again voids the one before. Fault: Conflict before the organisation exists.
func (s *Setup) MakeKit(ctx context.Context) (Kit, error) {
	s.steps.Lock()
	defer s.steps.Unlock()
	st, services, err := s.organised(ctx)
	if err != nil {
		return Kit{}, err
	}
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return Kit{}, err
	}
	now := s.cfg.Now().UTC()
	// The recipient is kept first: keys made from now on are for the new kit, and
	// until it is proven the wizard cannot end.
	made := kit{Recipient: identity.Recipient().String(), MadeAt: now}
	if err := s.changeAndApply(ctx, func(st *state) { st.Kit = &made }); err != nil {
		return Kit{}, err
	}
	if err := services.escrow(as(ctx, id.ID{}), identity.Recipient()); err != nil {
		return Kit{}, err
	}
	return Kit{Kit: kitText(st.Appliance, identity, now), FileName: kitFileName}, nil
}

// escrow encrypts all data keys to a recipient, and records that it did.
func (v Services) escrow(ctx context.Context, to *age.X25519Recipient) error {
	// The first use makes the provider's key, which the proof is made with.
	if _, err := v.Keyring.Seal(ctx, id.ID{}, provenPurpose, nil); err != nil {
		return err
	}
	err := v.Keys.Escrow(ctx, func(tenant id.ID, w secret.WrappedKey) ([]byte, error) {
		plaintext, err := v.Keyring.Reveal(ctx, tenant, w)
		if err != nil {
			return nil, err
		}
		return encryptTo(to, plaintext)
	})
	if err != nil {
		return err
	}
	return v.Audit.RecordAlone(ctx, id.ID{}, audit.Entry{
		Event: "secret.recovery_kit.created", Priority: audit.Warning,
		Target: audit.Target{Kind: "recovery_kit", ID: to.String()},
	})
}

func encryptTo(to age.Recipient, plaintext []byte) ([]byte, error) {
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, to)
	if err != nil {
		return nil, err
	}
	_, err = w.Write(plaintext)
	if err = errors.Join(err, w.Close()); err != nil { // Close writes the last part
		return nil, err
	}
	return sealed.Bytes(), nil
}

// kitText is the file. Its last line is half the SHA-256 of everything before it.
func kitText(a *appliance, identity *age.X25519Identity, now time.Time) string {
	body := fmt.Sprintf(`Nimbus recovery kit

Appliance: %s
Address:   %s
Made:      %s

Whoever has this file and a copy of the appliance's database can read every
secret in it. Print it, or keep it on a medium that lies apart from the
appliance and its backups, under lock. It is shown once and kept nowhere else.

You need it to restore a backup when the root key (the key file or the HSM) is
lost, and to open the appliance in an emergency. The restore command asks for
this file. A newer kit voids this one.

Key of this kit (age, X25519):
%s

`, a.Name, a.URL, now.Format(time.RFC3339), identity)
	return body + checksumLine + checksum(body) + "\n"
}

func checksum(body string) string {
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:16])
}

// readKit returns the key in a kit that came back as it was given: line ends,
// and space around lines, do not matter.
func readKit(text string) (*age.X25519Identity, error) {
	incomplete := fault.BadField("body.kit", "This is not the whole recovery kit. Paste all of the file, from its first to its last line.")
	if len(text) > maxKit {
		return nil, incomplete
	}
	lines := strings.Split(strings.TrimSpace(strings.TrimPrefix(text, "\ufeff")), "\n") // one at least
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	last := len(lines) - 1
	sum, ok := strings.CutPrefix(lines[last], strings.TrimSpace(checksumLine))
	if !ok || checksum(strings.Join(lines[:last], "\n")+"\n") != strings.TrimSpace(sum) {
		return nil, incomplete
	}
	for _, line := range lines {
		if strings.HasPrefix(line, keyLine) {
			identity, err := age.ParseX25519Identity(line)
			if err != nil {
				return nil, incomplete
			}
			return identity, nil
		}
	}
	return nil, incomplete
}

// VerifyKit proves a kit: it decrypts the provider's key with it and compares
// that with the key in use. A kit that fails is a result.
func (s *Setup) VerifyKit(ctx context.Context, text string) (KitResult, error) {
	s.steps.Lock()
	defer s.steps.Unlock()
	st, services, err := s.organised(ctx)
	if err != nil {
		return KitResult{}, err
	}
	if err := needs(st.Kit != nil, "make the recovery kit"); err != nil {
		return KitResult{}, err
	}
	identity, err := readKit(text)
	if err != nil {
		return KitResult{Message: fault.Message(err)}, nil
	}
	if identity.Recipient().String() != st.Kit.Recipient {
		return KitResult{Message: "This is an older kit, or another appliance's. Paste the one that was made last, or make a new one."}, nil
	}
	proven, err := services.prove(as(ctx, id.ID{}), identity)
	if err != nil {
		return KitResult{}, err
	}
	if !proven {
		return KitResult{Message: "The kit does not open this appliance's key. Make a new one."}, nil
	}
	_, err = s.change(ctx, func(st *state) { st.Kit.Verified = true })
	return KitResult{OK: err == nil, Message: "The kit opens this appliance's keys. Keep it in a safe place."}, err
}

// prove decrypts the escrowed provider key and compares it with the live one.
func (v Services) prove(ctx context.Context, with *age.X25519Identity) (bool, error) {
	w, found, err := v.Keys.LoadKey(ctx, id.ID{})
	if err != nil || !found {
		return false, err
	}
	live, err := v.Keyring.Reveal(ctx, id.ID{}, w)
	if err != nil {
		return false, fault.Wrap(fault.Unavailable, err, "The root key cannot be used now, so the kit cannot be compared. See System health.")
	}
	reader, err := age.Decrypt(bytes.NewReader(w.Escrow), with)
	if err != nil {
		return false, nil
	}
	escrowed, err := io.ReadAll(io.LimitReader(reader, maxEscrowed))
	if err != nil {
		return false, nil
	}
	return subtle.ConstantTimeCompare(escrowed, live) == 1, nil
}
