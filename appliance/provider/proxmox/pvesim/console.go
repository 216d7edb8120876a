package pvesim

import (
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"
)

var consoleMethods = map[string]handler{
	"POST /nodes/{node}/qemu/{vmid}/vncproxy":    openVNC,
	"POST /nodes/{node}/qemu/{vmid}/termproxy":   openTerminal,
	"GET /nodes/{node}/qemu/{vmid}/vncwebsocket": plainWebsocket,
}

const vncPort = "5900"

// openVNC hands out a ticket for a VNC session; the task ends when nobody connects.
func openVNC(req *call) (any, error) {
	g, err := req.guest()
	if err != nil {
		return nil, err
	}
	upid := req.start(job{kind: "vncproxy", id: g.id(), begin: []string{"starting vnc proxy"}, work: func(func(string)) error {
		return errors.New("connection timed out")
	}})
	result := map[string]any{
		"port": vncPort, "ticket": req.ticket("PVEVNC", req.who.user), "upid": upid, "user": req.who.name(), "cert": req.certs.caPEM,
	}
	if req.p.flag("generate-password") {
		result["password"] = randomHex(4)
	}
	return result, nil
}

// openTerminal needs a serial port to be configured.
func openTerminal(req *call) (any, error) {
	g, err := req.guest()
	if err != nil {
		return nil, err
	}
	if g.Config["serial0"] == "" || !g.Running {
		return nil, fail("Timeout while waiting for port '5901' to get ready!")
	}
	upid := req.start(job{kind: "vncproxy", id: g.id(), work: func(func(string)) error { return errors.New("connection timed out") }})
	return map[string]any{"port": "5901", "ticket": req.ticket("PVEVNC", req.who.user), "upid": upid, "user": req.who.name()}, nil
}

// plainWebsocket answers a request that does not ask to switch protocols.
func plainWebsocket(*call) (any, error) { return map[string]string{"port": vncPort}, nil }

const (
	websocketSuffix = "/vncwebsocket"
	websocketGUID   = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" // RFC 6455 section 1.3
	rfbGreeting     = "RFB 003.008\n"                        // RFC 6143 section 7.1.1
)

// serveConsole takes a websocket to a machine's VNC server: it sends the protocol's greeting and
// keeps the line open until the other side hangs up. False when the request is something else.
func (c *Cluster) serveConsole(w http.ResponseWriter, req *call) bool {
	key := req.http.Header.Get("Sec-WebSocket-Key")
	if key == "" || !strings.HasSuffix(req.path, websocketSuffix) {
		return false
	}
	if _, err := c.handle(req); err != nil {
		res := failure(err)
		c.record(req, res.status)
		_ = res.write(w) // the client is gone when this fails
		return true
	}
	c.record(req, http.StatusSwitchingProtocols)
	c.mu.Lock()
	owner, ok := c.ticketUser("PVEVNC", req.p["vncticket"])
	c.mu.Unlock()
	hijacker, can := w.(http.Hijacker)
	if !ok || owner != req.who.user || !can {
		_ = failure(bare(http.StatusUnauthorized, "permission denied - invalid PVEVNC ticket")).write(w)
		return true
	}
	c.talkVNC(hijacker, key, req.http.Header.Get("Sec-WebSocket-Protocol"))
	return true
}

func (c *Cluster) talkVNC(hijacker http.Hijacker, key, protocol string) {
	conn, rw, err := hijacker.Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	unblock := make(chan struct{})
	defer close(unblock)
	go func() {
		select {
		case <-c.ctx.Done():
			conn.Close()
		case <-unblock:
		}
	}()
	sum := sha1.Sum([]byte(key + websocketGUID))
	head := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
		base64.StdEncoding.EncodeToString(sum[:]) + "\r\n"
	if protocol != "" {
		head += "Sec-WebSocket-Protocol: " + strings.TrimSpace(strings.Split(protocol, ",")[0]) + "\r\n"
	}
	frame := append([]byte{0x82, byte(len(rfbGreeting))}, rfbGreeting...) // one unmasked binary frame
	if _, err := rw.WriteString(head + "\r\n" + string(frame)); err != nil {
		return
	}
	if rw.Flush() == nil {
		_, _ = io.Copy(io.Discard, rw) // ends when either side closes
	}
}
