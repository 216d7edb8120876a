package identity_test

import (
	"strings"
	"testing"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/fault"
	"nimbus/appliance/identity"
)

func TestPasswordsThatAreTriedFirst(t *testing.T) {
	t.Parallel()
	for _, password := range []string{
		"password1234", "Password1234!", "P@ssw0rd1234", "passwordpassword", "123456789012", "abcdefghijkl", "987654321098",
		"qwertyuiop12", "administrator", "adminadminadmin", "proxmoxproxmox", "iloveyou1234", "welcome12345", "changeme1234",
		"aaaaaaaaaaaa", "1q2w3e4r5t6y", "2024dragon!!", "leavemealone",
	} {
		if err := identity.ValidPassword(password, "ann@example.org"); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q is accepted: %v", password, err)
		}
	}
	for _, password := range []string{
		"four words of hers", "correct horse battery staple", "Zq8#vLw2pX!m", "blauer Himmel im Juni", "пароль из четырёх слов", "kKJ7wq93hhTTz",
	} {
		if err := identity.ValidPassword(password, "ann@example.org"); err != nil {
			t.Errorf("%q is refused: %v", password, err)
		}
	}
	for _, password := range []string{"short", strings.Repeat("ab cd ", 40), "ann.smith@example.org", "ann.smith 17 years"} {
		if err := identity.ValidPassword(password, "ann.smith@example.org"); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q is accepted: %v", password, err)
		}
	}
}

func TestTenantAsksForMore(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.passwords = identity.PasswordPolicy{MinLength: 20}
	_, err := b.CreateUser(b.as(b.ann), identity.NewUser{Name: "Bob", Email: "bob@example.org", Password: password})
	b.refused("18 characters of 20", err, fault.Invalid)
	b.passwords = identity.PasswordPolicy{MinLength: 3}
	_, err = b.CreateUser(b.as(b.ann), identity.NewUser{Name: "Bob", Email: "bob@example.org", Password: "12 45 7"})
	b.refused("7 characters, which no tenant can allow", err, fault.Invalid)
	_, err = b.CreateUser(b.as(b.ann), identity.NewUser{Name: "Bob", Email: "bob@example.org", Password: "password"})
	b.must(err)
}

func TestChangePassword(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	other, _ := b.signIn("ann@example.org")
	token, ann := b.signIn("ann@example.org")
	change := func(current, next string) error { return b.ChangePassword(b.as(ann), current, next) }
	b.refused("with a wrong present password", change("wrong", "a second sentence"), fault.Unauthenticated)
	b.refused("to the same", change(password, password), fault.Invalid)
	b.refused("to a common one", change(password, "password1234"), fault.Invalid)
	b.must(change(password, "a second sentence"))
	_, err := b.Authenticate(t.Context(), other)
	b.refused("the other session", err, fault.Unauthenticated)
	_, err = b.Authenticate(t.Context(), token)
	b.must(err)
	_, _, err = b.SignIn(t.Context(), "ann@example.org", password, home, "")
	b.refused("the old password", err, fault.Unauthenticated)

	last := "a second sentence"
	for _, next := range []string{"a third sentence", "a fourth sentence"} {
		b.must(change(last, next))
		last = next
	}
	b.refused("one of the last three", change(last, password), fault.Invalid)
	b.must(change(last, "a fifth sentence"))
	b.must(change("a fifth sentence", password))
	hashed := query[bool](b, `select bool_and(hash like '$argon2id$%') from core.password_history`)
	if n := query[int](b, `select count(*) from core.password_history`); !hashed || n != 5 {
		t.Errorf("%d earlier passwords, hashed: %v", n, hashed)
	}
	byToken := ann
	byToken.AuthenticatedAt = time.Time{}
	b.refused("by an API token", b.ChangePassword(b.as(byToken), password, "a sixth sentence"), fault.Forbidden)
	b.refused("by a program", b.ChangePassword(b.as(actor.Actor{Kind: actor.ServiceAccount, ID: ann.ID}), password, "a sixth sentence"), fault.Forbidden)
}
