// Package notification brings messages to people: for now by e-mail, through
// the mail server that the provider sets up for the whole appliance.
//
// Send answers when the server has taken the message (RFC 5321, the reply to
// the end of DATA), or says why it has not. What must arrive for certain is
// sent by a workflow, which tries again.
package notification

import (
	"net/mail"
	"strings"

	"nimbus/appliance/fault"
)

// Security says how the connection to the mail server is protected.
type Security string

// The securities.
const (
	StartTLS Security = "starttls" // RFC 3207, and never without
	TLS      Security = "tls"      // from the first byte, RFC 8314
	Plain    Security = "none"     // for a server on this machine or a trusted network
)

// Mail is how the mail server is reached.
type Mail struct {
	Host        string   `json:"host"`
	Port        int      `json:"port"`
	Security    Security `json:"security"`
	Username    string   `json:"username"`
	HasPassword bool     `json:"has_password"`
	FromAddress string   `json:"from_address"`
	FromName    string   `json:"from_name"`
}

// Configured reports whether there is a mail server at all.
func (m Mail) Configured() bool { return m.Host != "" }

// validate trims m and returns fault.Invalid for the first member that cannot be used.
func (m *Mail) validate() error {
	m.Host, m.Username, m.FromName = strings.TrimSpace(m.Host), strings.TrimSpace(m.Username), strings.TrimSpace(m.FromName)
	if m.Host == "" || strings.ContainsAny(m.Host, " /@") {
		return fault.BadField("body.host", "This is no name or address of a mail server. Leave out scheme and port, as in mail.example.org.")
	}
	if m.Port < 1 || m.Port > 65535 {
		return fault.BadField("body.port", "A port is a number from 1 to 65535. Mail servers take messages at 587 (STARTTLS) or 465 (TLS).")
	}
	if m.Security != StartTLS && m.Security != TLS && m.Security != Plain {
		return fault.BadField("body.security", "The security is starttls, tls or none.")
	}
	from, err := mail.ParseAddress(m.FromAddress)
	if err != nil || from.Name != "" {
		return fault.BadField("body.from_address", "This is no e-mail address. It looks like nimbus@example.org.")
	}
	m.FromAddress = from.Address
	return nil
}

// Message is one e-mail.
type Message struct {
	To      []string // addresses
	Subject string
	Text    string // plain text; lines end with \n
}
