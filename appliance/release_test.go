package appliance_test

import (
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/klauspost/compress/zstd"

	"nimbus/appliance"
	"nimbus/appliance/appliancetest"
	"nimbus/appliance/db"
	"nimbus/appliance/db/transfer"
	"nimbus/embedded/postgres"
)

var (
	record = flag.String("record", "", "record what this version leaves behind in testdata/releases, under this name")
	full   = flag.Bool("full", false, "every fault at its full number; see `make robust`")
)

// releases holds, for each version, what an appliance of it leaves behind:
//
//	release.json    the migrations that each scope has
//	rows.copy.zst   every row
//	keys/           the keys that open what is sealed in them; they guard nothing else
//	histories/      workflows as they ran, decrypted
//
// `make record VERSION=…` adds one. What was recorded is never changed.
const releases = "testdata/releases"

// release is one of them.
type release struct {
	dir     string
	applied db.Applied
}

func readReleases(t testing.TB) []release {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(releases, "*"))
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no release is recorded in %s: %v", releases, err)
	}
	var all []release
	for _, dir := range dirs {
		r := release{dir: dir}
		raw, err := os.ReadFile(filepath.Join(dir, "release.json"))
		if err == nil {
			err = json.Unmarshal(raw, &r.applied)
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

// restore makes a data directory as the release left it.
func (r release) restore(t testing.TB) string {
	t.Helper()
	return r.restoreOn(t, postgres.New, func(*postgres.Server) {})
}

// restoreOn does so with a server of the caller's choice, and has before look at it.
func (r release) restoreOn(t testing.TB, choose func(postgres.Config) *postgres.Server, before func(*postgres.Server)) string {
	t.Helper()
	ctx := t.Context()
	dir := appliancetest.Dir(t)
	command(t, "cp", "-a", filepath.Join(r.dir, "keys"), filepath.Join(dir, "keys"))
	passwords := db.Passwords{App: "app-of-a-test", Owner: "owner-of-a-test"}
	writeJSON(t, filepath.Join(dir, "keys", "database.json"), passwords)
	server := choose(postgres.Config{Dir: filepath.Join(dir, "postgres"), Unsafe: true})
	must(t, server.Start(ctx))
	cfg, err := db.Bootstrap(ctx, server.AdminDSN("postgres"), passwords)
	must(t, err)
	d, err := db.Open(ctx, cfg)
	must(t, err)
	history, err := appliance.History()
	must(t, err)
	must(t, d.Rebuild(ctx, r.applied, history))
	d.Close()
	r.read(t, server.AdminDSN(db.Database))
	before(server)
	must(t, server.Stop(ctx))
	return dir
}

func (r release) read(t testing.TB, dsn string) {
	t.Helper()
	f, err := os.Open(filepath.Join(r.dir, "rows.copy.zst"))
	must(t, err)
	defer f.Close()
	rows, err := zstd.NewReader(f)
	must(t, err)
	defer rows.Close()
	conn, err := pgx.Connect(t.Context(), dsn)
	must(t, err)
	defer conn.Close(t.Context())
	must(t, transfer.Read(t.Context(), conn, rows))
}

// TestRobustness46UpgradeFromEveryRelease starts this program on what every
// recorded release left behind: people sign in, what they made is there, its
// secrets open, and the audit chain holds.
func TestRobustness46UpgradeFromEveryRelease(t *testing.T) {
	t.Parallel()
	if *record != "" {
		recordRelease(t, filepath.Join(releases, *record))
	}
	for _, r := range readReleases(t) {
		t.Run(filepath.Base(r.dir), func(t *testing.T) {
			p := appliancetest.Spawn(t, appliancetest.Child{Dir: r.restore(t)})
			s := &story{Appliance: p.Appliance, t: t}
			s.verifyChain()
			dora := s.SignIn(t, "dora@example.com", s.Tenant)
			var stacks, deployments struct{ Items []struct{ ID, Name string } }
			dora.Do(http.MethodGet, "/v1/stacks", nil, http.StatusOK, &stacks)
			dora.Do(http.MethodGet, "/v1/deployments", nil, http.StatusOK, &deployments)
			if len(stacks.Items) != 1 || stacks.Items[0].Name != "web" || len(deployments.Items) < 2 {
				t.Errorf("what the release left: %+v %+v", stacks, deployments)
			}
			var made struct{ ID string }
			s.SignIn(t, "ada@example.com", s.Tenant).Do(http.MethodPost, "/v1/groups", map[string]string{"name": "after the upgrade"}, http.StatusCreated, &made)
			s.verifyChain()
		})
	}
}

// TestRobustness46KilledInUpgrade kills the upgrade of a recorded release at many
// points. Each time every scope is at the old or at the new version, and the next
// start ends where an upgrade that nobody disturbed ends.
func TestRobustness46KilledInUpgrade(t *testing.T) {
	t.Parallel()
	points := 4
	if *full {
		points = 20
	}
	first := readReleases(t)[0]
	before := first.restore(t)
	history, err := appliance.History()
	must(t, err)
	pending, err := first.applied.Pending(history)
	must(t, err)
	if len(pending) == 0 {
		t.Log("the oldest release lacks nothing: what is killed is a plain start")
	}
	undisturbed := clone(t, before)
	began := time.Now()
	p := appliancetest.Spawn(t, appliancetest.Child{Dir: undisturbed, Database: true})
	took := time.Since(began)
	want := contents(t, p.Appliance)
	p.Kill()
	for i := range points {
		dir := clone(t, before)
		killed := appliancetest.Launch(t, appliancetest.Child{Dir: dir, Database: true})
		time.Sleep(took * time.Duration(i+1) / time.Duration(points+1))
		killed.Kill()
		state := oldOrNew(t, dir, first.applied, history)
		again := appliancetest.Spawn(t, appliancetest.Child{Dir: dir, Database: true})
		if got := contents(t, again.Appliance); !slices.Equal(got, want) {
			t.Errorf("killed at point %d, the next start ends elsewhere:\n%v\n%v", i, got, want)
		}
		again.Kill()
		t.Logf("killed at point %d of %d: %s, then finished", i+1, points, state)
	}
}

// oldOrNew reads which migrations each scope has and insists that it is what the
// release had, or everything.
func oldOrNew(t testing.TB, dir string, old db.Applied, history []db.Migration) string {
	t.Helper()
	server := postgres.New(postgres.Config{Dir: filepath.Join(dir, "postgres"), Unsafe: true})
	must(t, server.Start(t.Context()))
	defer func() { must(t, server.Stop(t.Context())) }()
	conn, err := pgx.Connect(t.Context(), server.AdminDSN(db.Database))
	must(t, err)
	defer conn.Close(t.Context())
	now, err := db.ReadApplied(t.Context(), conn)
	must(t, err)
	olds, news := 0, 0
	for scope, done := range now {
		switch len(done) {
		case len(old[scope]):
			olds++
		case len(history):
			news++
		default:
			t.Errorf("%s stopped at %d migrations, between %d and %d", scope, len(done), len(old[scope]), len(history))
		}
	}
	if len(now) != len(old) {
		t.Errorf("%d scopes instead of %d", len(now), len(old))
	}
	return map[bool]string{true: "new", false: "old"}[olds == 0] + map[bool]string{true: " in part", false: ""}[olds > 0 && news > 0]
}

// contents is what is in each table, but for the times of the migrations and the
// record that nothing was backed up first, which says when.
func contents(t testing.TB, a *appliancetest.Appliance) []transfer.Table {
	t.Helper()
	conn := a.Connect(t, "nimbus_owner")
	all, err := transfer.Count(t.Context(), conn)
	must(t, err)
	for i := range all {
		switch c := &all[i]; {
		case c.Name == "schema_migration":
			c.Sum = ""
		case c.Schema == "core" && c.Name == "audit_record":
			must(t, conn.QueryRow(t.Context(), `select count(*), encode(sha256(string_agg(body, ''::bytea order by id)), 'hex') from core.audit_record
				where event <> 'backup.upgrade.skipped'`).Scan(&c.Rows, &c.Sum))
			if c.Rows == 0 {
				t.Error("the release left no records")
			}
		}
	}
	return all
}

// clone copies a data directory; the programs in it are shared.
func clone(t testing.TB, dir string) string {
	t.Helper()
	to := appliancetest.Dir(t)
	command(t, "cp", "-a", filepath.Join(dir, "keys"), to)
	must(t, os.MkdirAll(filepath.Join(to, "postgres"), 0o711))
	for _, part := range []string{"data", "password"} {
		command(t, "cp", "-a", filepath.Join(dir, "postgres", part), filepath.Join(to, "postgres"))
	}
	command(t, "cp", "-al", filepath.Join(dir, "postgres", "bin"), filepath.Join(to, "postgres"))
	return to
}

// recordRelease drives an appliance through what it can do and keeps what is left.
func recordRelease(t *testing.T, dir string) {
	t.Helper()
	if _, err := os.Stat(dir); err == nil {
		t.Fatalf("%s is recorded already, and what is recorded is not changed", dir)
	}
	s := newProtected(t)
	s.everything()
	s.recordHistories(filepath.Join(dir, "histories"))
	must(t, os.MkdirAll(filepath.Join(dir, "keys"), 0o755))
	for _, name := range []string{"root.key", "local.key", "audit.ed25519"} {
		command(t, "cp", filepath.Join(s.Dir, "keys", name), filepath.Join(dir, "keys"))
	}
	conn := s.Connect(t, "nimbus_owner")
	applied, err := db.ReadApplied(t.Context(), conn)
	must(t, err)
	writeJSON(t, filepath.Join(dir, "release.json"), applied)
	f, err := os.Create(filepath.Join(dir, "rows.copy.zst"))
	must(t, err)
	rows, err := zstd.NewWriter(f, zstd.WithEncoderLevel(zstd.SpeedBestCompression))
	must(t, err)
	must(t, transfer.Write(t.Context(), conn, io.Writer(rows)))
	must(t, rows.Close())
	must(t, f.Close())
}

// everything does at least once what an appliance can do.
func (p *protected) everything() {
	p.t.Helper()
	p.deployments()
	p.admin.Do(http.MethodPut, "/v1/system/backups/settings", p.settings(), http.StatusOK, nil)
	b := p.backUp()
	p.admin.Do(http.MethodPost, "/v1/system/backups/"+b.ID.String()+"/verify", nil, http.StatusAccepted, nil)
	p.admin.Do(http.MethodPut, "/v1/audit/archive/target", map[string]any{"kind": "directory", "path": p.target}, http.StatusOK, nil)
	p.admin.Do(http.MethodPost, "/v1/audit/archive/run", nil, http.StatusAccepted, nil)
	p.ended(b.ID)
}

// deployments makes, changes and nearly destroys a machine, and leaves one run open.
func (s *story) deployments() {
	version := s.createStack("1024")
	s.through("up", false)
	s.changeStack("2048", version)
	s.wait(s.deploy("preview", true).ID, "succeeded")
	s.approver.Do(http.MethodPost, "/v1/deployments/"+s.wait(s.deploy("destroy", true).ID, "awaiting_approval").ID+"/reject",
		map[string]any{"comment": "still needed"}, http.StatusOK, nil)
	admin := s.SignIn(s.t, "ada@example.com", s.Tenant)
	admin.Do(http.MethodPost, "/v1/groups", map[string]any{"name": "operators"}, http.StatusCreated, nil)
	admin.Do(http.MethodPost, "/v1/audit/exports", map[string]any{"format": "jsonl"}, http.StatusAccepted, nil)
	var inventory struct{ Items []struct{ ID, Name string } }
	admin.Do(http.MethodGet, "/v1/inventory", nil, http.StatusOK, &inventory)
	for _, i := range inventory.Items {
		if i.Name == "web1" {
			admin.Do(http.MethodPost, "/v1/inventory/"+i.ID+"/power", map[string]any{"action": "reboot"}, http.StatusAccepted, nil)
		}
	}
	s.wait(s.deploy("up", false).ID, "awaiting_approval") // left open
}

// ready is what the appliance says about its health, over its own port.
func ready(t testing.TB, a *appliance.Appliance) string {
	t.Helper()
	client := (&appliancetest.Appliance{URL: "https://" + a.Front().Addr()}).Client(t)
	status, body := client.Try(http.MethodGet, "/readyz", nil)
	if status != http.StatusServiceUnavailable {
		t.Errorf("health is %d", status)
	}
	return string(body)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func command(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v %s", name, strings.Join(args, " "), err, out)
	}
}

func writeJSON(t testing.TB, path string, v any) {
	t.Helper()
	raw, err := json.MarshalIndent(v, "", "  ")
	must(t, err)
	must(t, os.WriteFile(path, raw, 0o600))
}
