package firstrun

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"math/big"
	"path/filepath"
	"strings"

	"nimbus/appliance/breakglass/hsm"
	"nimbus/appliance/fault"
)

// softLabel is the label of the token that the wizard makes in SoftHSM.
const softLabel = "nimbus"

// HSM is the answer to the third step. Module, slot or label, and PIN belong
// to mode pkcs11. For softhsm the wizard makes a token of its own.
type HSM struct {
	Mode       string `json:"mode" enum:"none,softhsm,pkcs11" yaml:"mode"`
	Module     string `json:"module,omitempty" yaml:"module"`
	Slot       *uint  `json:"slot,omitempty" yaml:"slot"`
	TokenLabel string `json:"token_label,omitempty" yaml:"token_label"`
	PIN        string `json:"pin,omitempty" yaml:"pin"`
}

// HSMResult is what a test of a token found.
type HSMResult struct {
	OK      bool   `json:"ok"`
	Message string `json:"message"`
	KeyType string `json:"key_type"`
}

// Slot is one slot of a module.
type Slot struct {
	Slot         uint   `json:"slot"`
	Label        string `json:"label"`
	Manufacturer string `json:"manufacturer"`
	Model        string `json:"model"`
	Serial       string `json:"serial"`
	Initialised  bool   `json:"initialised"`
}

// Slots lists the slots of a module that hold a token. Fault: Invalid.
func (s *Setup) Slots(ctx context.Context, module string) ([]Slot, error) {
	if !filepath.IsAbs(module) {
		return nil, fault.BadField("body.module", "Give the full path of the PKCS#11 module, such as /usr/lib/softhsm/libsofthsm2.so.")
	}
	found, err := hsm.Slots(ctx, hsm.Config{Module: module, Logger: s.log})
	if err != nil {
		return nil, fault.BadField("body.module", "%s", hsmSentence(err))
	}
	all := []Slot{}
	for _, f := range found {
		if f.Present {
			all = append(all, Slot{f.ID, f.Label, f.Manufacturer, f.Model, f.Serial, f.Initialized})
		}
	}
	return all, nil
}

// TestHSM lets a token sign without keeping the choice. What does not work is
// in the result. For softhsm it says only whether SoftHSM is installed: a
// token is made when the step is done.
func (s *Setup) TestHSM(ctx context.Context, in HSM) (HSMResult, error) {
	if in.Mode != modePKCS11 {
		return s.testSoft(in)
	}
	cfg, err := s.pkcs11(in)
	if err != nil {
		return HSMResult{}, err
	}
	return s.tryToken(ctx, cfg), nil
}

func (s *Setup) testSoft(in HSM) (HSMResult, error) {
	switch in.Mode {
	case modeNone:
		return HSMResult{OK: true, Message: "Keys will lie in a file of the data directory."}, nil
	case modeSoftHSM:
		module, err := hsm.FindSoftHSM()
		if err != nil {
			return HSMResult{Message: hsmSentence(err)}, nil
		}
		return HSMResult{OK: true, Message: "SoftHSM is installed (" + module + "). A token will be made in it."}, nil
	}
	return HSMResult{}, fault.BadField("body.mode", "The HSM is none, softhsm or pkcs11.")
}

// SetHSM keeps the choice when the token signs. A token that does not is a
// result and nothing is kept. Faults: Invalid, and Conflict once keys are
// protected by the earlier choice.
func (s *Setup) SetHSM(ctx context.Context, in HSM) (HSMResult, error) {
	s.steps.Lock()
	defer s.steps.Unlock()
	st, err := s.load(ctx)
	if err != nil {
		return HSMResult{}, err
	}
	if st.fixed() {
		return HSMResult{}, fault.New(fault.Conflict, "Keys are protected by the choice that was made already, so it cannot be changed here. Go on with the next step.")
	}
	switch in.Mode {
	case modeNone:
		err := s.changeAndApply(ctx, func(st *state) { st.HSM = &token{Mode: modeNone, Done: true} })
		return HSMResult{OK: err == nil, Message: "Keys will lie in a file of the data directory."}, err
	case modeSoftHSM:
		return s.useSoftHSM(ctx, st)
	case modePKCS11:
		return s.usePKCS11(ctx, in)
	}
	return HSMResult{}, fault.BadField("body.mode", "The HSM is none, softhsm or pkcs11.")
}

func (s *Setup) pkcs11(in HSM) (hsm.Config, error) {
	switch {
	case !filepath.IsAbs(in.Module):
		return hsm.Config{}, fault.BadField("body.module", "Give the full path of the PKCS#11 module.")
	case in.Slot == nil && strings.TrimSpace(in.TokenLabel) == "":
		return hsm.Config{}, fault.BadField("body.slot", "Choose a slot or name the token by its label.")
	case in.PIN == "":
		return hsm.Config{}, fault.BadField("body.pin", "Enter the PIN of the token's user.")
	}
	return hsm.Config{
		Module: in.Module, Slot: in.Slot, TokenLabel: in.TokenLabel, Dir: s.hsmDir(), Logger: s.log, PIN: constant(in.PIN),
	}, nil
}

