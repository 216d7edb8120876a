package socketio

import (
	"bytes"
	"encoding/base64"
	"errors"
	"iter"
	"unicode/utf8"
)

// Engine.IO packet types, as the first byte of a text frame.
const (
	frameOpen    = '0'
	frameClose   = '1'
	framePing    = '2'
	framePong    = '3'
	frameMessage = '4'
	frameUpgrade = '5'
	frameNoop    = '6'
)

// separator stands between the packets of one polling payload.
const separator = 0x1e

// frame is one Engine.IO packet: text with its type digit first, or the bare bytes of a binary
// message. Frames are shared between connections and never changed.
type frame struct {
	binary bool
	data   []byte
}

var (
	pingFrame  = frame{data: []byte{framePing}}
	noopFrame  = frame{data: []byte{frameNoop}}
	closeFrame = frame{data: []byte{frameClose}}
	probeFrame = frame{data: []byte("3probe")}
)

var errFrame = errors.New("invalid Engine.IO packet")

// parseText takes a text frame as it came; data is kept, not copied.
func parseText(data []byte) (frame, error) {
	if len(data) == 0 || data[0] < frameOpen || data[0] > frameNoop || !utf8.Valid(data) {
		return frame{}, errFrame
	}
	return frame{data: data}, nil
}

// parsePayload goes through the packets in the body of a POST, up to the first that is
// invalid. Binary packets come as "b" and base64.
func parsePayload(body []byte) iter.Seq2[frame, error] {
	return func(yield func(frame, error) bool) {
		for part := range bytes.SplitSeq(body, []byte{separator}) {
			f, err := parsePart(part)
			if !yield(f, err) || err != nil {
				return
			}
		}
	}
}

func parsePart(part []byte) (frame, error) {
	if len(part) == 0 || part[0] != 'b' {
		return parseText(part)
	}
	data := make([]byte, base64.StdEncoding.DecodedLen(len(part)-1))
	n, err := base64.StdEncoding.Decode(data, part[1:])
	if err != nil {
		return frame{}, errFrame
	}
	return frame{binary: true, data: data[:n]}, nil
}

// appendPayload is the inverse of parsePayload.
func appendPayload(dst []byte, frames []frame) []byte {
	for i, f := range frames {
		if i > 0 {
			dst = append(dst, separator)
		}
		if !f.binary {
			dst = append(dst, f.data...)
			continue
		}
		dst = append(dst, 'b')
		dst = base64.StdEncoding.AppendEncode(dst, f.data)
	}
	return dst
}
