package socketio

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// serveGet answers a long poll with everything that is queued, or with the first thing that will be.
func (s *session) serveGet(w http.ResponseWriter, r *http.Request) {
	wake, refused := s.beginPoll()
	if refused != nil {
		refused.write(w)
		return
	}
	s.hold(w)
	select {
	case <-wake:
	case <-r.Context().Done():
		s.endPoll()
		s.abort(ReasonTransportClose)
		return
	}
	frames, last := s.endPoll()
	s.answer(w, appendPayload(nil, frames))
	if last {
		s.end()
	}
}

// hold gives a pending poll time until the next heartbeat, whatever the deadlines of the HTTP server are.
func (s *session) hold(w http.ResponseWriter) {
	cfg := s.srv.cfg
	until := time.Now().Add(cfg.PingInterval + cfg.PingTimeout + cfg.WriteTimeout)
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(until) // not every writer can; it notices a client that hangs up
	_ = control.SetWriteDeadline(until)
}

func (s *session) answer(w http.ResponseWriter, body []byte) {
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Now().Add(s.srv.cfg.WriteTimeout)) // not every writer can
	defer func() { _ = control.SetWriteDeadline(time.Time{}) }()
	err := writeText(w, body)
	if err == nil {
		err = control.Flush() // so that a lost connection is noticed here
	}
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		s.abort(ReasonTransportError)
	}
}

// beginPoll registers a GET. A second one beside a pending one breaks the protocol and ends the session.
func (s *session) beginPoll() (<-chan struct{}, *refusal) {
	s.mu.Lock()
	overlap := s.poll != nil
	refused := s.refusePollLocked()
	if refused == nil {
		s.poll = make(chan struct{}, 1)
		if len(s.queue) > 0 || s.probed || s.state == sessionClosing {
			s.wakeLocked()
		}
	}
	wake := s.poll
	s.mu.Unlock()
	if overlap {
		s.abort(ReasonTransportError)
	}
	return wake, refused
}

func (s *session) refusePollLocked() *refusal {
	switch {
	case s.state == sessionClosed:
		return refuseSession
	case s.ws != nil, s.poll != nil:
		return refuseRequest
	}
	return nil
}

// endPoll gives the frames for the pending GET, never none; last says that the session ends
// with them. The last words of a closing session and its close packet take two polls: the stock
// client would forget the words if the close came with them.
func (s *session) endPoll() (frames []frame, last bool) {
	s.mu.Lock()
	s.poll = nil
	if s.ws == nil {
		frames = s.takeLocked()
	}
	if s.state != sessionOpen && len(frames) == 0 {
		frames, last = []frame{s.farewell}, true
	}
	s.mu.Unlock()
	size := message(frames).size()
	if len(frames) == 0 {
		frames = []frame{noopFrame}
	}
	if !last && size > 0 {
		s.sent(size)
	}
	return frames, last
}

// servePost takes a payload of packets.
func (s *session) servePost(w http.ResponseWriter, r *http.Request) {
	if refused := s.beginPost(); refused != nil {
		refused.write(w)
		return
	}
	defer s.endPost()
	body, refused := s.readBody(w, r)
	if refused != nil {
		refused.write(w)
		return
	}
	if !s.receivePayload(body) {
		refuseRequest.write(w)
		return
	}
	_ = writeText(w, []byte("ok")) // a lost answer shows as a lost connection
}

// receivePayload stops at a packet that ends the session; false unless it is the client's own good-bye.
func (s *session) receivePayload(body []byte) bool {
	for f, err := range parsePayload(body) {
		if err != nil {
			return s.accept(err)
		}
		if !s.receive(f) {
			return !f.binary && f.data[0] == frameClose
		}
	}
	return true
}

func (s *session) readBody(w http.ResponseWriter, r *http.Request) ([]byte, *refusal) {
	if r.Header.Get("Content-Type") == "application/octet-stream" { // only revision 3 sends it
		s.abort(ReasonParseError)
		return nil, refuseRequest
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(s.srv.cfg.PingTimeout)) // not every writer can
	defer func() { _ = control.SetReadDeadline(time.Time{}) }()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(s.srv.cfg.MaxPayload)))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return nil, refusePayload
	}
	if err != nil {
		s.abort(ReasonTransportClose)
		return nil, refuseRequest
	}
	return body, nil
}

// beginPost registers a POST. A second one beside it would lose the order of packets and ends the session.
func (s *session) beginPost() *refusal {
	s.mu.Lock()
	overlap := s.posting
	var refused *refusal
	switch {
	case s.state != sessionOpen:
		refused = refuseSession
	case s.ws != nil, overlap:
		refused = refuseRequest
	default:
		s.posting = true
	}
	s.mu.Unlock()
	if overlap {
		s.abort(ReasonTransportError)
	}
	return refused
}

func (s *session) endPost() {
	s.mu.Lock()
	s.posting = false
	s.mu.Unlock()
}
