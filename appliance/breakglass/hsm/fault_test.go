package hsm_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"nimbus/appliance/breakglass/hsm"
	"nimbus/appliance/breakglass/hsm/hsmtest"
)

// signing starts a token with a key and returns a function that uses it.
func signing(t *testing.T, cfg hsm.Config) (*hsm.Token, func() error) {
	t.Helper()
	token := hsmtest.Start(t, cfg)
	eventually(t, func() error { _, err := token.EnsureSigningKey(t.Context(), "key"); return err })
	return token, func() error {
		_, err := token.Sign(t.Context(), "key", []byte("message"))
		return err
	}
}

func wantState(t *testing.T, token *hsm.Token, want hsm.State) {
	t.Helper()
	s := token.Status(t.Context())
	if s.State != want || (s.Reason == "") != (want == hsm.StateReady) {
		t.Fatalf("status %+v, want %s", s, want)
	}
	if err := token.Ready(t.Context()); (err == nil) != (want == hsm.StateReady) {
		t.Fatalf("in state %s Ready says %v", want, err)
	}
}

func TestRobustness43TokenRemovedAndReturned(t *testing.T) {
	t.Parallel()
	f, cfg := newFake(t)
	token, sign := signing(t, cfg)
	for range 3 {
		f.set("removed")
		wantKind(t, sign(), hsm.ErrTokenAbsent)
		wantState(t, token, hsm.StateAbsent)
		_, err := token.Wrap(t.Context(), "key", []byte("secret"), nil)
		wantKind(t, err, hsm.ErrTokenAbsent)
		f.set()
		if err := sign(); err != nil {
			t.Fatal("returned:", err)
		}
		wantState(t, token, hsm.StateReady)
	}
}

func TestRobustness43AbsentAtStart(t *testing.T) {
	t.Parallel()
	f, cfg := newFake(t)
	f.set("removed")
	token := hsmtest.Start(t, cfg)
	wantState(t, token, hsm.StateAbsent)
	f.set()
	wantState(t, token, hsm.StateReady)
}

func TestRobustness43TokenFilesRemovedAndReturned(t *testing.T) {
	t.Parallel()
	cfg := hsmtest.SoftHSM(t)
	token, sign := signing(t, cfg)
	key := must[hsm.PublicKey](t)(token.PublicKey(t.Context(), "key"))
	tokens, away := filepath.Join(cfg.Dir, "tokens"), filepath.Join(cfg.Dir, "away")
	if err := errors.Join(os.Rename(tokens, away), os.Mkdir(tokens, 0o700)); err != nil {
		t.Fatal(err)
	}
	if err := sign(); err == nil {
		t.Fatal("signed without the token")
	}
	if err := errors.Join(os.RemoveAll(tokens), os.Rename(away, tokens)); err != nil {
		t.Fatal(err)
	}
	again := must[hsm.PublicKey](t)(token.EnsureSigningKey(t.Context(), "key"))
	if !bytes.Equal(again.DER, key.DER) {
		t.Fatal("a second key was made while the first was out of sight")
	}
	if err := sign(); err != nil {
		t.Fatal(err)
	}
}

func TestRobustness43SessionsInvalidated(t *testing.T) {
	t.Parallel()
	f, cfg := newFake(t)
	f.set("sessions 2")
	token, sign := signing(t, cfg)
	for i := range 20 {
		f.set("sessions 2", fmt.Sprint("invalidated ", i+1))
		if err := sign(); err != nil {
			t.Fatalf("loss %d: %v", i, err)
		}
	}
	f.set("sessions 2", "invalidated 21")
	wantState(t, token, hsm.StateReady)
}

