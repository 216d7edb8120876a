package socketio

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The cases of the Socket.IO protocol's published test-suite, and what they leave open.

func TestConnect(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	for _, c := range []struct{ namespace, auth, want string }{
		{"", "", `42["auth",{}]`},
		{"", `{"token":"123"}`, `42["auth",{"token":"123"}]`},
		{"/custom,", "", `42/custom,["auth",{}]`},
		{"/custom,", `{"token":"abc"}`, `42/custom,["auth",{"token":"abc"}]`},
	} {
		b := n.browse()
		b.send("40" + c.namespace + c.auth)
		if got := b.next(); !strings.HasPrefix(got, "40"+c.namespace+`{"sid":"`) {
			t.Errorf("%q", got)
		}
		b.want(c.want)
	}
}

func TestConnectToUnknownNamespace(t *testing.T) {
	t.Parallel()
	b := newNode(t).browse()
	b.send("40/random")
	b.want(`44/random,{"message":"Invalid namespace"}`)
	b.connect("") // the connection is still good
}

func TestConnectRefused(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.Namespace("/told").OnConnect(func(*Socket) error {
		return &ConnectError{Message: "quota used up", Data: map[string]int{"limit": 3}}
	})
	n.Namespace("/untold").OnConnect(func(*Socket) error { return errors.New("pq: relation core.user is missing") })
	b := n.browse()
	b.send("40/told,")
	b.want(`44/told,{"message":"quota used up","data":{"limit":3}}`)
	b.send("40/untold,")
	b.want(`44/untold,{"message":"Forbidden"}`)
	if left := len(n.Namespace("/told").everySocket()); left != 0 {
		t.Errorf("%d refused sockets are left", left)
	}
}

func TestConnectTimeout(t *testing.T) {
	t.Parallel()
	n := newNode(t, func(c *Config) { c.ConnectTimeout = 50 * time.Millisecond })
	n.browse().wantClosed()
	b, _ := n.browseConnected()
	time.Sleep(100 * time.Millisecond)
	b.send(`42["message",1]`)
	b.want(`42["message-back",1]`)
	b.send("41") // in no namespace again: the clock runs again
	b.wantClosed()
}

func TestConnectTwiceCloses(t *testing.T) {
	t.Parallel()
	b, _ := newNode(t).browseConnected()
	b.send("40")
	b.wantClosed()
}

func TestDisconnectFromOneNamespace(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	reasons := make(chan string, 4)
	n.Namespace("/custom").OnDisconnect(func(_ *Socket, reason string) { reasons <- reason })
	b, _ := n.browseConnected()
	b.connect("/custom,")
	b.want(`42/custom,["auth",{}]`)
	b.send("41/custom,")
	b.send(`42/custom,["message","nobody is there"]`)
	b.send(`42["message","message to main namespace"]`)
	b.want(`42["message-back","message to main namespace"]`)
	if got := <-reasons; got != ReasonClientDisconnect {
		t.Errorf("reason %q", got)
	}
	b.connect("/custom,") // and back
	b.want(`42/custom,["auth",{}]`)
}

func TestEventToNamespaceNeverJoinedCloses(t *testing.T) {
	t.Parallel()
	b, _ := newNode(t).browseConnected()
	b.send(`42/custom,["message"]`)
	b.wantClosed()
}

func TestEvents(t *testing.T) {
	t.Parallel()
	b, _ := newNode(t).browseConnected()
	b.send(`42["message",1,"2",{"3":[true]}]`)
	b.want(`42["message-back",1,"2",{"3":[true]}]`)
	b.send(`42456["message-with-ack",1,"2",{"3":[false]}]`)
	b.want(`43456[1,"2",{"3":[false]}]`)
	b.send(`42457["message-with-ack"]`)
	b.want(`43457[]`)
	b.send(`42["nobody listens"]`)
	b.send(`42["message","<&> ü\u2028"]`)
	b.want("42[\"message-back\",\"\\u003c\\u0026\\u003e ü\\u2028\"]")
}

func TestBinaryEvents(t *testing.T) {
	t.Parallel()
	b, _ := newNode(t).browseConnected()
	b.send(`452-["message",{"_placeholder":true,"num":0},{"a":[{"_placeholder":true,"num":1}]}]`)
	b.sendBinary(1, 2, 3)
	b.sendBinary(4, 5, 6)
	b.want(`452-["message-back",{"_placeholder":true,"num":0},{"a":[{"_placeholder":true,"num":1}]}]`,
		"\x01\x02\x03", "\x04\x05\x06")
	b.send(`452-789["message-with-ack",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]`)
	b.sendBinary(1, 2, 3)
	b.sendBinary(4, 5, 6)
	b.want(`462-789[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`, "\x04\x05\x06", "\x01\x02\x03")
	b.send(`450-["message","no attachments at all"]`)
	b.want(`42["message-back","no attachments at all"]`)
}

