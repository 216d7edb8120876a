package socketio

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// maxDepth bounds how deep attachments are looked for in arguments.
const maxDepth = 200

var errDepth = errors.New("socketio: the arguments are nested too deeply")

// Args are the arguments of an event or an acknowledgement.
type Args struct {
	raw  []json.RawMessage
	tree []any // in place of raw when the packet had attachments: decoded, []byte for each
}

// Len is the number of arguments.
func (a Args) Len() int { return max(len(a.raw), len(a.tree)) }

// Bind decodes the arguments, in order, into pointers, as json.Unmarshal would; a binary
// argument goes into a []byte wherever it lies. Arguments beyond dst are ignored; it is an
// error when there are fewer, or one has another shape.
func (a Args) Bind(dst ...any) error {
	if len(dst) > a.Len() {
		return fmt.Errorf("socketio: %d arguments came and %d are needed", a.Len(), len(dst))
	}
	for i, d := range dst {
		if err := a.bind(i, d); err != nil {
			return fmt.Errorf("socketio: argument %d: %w", i+1, err)
		}
	}
	return nil
}

func (a Args) bind(i int, dst any) error {
	if a.tree == nil {
		return json.Unmarshal(a.raw[i], dst)
	}
	switch d := dst.(type) {
	case *any:
		*d = a.tree[i]
		return nil
	case *[]byte:
		if data, ok := a.tree[i].([]byte); ok {
			*d = data
			return nil
		}
	}
	encoded, err := json.Marshal(a.tree[i])
	if err != nil {
		return err
	}
	return json.Unmarshal(encoded, dst)
}

// Values are the arguments in a form that Emit and Ack take back unchanged: json.RawMessage,
// or trees with []byte in them when the packet had attachments.
func (a Args) Values() []any {
	if a.tree != nil {
		return a.tree
	}
	values := make([]any, len(a.raw))
	for i, raw := range a.raw {
		values[i] = raw
	}
	return values
}

// attach puts the attachments of a packet in the places that its JSON keeps for them.
func (a *Args) attach(attachments [][]byte) error {
	tree := make([]any, len(a.raw))
	for i, raw := range a.raw {
		decoder := json.NewDecoder(bytes.NewReader(raw))
		decoder.UseNumber()
		var value any
		if err := decoder.Decode(&value); err != nil {
			return errPacket
		}
		filled, err := fill(value, attachments, 0)
		if err != nil {
			return err
		}
		tree[i] = filled
	}
	a.raw, a.tree = nil, tree
	return nil
}

func fill(value any, attachments [][]byte, depth int) (any, error) {
	if depth > maxDepth {
		return nil, errDepth
	}
	var err error
	switch v := value.(type) {
	case map[string]any:
		if v["_placeholder"] == true {
			return pick(v["num"], attachments)
		}
		for key, child := range v {
			if v[key], err = fill(child, attachments, depth+1); err != nil {
				return nil, err
			}
		}
	case []any:
		for i, child := range v {
			if v[i], err = fill(child, attachments, depth+1); err != nil {
				return nil, err
			}
		}
	}
	return value, nil
}

func pick(number any, attachments [][]byte) ([]byte, error) {
	n, ok := number.(json.Number)
	if !ok {
		return nil, errAttachments
	}
	i, err := n.Int64()
	if err != nil || i < 0 || i >= int64(len(attachments)) {
		return nil, errAttachments
	}
	return attachments[i], nil
}

// marshalArgs encodes arguments. Each []byte that is an argument, or lies in maps and slices
// of type map[string]any and []any, becomes an attachment; inside other types it is base64
// text, as encoding/json has it.
func marshalArgs(list []any) (body []byte, attachments [][]byte, err error) {
	x := extractor{}
	cleaned, err := x.extract(list, 0)
	if err != nil {
		return nil, nil, err
	}
	body, err = json.Marshal(cleaned)
	if err != nil {
		return nil, nil, fmt.Errorf("socketio: encode arguments: %w", err)
	}
	return body, x.found, nil
}

type placeholder struct {
	Placeholder bool `json:"_placeholder"`
	Num         int  `json:"num"`
}

type extractor struct{ found [][]byte }

// extract returns value with a placeholder for each []byte; the caller's maps and slices stay as they are.
func (x *extractor) extract(value any, depth int) (_ any, err error) {
	if depth > maxDepth {
		return nil, errDepth
	}
	switch v := value.(type) {
	case []byte:
		x.found = append(x.found, v)
		return placeholder{true, len(x.found) - 1}, nil
	case []any:
		if v == nil {
			return v, nil
		}
		list := make([]any, len(v))
		for i, child := range v {
			if list[i], err = x.extract(child, depth+1); err != nil {
				return nil, err
			}
		}
		return list, nil
	case map[string]any:
		if v == nil {
			return v, nil
		}
		object := make(map[string]any, len(v))
		for key, child := range v {
			if object[key], err = x.extract(child, depth+1); err != nil {
				return nil, err
			}
		}
		return object, nil
	}
	return value, nil
}
