package audit

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"nimbus/appliance/id"
	"nimbus/appliance/objectstore/s3test"
)

// elsewhere is a machine without the appliance: an empty root directory with
// the static nimbus-verify and what an auditor was given, and nothing else.
type elsewhere struct {
	t   *testing.T
	dir string
}

func newElsewhere(t *testing.T) elsewhere {
	t.Helper()
	e := elsewhere{t, t.TempDir()}
	build := exec.Command("go", "build", "-ldflags", "-s -w", "-o", filepath.Join(e.dir, "nimbus-verify"), "nimbus/cmd/nimbus-verify")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return e
}

// bring copies a text there and returns its path.
func (e elsewhere) bring(name, text string) string {
	e.t.Helper()
	path := filepath.Join(e.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		e.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		e.t.Fatal(err)
	}
	return "/" + name
}

// verify runs the program there, without an environment. Who is not root
// becomes it in a namespace of users, which is what changing the root takes.
func (e elsewhere) verify(args ...string) (code int, out, problems string) {
	e.t.Helper()
	command := exec.Command("/nimbus-verify", args...)
	command.Dir, command.Env = "/", []string{}
	command.SysProcAttr = &syscall.SysProcAttr{Chroot: e.dir}
	if me := os.Geteuid(); me != 0 {
		command.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		command.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: me, Size: 1}}
	}
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		e.t.Fatal(err)
	}
	return command.ProcessState.ExitCode(), stdout.String(), stderr.String()
}

// holds demands that everything holds, and a line of the answer.
func (e elsewhere) holds(says string, args ...string) {
	e.t.Helper()
	if code, out, problems := e.verify(args...); code != 0 || problems != "" || !strings.Contains(out, says) {
		e.t.Errorf("%v: exit code %d, want %q: %s%s", args, code, says, out, problems)
	}
}

// fails demands the reason on standard error.
func (e elsewhere) fails(reason string, args ...string) {
	e.t.Helper()
	if code, out, problems := e.verify(args...); code != 5 || !strings.Contains(problems, reason) {
		e.t.Errorf("%v: exit code %d, want 5 and %q: %s%s", args, code, reason, out, problems)
	}
}

// TestRobustness13Elsewhere has the superuser rewrite the whole chain, and the
// appliance sign the forgery. An auditor who has the key, an export, and what
// arrived at rsyslog and in a bucket finds it, with nimbus-verify alone.
func TestRobustness13Elsewhere(t *testing.T) {
	t.Parallel()
	c, e := newChain(t), newElsewhere(t)
	c.outside(t)
	c.record(t, 300)
	logs, bucket := newRsyslog(t, anybody), s3test.New(t)
	c.publishTwice(t, logs, bucket)
	log := e.bring("log", logs.text())
	objects := 0
	for name, body := range bucket.Objects() {
		objects++
		e.bring(filepath.Join("objects", name), string(body))
	}
	if objects != 2 || strings.Count(logs.text(), "audit.checkpoint.published") < 6 {
		t.Fatalf("%d objects in the bucket, the log has: %s", objects, logs.text())
	}
	key := e.bring("nimbus.keys", c.keyTexts(t))
	genuine, _ := c.export(t, StreamOptions{})
	good := e.bring("export.jsonl", genuine)
	e.holds("2 fit, 0 of other chains", "--key", key, "--checkpoints", log, good)
	e.holds("2 fit, 0 of other chains", "--key", key, "--checkpoints", "/objects", good)

	c.superuser(t, "delete from audit_checkpoint_publication", "delete from audit_checkpoint")
	if err := os.Remove(c.anchorPath(c.tenant.String())); err != nil {
		t.Fatal(err)
	}
	c.rewrite(t, "Thing", "Prop")
	forgery, _ := c.export(t, StreamOptions{})
	forged := e.bring("forged.jsonl", forgery)
	e.holds("checkpoints  none given", "--key", key, forged) // it is signed, and consistent
	for _, published := range []string{log, "/objects"} {
		e.fails("changed after it was published", "--key", key, "--checkpoints", published, forged)
	}
}