func TestInvalidPacketCloses(t *testing.T) {
	t.Parallel()
	n := newNode(t, func(c *Config) { c.MaxAttachments = 2; c.MaxPayload = 10_000 })
	for _, text := range []string{
		"4", "4abc", "47", "42", "42{}", `42abc["message"]`, `42[]`, `42[null]`, `42[["message"]]`, `42["message"`,
		`42["connect"]`, `42["disconnecting"]`, `41"why"`, `43[]`, `431{}`, `431null`, `44{"message":"x"}`, `40[]`, `40"x"`,
		`42-1["message"]`, `4299999999999999999999["message"]`, `429007199254740993["message"]`,
		`45["message"]`, `45x-["message"]`, `45-["message"]`, `453-["message"]`, `45-1-["message"]`,
		`450-["message",{"_placeholder":true,"num":0}]`,
		"42[\"message\"," + strings.Repeat("[", 5000) + "]",
	} {
		b, _ := n.browseConnected()
		b.send(text)
		if _, err := b.read(); err == nil {
			t.Errorf("%.40q did not close the connection", text)
		}
	}
}

func TestInvalidAttachmentsClose(t *testing.T) {
	t.Parallel()
	n := newNode(t, func(c *Config) { c.MaxPayload = 1000 })
	for name, send := range map[string]func(*browser){
		"text in place of an attachment": func(b *browser) {
			b.send(`451-["message",{"_placeholder":true,"num":0}]`)
			b.send(`42["message"]`)
		},
		"number out of range": func(b *browser) {
			b.send(`451-["message",{"_placeholder":true,"num":1}]`)
			b.sendBinary(1)
		},
		"negative number": func(b *browser) {
			b.send(`451-["message",{"_placeholder":true,"num":-1}]`)
			b.sendBinary(1)
		},
		"number is text": func(b *browser) {
			b.send(`451-["message",{"_placeholder":true,"num":"0"}]`)
			b.sendBinary(1)
		},
		"too large together": func(b *browser) {
			b.send(`452-["message",{"_placeholder":true,"num":0}]`)
			b.sendBinary(make([]byte, 600)...)
			b.sendBinary(make([]byte, 600)...)
		},
		"nested too deeply": func(b *browser) {
			b.send(`451-["message",` + strings.Repeat("[", 250) + strings.Repeat("]", 250) + `]`)
			b.sendBinary(1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, _ := n.browseConnected()
			send(b)
			if _, err := b.read(); err == nil {
				t.Error("the connection stayed open")
			}
		})
	}
}

func TestOrder(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	b, id := n.browseConnected()
	const many = 1000
	go func() {
		for i := range many {
			b.send(fmt.Sprintf(`42["message",%d]`, i))
		}
	}()
	for i := range many {
		b.want(fmt.Sprintf(`42["message-back",%d]`, i))
	}
	for i := range many {
		if err := n.To(id).Emit("n", i); err != nil {
			t.Fatal(err)
		}
	}
	for i := range many {
		b.want(fmt.Sprintf(`42["n",%d]`, i))
	}
}

func TestEmitAck(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	b, id := n.browseConnected()
	socket := n.Namespace("/").sockets[id]
	type result struct {
		args Args
		err  error
	}
	results := make(chan result)
	ask := func(ctx context.Context) {
		args, err := socket.EmitAck(ctx, "question", []byte{9})
		results <- result{args, err}
	}

	go ask(t.Context())
	b.want(`451-0["question",{"_placeholder":true,"num":0}]`, "\x09")
	b.send(`43999["an answer to no question"]`)
	b.send(`461-0["yes",{"_placeholder":true,"num":0}]`)
	b.sendBinary(7, 8)
	var word string
	var data []byte
	if r := <-results; r.err != nil || r.args.Bind(&word, &data) != nil || word != "yes" || string(data) != "\x07\x08" {
		t.Errorf("%+v %q %v", r, word, data)
	}

	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	go ask(short)
	if r := <-results; !errors.Is(r.err, context.DeadlineExceeded) {
		t.Errorf("without an answer: %v", r.err)
	}

	go ask(t.Context())
	b.want(`451-1["question",{"_placeholder":true,"num":0}]`, "\x09")
	b.want(`451-2["question",{"_placeholder":true,"num":0}]`, "\x09")
	b.send("1")
	if r := <-results; !errors.Is(r.err, ErrDisconnected) {
		t.Errorf("after the client left: %v", r.err)
	}
	if len(socket.acks) != 0 {
		t.Errorf("%d acknowledgements are still awaited", len(socket.acks))
	}
}

func TestEmitAckInsideHandler(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.OnEvent("ask me", func(ctx context.Context, e *Event) {
		args, err := e.Socket().EmitAck(ctx, "what?")
		if err == nil {
			_ = e.Ack(args.Values()...)
		}
	})
	b, _ := n.browseConnected()
	b.send(`425["ask me"]`)
	b.want(`420["what?"]`)
	b.send(`430["this"]`)
	b.want(`435["this"]`)
}

