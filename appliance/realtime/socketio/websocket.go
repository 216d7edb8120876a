package socketio

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/coder/websocket"
)

// Sizes of the buffers a WebSocket keeps while it is idle; net/http would leave it 4 KiB each.
const (
	readBuffer  = 512
	writeBuffer = 1024
)

// wsConn is a WebSocket with deadlines on the connection below it, which cost nothing, in
// place of contexts, which cost allocations for every frame.
type wsConn struct {
	conn *websocket.Conn
	net  net.Conn
}

// acceptWebSocket answers the handshake; on error it has written the refusal.
func acceptWebSocket(w http.ResponseWriter, r *http.Request, limit int) (*wsConn, error) {
	catcher := &hijackCatcher{ResponseWriter: w}
	conn, err := websocket.Accept(catcher, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, // Config.CheckOrigin has seen it
		CompressionMode:    websocket.CompressionDisabled,
	})
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(int64(limit) + 1) // a text frame has its type before the payload
	return &wsConn{conn: conn, net: catcher.conn}, nil
}

// hijackCatcher keeps the connection that is hijacked through it and gives it small buffers.
type hijackCatcher struct {
	http.ResponseWriter
	conn net.Conn
}

// Hijack implements http.Hijacker.
func (h *hijackCatcher) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	early, err := rw.Reader.Peek(rw.Reader.Buffered())
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	var source io.Reader = conn
	if len(early) > 0 {
		source = io.MultiReader(bytes.NewReader(bytes.Clone(early)), conn)
	}
	reader := bufio.NewReaderSize(source, max(readBuffer, len(early)))
	if _, err := reader.Peek(len(early)); err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	h.conn = conn
	return conn, bufio.NewReadWriter(reader, bufio.NewWriterSize(conn, writeBuffer)), nil
}

func (c *wsConn) read() (frame, error) {
	kind, data, err := c.conn.Read(context.Background())
	if err != nil {
		return frame{}, err
	}
	if kind == websocket.MessageBinary {
		return frame{binary: true, data: data}, nil
	}
	return parseText(data)
}

func (c *wsConn) write(f frame, timeout time.Duration) error {
	if err := c.net.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	kind := websocket.MessageText
	if f.binary {
		kind = websocket.MessageBinary
	}
	return c.conn.Write(context.Background(), kind, f.data)
}

// close says good-bye and waits for the answer; kill cuts it short.
func (c *wsConn) close() {
	_ = c.conn.Close(websocket.StatusNormalClosure, "") // the peer may be gone already
}

// kill cuts the connection at once. It goes below TLS, whose Close may wait for the peer.
func (c *wsConn) kill() {
	if t, ok := c.net.(*tls.Conn); ok {
		_ = t.NetConn().Close()
		return
	}
	_ = c.net.Close()
}

// release ends what the library holds, after the last read.
func (c *wsConn) release() {
	c.kill()
	_ = c.conn.CloseNow()
}

// write is the writer of a session: it lives until the queue is empty.
func (s *session) write() {
	for {
		frames, ws := s.nextBatch()
		if frames == nil {
			return
		}
		for _, f := range frames {
			if ws.write(f, s.srv.cfg.WriteTimeout) != nil {
				s.abort(ReasonTransportError)
				return
			}
			if !s.sent(len(f.data)) {
				break
			}
		}
	}
}

// nextBatch returns nil when the writer has to go; it says good-bye if the session is closing.
func (s *session) nextBatch() ([]frame, *wsConn) {
	s.mu.Lock()
	frames, ws := s.takeLocked(), s.ws
	s.discarded = false
	closing := s.state == sessionClosing && frames == nil
	s.writing = frames != nil || closing
	s.mu.Unlock()
	if closing {
		ws.close()
		s.end()
	}
	return frames, ws
}

// readFrom is the reader of a WebSocket, for as long as it lasts.
func (s *session) readFrom(ws *wsConn) {
	defer ws.release()
	for {
		f, err := ws.read()
		if errors.Is(err, errFrame) {
			s.accept(err)
			return
		}
		if err != nil {
			s.abort(ReasonTransportClose)
			return
		}
		if !s.receive(f) {
			ws.drain()
			return
		}
	}
}

// drain keeps reading while a closing session says its last words, so that the peer's close
// frame is seen; what else comes is thrown away.
func (c *wsConn) drain() {
	for {
		if _, err := c.read(); err != nil && !errors.Is(err, errFrame) {
			return
		}
	}
}

// attach makes a WebSocket the transport of a session that has none. A closing one takes it
// too, for its last words: a client in the middle of its upgrade does not poll any more.
func (s *session) attach(ws *wsConn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.candidate, s.probed = nil, false
	if s.state == sessionClosed {
		return false
	}
	s.wakeLocked()
	s.ws = ws
	if len(s.queue) > 0 || s.state == sessionClosing {
		s.pumpLocked()
	}
	return true
}

// claim reserves the one upgrade that a polling session can have at a time.
func (s *session) claim(ws *wsConn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != sessionOpen || s.ws != nil || s.candidate != nil {
		return false
	}
	s.candidate = ws
	return true
}

func (s *session) upgradable() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state == sessionOpen && s.ws == nil && s.candidate == nil
}

// upgrade moves a session from polling to ws: the client probes, its pending GET is answered
// so that it can pause polling, and its upgrade packet switches.
func (s *session) upgrade(ws *wsConn) {
	if !s.claim(ws) {
		ws.release()
		return
	}
	if !s.probe(ws) || !s.attach(ws) {
		s.abandon(ws)
		return
	}
	s.readFrom(ws)
}

func (s *session) probe(ws *wsConn) bool {
	if ws.net.SetReadDeadline(time.Now().Add(s.srv.cfg.UpgradeTimeout)) != nil {
		return false
	}
	f, err := ws.read()
	if err != nil || f.binary || string(f.data) != "2probe" {
		return false
	}
	if ws.write(probeFrame, s.srv.cfg.WriteTimeout) != nil {
		return false
	}
	s.flushPoll()
	f, err = ws.read()
	if err != nil || f.binary || string(f.data) != "5" {
		return false
	}
	return ws.net.SetReadDeadline(time.Time{}) == nil
}

// flushPoll answers the pending GET, and until the upgrade is over every other at once.
func (s *session) flushPoll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.probed = true
	s.wakeLocked()
}

// abandon leaves the session polling.
func (s *session) abandon(ws *wsConn) {
	s.mu.Lock()
	if s.candidate == ws {
		s.candidate, s.probed = nil, false
	}
	s.mu.Unlock()
	ws.release()
}
