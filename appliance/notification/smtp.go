package notification

import (
	"context"
	"crypto/tls"
	"errors"
	"time"

	"github.com/wneessen/go-mail"

	"nimbus/appliance/fault"
)

// smtpTimeout bounds the whole conversation with a mail server.
const smtpTimeout = 20 * time.Second

// deliver hands a message to the server of m. It returns fault.Unavailable with
// what the server said.
func deliver(ctx context.Context, m Mail, password string, message Message) error {
	msg, err := compose(m, message)
	if err != nil {
		return err
	}
	client, err := dialer(m, password)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "The mail settings cannot be used: %v", err)
	}
	ctx, cancel := context.WithTimeout(ctx, smtpTimeout)
	defer cancel()
	if err := client.DialAndSendWithContext(ctx, msg); err != nil {
		return fault.Wrap(fault.Unavailable, err, "The mail server %s did not take the message: %s", m.Host, cause(err))
	}
	return nil
}

func dialer(m Mail, password string) (*mail.Client, error) {
	options := []mail.Option{
		mail.WithPort(m.Port), mail.WithTimeout(smtpTimeout),
		mail.WithTLSConfig(&tls.Config{MinVersion: tls.VersionTLS12, ServerName: m.Host}),
	}
	switch m.Security {
	case TLS:
		options = append(options, mail.WithSSL())
	case StartTLS:
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory))
	case Plain:
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
	}
	if m.Username != "" {
		auth := mail.SMTPAuthAutoDiscover
		if m.Security == Plain {
			auth = mail.SMTPAuthPlainNoEnc
		}
		options = append(options, mail.WithSMTPAuth(auth), mail.WithUsername(m.Username), mail.WithPassword(password))
	}
	return mail.NewClient(m.Host, options...)
}

// compose makes the message. Line breaks in a subject cannot begin a header.
func compose(m Mail, message Message) (*mail.Msg, error) {
	msg := mail.NewMsg()
	if err := msg.FromFormat(m.FromName, m.FromAddress); err != nil {
		return nil, fault.BadField("body.from_address", "This is no e-mail address. It looks like nimbus@example.org.")
	}
	if err := msg.To(message.To...); err != nil || len(message.To) == 0 {
		return nil, fault.BadField("body.to", "This is no e-mail address. It looks like ada@example.org.")
	}
	msg.Subject(oneLine(message.Subject))
	msg.SetDate()
	msg.SetMessageID()
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834
	msg.SetBodyString(mail.TypeTextPlain, message.Text)
	return msg, nil
}

func oneLine(s string) string {
	out := []rune(s)
	for i, r := range out {
		if r == '\r' || r == '\n' {
			out[i] = ' '
		}
	}
	return string(out)
}

// cause is the innermost error, which is what the server or the network said.
func cause(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}
