package socketio

import (
	"bytes"
	"testing"
)

func FuzzParsePacket(f *testing.F) {
	for _, seed := range []string{
		"0", `0/admin,{"token":"x"}`, "1/admin,", `2["e",1]`, `2/a,12["e"]`, `312[1]`, `4{"message":"no"}`,
		`52-["e",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`, `61-7[{"_placeholder":true,"num":0}]`,
		`2[1e5]`, `50-["e"]`, `5-1-["e"]`, `2[`, "", "9", `299999999999999999999["e"]`,
	} {
		f.Add([]byte(seed), []byte{1, 2})
	}
	f.Fuzz(func(t *testing.T, text, attachment []byte) {
		pkt, err := parsePacket(text)
		if err != nil {
			return
		}
		if pkt.namespace == "" || pkt.namespace[0] != '/' || pkt.id > maxAckID {
			t.Fatalf("%+v", pkt)
		}
		parts := make([][]byte, min(pkt.attachments, 8))
		for i := range parts {
			parts[i] = attachment
		}
		if pkt.kind.binary() && pkt.args.attach(parts) != nil {
			return
		}
		if pkt.kind == kindEvent || pkt.kind == kindBinaryEvent {
			againThrough(t, pkt)
		}
	})
}

// againThrough encodes an event that was read and reads it again.
func againThrough(t *testing.T, pkt *packet) {
	t.Helper()
	id := int64(-1)
	if pkt.hasID {
		id = int64(pkt.id)
	}
	m, err := encodeEvent(pkt.namespace, pkt.name, id, pkt.args.Values())
	if err != nil {
		t.Fatalf("an event that was read cannot be written: %v", err)
	}
	again, err := parsePacket(m[0].data[1:])
	if err != nil {
		t.Fatalf("an event that was written cannot be read: %v\n%s", err, m[0].data)
	}
	if again.name != pkt.name || again.namespace != pkt.namespace || again.hasID != pkt.hasID ||
		again.id != pkt.id || again.args.Len() != pkt.args.Len() || again.attachments != len(m)-1 {
		t.Fatalf("%+v became %+v", pkt, again)
	}
}

func FuzzParsePayload(f *testing.F) {
	for _, seed := range []string{"4hello", "4a\x1e4b", "4a\x1ebAQIDBA==", "b", "2", "\x1e", "", "x", "b*"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var frames []frame
		for part, err := range parsePayload(body) {
			if err != nil {
				return
			}
			frames = append(frames, part)
		}
		again := appendPayload(nil, frames)
		i := 0
		for part, err := range parsePayload(again) {
			if err != nil || part.binary != frames[i].binary || !bytes.Equal(part.data, frames[i].data) {
				t.Fatalf("frame %d of %q: %v %v", i, body, part, err)
			}
			i++
		}
		if i != len(frames) {
			t.Fatalf("%d frames became %d", len(frames), i)
		}
	})
}
