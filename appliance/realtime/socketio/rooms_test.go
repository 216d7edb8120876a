package socketio

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

// crowd connects clients that joined the rooms of their name: "a", "b", "ab" and "".
func crowd(t *testing.T, n *node) map[string]*browser {
	t.Helper()
	clients := map[string]*browser{}
	for _, rooms := range []string{"a", "b", "ab", ""} {
		b, id := n.browseConnected()
		socket := n.socket(id)
		for _, room := range rooms {
			if err := socket.Join("room:" + string(room)); err != nil {
				t.Fatal(err)
			}
		}
		clients[rooms] = b
	}
	return clients
}

func (n *node) socket(id string) *Socket {
	n.t.Helper()
	ns := n.Namespace("/")
	ns.mu.RLock()
	defer ns.mu.RUnlock()
	return ns.sockets[id]
}

// wantHeard fails unless exactly these of the crowd heard the event that is named what, once.
func wantHeard(t *testing.T, clients map[string]*browser, what string, who ...string) {
	t.Helper()
	for name, b := range clients {
		b.send(`420["message-with-ack"]`) // comes after what was emitted before
		if slices.Contains(who, name) {
			b.want(fmt.Sprintf(`42[%q]`, what))
		}
		b.want(`430[]`)
	}
}

func TestAudience(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	clients := crowd(t, n)
	for what, c := range map[string]struct {
		target Target
		who    []string
	}{
		"one room":               {n.To("room:a"), []string{"a", "ab"}},
		"two rooms, each once":   {n.To("room:a", "room:b"), []string{"a", "b", "ab"}},
		"two rooms in two steps": {n.To("room:a").To("room:b"), []string{"a", "b", "ab"}},
		"except":                 {n.To("room:a").Except("room:b"), []string{"a"}},
		"all but":                {n.Except("room:a"), []string{"b", ""}},
		"all":                    {n.Except(), []string{"a", "b", "ab", ""}},
		"no rooms is nobody":     {n.To(), nil},
		"empty room":             {n.To("room:c"), nil},
		"a room is no pattern":   {n.To("room:*", "room", "ROOM:A", ""), nil},
		"to all but themselves":  {n.To("room:a").Except("room:a"), nil},
		"another namespace":      {n.Namespace("/custom").To("room:a"), nil},
	} {
		if err := c.target.Emit(what); err != nil {
			t.Fatal(err)
		}
		wantHeard(t, clients, what, c.who...)
	}
}

func TestSocketIDIsItsRoom(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	one, oneID := n.browseConnected()
	two, twoID := n.browseConnected()
	clients := map[string]*browser{"one": one, "two": two}
	_ = n.To(oneID).Emit("to one")
	wantHeard(t, clients, "to one", "one")
	_ = n.To(oneID, twoID).Except(oneID).Emit("to two")
	wantHeard(t, clients, "to two", "two")
	_ = n.Except(twoID).Emit("not two")
	wantHeard(t, clients, "not two", "one")
	if err := n.socket(twoID).Join(oneID); err != nil { // another's id as a room is a room all the same
		t.Fatal(err)
	}
	_ = n.To(oneID).Emit("both")
	wantHeard(t, clients, "both", "one", "two")
}

func TestJoinAndLeave(t *testing.T) {
	t.Parallel()
	n := newNode(t, func(c *Config) { c.MaxRooms = 3 })
	b, id := n.browseConnected()
	socket := n.socket(id)
	if err := socket.Join("x", "y", "x"); err != nil {
		t.Fatal(err)
	}
	if err := socket.Join("y", "z", "w"); !errors.Is(err, ErrTooManyRooms) {
		t.Errorf("%v", err)
	}
	if err := socket.Join("z"); err != nil {
		t.Errorf("the third room: %v", err)
	}
	socket.Leave("x", "never joined")
	if got := socket.Rooms(); !slices.Equal(got, []string{"y", "z"}) {
		t.Errorf("%v", got)
	}
	b.send("41")
	ns := n.Namespace("/")
	eventually(t, "nothing of the socket is left", func() bool {
		ns.mu.RLock()
		defer ns.mu.RUnlock()
		return len(ns.rooms) == 0 && len(ns.sockets) == 0
	})
	if err := socket.Join("x"); !errors.Is(err, ErrDisconnected) {
		t.Errorf("%v", err)
	}
	if err := socket.Emit("late"); !errors.Is(err, ErrDisconnected) {
		t.Errorf("%v", err)
	}
	if _, err := socket.EmitAck(t.Context(), "late"); !errors.Is(err, ErrDisconnected) {
		t.Errorf("%v", err)
	}
}

