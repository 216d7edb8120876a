package doctor

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"math/big"
	"path/filepath"
	"testing"
	"time"

	"nimbus/appliance/audit"
	"nimbus/appliance/db"
)

func TestFindings(t *testing.T) {
	t.Parallel()
	now := time.Now()
	ago := func(d time.Duration) *time.Time { at := now.Add(-d); return &at }
	good := cluster{Version: "18.1", Connections: 10, Most: 100, Checksums: "on", Oldest: 1000}
	change := func(fn func(*cluster)) cluster { c := good; fn(&c); return c }
	history := []db.Migration{{Version: "20260101T000000"}, {Version: "20260102T000000"}}
	for name, c := range map[string]struct {
		got  Finding
		want Status
	}{
		"disk":                 {diskFinding("/x", 60*gib, 100*gib, 0), OK},
		"disk small and empty": {diskFinding("/x", 8*gib, 10*gib, 0), OK},
		"disk low":             {diskFinding("/x", 4*gib, 50*gib, 0), Warning},
		"disk full":            {diskFinding("/x", gib/2, 100*gib, 0), Failed},
		"disk full soon":       {diskFinding("/x", 60*gib, 100*gib, 5*24*time.Hour), Warning},
		"disk full tomorrow":   {diskFinding("/x", 60*gib, 100*gib, 20*time.Hour), Failed},
		"memory":               {memoryFinding(8*gib, 4*gib), OK},
		"memory little":        {memoryFinding(gib, gib/2), Warning},
		"memory gone":          {memoryFinding(8*gib, 64<<20), Failed},
		"clock":                {clockFinding(true, nil, time.Second), OK},
		"clock alone":          {clockFinding(false, nil, 0), Warning},
		"clock set back":       {clockFinding(true, nil, -time.Hour), Warning},
		"clock unknown":        {clockFinding(false, errors.New("no"), 0), Unknown},
		"certificate":          {certificateFinding(leaf(t, 90*24*time.Hour, "nimbus.lan"), "https://nimbus.lan:8443", false, now), OK},
		"certificate other":    {certificateFinding(leaf(t, 90*24*time.Hour, "other.lan"), "https://nimbus.lan:8443", false, now), Warning},
		"certificate soon":     {certificateFinding(leaf(t, 10*24*time.Hour, "nimbus.lan"), "https://nimbus.lan", false, now), Warning},
		"certificate renewed":  {certificateFinding(leaf(t, 10*24*time.Hour, "nimbus.lan"), "https://nimbus.lan", true, now), OK},
		"certificate late":     {certificateFinding(leaf(t, 2*24*time.Hour, "nimbus.lan"), "https://nimbus.lan", true, now), Warning},
		"certificate over":     {certificateFinding(leaf(t, -time.Hour, "nimbus.lan"), "https://nimbus.lan", true, now), Failed},
		"no certificate":       {certificateFinding(nil, "", false, now), Unknown},
		"postgres":             {postgresFinding(good, 0), OK},
		"postgres damaged":     {postgresFinding(change(func(c *cluster) { c.Corrupt = 1 }), 0), Failed},
		"postgres old":         {postgresFinding(change(func(c *cluster) { c.Oldest = 2_000_000_000 }), 0), Failed},
		"postgres crowded":     {postgresFinding(change(func(c *cluster) { c.Connections = 95 }), 0), Warning},
		"postgres held":        {postgresFinding(change(func(c *cluster) { c.LongestOpen = 7200 }), 0), Warning},
		"postgres unchecked":   {postgresFinding(change(func(c *cluster) { c.Checksums = "off" }), 0), Warning},
		"postgres clock":       {postgresFinding(good, -time.Minute), Warning},
		"schema":               {schemaFinding(history, map[string]int{"20260101T000000": 3, "20260102T000000": 3}, 3), OK},
		"schema behind":        {schemaFinding(history, map[string]int{"20260101T000000": 3, "20260102T000000": 2}, 3), Failed},
		"schema ahead":         {schemaFinding(history[:1], map[string]int{"20260101T000000": 3, "20260102T000000": 3}, 3), Failed},
		"backup elsewhere":     {backupFinding(BackupState{External: true}, now), OK},
		"backup none":          {backupFinding(BackupState{}, now), Warning},
		"backup never":         {backupFinding(BackupState{Configured: true}, now), Failed},
		"backup":               {backupFinding(BackupState{Configured: true, Last: ago(time.Hour), AlarmAfter: 26 * time.Hour}, now), OK},
		"backup old":           {backupFinding(BackupState{Configured: true, Last: ago(48 * time.Hour), AlarmAfter: 26 * time.Hour}, now), Failed},
		"backup failing":       {backupFinding(BackupState{Configured: true, Last: ago(time.Hour), Error: "No space."}, now), Warning},
		"no cluster":           {proxmoxFinding(nil), Unknown},
		"clusters":             {proxmoxFinding([]Cluster{{Name: "a", Status: "ok"}, {Name: "b", Status: "unknown"}}), OK},
		"cluster away":         {proxmoxFinding([]Cluster{{Name: "a", Status: "ok"}, {Name: "b", Status: "unreachable"}}), Failed},
		"cluster weak":         {proxmoxFinding([]Cluster{{Name: "a", Status: "ok", Missing: []string{"/vms: VM.Audit"}}}), Warning},
		"cluster silent":       {proxmoxFinding([]Cluster{{Name: "a", Status: "ok", Error: "timeout"}}), Warning},
		"signed and published": {checkpointFinding(audit.Health{Checkpoint: ago(time.Minute), Published: ago(0), Places: 1}, now), OK},
		"signed only":          {checkpointFinding(audit.Health{Checkpoint: ago(time.Minute)}, now), Warning},
		"not published":        {checkpointFinding(audit.Health{Checkpoint: ago(3 * time.Hour), Published: ago(9 * time.Hour), Places: 1}, now), Warning},
		"refused":              {checkpointFinding(audit.Health{Checkpoint: ago(0), Places: 1, Refused: "403"}, now), Warning},
		"not signed":           {checkpointFinding(audit.Health{Checkpoint: ago(0), Signer: audit.SignerState{State: "failing"}}, now), Failed},
		"contradicted":         {checkpointFinding(audit.Health{Broken: []string{"provider"}}, now), Failed},
		"nothing waits":        {pruningFinding(nil), OK},
		"a dead collector":     {pruningFinding(map[string]audit.Waiting{"provider": {Records: 7, For: []string{"Splunk"}}}), Warning},
		"verified":             {verifiedFinding(audit.Health{Verified: ago(time.Hour), Sound: true}, now), OK},
		"verified long ago":    {verifiedFinding(audit.Health{Verified: ago(40 * 24 * time.Hour), Sound: true}, now), Warning},
		"broken":               {verifiedFinding(audit.Health{Verified: ago(time.Hour)}, now), Failed},
		"never verified":       {verifiedFinding(audit.Health{}, now), Warning},
	} {
		if c.got.Status != c.want || c.got.Summary == "" || (c.want == Warning || c.want == Failed) == (c.got.Advice == "") {
			t.Errorf("%s: %+v, want %s and advice where something is wrong", name, c.got, c.want)
		}
	}
}

