package proxmox

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"unicode"

	"nimbus/appliance/fault"
	"nimbus/appliance/provider"
)

// maxBody bounds an answer: a list of 10,000 guests has 5 MB.
const maxBody = 64 << 20

type exchangeKey struct{}

// exchange is what the library does not tell about a request.
type exchange struct {
	status int // 0: there was no answer
	reason string
}

// observer notes status and reason of each answer and bounds its body.
type observer struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (o observer) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := o.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if seen, ok := r.Context().Value(exchangeKey{}).(*exchange); ok {
		seen.status = res.StatusCode
		_, reason, _ := strings.Cut(res.Status, " ")
		seen.reason = plain(reason)
	}
	res.Body = bounded{io.LimitReader(res.Body, maxBody), res.Body}
	return res, nil
}

type bounded struct {
	io.Reader
	io.Closer
}

// plain makes text of the server fit for a sentence: one line, bounded.
func plain(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.TrimSpace(text))
	if runes := []rune(text); len(runes) > 300 {
		text = string(runes[:300]) + "…"
	}
	return text
}

// explain turns what came of a request into a *provider.Failure, a fault, or nil.
func (c *cluster) explain(seen exchange, err error) error {
	if seen.status == 0 {
		return c.noAnswer(err)
	}
	switch {
	case seen.status == http.StatusUnauthorized:
		return &provider.Failure{Status: provider.StatusUnauthorised, Cause: err,
			Detail: fmt.Sprintf("%s does not accept the API token (%s). Make a new token there and enter it here.", c.host, seen.reason)}
	case seen.status == http.StatusForbidden:
		return fault.Wrap(fault.Forbidden, err, "The API token may not do this: %s. Add the right to its role in Proxmox.", seen.reason)
	case seen.status >= 595 && seen.status <= 599:
		return fault.Wrap(fault.Unavailable, err, "The node does not answer (%s). Try again when it is back.", seen.reason)
	case seen.status == http.StatusBadRequest:
		return fault.Wrap(fault.Invalid, err, "Proxmox refused the request: %s.", plain(afterDash(err)))
	case seen.status == http.StatusInternalServerError && strings.Contains(seen.reason, "does not exist"):
		return fault.Wrap(fault.NotFound, err, "It does not exist in the cluster: %s.", seen.reason)
	case seen.status == http.StatusInternalServerError:
		return fault.Wrap(fault.Conflict, err, "Proxmox refused: %s.", seen.reason)
	case seen.status >= 300 && seen.status < 400:
		return &provider.Failure{Status: provider.StatusUnreachable, Cause: err,
			Detail: fmt.Sprintf("%s redirects elsewhere, which is not followed. Enter the address of the node itself.", c.host)}
	case seen.status >= 400:
		return &provider.Failure{Status: provider.StatusUnreachable, Cause: err,
			Detail: fmt.Sprintf("%s answers with %d %s. Check that the address is that of a Proxmox VE node.", c.host, seen.status, seen.reason)}
	case err != nil:
		return &provider.Failure{Status: provider.StatusUnreachable, Cause: err,
			Detail: fmt.Sprintf("%s answers, but not like Proxmox VE. Check the address and port.", c.host)}
	}
	return nil
}

// afterDash is the part of the library's "bad request: … - {…}" that the server wrote.
func afterDash(err error) string {
	if err == nil {
		return "no reason was given"
	}
	if _, details, ok := strings.Cut(err.Error(), " - "); ok {
		return details
	}
	return err.Error()
}

func (c *cluster) noAnswer(err error) error {
	if err == nil {
		return nil
	}
	f := &provider.Failure{Status: provider.StatusUnreachable, Cause: err}
	var certificate *certificateError
	var blocked *blockedError
	var timeout net.Error
	var dns *net.DNSError
	switch {
	case errors.As(err, &certificate):
		f.Status, f.Offered = provider.StatusFingerprintChanged, certificate.offered
		f.Detail = c.certificateSentence(certificate)
	case errors.As(err, &blocked):
		f.Detail = fmt.Sprintf("%s is at %s, where a cluster cannot be. Enter the address of a Proxmox VE node.", c.host, blocked.address)
	case errors.As(err, &dns):
		f.Detail = fmt.Sprintf("The name of %s cannot be resolved. Check the address or the DNS of this machine.", c.host)
	case errors.As(err, &timeout) && timeout.Timeout():
		f.Detail = fmt.Sprintf("%s does not answer in time. Check that it runs and that no firewall is between.", c.host)
	default:
		f.Detail = fmt.Sprintf("%s cannot be reached. Check that it runs, the port, and the network between.", c.host)
	}
	return f
}

func (c *cluster) certificateSentence(e *certificateError) string {
	if e.pinned {
		return fmt.Sprintf("%s shows another certificate than the accepted one. Nothing is sent until somebody compares the fingerprint with the node's and accepts it.", c.host)
	}
	return fmt.Sprintf("The certificate of %s is not trusted. Compare the fingerprint with the node's (System, Certificates) and accept it, or enter the authority that issued it.", c.host)
}