// publishTwice publishes a checkpoint to rsyslog, in each format, and to a
// bucket; then records more, and publishes another.
func (c *chain) publishTwice(t *testing.T, logs *rsyslog, bucket *s3test.Server) {
	t.Helper()
	places := []Place{{Kind: PlaceObject, Enabled: true, Endpoint: bucket.Endpoint(), Bucket: s3test.Bucket, Region: s3test.Region, Prefix: "proofs",
		AccessKey: s3test.AccessKey, Secret: s3test.SecretKey, CAPEM: bucket.Authority()}}
	for _, format := range []string{"rfc5424", "cef", "json"} {
		places = append(places, Place{Kind: PlaceSyslog, Enabled: true, Address: logs.address, Transport: "tls", Format: format, CAPEM: logs.ca.pem})
	}
	set, err := c.SetPublishing(c.user(), Publishing{IntervalMinutes: 10, Places: places})
	if err != nil {
		t.Fatal(err)
	}
	c.checkpoint(t)
	if err := c.publishDue(c.ctx, c.tenant); err != nil {
		t.Fatal(err)
	}
	c.record(t, 100)
	for _, p := range set.Places {
		if _, err := c.TestPlace(c.user(), p.ID); err != nil {
			t.Fatal(err)
		}
	}
}

// keyTexts is what `nimbus audit key` prints.
func (c *chain) keyTexts(t *testing.T) string {
	t.Helper()
	keys, err := c.KeyTexts(c.ctx)
	if err != nil || len(keys) == 0 {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, k := range keys {
		all.WriteString(k.Text + "\n")
	}
	return all.String()
}

// TestExportsAreCheckedElsewhere gives the reason for each way in which an
// export does not hold.
func TestExportsAreCheckedElsewhere(t *testing.T) {
	t.Parallel()
	c, e := newChain(t), newElsewhere(t)
	c.record(t, 300)
	published := e.bring("published/first", c.checkpoint(t).Note)
	c.record(t, 50)
	key := e.bring("nimbus.keys", c.keyTexts(t))
	text, _ := c.export(t, StreamOptions{})
	at := strings.LastIndex(text, `{"checkpoint":`)
	e.holds("1 fit", "--key", key, "--checkpoints", published, e.bring("good", text))
	flipped := bytes.Replace([]byte(text), []byte(`"Thing \"17\""`), []byte(`"Thing \"97\""`), 1)
	e.fails("record 17: hash", "--key", key, e.bring("flipped", string(flipped)))
	e.fails("without its checkpoint", "--key", key, e.bring("cut", text[:at]))
	e.fails("no signature", "--key", key, e.bring("unsigned", text[:at]+"{\"checkpoint\":\"\",\"signature\":\"\"}\n"))
	ranged, _ := c.export(t, StreamOptions{From: 10, To: 20})
	e.holds("1 fit", "--key", key, "--checkpoints", published, e.bring("range", ranged))
	later := c.later(t)
	e.fails("cut off", "--key", key, "--checkpoints", e.bring("later", later), "/good")

	c.use(NewFileSigner(filepath.Join(t.TempDir(), "foreign")))
	c.record(t, 1)
	foreign, _ := c.export(t, StreamOptions{})
	e.fails("foreign", "--key", key, e.bring("foreign", foreign))
	other := newChain(t)
	other.record(t, 10)
	strange, _ := other.export(t, StreamOptions{})
	e.fails("foreign", "--key", key, e.bring("strange", strange))
}

// later is a checkpoint of more records than were exported before.
func (c *chain) later(t *testing.T) string {
	t.Helper()
	if err := c.RecordAlone(c.ctx, c.tenant, Entry{Event: "test.thing.done", Target: Target{Kind: "thing", ID: id.New().String()}}); err != nil {
		t.Fatal(err)
	}
	if err := c.seal(c.ctx, c.tenant); err != nil {
		t.Fatal(err)
	}
	return c.checkpoint(t).Note
}
