package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "go.temporal.io/sdk/client"
	"go.temporal.io/sdk/testsuite"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit/ledger"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/objectstore/s3test"
)

// TestArchiveInABucket archives to a bucket, moves on to another place, and
// prunes and searches what is in the first.
func TestArchiveInABucket(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	c.outside(t)
	ada, bucket := c.user(), s3test.New(t)
	target := ArchiveTarget{Kind: ArchiveS3, Endpoint: bucket.Endpoint(), Bucket: s3test.Bucket, Region: s3test.Region, Prefix: "cold", AccessKey: s3test.AccessKey, CAPEM: bucket.Authority()}
	if _, err := c.SetArchive(ada, target); !fault.Is(err, fault.Invalid) {
		t.Errorf("without a secret: %v", err)
	}
	target.Secret = s3test.SecretKey
	status, err := c.SetArchive(ada, target)
	if err != nil || !status.HasSecret || status.Secret != "" {
		t.Fatalf("%+v %v", status, err)
	}
	if err := c.TestArchive(ada); err != nil {
		t.Fatal(err)
	}
	if n := len(bucket.Objects()); n != 0 {
		t.Errorf("the test leaves %d objects", n)
	}
	c.old(t, 300, 400)
	if err := c.archiveChain(c.ctx, c.tenant); err != nil {
		t.Fatal(err)
	}
	target.Secret = "" // the same place keeps its secret
	if _, err := c.SetArchive(ada, target); err != nil {
		t.Fatal(err)
	}
	target.Prefix = "elsewhere"
	if _, err := c.SetArchive(ada, target); !fault.Is(err, fault.Invalid) {
		t.Errorf("another place takes the secret of the first: %v", err)
	}
	if _, err := c.SetArchive(ada, ArchiveTarget{Kind: ArchiveDirectory}); err != nil {
		t.Fatal(err)
	}
	c.old(t, 300, 400)
	c.record(t, 5)
	c.keep(t, ada, days(365))
	c.run(t)
	c.whole(t)
	segs, err := c.Segments(ada, 0, 10)
	if err != nil || len(segs) != 2 || !strings.HasPrefix(segs[1].Place, "s3 ") || segs[0].Place != "directory of the appliance" || segs[1].State != "pruned" {
		t.Errorf("%+v %v", segs, err)
	}
	found, err := c.SegmentRecords(ada, segs[1].ID, Filter{Events: []string{"test"}, Limit: 200})
	if err != nil || len(found) != 200 || found[0].Sequence < 2 {
		t.Errorf("%d found: %v", len(found), err)
	}
	for _, r := range c.searchAll(t, ada) {
		if bytes.Contains(r.Body, []byte(s3test.SecretKey)) {
			t.Errorf("record %d has the secret", r.Sequence)
		}
	}
	shown, _ := json.Marshal([]any{status, segs})
	if bytes.Contains(shown, []byte(s3test.SecretKey)) {
		t.Errorf("an answer has the secret: %s", shown)
	}
}

// TestRobustness39ArchiveReachesWhatIsAllowed has a bucket on an address that is
// not allowed.
func TestRobustness39ArchiveReachesWhatIsAllowed(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	c.outside(t)
	ada, bucket := c.user(), s3test.New(t)
	c.Outbound.Allowed = func() []netip.Prefix { return nil }
	_, err := c.SetArchive(ada, ArchiveTarget{Kind: ArchiveS3, Endpoint: bucket.Endpoint(), Bucket: s3test.Bucket, AccessKey: s3test.AccessKey, Secret: s3test.SecretKey, CAPEM: bucket.Authority()})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.TestArchive(ada); err == nil {
		t.Error("loopback is reached")
	}
	c.old(t, 300, 400)
	if err := c.archiveChain(c.ctx, c.tenant); err == nil || len(bucket.Objects()) > 0 {
		t.Errorf("%d objects on loopback, %v", len(bucket.Objects()), err)
	}
}

