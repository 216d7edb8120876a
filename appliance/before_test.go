package appliance_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"nimbus/appliance"
	"nimbus/appliance/appliancetest"
	"nimbus/appliance/backup"
)

// TestUpgradeMakesABackupFirst brings a recorded release to this one: while the
// target of backups does not take one nothing is changed, and when it does the
// backup is made, proven on a copy that is upgraded, and recorded.
func TestUpgradeMakesABackupFirst(t *testing.T) {
	t.Parallel()
	first := readReleases(t)[0]
	dir, target := first.restore(t), filepath.Join(t.TempDir(), "backups")
	kit, err := age.GenerateX25519Identity()
	must(t, err)
	protect(t, dir, kit.Recipient().String(), target)

	a := moved(t, dir)
	u, err := a.CheckUpgrade(t.Context())
	must(t, errors.Join(err, a.Stop(t.Context())))
	if len(u.Migrations) == 0 || !strings.Contains(u.Backup, target) {
		t.Errorf("what it would do: %+v", u)
	}
	a = moved(t, dir)
	_, err = a.Upgrade(t.Context(), func(string, int) {})
	if err == nil || !strings.Contains(err.Error(), "nothing was changed") || !strings.Contains(err.Error(), "--no-backup") {
		t.Errorf("without its target: %v", err)
	}
	must(t, a.Stop(t.Context()))
	a = moved(t, dir)
	unchanged, err := a.CheckUpgrade(t.Context())
	must(t, errors.Join(err, a.Stop(t.Context())))
	if len(unchanged.Migrations) != len(u.Migrations) {
		t.Errorf("%d migrations are pending instead of %d", len(unchanged.Migrations), len(u.Migrations))
	}

	must(t, os.Mkdir(target, 0o700))
	p := appliancetest.Spawn(t, appliancetest.Child{Dir: dir})
	s := &story{Appliance: p.Appliance, t: t}
	s.verifyChain()
	var all struct{ Items []backup.Backup }
	s.SignIn(t, "ada@example.com", s.Root).Do(http.MethodGet, "/v1/system/backups", nil, http.StatusOK, &all)
	done := 0
	for _, b := range all.Items {
		if b.Kind == backup.BeforeUpgrade && b.State == backup.Done && b.VerifiedAt != nil {
			done++
		}
	}
	if files, _ := os.ReadDir(filepath.Join(target, "backups")); done != 1 || len(files) != 2 {
		t.Errorf("%d are done, %d files: %+v", done, len(files), all.Items)
	}
	s.recorded("backup.archive.verified", 1)
}

// protect sets a recovery kit and a target for backups, as the wizard and an
// administrator would.
func protect(t testing.TB, dir, recipient, target string) {
	t.Helper()
	a := moved(t, dir)
	must(t, a.Open(t.Context()))
	must(t, a.Change(t.Context(), func(s *appliance.Settings) { s.Name, s.Recovery, s.Complete = "Lab", recipient, true }))
	must(t, a.Front().Put(t.Context(), "backup.settings", map[string]any{"settings": map[string]any{
		"target": map[string]any{"kind": "directory", "path": target}, "schedule": map[string]any{"enabled": false, "at": "02:30"},
		"keep": map[string]any{"daily": 7}, "recipients": []string{}, "alarm_after_hours": 36, "verify": true,
	}}))
	must(t, a.Stop(context.Background()))
}
