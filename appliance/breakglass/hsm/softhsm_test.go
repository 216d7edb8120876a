package hsm_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"nimbus/appliance/breakglass/hsm"
	"nimbus/appliance/breakglass/hsm/hsmtest"
)

func must[T any](t *testing.T) func(T, error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func wantKind(t *testing.T, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("error %v, want one of kind %q", err, kind)
	}
}

func TestSignAndVerify(t *testing.T) {
	t.Parallel()
	token := hsmtest.Start(t, hsmtest.SoftHSM(t))
	for _, algorithm := range []hsm.Algorithm{hsm.ECDSAP256, hsm.Ed25519} {
		label := "key " + string(algorithm)
		key := must[hsm.PublicKey](t)(token.EnsureSigningKey(t.Context(), label, algorithm))
		if key.Algorithm != algorithm {
			t.Fatalf("made a key for %s, want %s", key.Algorithm, algorithm)
		}
		again := must[hsm.PublicKey](t)(token.EnsureSigningKey(t.Context(), label))
		if !bytes.Equal(key.DER, again.DER) {
			t.Fatal("the second call made another key")
		}
		signature := must[[]byte](t)(token.Sign(t.Context(), label, []byte("open")))
		if err := key.Verify([]byte("open"), signature); err != nil {
			t.Fatal(err)
		}
		wantKind(t, key.Verify([]byte("opem"), signature), hsm.ErrSignature)
	}
}

func TestWrapAndUnwrap(t *testing.T) {
	t.Parallel()
	token := hsmtest.Start(t, hsmtest.SoftHSM(t))
	for _, label := range []string{"root", "other"} {
		if err := token.EnsureWrappingKey(t.Context(), label); err != nil {
			t.Fatal(err)
		}
	}
	secret, aad := []byte("the root key of the appliance"), []byte("root/1")
	wrapped := must[[]byte](t)(token.Wrap(t.Context(), "root", secret, aad))
	if bytes.Contains(wrapped, secret) {
		t.Fatal("the plaintext is in the wrapped data")
	}
	if got := must[[]byte](t)(token.Unwrap(t.Context(), "root", wrapped, aad)); !bytes.Equal(got, secret) {
		t.Fatalf("unwrapped %q", got)
	}
	flipped := bytes.Clone(wrapped)
	flipped[len(flipped)-1] ^= 1
	for name, try := range map[string]struct {
		label        string
		wrapped, aad []byte
	}{
		"other aad": {"root", wrapped, []byte("root/2")},
		"other key": {"other", wrapped, aad},
		"damaged":   {"root", flipped, aad},
		"cut":       {"root", wrapped[:20], aad},
		"empty":     {"root", nil, aad},
	} {
		_, err := token.Unwrap(t.Context(), try.label, try.wrapped, try.aad)
		if !errors.Is(err, hsm.ErrUnwrap) {
			t.Errorf("%s: %v", name, err)
		}
	}
	got := must[[]byte](t)(token.Unwrap(t.Context(), "root", wrapped, aad))
	if !bytes.Equal(got, secret) {
		t.Fatal("a refused unwrap spoiled the next one")
	}
}

