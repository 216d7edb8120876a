package appliance_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"filippo.io/age"

	"nimbus/appliance"
	"nimbus/appliance/actor"
	"nimbus/appliance/appliancetest"
	"nimbus/appliance/backup"
	"nimbus/appliance/objectstore"
)

// BenchmarkBackup compares a backup (encrypted, packed, hashed) and a restore
// (unpacked, started, its trail verified) with plain tar of the same data.
func BenchmarkBackup(b *testing.B) {
	a := appliancetest.Start(b)
	key, err := age.GenerateX25519Identity()
	must(b, err)
	ctx := actor.With(context.Background(), actor.Actor{Kind: actor.Console, Name: "bench"})
	must(b, a.Change(ctx, func(s *appliance.Settings) { s.Recovery = key.Recipient().String() }))
	conn := a.Connect(b, "nimbus_owner")
	appliancetest.Exec(b, conn, `create table core.filler as select n, md5(n::text) || repeat(md5((n / 7)::text), 6) as text from generate_series(1, 1200000) n`)
	target := b.TempDir()
	set := backup.Settings{Target: backup.Target{Kind: objectstore.Directory, Path: target}, Schedule: backup.Schedule{At: "02:30"}, Keep: backup.Keep{Daily: 1}, AlarmAfter: 1}
	_, err = a.Core().Backups.SetSettings(ctx, set)
	must(b, err)
	store, err := set.Target.Open()
	must(b, err)
	for b.Loop() {
		plain := filepath.Join(target, "plain.tar")
		tarred := timed(b, func() {
			run(b, "tar", "-cf", plain, "-C", a.DataDir(), "--warning=no-file-changed", "postgres/data", "keys", "local")
		})
		info, err := os.Stat(plain)
		must(b, err)
		size := float64(info.Size()) / 1e6
		var made backup.Backup
		saved := timed(b, func() {
			made, err = a.Core().Backups.Run(ctx, backup.Manual, false, func(string, int) {})
			must(b, err)
		})
		out := b.TempDir()
		untarred := timed(b, func() { run(b, "tar", "-xf", plain, "-C", out) })
		cfg := appliance.Config{DataDir: appliancetest.Dir(b), Logger: appliancetest.Logger(b), Unsafe: true}
		restored := timed(b, func() {
			_, err := appliance.Restorer(cfg).Prepare(ctx, backup.Request{Store: store, Backup: made.ID, Key: key}, func(string, int) {})
			must(b, err)
		})
		fmt.Printf("%.0f MB of data, %.0f MB as a backup\n", size, float64(made.Bytes)/1e6)
		fmt.Printf("backup  %6.0f MB/s   tar -c %6.0f MB/s   ratio %.2f\n", size/saved, size/tarred, tarred/saved)
		fmt.Printf("restore %6.0f MB/s   tar -x %6.0f MB/s   ratio %.2f   (with start and proof)\n", size/restored, size/untarred, untarred/restored)
		b.ReportMetric(tarred/saved, "backup/tar")
		b.ReportMetric(untarred/restored, "restore/tar")
	}
}

// timed returns how many seconds something took, its data on the disk.
func timed(b *testing.B, do func()) float64 {
	b.Helper()
	began := time.Now()
	do()
	run(b, "sync")
	return time.Since(began).Seconds()
}

func run(b *testing.B, name string, args ...string) {
	b.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && name == "tar" && exit.ExitCode() == 1 {
		return // a file changed while it was read: the appliance works
	}
	if err != nil {
		b.Fatalf("%s: %v: %s", name, err, out)
	}
}
