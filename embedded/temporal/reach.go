package temporal

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// greetLimit is how long a foreign cluster may take to say that it speaks HTTP/2.
const greetLimit = 10 * time.Second

var errPlain = errors.New("it speaks TLS, and we do not: malformed HTTP response")

// preface begins HTTP/2, with settings that are the default (RFC 9113, 3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"

// greet finds out what is wrong with an address, with TLS or with a certificate. The
// client of the SDK would try again and again, and not say.
func greet(ctx context.Context, address string, config *tls.Config) error {
	ctx, cancel := context.WithTimeout(ctx, greetLimit)
	defer cancel()
	conn, err := dialGreeting(ctx, address, config)
	if err != nil {
		return err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, preface); err != nil {
		return err
	}
	var head [9]byte
	n, err := io.ReadFull(conn, head[:])
	switch {
	case config == nil && n > 0 && head[0] == 0x15, config == nil && n == 0 && errors.Is(err, io.EOF): // an alert
		return errPlain
	case err != nil:
		return fmt.Errorf("its greeting could not be read: %w", err)
	case head[3] != 4:
		return errors.New("it does not speak HTTP/2: this is not the frontend of a Temporal cluster")
	}
	return nil
}

func dialGreeting(ctx context.Context, address string, config *tls.Config) (net.Conn, error) {
	if config == nil {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", address)
	}
	h2 := config.Clone()
	h2.NextProtos = []string{"h2"}
	d := tls.Dialer{Config: h2}
	return d.DialContext(ctx, "tcp", address)
}