func leaf(t *testing.T, life time.Duration, name string) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(life), DNSNames: []string{name}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// TestTrend fills a disk by 1 GiB an hour; of a disk that was made larger or
// is emptied nothing is said.
func TestTrend(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "trend.json")
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	const size = 100 * gib
	for h := range uint64(10) {
		left := NewTrend(path).Left("data", size-(10+h)*gib, size, now.Add(time.Duration(h)*time.Hour))
		if h < 6 && left != 0 {
			t.Errorf("after %d h: %s", h, left)
		}
		if want := time.Duration(90-h) * time.Hour; h >= 6 && (left < want-time.Minute || left > want+time.Minute) {
			t.Errorf("after %d h: %s, want %s", h, left, want)
		}
	}
	if left := NewTrend(path).Left("data", size, size, now.Add(20*time.Hour)); left != 0 {
		t.Errorf("an empty disk is full in %s", left)
	}
	if left := NewTrend(path).Left("data", size, 2*size, now.Add(20*time.Hour)); left != 0 {
		t.Errorf("a larger disk is full in %s", left)
	}
	if left := NewTrend(path).Left("other", size/2, size, now.Add(20*time.Hour)); left != 0 {
		t.Errorf("a disk that is not known is full in %s", left)
	}
}

func TestAPanickingCheckKeepsNoOther(t *testing.T) {
	t.Parallel()
	items := Examine(t.Context(), []Check{
		{"bad", Data, func(context.Context) Finding { panic("no") }},
		{"good", Data, func(context.Context) Finding { return fine("Well.") }},
	})
	if items[0].Status != Unknown || items[1].Status != OK || items[0].Measure == nil {
		t.Errorf("%+v", items)
	}
	if got := (Report{Items: items}).Worst(); got != OK {
		t.Errorf("what could not be looked at counts as %s", got)
	}
}