func TestSocketIdentity(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	_, id := n.browseConnected("Cookie", "session=ann")
	socket := n.socket(id)
	if socket.Session() != (account{"ann"}) || socket.ID() != id || socket.Namespace() != "/" || socket.RemoteAddr() == "" {
		t.Errorf("%v %s %s %s", socket.Session(), socket.ID(), socket.Namespace(), socket.RemoteAddr())
	}
	socket.SetData(3)
	if socket.Data() != 3 {
		t.Errorf("%v", socket.Data())
	}
}

func TestServerDisconnects(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	reasons := make(chan string, 4)
	n.OnDisconnect(func(_ *Socket, reason string) { reasons <- reason })
	b, id := n.browseConnected()
	socket := n.socket(id)
	if err := socket.Emit("bye"); err != nil {
		t.Fatal(err)
	}
	socket.Disconnect()
	socket.Disconnect()
	b.want(`42["bye"]`, "41")
	b.send(`42["message"]`) // crossed the DISCONNECT: no reason to close
	id = b.connect("")
	b.want(`42["auth",{}]`)
	socket = n.socket(id)
	_ = socket.Emit("bye again")
	socket.Close()
	b.want(`42["bye again"]`, "41")
	b.wantClosed()
	for range 2 {
		if got := <-reasons; got != ReasonServerDisconnect {
			t.Errorf("reason %q", got)
		}
	}
	if len(reasons) > 0 {
		t.Error("a hook ran twice")
	}
}

func TestRobustness27RevokedWhileConnecting(t *testing.T) {
	t.Parallel()
	s := New(testConfig())
	entered, proceed := make(chan *Socket), make(chan struct{})
	s.OnConnect(func(socket *Socket) error {
		if _, err := socket.EmitAck(context.Background(), "too early"); err == nil {
			t.Error("an acknowledgement came before the connection")
		}
		entered <- socket
		<-proceed
		return nil
	})
	s.OnDisconnect(func(*Socket, string) { t.Error("a socket parted that was never connected") })
	n := serve(t, s)
	b := n.browse()
	b.send("40")
	connecting := <-entered
	if cut := n.DisconnectIf(func(socket *Socket) bool { return socket == connecting }); cut != 1 {
		t.Errorf("%d connections were cut", cut)
	}
	close(proceed)
	b.wantClosed()
}

func TestBroadcastsWaitForConnection(t *testing.T) {
	t.Parallel()
	s := New(testConfig())
	s.OnConnect(func(socket *Socket) error {
		return errors.Join(socket.Join("room"), s.To("room").Emit("early", []byte{1}))
	})
	n := serve(t, s)
	b := n.browse()
	b.connect("")
	b.want(`451-["early",{"_placeholder":true,"num":0}]`, "\x01")
}