func TestAckOnce(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	again := make(chan error, 2)
	n.OnEvent("twice", func(_ context.Context, e *Event) {
		if err := e.Ack("first"); err != nil && e.WantsAck() {
			t.Error(err)
		}
		again <- e.Ack("second")
	})
	b, _ := n.browseConnected()
	b.send(`420["twice"]`)
	b.want(`430["first"]`)
	b.send(`42["twice"]`)
	for range 2 {
		if err := <-again; !errors.Is(err, ErrAcked) {
			t.Errorf("%v", err)
		}
	}
}

func TestReservedEventNames(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	if err := n.Emit("disconnect"); !errors.Is(err, ErrReservedEvent) {
		t.Errorf("%v", err)
	}
	if err := n.Emit("x", func() {}); err == nil {
		t.Error("a function was encoded")
	}
}

func TestNumericEventName(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.OnEvent("42", func(_ context.Context, e *Event) { _ = e.Ack(e.Name()) })
	b, _ := n.browseConnected()
	b.send(`421[42]`)
	b.want(`431["42"]`)
}

func TestHandlerPanicEndsOnlyItsConnection(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	reasons := make(chan string, 1)
	n.OnDisconnect(func(_ *Socket, reason string) { reasons <- reason })
	n.OnEvent("boom", func(context.Context, *Event) { panic("boom") })
	b, _ := n.browseConnected()
	other, _ := n.browseConnected()
	b.send(`42["boom"]`)
	b.wantClosed()
	if got := <-reasons; got != ReasonForcedClose {
		t.Errorf("reason %q", got)
	}
	other.send(`42["message",1]`)
	other.want(`42["message-back",1]`)
}

func TestEventsBeforeGoodbyeAreHandled(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	handled := make(chan int, 100)
	n.OnEvent("save", func(ctx context.Context, e *Event) {
		var i int
		if e.Bind(&i) == nil && ctx.Err() == nil {
			handled <- i
		}
	})
	gone := make(chan struct{})
	n.OnDisconnect(func(*Socket, string) { close(gone) })
	b, _ := n.browseConnected()
	for i := range 100 {
		b.send(fmt.Sprintf(`42["save",%d]`, i))
	}
	b.send("1")
	<-gone
	if len(handled) != 100 {
		t.Errorf("%d of 100 events were handled", len(handled))
	}
}

func TestHandlerContextEndsWithConnection(t *testing.T) {
	t.Parallel()
	n := newNode(t, func(c *Config) { c.CloseTimeout = 20 * time.Millisecond })
	ended := make(chan error, 1)
	n.OnEvent("watch", func(ctx context.Context, _ *Event) {
		<-ctx.Done()
		ended <- ctx.Err()
	})
	b, _ := n.browseConnected()
	b.send(`42["watch"]`)
	b.send("1")
	select {
	case <-ended:
	case <-time.After(patience):
		t.Error("the handler was never told")
	}
}

func TestBind(t *testing.T) {
	t.Parallel()
	text, err := parsePacket([]byte(`2["e",1,{"name":"vm","data":"AQI="},[1,2]]`))
	if err != nil {
		t.Fatal(err)
	}
	type body struct {
		Name string
		Data []byte
	}
	var number int
	var object body
	if err := text.args.Bind(&number, &object); err != nil || number != 1 || !cmp.Equal(object, body{"vm", []byte{1, 2}}) {
		t.Errorf("%d %+v %v", number, object, err)
	}
	if err := text.args.Bind(&object); err == nil {
		t.Error("a number went into a struct")
	}
	var spare any
	if err := text.args.Bind(&spare, &spare, &spare, &spare); err == nil {
		t.Error("a fourth argument was found among three")
	}

	binary, err := parsePacket([]byte(`51-["e",{"name":"vm","data":{"_placeholder":true,"num":0}},12345678901234567890]`))
	if err != nil {
		t.Fatal(err)
	}
	if err := binary.args.attach([][]byte{{3, 4}}); err != nil {
		t.Fatal(err)
	}
	var big uint64
	if err := binary.args.Bind(&object, &big); err != nil || !cmp.Equal(object, body{"vm", []byte{3, 4}}) || big != 12345678901234567890 {
		t.Errorf("%+v %d %v", object, big, err)
	}
}

func TestEmitLeavesArgumentsAlone(t *testing.T) {
	t.Parallel()
	tree := map[string]any{"list": []any{[]byte{1}, nil}, "none": []any(nil), "no": map[string]any(nil)}
	m, err := encodeEvent("/a", "e", 7, []any{tree, []byte{2}})
	if err != nil {
		t.Fatal(err)
	}
	want := `452-/a,7["e",{"list":[{"_placeholder":true,"num":0},null],"no":null,"none":null},{"_placeholder":true,"num":1}]`
	if string(m[0].data) != want || len(m) != 3 {
		t.Errorf("%s", m[0].data)
	}
	if !cmp.Equal(tree["list"], []any{[]byte{1}, nil}) {
		t.Errorf("%v", tree)
	}
	var loop []any
	loop = append(loop, &loop)
	deep := any(loop)
	for range maxDepth + 2 {
		deep = []any{deep}
	}
	if _, err := encodeEvent("/", "e", -1, []any{deep}); !errors.Is(err, errDepth) {
		t.Errorf("%v", err)
	}
}
