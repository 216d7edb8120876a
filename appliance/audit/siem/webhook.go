package siem

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The headers of a batch.
const (
	TimestampHeader = "Nimbus-Timestamp"
	SignatureHeader = "Nimbus-Signature"
	RangeHeader     = "Nimbus-Sequences" // first-last
)

// ReplayWindow is how old a batch may be when a receiver takes it.
const ReplayWindow = 5 * time.Minute

// maxRetryAfter bounds what a collector may ask for.
const maxRetryAfter = time.Hour

type webhook struct {
	target   Target
	renderer renderer
	client   *http.Client
}

func newWebhook(t Target) (Conn, error) {
	client, err := t.Outbound.Client(t.CAPEM)
	if err != nil {
		return nil, failed(err, "There is no certificate of an authority in this text. It begins with -----BEGIN CERTIFICATE-----.")
	}
	if t.Format == "" {
		t.Format = JSON
	}
	return &webhook{target: t, renderer: newRenderer(t, maxFrame), client: client}, nil
}

// Sign is the signature of a batch: HMAC-SHA-256 over the timestamp (seconds
// since 1970), a dot and the body.
func Sign(secret []byte, timestamp int64, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write(strconv.AppendInt(nil, timestamp, 10))
	mac.Write([]byte("."))
	mac.Write(body)
	return "v1=" + hex.EncodeToString(mac.Sum(nil))
}

// Verify is what a receiver does: the signature is right and the timestamp is
// within the window around now.
func Verify(secret []byte, h http.Header, body []byte, now time.Time) error {
	at, err := strconv.ParseInt(h.Get(TimestampHeader), 10, 64)
	if err != nil {
		return errors.New("there is no timestamp")
	}
	if age := now.Sub(time.Unix(at, 0)); age > ReplayWindow || age < -ReplayWindow {
		return errors.New("the batch is too old or from the future")
	}
	if !hmac.Equal([]byte(Sign(secret, at, body)), []byte(h.Get(SignatureHeader))) {
		return errors.New("the signature is wrong")
	}
	return nil
}

// Close implements Conn. Connections are the client's.
func (w *webhook) Close() error { return nil }

// Send implements Conn.
func (w *webhook) Send(ctx context.Context, messages []Message) error {
	if len(messages) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, MaxAttempt)
	defer cancel()
	req, err := w.request(ctx, messages)
	if err != nil {
		return failed(nil, "The address is not a URL that can be called.")
	}
	res, err := w.client.Do(req)
	if err != nil {
		return failed(err, "The collector cannot be reached. %s", reason(err))
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	switch {
	case res.StatusCode >= 300:
		return refused(res, time.Now())
	case err != nil:
		return failed(err, "The collector's answer broke off. %s", reason(err))
	}
	return nil
}

func (w *webhook) request(ctx context.Context, messages []Message) (*http.Request, error) {
	body, kind := w.body(messages)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.target.URL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	now := time.Now().Unix()
	req.Header.Set("Content-Type", kind)
	req.Header.Set("User-Agent", "Nimbus")
	req.Header.Set(TimestampHeader, strconv.FormatInt(now, 10))
	req.Header.Set(RangeHeader, strconv.FormatInt(messages[0].Sequence, 10)+"-"+strconv.FormatInt(messages[len(messages)-1].Sequence, 10))
	if len(w.target.Secret) > 0 {
		req.Header.Set(SignatureHeader, Sign(w.target.Secret, now, body))
	}
	if w.target.Authorization != "" {
		req.Header.Set("Authorization", w.target.Authorization)
	}
	return req, nil
}

// body is one JSON object with all records, or a line for each message.
func (w *webhook) body(messages []Message) ([]byte, string) {
	var b bytes.Buffer
	if w.target.Format != JSON {
		for _, m := range messages {
			b.Write(w.text(m))
			b.WriteByte('\n')
		}
		return b.Bytes(), "text/plain; charset=utf-8"
	}
	b.WriteString(`{"format":"nimbus-siem/1","records":[`)
	for i, m := range messages {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(m.object(true))
	}
	b.WriteString("]}")
	return b.Bytes(), "application/json"
}

// text is a line of CEF, or a whole syslog message.
func (w *webhook) text(m Message) []byte {
	if w.target.Format == CEF {
		return []byte(w.renderer.cef(m))
	}
	return w.renderer.syslog(m)
}

// refused reads an answer that is no success. Only those about the content can
// mean that a message is to blame; the others are about the collector or us.
func refused(res *http.Response, now time.Time) *Error {
	e := failed(nil, "The collector answered %d %s.", res.StatusCode, http.StatusText(res.StatusCode))
	switch res.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired:
		e.Reason += " Check the authorization and the secret."
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusGone:
		e.Reason += " Check the address."
	case http.StatusTooManyRequests, http.StatusRequestTimeout, http.StatusTooEarly, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
	default:
		e.Refused = res.StatusCode >= 400
	}
	e.RetryAfter = retryAfter(res.Header.Get("Retry-After"), now)
	return e
}

// retryAfter reads seconds or a date.
func retryAfter(text string, now time.Time) time.Duration {
	wait := time.Duration(0)
	if seconds, err := strconv.Atoi(strings.TrimSpace(text)); err == nil {
		wait = time.Duration(min(seconds, int(maxRetryAfter/time.Second))) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), maxRetryAfter)
}