func (s *Setup) hsmDir() string { return filepath.Join(s.cfg.DataDir, "hsm") }

func constant(pin string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return pin, nil }
}

func (s *Setup) usePKCS11(ctx context.Context, in HSM) (HSMResult, error) {
	cfg, err := s.pkcs11(in)
	if err != nil {
		return HSMResult{}, err
	}
	result := s.tryToken(ctx, cfg)
	if !result.OK {
		return result, nil
	}
	pin, err := s.seal(ctx, PurposePIN, in.PIN)
	if err != nil {
		return HSMResult{}, err
	}
	return result, s.changeAndApply(ctx, func(st *state) {
		st.HSM = &token{Mode: modePKCS11, Module: in.Module, Slot: in.Slot, Label: in.TokenLabel, PIN: pin, KeyType: result.KeyType, Done: true}
	})
}

// useSoftHSM makes a token, or goes on with the one of an earlier try.
func (s *Setup) useSoftHSM(ctx context.Context, st state) (HSMResult, error) {
	module, err := hsm.FindSoftHSM()
	if err != nil {
		return HSMResult{Message: hsmSentence(err)}, nil
	}
	soft := hsm.SoftToken{Module: module, Dir: s.hsmDir(), Label: softLabel}
	sealed, err := s.softPINs(ctx, st, &soft)
	if err != nil {
		return HSMResult{}, err
	}
	cfg, err := hsm.InitSoftToken(ctx, soft)
	if err != nil && (cfg.Module == "" || !errors.Is(err, hsm.ErrInvalid)) { // ErrInvalid: it is there
		return HSMResult{Message: hsmSentence(err)}, nil
	}
	cfg.PIN = constant(soft.PIN)
	result := s.tryToken(ctx, cfg)
	if !result.OK {
		return result, nil
	}
	chosen := token{
		Mode: modeSoftHSM, Module: module, Label: softLabel, PIN: sealed.PIN, Env: cfg.WorkerEnv, KeyType: result.KeyType, Done: true,
	}
	return result, s.changeAndApply(ctx, func(st *state) { st.HSM = &chosen })
}

// softPINs fills in the PINs of the token. They are kept before it is made, so
// that neither a crash nor another choice in between loses them.
func (s *Setup) softPINs(ctx context.Context, st state, soft *hsm.SoftToken) (softPINs, error) {
	var err, err2 error
	if kept := st.Soft; kept != nil {
		soft.PIN, err = s.unseal(ctx, PurposePIN, kept.PIN)
		soft.SOPIN, err2 = s.unseal(ctx, purposeSOPIN, kept.SOPIN)
		return *kept, errors.Join(err, err2)
	}
	soft.PIN, soft.SOPIN = randomPIN(), randomPIN()
	var made softPINs
	made.PIN, err = s.seal(ctx, PurposePIN, soft.PIN)
	made.SOPIN, err2 = s.seal(ctx, purposeSOPIN, soft.SOPIN)
	if err := errors.Join(err, err2); err != nil {
		return made, err
	}
	_, err = s.change(ctx, func(st *state) { st.Soft = &made })
	return made, err
}

// randomPIN returns 12 decimal digits.
func randomPIN() string {
	n, _ := rand.Int(rand.Reader, big.NewInt(1e12)) // never fails: crypto/rand ends the process instead
	return strings.Repeat("0", 12-len(n.String())) + n.String()
}

func (s *Setup) tryToken(ctx context.Context, cfg hsm.Config) HSMResult {
	kind, err := s.cfg.TestHSM(ctx, cfg)
	if err != nil {
		return HSMResult{Message: hsmSentence(err)}
	}
	return HSMResult{OK: true, Message: "The token signed a test message.", KeyType: kind}
}

// signOnce starts a token for one signature.
func signOnce(ctx context.Context, cfg hsm.Config) (string, error) {
	t := hsm.New(cfg)
	if err := t.Start(ctx); err != nil {
		return "", err
	}
	defer func() { _ = t.Stop(context.WithoutCancel(ctx)) }()
	if err := t.Test(ctx); err != nil {
		return "", err
	}
	status := t.Status(ctx)
	if !status.Wraps {
		return "", &hsm.Error{Kind: hsm.ErrUnsupported, Reason: "The token signs, but it cannot make the AES key that protects secrets. Choose another token or none."}
	}
	return strings.Join(status.Algorithms, ", "), nil
}

func hsmSentence(err error) string {
	var e *hsm.Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return cmp.Or(err.Error(), "The token cannot be used.")
}
