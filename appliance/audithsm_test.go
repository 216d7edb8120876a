package appliance

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/audit/ledger"
	"nimbus/appliance/breakglass/hsm"
	"nimbus/appliance/breakglass/hsm/hsmtest"
	"nimbus/appliance/db/dbtest"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// TestCheckpointsAreSignedByTheToken has SoftHSM sign, pulls the token out in
// the middle and puts it back: it is seen, told, recorded, and made up for.
func TestCheckpointsAreSignedByTheToken(t *testing.T) {
	t.Parallel()
	cfg := hsmtest.SoftHSM(t)
	token := hsmtest.Start(t, cfg)
	d, _ := dbtest.Open(t, audit.Migrations)
	s := audit.New(audit.Config{
		DB: d, Logger: slog.New(slog.DiscardHandler), IsRoot: func(id.ID) bool { return false }, Dir: t.TempDir(),
		Check: func(context.Context, string) error { return nil }, Signer: func() audit.Signer { return auditToken{token} },
	})
	ctx := actor.AsSystem(t.Context(), "test", id.ID{})
	record := func() {
		t.Helper()
		if err := s.RecordAlone(ctx, id.ID{}, audit.Entry{Event: "test.thing.done", Target: audit.Target{Kind: "thing"}}); err != nil {
			t.Fatal(err)
		}
	}
	record()
	first, err := s.Checkpoint(ctx, id.ID{})
	if err != nil || first.KeyKind != "hsm" || first.KeyName != audit.KeyLabel || first.Algorithm != string(ledger.ECDSAP256) {
		t.Fatalf("%+v %v", first, err)
	}
	keys, err := s.TrustedKeys(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.OpenCheckpoint(first.Note, keys); err != nil {
		t.Error(err)
	}

	tokens, away := filepath.Join(cfg.Dir, "tokens"), filepath.Join(cfg.Dir, "away")
	if err := errors.Join(os.Rename(tokens, away), os.Mkdir(tokens, 0o700)); err != nil {
		t.Fatal(err)
	}
	record()
	for range 2 {
		if _, err := s.Checkpoint(ctx, id.ID{}); !fault.Is(err, fault.Unavailable) || !strings.Contains(fault.Message(err), "cannot be signed") {
			t.Fatalf("signed without the token: %v", err)
		}
	}
	state, err := s.SignerState(ctx)
	if err != nil || state.State != "failing" || state.Kind != "hsm" || state.Reason == "" || state.Pending != 1 {
		t.Errorf("%+v %v", state, err)
	}
	if s.Checkpoints().Ready(ctx) == nil {
		t.Error("health is green without the token")
	}

	if err := errors.Join(os.RemoveAll(tokens), os.Rename(away, tokens)); err != nil {
		t.Fatal(err)
	}
	second, err := s.Checkpoint(ctx, id.ID{})
	if err != nil || second.Size <= first.Size || second.Fingerprint != first.Fingerprint {
		t.Fatalf("not made up for: %+v %v", second, err)
	}
	if err := s.Checkpoints().Ready(ctx); err != nil {
		t.Errorf("health stays red: %v", err)
	}
	v, err := s.Verify(ctx)
	if err != nil || !v.OK() || v.Checkpoints < 2 {
		t.Errorf("%+v %v", v, err)
	}
	var told []string
	found, err := s.List(ctx, audit.Filter{Limit: 50, Events: []string{"audit.signer"}})
	for _, r := range found {
		told = append(told, r.Event)
	}
	if err != nil || strings.Join(told, " ") != "audit.signer.recovered audit.signer.failed" {
		t.Errorf("recorded: %v %v", told, err)
	}
}

// TestBothTokenAlgorithmsSign checks Ed25519 too, where a key of that kind is there already.
func TestBothTokenAlgorithmsSign(t *testing.T) {
	t.Parallel()
	token := hsmtest.Start(t, hsmtest.SoftHSM(t))
	if _, err := token.EnsureSigningKey(t.Context(), audit.KeyLabel, hsm.Ed25519); err != nil {
		t.Fatal(err)
	}
	signer := auditToken{token}
	key, err := signer.Key(t.Context())
	if err != nil || key.Algorithm != ledger.Ed25519 || key.Kind != "hsm" {
		t.Fatalf("%+v %v", key, err)
	}
	if _, err := ledger.SignNote(t.Context(), "text\n", "nimbus/x/provider", key, signer.Sign); err != nil {
		t.Error(err)
	}
}
