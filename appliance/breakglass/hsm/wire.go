package hsm

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// The pipe carries frames: four bytes of length, big endian, then that much JSON.
// One request is answered by one response, in order.

const (
	maxFrame = 1 << 20
	maxData  = 512 << 10 // a message or a plaintext; base64 keeps it below maxFrame
)

// The operations that the worker knows.
const (
	opSlots     = "slots"
	opProbe     = "probe"
	opLogin     = "login"
	opReset     = "reset"
	opInit      = "init"
	opSignKey   = "ensure-signing-key"
	opPublicKey = "public-key"
	opSign      = "sign"
	opWrapKey   = "ensure-wrapping-key"
	opWrap      = "wrap"
	opUnwrap    = "unwrap"
	opTest      = "test"
)

type request struct {
	Op         string      `json:"op"`
	Module     string      `json:"module"`
	TokenLabel string      `json:"tokenLabel,omitempty"`
	Slot       *uint       `json:"slot,omitempty"`
	PIN        string      `json:"pin,omitempty"`
	SOPIN      string      `json:"soPin,omitempty"`
	Key        string      `json:"key,omitempty"`
	Algorithms []Algorithm `json:"algorithms,omitempty"`
	Fresh      bool        `json:"fresh,omitempty"` // the module has just been opened: a key that is not there may be made
	Data       []byte      `json:"data,omitempty"`
	AAD        []byte      `json:"aad,omitempty"`
}

type response struct {
	Failure *failure   `json:"failure,omitempty"`
	Slots   []Slot     `json:"slots,omitempty"`
	Token   *tokenInfo `json:"token,omitempty"`
	Key     *publicKey `json:"key,omitempty"`
	Data    []byte     `json:"data,omitempty"`
}

type failure struct {
	Kind   string `json:"kind"`
	Reason string `json:"reason"`
}

func (f *failure) err() error {
	kind, ok := kinds[f.Kind]
	if !ok {
		kind = ErrModuleFailed
	}
	return fail(kind, f.Reason)
}

// tokenInfo is what the token says about itself.
type tokenInfo struct {
	Slot
	LoggedIn   bool     `json:"loggedIn"`
	CountLow   bool     `json:"countLow"`
	FinalTry   bool     `json:"finalTry"`
	Locked     bool     `json:"locked"`
	MinPIN     uint     `json:"minPin"`
	MaxPIN     uint     `json:"maxPin"`
	Algorithms []string `json:"algorithms"`
	Wraps      bool     `json:"wraps"`
}

type publicKey struct {
	Algorithm Algorithm `json:"algorithm"`
	DER       []byte    `json:"der"`
}

func writeFrame(w io.Writer, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(body) > maxFrame {
		return fmt.Errorf("a frame of %d bytes is too long", len(body))
	}
	frame := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(body)), uint32(len(body)))
	_, err = w.Write(append(frame, body...))
	return err
}

func readFrame(r io.Reader, v any) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size > maxFrame {
		return errors.New("a frame is longer than allowed")
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(r, body); err != nil {
		return err
	}
	return json.Unmarshal(body, v)
}
