package hsm

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/miekg/pkcs11"
)

// Values of PKCS #11 3.0 that the binding does not name.
const (
	ckmEdwardsKeyPairGen = 0x1055
	ckmEdDSA             = 0x1057
	ckkEdwards           = 0x40
)

// module is a loaded PKCS#11 module with at most one session. It lives in the worker only.
type module struct {
	ctx     *pkcs11.Ctx
	session pkcs11.SessionHandle
	slot    uint
	open    bool
}

func openModule(path string) (*module, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fail(ErrModuleFailed, fmt.Sprintf("The PKCS#11 module %s cannot be read; install the package that brings it or correct the path.", path))
	}
	ctx := pkcs11.New(path)
	if ctx == nil {
		return nil, fail(ErrModuleFailed, fmt.Sprintf("%s cannot be loaded as a PKCS#11 module; check that it is one, and for this machine's architecture.", path))
	}
	m := &module{ctx: ctx}
	if err := m.initialize(); err != nil {
		ctx.Destroy()
		return nil, err
	}
	return m, nil
}

func (m *module) initialize() error {
	err := m.ctx.Initialize()
	if err != nil && !isCode(err, pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED) {
		return describe("initialize", err)
	}
	return nil
}

// close gives back the session and ends the use of the module. It may be called on nil.
func (m *module) close() {
	if m == nil {
		return
	}
	m.closeSession()
	_ = m.ctx.Finalize()
	m.ctx.Destroy()
}

func (m *module) closeSession() {
	if m.open {
		_ = m.ctx.Logout(m.session)
		_ = m.ctx.CloseSession(m.session)
	}
	m.open = false
}

func (m *module) handle(req request) (response, error) {
	switch req.Op {
	case opSlots:
		slots, err := m.slots()
		return response{Slots: slots}, err
	case opInit:
		return response{}, m.initToken(req)
	case opProbe:
		return m.probe(req)
	case opLogin:
		return response{}, m.login(req)
	}
	return m.handleKeys(req)
}

// handleKeys does what needs a session.
func (m *module) handleKeys(req request) (response, error) {
	if err := m.openSession(req); err != nil {
		return response{}, err
	}
	switch req.Op {
	case opSignKey:
		return m.ensureSigningKey(req)
	case opPublicKey:
		return m.publicKey(req.Key)
	case opSign:
		return m.signWith(req)
	case opWrapKey:
		return response{}, m.ensureWrappingKey(req)
	case opWrap:
		return m.wrap(req)
	case opUnwrap:
		return m.unwrap(req)
	case opTest:
		return m.testSignature(req)
	}
	return response{}, fail(ErrInvalid, fmt.Sprintf("The operation %q is unknown.", req.Op))
}

// slots leaves out a slot that cannot be read, unless none can.
func (m *module) slots() ([]Slot, error) {
	ids, err := m.ctx.GetSlotList(false)
	if err != nil {
		return nil, err
	}
	slots := make([]Slot, 0, len(ids))
	var broken error
	for _, id := range ids {
		slot, err := m.readSlot(id)
		if err != nil {
			broken = err
			continue
		}
		slots = append(slots, slot)
	}
	if len(slots) == 0 {
		return nil, broken
	}
	return slots, nil
}

func (m *module) readSlot(id uint) (Slot, error) {
	info, err := m.ctx.GetSlotInfo(id)
	if err != nil {
		return Slot{}, err
	}
	slot := Slot{ID: id, Description: clean(info.SlotDescription), Present: info.Flags&pkcs11.CKF_TOKEN_PRESENT != 0}
	if token, err := m.ctx.GetTokenInfo(id); slot.Present && err == nil {
		slot.fill(token)
	}
	return slot, nil
}

func (s *Slot) fill(t pkcs11.TokenInfo) {
	s.Initialized = t.Flags&pkcs11.CKF_TOKEN_INITIALIZED != 0
	s.Label, s.Manufacturer = clean(t.Label), clean(t.ManufacturerID)
	s.Model, s.Serial = clean(t.Model), clean(t.SerialNumber)
}

