package notification

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/db"
	"nimbus/appliance/db/dbtest"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/secret"
)

// server is a mail server that keeps what it takes and refuses one recipient.
type server struct {
	net.Listener
	taken chan string
}

func serve(t *testing.T) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	s := &server{l, make(chan string, 8)}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.talk(c)
		}
	}()
	return s
}

// talk speaks as much of RFC 5321 and RFC 4954 as a client needs.
func (s *server) talk(c net.Conn) {
	defer c.Close()
	in := bufio.NewScanner(c)
	say := func(line string) { fmt.Fprintf(c, "%s\r\n", line) }
	var message strings.Builder
	data := false
	for say("220 mail.test ESMTP"); in.Scan(); {
		line := in.Text()
		message.WriteString(line + "\n")
		switch verb := strings.ToUpper(line); {
		case data && line == ".":
			data = false
			s.taken <- message.String()
			say("250 taken")
		case data:
		case strings.HasPrefix(verb, "EHLO"):
			say("250-mail.test")
			say("250 AUTH PLAIN")
		case strings.HasPrefix(verb, "AUTH"):
			say("235 welcome")
		case strings.HasPrefix(verb, "RCPT") && strings.Contains(line, "full@"):
			say("452 4.2.2 mailbox full")
		case verb == "DATA":
			data = true
			say("354 go on")
		case verb == "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func (s *server) mail() Mail {
	at := s.Addr().(*net.TCPAddr)
	return Mail{Host: "127.0.0.1", Port: at.Port, Security: Plain, Username: "nimbus", FromAddress: "nimbus@example.org", FromName: "Nimbus"}
}

// keys is the provider's wrapped key in memory.
type keys struct{ kept secret.WrappedKey }

// LoadKey implements secret.Store.
func (k *keys) LoadKey(context.Context, id.ID) (secret.WrappedKey, bool, error) {
	return k.kept, k.kept.Wrapped != nil, nil
}

// AddKey implements secret.Store.
func (k *keys) AddKey(_ context.Context, _ id.ID, w secret.WrappedKey) (secret.WrappedKey, error) {
	k.kept = w
	return w, nil
}

func newService(t *testing.T) (*Service, context.Context, *db.DB) {
	t.Helper()
	d, _ := dbtest.Open(t, audit.Migrations, Migrations)
	root, err := secret.OpenFileRoot(filepath.Join(t.TempDir(), "root.key"))
	must(t, err)
	keyring := secret.NewKeyring(root, &keys{}, func([]byte) ([]byte, error) { return nil, nil })
	log := slog.New(slog.DiscardHandler)
	isRoot := func(id.ID) bool { return false }
	records := audit.New(audit.Config{DB: d, Logger: log, IsRoot: isRoot})
	s := New(Config{DB: d, Audit: records, Logger: log, IsRoot: isRoot, Keyring: func() *secret.Keyring { return keyring },
		Check: func(ctx context.Context, p string) error {
			if a, _ := actor.From(ctx); a.Name == "reader" && p != ReadMail {
				return fault.New(fault.Forbidden, "You may not.")
			}
			return nil
		}})
	return s, actor.With(t.Context(), actor.Actor{Kind: actor.User, Name: "ada"}), d
}

func TestSend(t *testing.T) {
	t.Parallel()
	s, ada, d := newService(t)
	mails := serve(t)
	if err := s.Send(ada, Message{To: []string{"bob@example.org"}}); fault.KindOf(err) != fault.Conflict {
		t.Fatalf("without a mail server: %v", err)
	}
	password := "canary-password"
	set, err := s.SetMail(ada, mails.mail(), &password)
	must(t, err)
	if !set.HasPassword {
		t.Error("the password was not kept")
	}
	must(t, s.Send(ada, Message{To: []string{"bob@example.org"}, Subject: "Grüße\r\nBcc: eve@example.org", Text: "Hello\n.\nline\n"}))
	got := <-mails.taken
	for _, want := range []string{"RCPT TO:<bob@example.org>", "Auto-Submitted: auto-generated", "From: \"Nimbus\" <nimbus@example.org>"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
	if strings.Contains(got, "\nBcc:") {
		t.Errorf("a subject began a header:\n%s", got)
	}
	err = s.Test(ada, "full@example.org")
	if fault.KindOf(err) != fault.Unavailable || !strings.Contains(fault.Message(err), "mailbox full") {
		t.Errorf("a refusal: %v", err)
	}
	must(t, d.Core(ada, func(ctx context.Context) error {
		var leaked, records int
		err := db.Tx(ctx).QueryRow(ctx, `select count(*) filter (where position('canary' in convert_from(body, 'UTF8')) > 0), count(*) from audit_record`).Scan(&leaked, &records)
		if leaked != 0 || records != 2 {
			t.Errorf("%d records, %d hold the password", records, leaked)
		}
		return err
	}))
}

func TestPasswordsStayWithTheirServer(t *testing.T) {
	t.Parallel()
	s, ada, _ := newService(t)
	mails := serve(t)
	password := "secret"
	m := mails.mail()
	_, err := s.SetMail(ada, m, &password)
	must(t, err)
	m.FromName = "Other"
	kept, err := s.SetMail(ada, m, nil)
	must(t, err)
	if !kept.HasPassword {
		t.Error("renaming lost the password")
	}
	m.Host = "mail.example.net"
	if _, err = s.SetMail(ada, m, nil); fault.KindOf(err) != fault.Invalid {
		t.Errorf("the password would go to another server: %v", err)
	}
	must(t, s.RemoveMail(ada))
	if s.Configured(ada) {
		t.Error("removed settings are still there")
	}
}

func TestSettingsAreTheProviders(t *testing.T) {
	t.Parallel()
	s, _, _ := newService(t)
	for name, who := range map[string]actor.Actor{
		"a reader": {Kind: actor.User, Name: "reader"}, "a tenant": {Kind: actor.User, Name: "ada", TenantID: id.New()},
	} {
		if _, err := s.SetMail(actor.With(t.Context(), who), Mail{}, nil); fault.KindOf(err) != fault.Forbidden {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBadSettings(t *testing.T) {
	t.Parallel()
	s, ada, _ := newService(t)
	good := Mail{Host: "mail.example.org", Port: 587, Security: StartTLS, FromAddress: "nimbus@example.org"}
	for _, spoil := range []func(*Mail){
		func(m *Mail) { m.Host = " " }, func(m *Mail) { m.Host = "smtp://mail.example.org" }, func(m *Mail) { m.Port = 0 },
		func(m *Mail) { m.Security = "ssl" }, func(m *Mail) { m.FromAddress = "Nimbus <a@b>" }, func(m *Mail) { m.FromAddress = "nimbus" },
	} {
		m := good
		spoil(&m)
		if _, err := s.SetMail(ada, m, nil); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%+v: %v", m, err)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
