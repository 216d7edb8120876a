package hsm_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"nimbus/appliance/breakglass/hsm"
	"nimbus/appliance/breakglass/hsm/hsmtest"
)

// unlockTimes enters n different wrong PINs and waits out each pause.
func unlockTimes(t *testing.T, token *hsm.Token, n int) (errs []error) {
	t.Helper()
	for i := range n {
		err := token.Unlock(t.Context(), fmt.Sprintf("wrong-%d", i), false)
		var e *hsm.Error
		for errors.Is(err, hsm.ErrPINBackoff) && errors.As(err, &e) {
			time.Sleep(time.Until(e.Until) + time.Millisecond)
			err = token.Unlock(t.Context(), fmt.Sprintf("wrong-%d", i), false)
		}
		errs = append(errs, err)
	}
	return errs
}

func TestRobustness42WrongPINTenTimes(t *testing.T) {
	t.Parallel()
	f, cfg := newFake(t)
	f.set("tries 3")
	token := hsmtest.Start(t, withoutPIN(cfg))
	for i, err := range unlockTimes(t, token, 10) {
		want := hsm.ErrPINLockWarning
		if i < 2 {
			want = hsm.ErrPINIncorrect
		}
		wantKind(t, err, want)
	}
	if f.logins() != 2 || f.wrongPINs() != "2" {
		t.Fatalf("%d PINs reached the token, it counted %s wrong ones; want 2", f.logins(), f.wrongPINs())
	}
	s := token.Status(t.Context())
	if s.State != hsm.StateSealed || !s.NeedOverride || !s.PINFinalTry || !s.PINCountLow || s.Failures != 2 {
		t.Fatalf("status %+v", s)
	}
	wantKind(t, token.Unlock(t.Context(), hsmtest.PIN, false), hsm.ErrPINLockWarning)
	if err := token.Unlock(t.Context(), hsmtest.PIN, true); err != nil {
		t.Fatal("override:", err)
	}
	if s := token.Status(t.Context()); s.State != hsm.StateReady || s.Failures != 0 || s.NeedOverride || f.wrongPINs() != "0" {
		t.Fatalf("after the right PIN: %+v", s)
	}
}

func TestRobustness42TokenThatNeverWarns(t *testing.T) {
	t.Parallel()
	f, cfg := newFake(t) // without "tries" the token gives no sign of its own
	token := hsmtest.Start(t, withoutPIN(cfg))
	errs := unlockTimes(t, token, 5)
	wantKind(t, errs[1], hsm.ErrPINIncorrect)
	wantKind(t, errs[4], hsm.ErrPINLockWarning)
	if f.logins() != 2 {
		t.Fatalf("%d PINs reached the token, want 2", f.logins())
	}
}

func TestRobustness42NoAutomaticRetry(t *testing.T) {
	t.Parallel()
	f, cfg := newFake(t)
	f.set("tries 3")
	for range 3 { // restarts of the appliance
		token := hsmtest.Start(t, withPIN(cfg, "not this one"))
		for range 5 {
			token.Status(t.Context())
			wantKind(t, token.Test(t.Context()), hsm.ErrSealed)
			if s := token.Status(t.Context()); s.State != hsm.StateSealed || s.Failures != 1 {
				t.Fatalf("status %+v", s)
			}
		}
		if err := token.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if f.logins() != 1 {
		t.Fatalf("the rejected PIN was sent %d times", f.logins())
	}
	token := hsmtest.Start(t, withPIN(cfg, "not this one"))
	if err := token.Unlock(t.Context(), hsmtest.PIN, false); err != nil {
		t.Fatal(err)
	}
	if err := token.Test(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestRobustness42PauseGrowsAndOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	f, cfg := newFake(t)
	cfg.PINPause = time.Minute
	first := hsmtest.Start(t, withoutPIN(cfg))
	wantKind(t, first.Unlock(t.Context(), "wrong", false), hsm.ErrPINIncorrect)
	if err := first.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	token := hsmtest.Start(t, withoutPIN(cfg))
	for _, override := range []bool{false, true} {
		err := token.Unlock(t.Context(), hsmtest.PIN, override)
		wantKind(t, err, hsm.ErrPINBackoff)
		var e *hsm.Error
		if errors.As(err, &e); time.Until(e.Until) < 50*time.Second || time.Until(e.Until) > time.Minute {
			t.Fatalf("the pause ends at %s", e.Until)
		}
	}
	if f.logins() != 1 || token.Status(t.Context()).NextTry.IsZero() {
		t.Fatalf("%d PINs reached the token, status %+v", f.logins(), token.Status(t.Context()))
	}
}

func TestRobustness42SamePINIsNotSentTwice(t *testing.T) {
	t.Parallel()
	f, cfg := newFake(t)
	token := hsmtest.Start(t, withoutPIN(cfg))
	for range 4 {
		wantKind(t, token.Unlock(t.Context(), "wrong", false), hsm.ErrPINIncorrect)
		time.Sleep(2 * time.Millisecond)
	}
	wantKind(t, token.Unlock(t.Context(), "123", false), hsm.ErrPINIncorrect) // too short for the token
	if f.logins() != 1 {
		t.Fatalf("%d PINs reached the token, want 1", f.logins())
	}
}

func TestRobustness42SomebodyElseUsedTheTries(t *testing.T) {
	t.Parallel()
	f, cfg := newFake(t)
	f.set("tries 3")
	f.write(".tries", "2")
	token := hsmtest.Start(t, cfg)
	wantKind(t, token.Test(t.Context()), hsm.ErrPINLockWarning)
	wantKind(t, token.Unlock(t.Context(), "wrong", false), hsm.ErrPINLockWarning)
	if f.logins() != 0 {
		t.Fatal("the last try was risked")
	}
	if err := token.Unlock(t.Context(), hsmtest.PIN, true); err != nil {
		t.Fatal(err)
	}
}

func TestRobustness42Locked(t *testing.T) {
	t.Parallel()
	f, cfg := newFake(t)
	f.set("tries 3")
	f.write(".tries", "3")
	token := hsmtest.Start(t, cfg)
	if s := token.Status(t.Context()); s.State != hsm.StateLocked || !s.PINLocked {
		t.Fatalf("status %+v", s)
	}
	wantKind(t, token.Unlock(t.Context(), hsmtest.PIN, true), hsm.ErrPINLocked)
	if f.logins() != 0 {
		t.Fatal("a locked token was asked")
	}
	f.write(".tries", "0") // the security officer's work
	eventually(t, func() error { return token.Ready(t.Context()) })
}

func TestRobustness42NoRecordNoPIN(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(path string) error{
		"damaged":  func(path string) error { return os.WriteFile(path, []byte("{"), 0o600) },
		"no place": func(path string) error { return os.Mkdir(path, 0o700) },
	} {
		f, cfg := newFake(t)
		path := filepath.Join(cfg.Dir, "pin-attempts.json")
		if err := spoil(path); err != nil {
			t.Fatal(err)
		}
		token := hsmtest.Start(t, cfg)
		wantKind(t, token.Test(t.Context()), hsm.ErrPINRecord)
		if s := token.Status(t.Context()); f.logins() != 0 || !s.NeedOverride {
			t.Fatalf("%s: %d PINs reached the token, status %+v", name, f.logins(), s)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() error { return token.Ready(t.Context()) })
	}
}