func TestKeysOutliveTheProcess(t *testing.T) {
	t.Parallel()
	cfg := hsmtest.SoftHSM(t)
	first := hsmtest.Start(t, cfg)
	key := must[hsm.PublicKey](t)(first.EnsureSigningKey(t.Context(), "anchor"))
	if err := first.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := first.Sign(t.Context(), "anchor", nil)
	wantKind(t, err, hsm.ErrNotRunning)
	second := hsmtest.Start(t, cfg)
	found := must[hsm.PublicKey](t)(second.PublicKey(t.Context(), "anchor"))
	if !bytes.Equal(found.DER, key.DER) {
		t.Fatal("another key after a restart")
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	token := hsmtest.Start(t, hsmtest.SoftHSM(t))
	_, err := token.Sign(t.Context(), "nobody's", []byte("x"))
	wantKind(t, err, hsm.ErrKeyNotFound)
	_, err = token.Sign(t.Context(), "", []byte("x"))
	wantKind(t, err, hsm.ErrInvalid)
	_, err = token.Sign(t.Context(), "key", make([]byte, 1<<20))
	wantKind(t, err, hsm.ErrInvalid)
	_, err = token.EnsureSigningKey(t.Context(), "key", "rsa-512")
	wantKind(t, err, hsm.ErrUnsupported)
}

func TestTestLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	token := hsmtest.Start(t, hsmtest.SoftHSM(t))
	for range 3 {
		if err := token.Test(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	_, err := token.PublicKey(t.Context(), "nimbus test")
	wantKind(t, err, hsm.ErrKeyNotFound)
}

func TestStatusAndSlots(t *testing.T) {
	t.Parallel()
	cfg := hsmtest.SoftHSM(t)
	token := hsmtest.Start(t, cfg)
	s := token.Status(t.Context())
	if s.State != hsm.StateReady || s.Label != hsmtest.Label || s.Serial == "" || s.Manufacturer == "" || !s.Wraps || len(s.Algorithms) != 2 {
		t.Fatalf("status %+v", s)
	}
	if err := token.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	slots := must[[]hsm.Slot](t)(hsm.Slots(t.Context(), cfg))
	if len(slots) != 2 || slots[0].Label != hsmtest.Label || !slots[0].Initialized || slots[1].Initialized {
		t.Fatalf("slots %+v", slots)
	}
	cfg.TokenLabel, cfg.Slot = "", &slots[0].ID
	if err := hsmtest.Start(t, cfg).Test(t.Context()); err != nil {
		t.Fatal("by slot:", err)
	}
}

func TestNoModule(t *testing.T) {
	t.Parallel()
	token := hsmtest.Start(t, hsm.Config{})
	if s := token.Status(t.Context()); s.State != hsm.StateNone {
		t.Fatalf("state %s", s.State)
	}
	if err := token.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := token.Sign(t.Context(), "key", nil)
	wantKind(t, err, hsm.ErrNotConfigured)
}

func TestModuleThatCannotBeLoaded(t *testing.T) {
	t.Parallel()
	for _, module := range []string{"/nonexistent/p11.so", "/etc/passwd"} {
		token := hsmtest.Start(t, hsm.Config{Module: module, TokenLabel: "x", Dir: t.TempDir()})
		s := token.Status(t.Context())
		if s.State != hsm.StateFailed || s.Reason == "" {
			t.Errorf("%s: status %+v", module, s)
		}
		wantKind(t, token.Test(t.Context()), hsm.ErrModuleFailed)
	}
}

func TestStartRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]hsm.Config{
		"relative module": {Module: "p11.so", TokenLabel: "x", Dir: t.TempDir()},
		"no token":        {Module: "/p11.so", Dir: t.TempDir()},
		"no folder":       {Module: "/p11.so", TokenLabel: "x"},
	} {
		token := hsm.New(cfg)
		if err := token.Start(t.Context()); !errors.Is(err, hsm.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
		if err := token.Stop(t.Context()); err != nil {
			t.Errorf("%s: Stop without Start: %v", name, err)
		}
	}
}

func TestStopTwice(t *testing.T) {
	t.Parallel()
	token := hsmtest.Start(t, hsmtest.SoftHSM(t))
	for range 2 {
		if err := token.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestInitDoesNotOverwrite(t *testing.T) {
	t.Parallel()
	cfg := hsmtest.SoftHSM(t)
	_, err := hsm.InitSoftToken(t.Context(), hsm.SoftToken{
		Module: cfg.Module, Dir: cfg.Dir, Label: hsmtest.Label, PIN: "000000", SOPIN: "00000000",
	})
	wantKind(t, err, hsm.ErrInvalid)
	if err := hsmtest.Start(t, cfg).Test(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkSign(b *testing.B) {
	token := hsmtest.Start(b, hsmtest.SoftHSM(b))
	if _, err := token.EnsureSigningKey(b.Context(), "key"); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := token.Sign(b.Context(), "key", []byte("message")); err != nil {
			b.Fatal(err)
		}
	}
}