func TestRobustness43SessionLimit(t *testing.T) {
	t.Parallel()
	f, cfg := newFake(t)
	f.set("sessions 2")
	token, sign := signing(t, cfg)
	var all sync.WaitGroup
	for range 30 {
		all.Go(func() {
			if err := sign(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	f.set("sessions 0", "invalidated 1")
	wantKind(t, sign(), hsm.ErrSessions)
	wantState(t, token, hsm.StateFailed)
	f.set("sessions 2")
	if err := sign(); err != nil {
		t.Fatal(err)
	}
}

func TestRobustness43AlreadyLoggedIn(t *testing.T) {
	t.Parallel()
	f, cfg := newFake(t)
	f.set("stale")
	token := hsmtest.Start(t, withoutPIN(cfg))
	wantKind(t, token.Unlock(t.Context(), "wrong", false), hsm.ErrPINIncorrect)
	time.Sleep(2 * time.Millisecond)
	if err := token.Unlock(t.Context(), hsmtest.PIN, false); err != nil {
		t.Fatal(err)
	}
	f.set("C_Login 0x100", "invalidated 1")
	wantKind(t, token.Test(t.Context()), hsm.ErrSessionLost)
	f.set()
	if err := token.Test(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestRobustness43CodesOfALostSession(t *testing.T) {
	t.Parallel()
	f, cfg := newFake(t)
	token, sign := signing(t, cfg)
	for name, code := range map[string]string{
		"CKR_SESSION_HANDLE_INVALID": "0xB3", "CKR_OBJECT_HANDLE_INVALID": "0x82", "CKR_DEVICE_REMOVED": "0x32",
		"CKR_USER_NOT_LOGGED_IN": "0x101", "CKR_DEVICE_ERROR": "0x30", "CKR_CRYPTOKI_NOT_INITIALIZED": "0x190",
	} {
		for _, call := range []string{"C_Sign", "C_SignInit", "C_FindObjectsInit"} {
			f.set(call + " " + code)
			if err := sign(); err == nil {
				t.Fatalf("%s at %s: no error", name, call)
			}
			f.set()
			if err := sign(); err != nil {
				t.Fatalf("after %s at %s: %v", name, call, err)
			}
		}
	}
	wantState(t, token, hsm.StateReady)
}

// within fails the test when f takes longer than a caller may be kept waiting.
func within(t *testing.T, limit time.Duration, f func() error) error {
	t.Helper()
	start := time.Now()
	err := f()
	if took := time.Since(start); took > limit {
		t.Fatalf("took %s, want %s at most", took, limit)
	}
	return err
}

func TestRobustness43SlowHungCrashedAndGone(t *testing.T) {
	t.Parallel()
	for _, fault := range []struct {
		does  string
		kind  error
		state hsm.State
		calls []string
	}{
		{"slow 30000", hsm.ErrModuleHung, hsm.StateHung, []string{"C_Sign"}},
		{"hang", hsm.ErrModuleHung, hsm.StateHung, []string{"C_Sign", "C_Login", "C_GetTokenInfo"}},
		{"crash", hsm.ErrModuleCrashed, hsm.StateFailed, []string{"C_Sign", "C_Login", "C_OpenSession"}},
		{"exit", hsm.ErrModuleCrashed, hsm.StateFailed, []string{"C_Sign", "C_Initialize"}},
	} {
		for _, call := range fault.calls {
			t.Run(call+" "+fault.does, func(t *testing.T) {
				t.Parallel()
				f, cfg := newFake(t)
				cfg.Timeout, cfg.RestartPause = 500*time.Millisecond, 500*time.Millisecond
				token, sign := signing(t, cfg)
				f.set(call+" "+fault.does, "invalidated 1")
				wantKind(t, within(t, 3*time.Second, sign), fault.kind)
				wantKind(t, within(t, 3*time.Second, sign), fault.kind) // and in the pause after it
				wantState(t, token, fault.state)
				if token.Status(t.Context()).NextStart.IsZero() {
					t.Fatal("the status does not tell when the module is started again")
				}
				f.set()
				eventually(t, sign)
				wantState(t, token, hsm.StateReady)
			})
		}
	}
}

func TestRobustness43HangDoesNotHoldTheCaller(t *testing.T) {
	t.Parallel()
	f, cfg := newFake(t)
	cfg.Timeout = time.Minute
	token, _ := signing(t, cfg)
	f.set("C_Sign hang")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := within(t, time.Second, func() error { _, err := token.Sign(ctx, "key", nil); return err })
	wantKind(t, err, context.DeadlineExceeded)
	_ = within(t, 1500*time.Millisecond, func() error { token.Status(t.Context()); return nil })
	if err := within(t, 5*time.Second, func() error { return token.Stop(t.Context()) }); err != nil {
		t.Fatal(err)
	}
}

func TestRobustness43FaultySignatureIsNotPassedOn(t *testing.T) {
	t.Parallel()
	f, cfg := newFake(t)
	token, sign := signing(t, cfg)
	f.set("wrong-signature")
	wantKind(t, sign(), hsm.ErrSignature)
	wantKind(t, token.Test(t.Context()), hsm.ErrSignature)
}

func TestKeysThatAreNotTrusted(t *testing.T) {
	t.Parallel()
	f, cfg := newFake(t)
	token, sign := signing(t, cfg)
	if err := token.EnsureWrappingKey(t.Context(), "root"); err != nil {
		t.Fatal(err)
	}
	for fault, kind := range map[string]error{"extractable": hsm.ErrKeyUnsafe, "twice": hsm.ErrKeyAmbiguous} {
		f.set(fault)
		wantKind(t, sign(), kind)
		_, err := token.EnsureSigningKey(t.Context(), "key")
		wantKind(t, err, kind)
		wantKind(t, token.EnsureWrappingKey(t.Context(), "root"), kind)
		_, err = token.Wrap(t.Context(), "root", []byte("secret"), nil)
		wantKind(t, err, kind)
	}
}

func TestRobustness43ModuleThatForgotItself(t *testing.T) {
	t.Parallel()
	f, cfg := newFake(t)
	token, _ := signing(t, cfg)
	f.set("C_GetSlotList 0x190") // CKR_CRYPTOKI_NOT_INITIALIZED
	wantState(t, token, hsm.StateFailed)
	f.set()
	wantState(t, token, hsm.StateReady)
}

func TestModuleThatPrints(t *testing.T) {
	t.Parallel()
	f, cfg := newFake(t)
	f.set("noisy")
	if _, sign := signing(t, cfg); sign() != nil {
		t.Fatal("what the module prints got into the protocol")
	}
}

func TestRobustness15PINIsNotLogged(t *testing.T) {
	t.Parallel()
	f, cfg := newFake(t)
	var log bytes.Buffer
	cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	f.set("noisy", "C_Login crash")
	token := hsmtest.Start(t, cfg)
	err := token.Test(t.Context())
	wantKind(t, err, hsm.ErrModuleCrashed)
	if s := token.Status(t.Context()); strings.Contains(fmt.Sprint(err, s), hsmtest.PIN) {
		t.Fatalf("the PIN is in %v or %+v", err, s)
	}
	if err := token.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "SIGSEGV") || strings.Contains(log.String(), hsmtest.PIN) {
		t.Fatalf("log:\n%s", log.String())
	}
}

func TestRobustness15PINPassesOnlyThroughThePipe(t *testing.T) {
	t.Setenv("NIMBUS_SECRET", "canary-8c1f")
	token := hsmtest.Start(t, hsmtest.SoftHSM(t))
	if err := token.Test(t.Context()); err != nil {
		t.Fatal(err)
	}
	workers := 0
	for _, dir := range must[[]string](t)(filepath.Glob("/proc/[0-9]*")) {
		cmdline, _ := os.ReadFile(dir + "/cmdline")
		stat, _ := os.ReadFile(dir + "/status")
		if !bytes.HasPrefix(cmdline, []byte(hsm.WorkerName)) || !bytes.Contains(stat, fmt.Appendf(nil, "\nPPid:\t%d\n", os.Getpid())) {
			continue
		}
		workers++
		environ, _ := os.ReadFile(dir + "/environ")
		if seen := string(cmdline) + string(environ); strings.Contains(seen, hsmtest.PIN) || strings.Contains(seen, "canary-8c1f") {
			t.Fatalf("others can read a secret of the worker: %q", seen)
		}
	}
	if workers == 0 {
		t.Fatal("no worker was found")
	}
	maps := must[[]byte](t)(os.ReadFile("/proc/self/maps"))
	if bytes.Contains(maps, []byte("softhsm")) || bytes.Contains(maps, []byte("fakehsm")) {
		t.Fatal("the module was loaded into the appliance itself")
	}
}

func TestRobustness43WorkerEndsWithItsParent(t *testing.T) {
	t.Parallel()
	f, cfg := newFake(t)
	f.set("C_Initialize hang")
	worker := &exec.Cmd{Path: "/proc/self/exe", Args: []string{hsm.WorkerName}, Env: append(os.Environ(), cfg.WorkerEnv...)}
	in, err := worker.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	body := must[[]byte](t)(json.Marshal(map[string]string{"op": "slots", "module": cfg.Module}))
	must[int](t)(in.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)))
	eventually(t, func() error {
		if !strings.Contains(f.read(".calls"), "C_Initialize") {
			return errors.New("the module is not hanging yet")
		}
		return nil
	})
	ended := make(chan error, 1)
	go func() { ended <- worker.Wait() }()
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(5 * time.Second):
		_ = worker.Process.Kill()
		t.Fatal("the worker outlived its parent")
	}
}

func TestSlotsOfAHungModule(t *testing.T) {
	t.Parallel()
	f, cfg := newFake(t)
	f.set("C_GetSlotList hang")
	cfg.Timeout = 300 * time.Millisecond
	err := within(t, 3*time.Second, func() error { _, err := hsm.Slots(t.Context(), cfg); return err })
	wantKind(t, err, hsm.ErrModuleHung)
}