// clean drops the padding and what a terminal or a page should not see.
func clean(s string) string {
	printable := func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}
	return strings.TrimSpace(strings.ToValidUTF8(strings.Map(printable, s), ""))
}

// find returns the slot of the token that is asked for. Many modules look for tokens
// only when they start, so a token that is not there is looked for once more after that.
func (m *module) find(req request) (Slot, error) {
	slot, err := m.lookup(req)
	if !errors.Is(err, ErrTokenAbsent) {
		return slot, err
	}
	m.closeSession()
	_ = m.ctx.Finalize()
	if err := m.initialize(); err != nil {
		return Slot{}, err
	}
	return m.lookup(req)
}

func (m *module) lookup(req request) (Slot, error) {
	slots, err := m.slots()
	if err != nil {
		return Slot{}, err
	}
	slots = slices.DeleteFunc(slots, func(s Slot) bool { return !s.matches(req) })
	switch len(slots) {
	case 0:
		return Slot{}, fail(ErrTokenAbsent, "The token is not there; connect it, or check the label or slot in the settings.")
	case 1:
		return slots[0], nil
	}
	return Slot{}, fail(ErrInvalid, fmt.Sprintf("%d tokens are labelled %q; choose one by its slot.", len(slots), req.TokenLabel))
}

func (s Slot) matches(req request) bool {
	if !s.Present || !s.Initialized {
		return false
	}
	return (req.Slot == nil || *req.Slot == s.ID) && (req.TokenLabel == "" || req.TokenLabel == s.Label)
}

func (m *module) probe(req request) (response, error) {
	slot, err := m.find(req)
	if err != nil {
		return response{}, err
	}
	token, err := m.ctx.GetTokenInfo(slot.ID)
	if err != nil {
		return response{}, err
	}
	has := func(flag uint) bool { return token.Flags&flag != 0 }
	return response{Token: &tokenInfo{
		Slot: slot, LoggedIn: m.loggedIn(slot.ID), MinPIN: token.MinPinLen, MaxPIN: token.MaxPinLen,
		CountLow: has(pkcs11.CKF_USER_PIN_COUNT_LOW), FinalTry: has(pkcs11.CKF_USER_PIN_FINAL_TRY),
		Locked: has(pkcs11.CKF_USER_PIN_LOCKED), Algorithms: m.algorithms(slot.ID), Wraps: m.wraps(slot.ID),
	}}, nil
}

// loggedIn asks the token, not our memory of it.
func (m *module) loggedIn(slot uint) bool {
	if !m.open || m.slot != slot {
		return false
	}
	info, err := m.ctx.GetSessionInfo(m.session)
	return err == nil && (info.State == pkcs11.CKS_RW_USER_FUNCTIONS || info.State == pkcs11.CKS_RO_USER_FUNCTIONS)
}

