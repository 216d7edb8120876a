package socketio

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
)

// kind is a Socket.IO packet type, as its digit on the wire.
type kind byte

const (
	kindConnect      kind = '0'
	kindDisconnect   kind = '1'
	kindEvent        kind = '2'
	kindAck          kind = '3'
	kindConnectError kind = '4'
	kindBinaryEvent  kind = '5'
	kindBinaryAck    kind = '6'
)

// maxAckID is the largest id that a JavaScript number holds exactly.
const maxAckID = 1<<53 - 1

var (
	errPacket      = errors.New("invalid Socket.IO packet")
	errAttachments = errors.New("invalid or too many attachments")
)

// packet is one Socket.IO packet as read. Which of the last three fields is set follows from
// the kind: auth for CONNECT, name and args for events, args for acknowledgements.
type packet struct {
	kind        kind
	namespace   string
	id          uint64
	hasID       bool
	attachments int // how many binary frames follow

	auth json.RawMessage
	name string
	args Args
}

func (k kind) binary() bool { return k == kindBinaryEvent || k == kindBinaryAck }

// reserved are the names that neither side may use for its own events.
var reserved = map[string]bool{
	"connect": true, "connect_error": true, "disconnect": true,
	"disconnecting": true, "newListener": true, "removeListener": true,
}

// parsePacket reads the text of a packet: type, "n-" with the number of attachments,
// "/namespace,", id, JSON; all but the type may be absent.
func parsePacket(text []byte) (*packet, error) {
	if len(text) == 0 || text[0] < byte(kindConnect) || text[0] > byte(kindBinaryAck) {
		return nil, errPacket
	}
	p := &packet{kind: kind(text[0]), namespace: "/"}
	rest := text[1:]
	var err error
	if p.kind.binary() {
		if rest, err = p.parseAttachments(rest); err != nil {
			return nil, err
		}
	}
	rest = p.parseNamespace(rest)
	if rest, err = p.parseID(rest); err != nil {
		return nil, err
	}
	return p, p.parseBody(rest)
}

func (p *packet) parseAttachments(rest []byte) ([]byte, error) {
	number, after, found := bytes.Cut(rest, []byte{'-'})
	n, err := strconv.ParseUint(string(number), 10, 16)
	if !found || err != nil {
		return nil, errAttachments
	}
	p.attachments = int(n)
	return after, nil
}

func (p *packet) parseNamespace(rest []byte) []byte {
	if len(rest) == 0 || rest[0] != '/' {
		return rest
	}
	name, after, _ := bytes.Cut(rest, []byte{','})
	p.namespace = string(name)
	return after
}

func (p *packet) parseID(rest []byte) ([]byte, error) {
	end := 0
	for end < len(rest) && rest[end] >= '0' && rest[end] <= '9' {
		end++
	}
	if end == 0 {
		return rest, nil
	}
	id, err := strconv.ParseUint(string(rest[:end]), 10, 64)
	if err != nil || id > maxAckID {
		return nil, errPacket
	}
	p.id, p.hasID = id, true
	return rest[end:], nil
}

func (p *packet) parseBody(body []byte) error {
	switch p.kind {
	case kindConnect:
		return p.parseAuth(body)
	case kindDisconnect:
		if len(body) > 0 {
			return errPacket
		}
		return nil
	case kindEvent, kindBinaryEvent:
		return p.parseEvent(body)
	case kindAck, kindBinaryAck:
		if !p.hasID || json.Unmarshal(body, &p.args.raw) != nil || p.args.raw == nil {
			return errPacket
		}
		return nil
	default: // only servers send CONNECT_ERROR
		return errPacket
	}
}

func (p *packet) parseAuth(body []byte) error {
	if len(body) == 0 {
		return nil
	}
	if body[0] != '{' || !json.Valid(body) {
		return errPacket
	}
	p.auth = bytes.Clone(body)
	return nil
}

func (p *packet) parseEvent(body []byte) error {
	var all []json.RawMessage
	if json.Unmarshal(body, &all) != nil || len(all) == 0 {
		return errPacket
	}
	name, err := eventName(all[0])
	if err != nil {
		return err
	}
	p.name, p.args.raw = name, all[1:]
	return nil
}

// eventName takes a string or, as the protocol allows, a number, which stands for its own text.
func eventName(raw json.RawMessage) (string, error) {
	if raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9' {
		return string(raw), nil
	}
	var name string
	if raw[0] != '"' || json.Unmarshal(raw, &name) != nil || reserved[name] {
		return "", errPacket
	}
	return name, nil
}

// message is one encoded Socket.IO packet: its text frame and its attachments. It is encoded
// once, however many connections it goes to, and never changed.
type message []frame

func (m message) size() int {
	size := 0
	for _, f := range m {
		size += len(f.data)
	}
	return size
}

// encode writes a packet; id below 0 means none, a nil body means none.
func encode(k kind, namespace string, id int64, body []byte, attachments [][]byte) message {
	head := make([]byte, 0, len(namespace)+len(body)+32)
	head = append(head, frameMessage, byte(k))
	if k.binary() {
		head = strconv.AppendInt(head, int64(len(attachments)), 10)
		head = append(head, '-')
	}
	if namespace != "/" {
		head = append(append(head, namespace...), ',')
	}
	if id >= 0 {
		head = strconv.AppendInt(head, id, 10)
	}
	m := make(message, 0, 1+len(attachments))
	m = append(m, frame{data: append(head, body...)})
	for _, a := range attachments {
		m = append(m, frame{binary: true, data: a})
	}
	return m
}

// encodeEvent encodes an event for a namespace; id below 0 asks for no acknowledgement.
func encodeEvent(namespace, name string, id int64, args []any) (message, error) {
	if reserved[name] {
		return nil, ErrReservedEvent
	}
	list := append(make([]any, 0, len(args)+1), name)
	return encodeArgs(kindEvent, kindBinaryEvent, namespace, id, append(list, args...))
}

func encodeAck(namespace string, id uint64, args []any) (message, error) {
	if args == nil {
		args = []any{}
	}
	return encodeArgs(kindAck, kindBinaryAck, namespace, int64(id), args)
}

func encodeArgs(text, binary kind, namespace string, id int64, list []any) (message, error) {
	body, attachments, err := marshalArgs(list)
	if err != nil {
		return nil, err
	}
	if len(attachments) > 0 {
		text = binary
	}
	return encode(text, namespace, id, body, attachments), nil
}

func encodeConnectError(namespace string, refusal *ConnectError) (message, error) {
	body, err := json.Marshal(struct {
		Message string `json:"message"`
		Data    any    `json:"data,omitempty"`
	}{refusal.Message, refusal.Data})
	if err != nil {
		return nil, err
	}
	return encode(kindConnectError, namespace, -1, body, nil), nil
}

// cleanNamespace gives a name its leading slash; false if no client could ask for it.
func cleanNamespace(name string) (string, bool) {
	if !strings.HasPrefix(name, "/") {
		name = "/" + name
	}
	return name, !strings.Contains(name, ",")
}
