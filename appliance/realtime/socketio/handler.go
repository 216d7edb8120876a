package socketio

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"
)

// refusal is an HTTP answer that is not the protocol's: the code is Engine.IO's.
type refusal struct {
	status  int
	Code    int    `json:"code"`
	Message string `json:"message"`
}

var (
	refuseTransport = &refusal{http.StatusBadRequest, 0, "Transport unknown"}
	refuseSession   = &refusal{http.StatusBadRequest, 1, "Session ID unknown"}
	refuseMethod    = &refusal{http.StatusBadRequest, 2, "Bad handshake method"}
	refuseRequest   = &refusal{http.StatusBadRequest, 3, "Bad request"}
	refuseForbidden = &refusal{http.StatusForbidden, 4, "Forbidden"}
	refuseVersion   = &refusal{http.StatusBadRequest, 5, "Unsupported protocol version"}

	refusePayload = &refusal{http.StatusRequestEntityTooLarge, 3, "Payload too large"}
	refuseRate    = &refusal{http.StatusTooManyRequests, 4, "Too many handshakes, try again later"}
	refuseFull    = &refusal{http.StatusServiceUnavailable, 4, "Too many connections, try again later"}
	refuseStopped = &refusal{http.StatusServiceUnavailable, 4, "The server is not running, try again later"}
)

func (f *refusal) write(w http.ResponseWriter) {
	body, _ := json.Marshal(f) // two plain fields
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	if f.status == http.StatusTooManyRequests || f.status == http.StatusServiceUnavailable {
		header.Set("Retry-After", "1")
	}
	w.WriteHeader(f.status)
	_, _ = w.Write(body) // who does not wait for a refusal has none to read
}

func writeText(w http.ResponseWriter, body []byte) error {
	header := w.Header()
	header.Set("Content-Type", "text/plain; charset=UTF-8")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	_, err := w.Write(body)
	return err
}

// ServeHTTP answers every request below the path that the server is mounted at.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	transport := query.Get("transport")
	switch {
	case !s.running():
		refuseStopped.write(w)
	case !s.cfg.CheckOrigin(r):
		refuseForbidden.write(w)
	case transport != "polling" && transport != "websocket":
		refuseTransport.write(w)
	case query.Get("sid") != "":
		s.resume(w, r, query.Get("sid"), transport)
	default:
		s.handshake(w, r, query.Get("EIO"), transport)
	}
}

// handshake opens a session.
func (s *Server) handshake(w http.ResponseWriter, r *http.Request, version, transport string) {
	c, refused := s.admit(r, version, transport)
	if refused != nil {
		refused.write(w)
		return
	}
	if refused = s.register(c); refused != nil {
		c.peer.cancel()
		refused.write(w)
		return
	}
	if transport == "polling" {
		c.open()
		c.answer(w, c.greeting("websocket").data)
		return
	}
	ws, err := acceptWebSocket(w, r, s.cfg.MaxPayload)
	if err != nil {
		c.abort(ReasonTransportError)
		return
	}
	c.greet(ws)
}

func (s *Server) admit(r *http.Request, version, transport string) (*session, *refusal) {
	switch {
	case r.Method != http.MethodGet:
		return nil, refuseMethod
	case transport == "websocket" && r.Header.Get("Upgrade") == "":
		return nil, refuseRequest
	case version != "4":
		return nil, refuseVersion
	case !s.throttle.allow(s.cfg.ClientKey(r), time.Now()):
		return nil, refuseRate
	}
	data, err := s.cfg.Authenticate(r)
	if err != nil {
		return nil, s.forbid(r, err)
	}
	return newSession(s, newID(), s.cfg.SessionKey(data), data, r.RemoteAddr), nil
}

// forbid shows the client the text of a ConnectError and keeps every other error to the log.
func (s *Server) forbid(r *http.Request, err error) *refusal {
	s.cfg.Logger.Debug("socketio: refused", "remote", r.RemoteAddr, "error", err)
	if told := (*ConnectError)(nil); errors.As(err, &told) {
		return &refusal{http.StatusForbidden, refuseForbidden.Code, told.Message}
	}
	return refuseForbidden
}

// resume serves the second and later requests of a session.
func (s *Server) resume(w http.ResponseWriter, r *http.Request, id, transport string) {
	c := s.session(id)
	switch {
	case c == nil:
		refuseSession.write(w)
	case transport == "websocket":
		s.upgrade(w, r, c)
	case r.Method == http.MethodGet:
		c.serveGet(w, r)
	case r.Method == http.MethodPost:
		c.servePost(w, r)
	default:
		refuseRequest.write(w)
	}
}

// upgrade takes the WebSocket of a polling session, from the same Nimbus session only.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request, c *session) {
	if r.Method != http.MethodGet || r.Header.Get("Upgrade") == "" || !c.upgradable() {
		refuseRequest.write(w)
		return
	}
	data, err := s.cfg.Authenticate(r)
	if err != nil {
		s.forbid(r, err).write(w)
		return
	}
	if s.cfg.SessionKey(data) != c.key {
		refuseForbidden.write(w)
		return
	}
	ws, err := acceptWebSocket(w, r, s.cfg.MaxPayload)
	if err != nil {
		return
	}
	// The handler returns: net/http's goroutine and buffers are not held while the socket is idle.
	if !s.spawn(func() { c.upgrade(ws) }) {
		ws.release()
	}
}

// greet makes ws the transport of a new session.
func (s *session) greet(ws *wsConn) {
	if s.send(message{s.greeting()}, classControl) != nil || !s.attach(ws) {
		ws.release()
		return
	}
	s.open()
	if !s.srv.spawn(func() { s.readFrom(ws) }) {
		s.abort(ReasonShutdown)
		ws.release()
	}
}

// greeting is the open packet, which tells the client the rules.
func (s *session) greeting(upgrades ...string) frame {
	cfg := s.srv.cfg
	if upgrades == nil {
		upgrades = []string{}
	}
	body, _ := json.Marshal(struct { // strings and numbers
		SID          string   `json:"sid"`
		Upgrades     []string `json:"upgrades"`
		PingInterval int64    `json:"pingInterval"`
		PingTimeout  int64    `json:"pingTimeout"`
		MaxPayload   int      `json:"maxPayload"`
	}{s.id, upgrades, cfg.PingInterval.Milliseconds(), cfg.PingTimeout.Milliseconds(), cfg.MaxPayload})
	return frame{data: append([]byte{frameOpen}, body...)}
}