// openSession opens the one session, or keeps it. A token that is write-protected gets a reading one.
func (m *module) openSession(req request) error {
	if m.open {
		return nil
	}
	slot, err := m.find(req)
	if err != nil {
		return err
	}
	m.session, err = m.ctx.OpenSession(slot.ID, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	if isCode(err, pkcs11.CKR_TOKEN_WRITE_PROTECTED) {
		m.session, err = m.ctx.OpenSession(slot.ID, pkcs11.CKF_SERIAL_SESSION)
	}
	if err != nil {
		return err
	}
	m.slot, m.open = slot.ID, true
	return nil
}

// login has the token check the PIN. A login left over from a lost session is ended
// first: otherwise the token would not look at the PIN at all.
func (m *module) login(req request) error {
	if err := m.openSession(req); err != nil {
		return err
	}
	err := m.ctx.Login(m.session, pkcs11.CKU_USER, req.PIN)
	if isCode(err, pkcs11.CKR_USER_ALREADY_LOGGED_IN, pkcs11.CKR_USER_ANOTHER_ALREADY_LOGGED_IN) {
		_ = m.ctx.Logout(m.session)
		err = m.ctx.Login(m.session, pkcs11.CKU_USER, req.PIN)
	}
	return err
}

// initToken makes a token in a slot that has none and refuses one that is in use.
func (m *module) initToken(req request) error {
	slots, err := m.slots()
	if err != nil {
		return err
	}
	if slices.ContainsFunc(slots, func(s Slot) bool { return s.Initialized && s.Label == req.TokenLabel }) {
		return fail(ErrInvalid, fmt.Sprintf("A token labelled %q exists already; it is not overwritten.", req.TokenLabel))
	}
	free := slices.IndexFunc(slots, func(s Slot) bool { return s.Present && !s.Initialized })
	if free < 0 {
		return fail(ErrTokenAbsent, "The module has no slot with an empty token.")
	}
	if err := m.ctx.InitToken(slots[free].ID, req.SOPIN, req.TokenLabel); err != nil {
		return err
	}
	return m.setUserPIN(req)
}

func (m *module) setUserPIN(req request) error {
	if err := m.openSession(request{TokenLabel: req.TokenLabel}); err != nil {
		return err
	}
	defer m.closeSession()
	if err := m.ctx.Login(m.session, pkcs11.CKU_SO, req.SOPIN); err != nil {
		return err
	}
	return m.ctx.InitPIN(m.session, req.PIN)
}

func isCode(err error, codes ...uint) bool {
	var code pkcs11.Error
	return errors.As(err, &code) && slices.Contains(codes, uint(code))
}

// meaning sorts the codes of PKCS#11 by what the caller can do about them.
var meaning = []struct {
	kind   error
	reason string
	codes  []uint
}{
	{ErrPINIncorrect, "The token rejected the PIN.", []uint{pkcs11.CKR_PIN_INCORRECT, pkcs11.CKR_PIN_INVALID, pkcs11.CKR_PIN_LEN_RANGE}},
	{ErrPINLocked, "The token has locked its PIN; unlock it with the security officer's PIN and the vendor's tool.", []uint{pkcs11.CKR_PIN_LOCKED}},
	{ErrSealed, "Nobody is logged in to the token; unlock it with its PIN.", []uint{pkcs11.CKR_USER_NOT_LOGGED_IN}},
	{ErrTokenAbsent, "The token was removed; connect it again.", []uint{pkcs11.CKR_DEVICE_REMOVED, pkcs11.CKR_TOKEN_NOT_PRESENT, pkcs11.CKR_TOKEN_NOT_RECOGNIZED, pkcs11.CKR_SLOT_ID_INVALID}},
	{ErrSessionLost, "The session with the token was lost.", []uint{pkcs11.CKR_SESSION_HANDLE_INVALID, pkcs11.CKR_SESSION_CLOSED, pkcs11.CKR_OBJECT_HANDLE_INVALID, pkcs11.CKR_KEY_HANDLE_INVALID, pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED, pkcs11.CKR_OPERATION_ACTIVE, pkcs11.CKR_USER_ALREADY_LOGGED_IN, pkcs11.CKR_USER_ANOTHER_ALREADY_LOGGED_IN}},
	{ErrSessions, "All sessions of the token are in use; close another program that uses it.", []uint{pkcs11.CKR_SESSION_COUNT}},
	{ErrUnsupported, "The token does not support this kind of key.", []uint{pkcs11.CKR_MECHANISM_INVALID, pkcs11.CKR_FUNCTION_NOT_SUPPORTED, pkcs11.CKR_MECHANISM_PARAM_INVALID}},
}

// describe turns a code of PKCS#11 into an *Error.
func describe(op string, err error) *Error {
	for _, m := range meaning {
		if isCode(err, m.codes...) {
			return fail(m.kind, m.reason)
		}
	}
	return fail(ErrModuleFailed, fmt.Sprintf("The PKCS#11 module failed at %s: %v.", op, err))
}