// TestWhereAnArchiveMayBe refuses paths of tenants, and what cannot be.
func TestWhereAnArchiveMayBe(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	ada := c.user()
	for name, target := range map[string]ArchiveTarget{
		"a tenant's path": {Kind: ArchiveDirectory, Path: t.TempDir()}, "no kind": {}, "another kind": {Kind: "ftp"},
		"no bucket": {Kind: ArchiveS3, Endpoint: "s3.example.com", AccessKey: "x", Secret: "y"},
	} {
		if _, err := c.SetArchive(ada, target); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if err := c.TestArchive(ada); !fault.Is(err, fault.Conflict) {
		t.Errorf("none is tried: %v", err)
	}
	root := actor.With(c.ctx, actor.Actor{Kind: actor.User, ID: id.New(), Name: "Root"})
	for path, ok := range map[string]bool{t.TempDir(): true, "relative": false, "/": false} {
		if _, err := c.SetArchive(root, ArchiveTarget{Kind: ArchiveDirectory, Path: path}); (err == nil) != ok {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestRetentionThatCannotBe(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	ada := c.user()
	for name, r := range map[string]Retention{
		"no time":          {DefaultDays: days(0), ArchiveAfterDays: 1},
		"too long":         {DefaultDays: days(40000), ArchiveAfterDays: 1},
		"never archived":   {},
		"a rule twice":     {ArchiveAfterDays: 1, Rules: []RetentionRule{{"a", days(1)}, {"a", nil}}},
		"a rule for all":   {ArchiveAfterDays: 1, Rules: []RetentionRule{{"", days(1)}}},
		"a pattern":        {ArchiveAfterDays: 1, Rules: []RetentionRule{{"a.%", days(1)}}},
		"a rule of no day": {ArchiveAfterDays: 1, Rules: []RetentionRule{{"a", days(-1)}}},
	} {
		if _, err := c.SetRetention(ada, r); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if r, err := c.Retention(ada); err != nil || r.DefaultDays != nil || r.PruneEnabled || r.ArchiveAfterDays != defaultArchive {
		t.Errorf("%+v %v", r, err)
	}
}

// TestSegmentsAreSearchedAsTheDatabaseIs asks both the same.
func TestSegmentsAreSearchedAsTheDatabaseIs(t *testing.T) {
	t.Parallel()
	c, ada := newLife(t)
	c.old(t, 300, 400, "test.thing.done", "test.other.done", "odd.thing.refused")
	if err := c.archiveChain(c.ctx, c.tenant); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(c.ctx); err != nil { // words are indexed behind the sealer
		t.Fatal(err)
	}
	defer func() { _ = c.Stop(context.Background()) }()
	seg := c.segmentsOf(t)[0]
	last := seg.Last + 1
	for i := 0; ; i++ {
		found, err := c.List(ada, Filter{Text: "thing", Before: last, After: last - 3, Limit: 1})
		if err == nil && len(found) > 0 {
			break
		}
		if i > 200 {
			t.Fatalf("no words: %v", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	for _, f := range []Filter{
		{}, {Events: []string{"test"}}, {Events: []string{"odd.thing", "test.other.done"}}, {Category: "odd"}, {Actor: "LOVE"}, {Actor: c.tenant.String()},
		{Target: "3"}, {TargetKind: "thing"}, {Outcome: Denied}, {Priority: Warning}, {Priority: Debug}, {Text: "lovelace thing"}, {Text: `"ada lovelace" 17`},
		{Text: "done -other"}, {Text: "17 or 18"}, {Text: `"lovelace ada"`}, {Text: "nothing"}, {From: time.Now().Add(-500 * 24 * time.Hour)}, {To: time.Now().Add(-300 * 24 * time.Hour)}, {Address: "x"}, {RequestID: "y"},
	} {
		f.Before, f.Limit = last, 200
		listed, err := c.List(ada, f)
		if err != nil {
			t.Fatal(err)
		}
		var want, got []int64
		for _, r := range slices.Backward(listed) {
			want = append(want, r.Sequence)
		}
		for after := int64(0); ; {
			f.After = after
			found, err := c.SegmentRecords(ada, seg.ID, f)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range found {
				got = append(got, r.Sequence)
			}
			if len(found) < f.Limit {
				break
			}
			after = found[len(found)-1].Sequence
		}
		got = got[max(0, len(got)-200):] // a page of the list has the newest
		if !slices.Equal(got, want) {
			t.Errorf("%+v: %d in the segment, %d in the database: %v, %v", f, len(got), len(want), got, want)
		}
	}
	c.Service.Check = func(_ context.Context, p string) error {
		if p == ReadPermission {
			return fault.New(fault.Forbidden, "You may not.")
		}
		return nil
	}
	if _, err := c.SegmentRecords(ada, seg.ID, Filter{}); !fault.Is(err, fault.Forbidden) {
		t.Errorf("who may not read records reads a segment: %v", err)
	}
	if _, _, err := c.OpenSegment(ada, seg.ID); !fault.Is(err, fault.Forbidden) {
		t.Errorf("who may not read records downloads a segment: %v", err)
	}
}

// TestDownloadedSegmentsAreVerifiedAlone has the standalone verifier's code check
// a segment before and after pruning.
func TestDownloadedSegmentsAreVerifiedAlone(t *testing.T) {
	t.Parallel()
	c, ada := newLife(t)
	c.old(t, 300, 400)
	c.record(t, 5)
	c.keep(t, ada, days(365))
	check := func() {
		t.Helper()
		_, object, err := c.OpenSegment(ada, c.segmentsOf(t)[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		defer object.Close()
		plain, err := ledger.Plain(object)
		if err != nil {
			t.Fatal(err)
		}
		defer plain.Close()
		if r, err := ledger.VerifyStream(plain, c.keys(t), ledger.Options{}); err != nil || !r.OK() || r.Records != 256 {
			t.Errorf("%+v %v", r, err)
		}
	}
	if err := c.archiveChain(c.ctx, c.tenant); err != nil {
		t.Fatal(err)
	}
	check()
	if err := c.pruneChain(c.ctx, c.tenant); err != nil {
		t.Fatal(err)
	}
	check()
	if events := c.events(t, c.tenant); strings.Count(events, "audit.segment.downloaded") != 2 {
		t.Errorf("recorded are %s", events)
	}
}

// asked remembers which workflows were to run.
type asked struct {
	sdk.Client
	inputs []any
}

func (a *asked) ExecuteWorkflow(_ context.Context, o sdk.StartWorkflowOptions, _ any, args ...any) (sdk.WorkflowRun, error) {
	a.inputs = append(a.inputs, o.ID, args[0])
	return nil, nil
}

// TestArchiveWorkflow runs the workflow for all chains: the provider's and a
// tenant's are archived and pruned; one without its archive fails, is told
// once, and does not keep the others.
func TestArchiveWorkflow(t *testing.T) {
	t.Parallel()
	c, ada := newLife(t)
	c.old(t, 600, 400)
	c.record(t, 5)
	c.keep(t, ada, days(365))
	broken := id.New()
	addTenant(t, c, broken)
	root := actor.With(c.ctx, actor.Actor{Kind: actor.User, ID: id.New(), Name: "Root"})
	bea := actor.With(c.ctx, actor.Actor{Kind: actor.User, ID: id.New(), Name: "Bea", TenantID: broken})
	if _, err := c.SetArchive(root, ArchiveTarget{Kind: ArchiveDirectory, Path: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.SetArchive(bea, ArchiveTarget{Kind: ArchiveDirectory}); err != nil {
		t.Fatal(err)
	}
	err := c.DB.Tenant(c.ctx, broken, func(ctx context.Context) error {
		status, err := c.store.archive(ctx)
		if err == nil {
			status.ArchiveTarget.Path = "/does/not/exist"
			err = c.store.setArchive(ctx, status.ArchiveTarget)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, tenant := range []id.ID{{}, broken} {
		for range 300 {
			if err := c.RecordAlone(c.ctx, tenant, Entry{Event: "test.thing.done", Target: Target{Kind: "thing"}}); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.seal(c.ctx, tenant); err != nil {
			t.Fatal(err)
		}
	}
	schemas := []string{"core", "tenant_" + broken.Hex()}
	for _, schema := range schemas {
		superuser(t, c.dsn, "update "+schema+".audit_entry set sealed_at = now() - interval '400 days'")
	}
	run := func() error {
		var suite testsuite.WorkflowTestSuite
		env := suite.NewTestWorkflowEnvironment()
		env.SetTestTimeout(2 * time.Minute)
		Register(env, c.Service)
		env.ExecuteWorkflow(AuditArchiveWorkflow, ArchiveInput{})
		return env.GetWorkflowError()
	}
	for range 2 {
		if err := run(); err == nil || !strings.Contains(err.Error(), "/does/not/exist") {
			t.Errorf("it says %v", err)
		}
	}
	if segs, err := c.Segments(root, 0, 10); err != nil || len(segs) != 1 || segs[0].State != "verified" {
		t.Errorf("the provider has %+v %v", segs, err)
	}
	if segs, err := c.Segments(ada, 0, 10); err != nil || len(segs) != 1 || segs[0].State != "pruned" {
		t.Errorf("the tenant has %+v %v", segs, err)
	}
	c.whole(t)
	status, err := c.Archive(bea)
	if err != nil || status.FailedAt == nil || !strings.Contains(status.Error, "/does/not/exist") {
		t.Errorf("%+v %v", status, err)
	}
	if events := c.events(t, broken); strings.Count(events, "audit.archive.failed") != 1 {
		t.Errorf("recorded are %s", events)
	}
	if _, err := c.SetArchive(bea, ArchiveTarget{Kind: ArchiveDirectory}); err != nil {
		t.Fatal(err)
	}
	if err := run(); err != nil {
		t.Errorf("once it is there: %v", err)
	}
	if events := c.events(t, broken); strings.Count(events, "audit.archive.recovered") != 1 || strings.Count(events, "audit.segment.archived") != 1 {
		t.Errorf("recorded are %s", events)
	}
	client := &asked{}
	c.UseTemporal(client)
	if err := errors.Join(c.RunArchive(ada), c.RunArchive(root)); err != nil {
		t.Fatal(err)
	}
	want := []any{"audit-archive-" + c.tenant.String(), ArchiveInput{One: true, Tenant: c.tenant}, "audit-archive-provider", ArchiveInput{One: true}}
	if !slices.Equal(client.inputs, want) {
		t.Errorf("asked for are %v", client.inputs)
	}
}

// TestSegmentsAreReadBackAgain loses a segment of which nothing is due: the run
// a month later tells, and the compliance dashboard does.
func TestSegmentsAreReadBackAgain(t *testing.T) {
	t.Parallel()
	c, ada := newLife(t)
	c.old(t, 300, 400)
	if err := errors.Join(c.archiveChain(c.ctx, c.tenant), c.endArchive(c.ctx, c.tenant, "")); err != nil {
		t.Fatal(err)
	}
	check := func() (Kept, Check) {
		t.Helper()
		d, err := c.Compliance(ada, Period{})
		if err != nil {
			t.Fatal(err)
		}
		at := slices.IndexFunc(d.Score, func(c Check) bool { return c.Check == "archive_works" })
		return d.Retention, d.Score[at]
	}
	kept, works := check()
	if kept.Archived != 256 || kept.Segments != 1 || kept.Pruned != 0 || kept.Damaged != 0 || kept.RanAt == nil || kept.Oldest == nil || kept.Archive != ArchiveDirectory || !works.OK {
		t.Errorf("%+v %+v", kept, works)
	}
	if err := os.Remove(c.objects(t)[0]); err != nil {
		t.Fatal(err)
	}
	if err := c.reread(c.ctx, c.tenant); err != nil {
		t.Errorf("it was read back a moment ago: %v", err)
	}
	c.superuser(t, "update audit_segment_check set at = at - interval '31 days'")
	if err := c.reread(c.ctx, c.tenant); !foundDamaged(err) {
		t.Errorf("it is gone, and that gives %v", err)
	}
	if kept, works := check(); kept.Damaged != 1 || works.OK {
		t.Errorf("%+v %+v", kept, works)
	}
	if events := c.events(t, c.tenant); strings.Count(events, "audit.segment.damaged") != 1 {
		t.Errorf("recorded are %s", events)
	}
}

// TestExportWithArchive has what was pruned in it again, in both formats, with
// and without a filter; the standalone verifier accepts each, and one of a damaged
// segment is not made.
func TestExportWithArchive(t *testing.T) {
	t.Parallel()
	c, ada := newLife(t)
	s := &starter{}
	c.UseTemporal(s)
	c.old(t, 700, 400, "test.thing.done", "test.other.done")
	c.record(t, 300)
	c.keep(t, ada, nil, RetentionRule{"test.other", days(365)})
	c.run(t)
	for _, format := range []ExportFormat{JSONLines, CSV} {
		for name, f := range map[string]Filter{"all": {}, "one event": {Events: []string{"test.other"}}, "one target": {Target: "3"}, "nothing": {Target: "nobody"}} {
			e, err := c.StartExportWithArchive(ada, format, f)
			if err != nil {
				t.Fatal(err)
			}
			s.write(t, c)
			if e, err = c.Export(ada, e.ID); err != nil || e.State != ExportDone || !e.WithArchive {
				t.Fatalf("%+v %v", e, err)
			}
			want := map[string]int64{"all": e.Total, "one event": 350, "one target": 101, "nothing": 0}[name]
			if e.Records != want {
				t.Errorf("%s %s: %d records, want %d", format, name, e.Records, want)
			}
			c.checkExport(t, ada, e)
		}
	}
	if err := os.Truncate(c.objects(t)[0], 50); err != nil {
		t.Fatal(err)
	}
	if _, err := c.StartExportWithArchive(ada, JSONLines, Filter{}); err != nil {
		t.Fatal(err)
	}
	in := s.started[len(s.started)-1]
	if err := c.writeExport(c.ctx, in.Tenant, in.Export); !fault.Is(err, fault.Conflict) {
		t.Errorf("of a damaged segment: %v", err)
	}
}