func TestNodes(t *testing.T) {
	t.Parallel()
	broker := &MemoryBroker{}
	withBroker := func(c *Config) { c.Broker = broker }
	here, there := newNode(t, withBroker), newNode(t, withBroker)
	eventually(t, "both nodes subscribe", func() bool { return len(broker.snapshot()) == 2 })
	clients := crowd(t, there)
	local, localID := here.browseConnected()
	if err := here.socket(localID).Join("room:a"); err != nil {
		t.Fatal(err)
	}

	if err := here.To("room:a").Except("room:b").Emit("news", []byte{1, 2}); err != nil {
		t.Fatal(err)
	}
	binary := []string{`451-["news",{"_placeholder":true,"num":0}]`, "\x01\x02"}
	clients["a"].want(binary...)
	local.want(binary...)
	if err := here.Emit("to all"); err != nil {
		t.Fatal(err)
	}
	local.want(`42["to all"]`)
	for _, b := range clients {
		b.want(`42["to all"]`) // and nobody else heard the news, nor anybody twice
	}

	if err := here.To("room:b").Disconnect(); err != nil {
		t.Fatal(err)
	}
	clients["b"].wantClosed()
	clients["ab"].wantClosed()
	eventually(t, "two are left", func() bool { return there.Connections() == 2 })
	if err := here.Ready(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestBrokerMessageOfNobody(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	b, _ := n.browseConnected()
	for _, message := range []string{"", "{", "null", `{"namespace":"/none","cut":true}`, `{"audience":{"rooms":[""]}}`} {
		n.deliver([]byte(message))
	}
	b.send(`420["message-with-ack"]`)
	b.want(`430[]`)
}

// brokenBroker fails a number of times before it works.
type brokenBroker struct {
	MemoryBroker
	failures chan error
}

func (b *brokenBroker) Publish(ctx context.Context, message []byte) error {
	if len(b.failures) > 0 {
		return errors.New("connection refused")
	}
	return b.MemoryBroker.Publish(ctx, message)
}

func (b *brokenBroker) Subscribe(ctx context.Context, deliver func([]byte)) error {
	select {
	case err := <-b.failures:
		return err
	default:
		return b.MemoryBroker.Subscribe(ctx, deliver)
	}
}

func TestBrokerFails(t *testing.T) {
	t.Parallel()
	broker := &brokenBroker{failures: make(chan error, 2)}
	broker.failures <- errors.New("connection refused")
	broker.failures <- nil
	n := newNode(t, func(c *Config) { c.Broker = broker })
	eventually(t, "the server says so", func() bool { return n.Ready(t.Context()) != nil })
	b, _ := n.browseConnected()
	eventually(t, "the server subscribes again", func() bool { return len(broker.snapshot()) == 1 })
	if err := n.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	broker.failures <- errors.New("connection refused")
	if err := n.Emit("local all the same"); err == nil {
		t.Error("nobody said that other nodes were not reached")
	}
	b.want(`42["local all the same"]`)
}

func TestLifecycle(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	never := New(testConfig())
	if err := errors.Join(never.Stop(ctx), never.Stop(ctx)); err != nil {
		t.Errorf("Stop without Start: %v", err)
	}
	if err := never.Start(ctx); !errors.Is(err, ErrStopped) {
		t.Errorf("Start after Stop: %v", err)
	}
	for name, cfg := range map[string]Config{
		"no Authenticate": {SessionKey: func(any) string { return "" }},
		"no SessionKey":   {Authenticate: authenticateAccount},
	} {
		if err := New(cfg).Start(ctx); err == nil {
			t.Errorf("%s: it started", name)
		}
	}
	comma := New(testConfig())
	comma.Namespace("/a,b")
	if err := comma.Start(ctx); err == nil {
		t.Error("a namespace with a comma was accepted")
	}
}

func TestStop(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	if err := errors.Join(n.Start(t.Context()), n.Ready(t.Context())); err != nil {
		t.Fatal(err)
	}
	reasons := make(chan string, 2)
	n.OnDisconnect(func(_ *Socket, reason string) { reasons <- reason })
	b, id := n.browseConnected()
	p := n.poll()
	_ = n.socket(id).Emit("last")
	began := time.Now()
	if err := errors.Join(n.Stop(t.Context()), n.Stop(t.Context())); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("Stop took %v", took)
	}
	b.want(`42["last"]`)
	b.wantClosed()
	if got := <-reasons; got != ReasonShutdown {
		t.Errorf("reason %q", got)
	}
	if status, _ := p.get(); status != 503 {
		t.Errorf("a stopped server answers %d", status)
	}
	if n.Ready(t.Context()) == nil {
		t.Error("a stopped server is ready")
	}
}
