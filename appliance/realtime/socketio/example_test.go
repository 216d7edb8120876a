package socketio_test

import (
	"context"
	"errors"
	"log"
	"net/http"

	"nimbus/appliance/realtime/socketio"
)

// A session of the application, as its sign-in knows it.
type session struct{ id, tenant, user string }

var errSignedOut = errors.New("no valid session cookie")

func lookUp(r *http.Request) (any, error) {
	if _, err := r.Cookie("session"); err != nil {
		return nil, errSignedOut
	}
	return session{"s1", "t1", "u1"}, nil
}

func Example() {
	server := socketio.New(socketio.Config{
		Authenticate: lookUp,
		SessionKey:   func(s any) string { return s.(session).id },
	})
	server.OnConnect(func(s *socketio.Socket) error {
		who := s.Session().(session)
		return s.Join("tenant:"+who.tenant, "user:"+who.user)
	})
	server.OnEvent("watch", func(_ context.Context, e *socketio.Event) {
		var stack string
		if err := e.Bind(&stack); err != nil {
			_ = e.Ack("which stack?")
			return
		}
		// Here the application asks whether this session may read the stack.
		if err := e.Socket().Join("stack:" + stack); err != nil {
			_ = e.Ack(err.Error())
			return
		}
		_ = e.Ack(nil)
	})
	if err := server.Start(context.Background()); err != nil {
		log.Fatal(err)
	}
	http.Handle("/socket.io/", server)

	// Wherever something happens:
	_ = server.To("stack:42").Emit("deployment", map[string]string{"status": "applying"})
	// Wherever a session ends:
	server.DisconnectIf(func(s *socketio.Socket) bool { return s.Session().(session).id == "s1" })
}
