package breakglass_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/breakglass"
	"nimbus/appliance/breakglass/cli"
	"nimbus/appliance/breakglass/hsm/hsmtest"
	"nimbus/appliance/db"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/identity"
	"nimbus/appliance/permission"
)

func TestTwoApproversOpenItWithAToken(t *testing.T) {
	t.Parallel()
	b := newBench(t, breakglass.NewTokenSigner(hsmtest.Start(t, hsmtest.SoftHSM(t))))
	r := b.request(b.ann)
	first, err := b.Approve(b.as(b.bob), r.ID, password)
	must(t, err)
	if first.Status != breakglass.Pending || len(first.Approvals) != 1 || first.Approvals[0].Self {
		t.Fatalf("after one approval: %+v", first)
	}
	if b.Raise(t.Context(), b.ann).BreakGlass != (id.ID{}) {
		t.Fatal("one approval raised her rights")
	}
	r, err = b.Approve(b.as(b.ann), r.ID, password)
	must(t, err)
	if r.Status != breakglass.Open || !r.Approvals[1].Self || r.Key == nil || r.Key.Kind != "hsm" || r.EndsAt.Sub(*r.OpenedAt).Minutes() != 30 {
		t.Fatalf("after two approvals: %+v", r)
	}
	b.verifyStored(r.ID)
	if got := b.Raise(t.Context(), b.ann).BreakGlass; got != r.ID {
		t.Fatalf("her session is %s, want %s", got, r.ID)
	}
	token := b.ann
	token.Agent = actor.Agent{Kind: actor.APIToken, ID: id.New(), Name: "nightly job"}
	if !b.Raise(t.Context(), token).BreakGlass.IsZero() {
		t.Fatal("her API token was raised")
	}
	elsewhere := b.ann
	elsewhere.TenantID = b.tenants.Root()
	if !b.Raise(t.Context(), elsewhere).BreakGlass.IsZero() || !b.Raise(t.Context(), b.bob).BreakGlass.IsZero() {
		t.Fatal("rights were raised in another tenant or for another person")
	}
	v, err := b.View(b.as(b.bob))
	must(t, err)
	if v.HSM.State != "ready" || v.HSM.KeyType != "ecdsa-p256" || v.Active == nil || v.Active.UserName != "Ann" {
		t.Fatalf("the page shows %+v", v)
	}
}

// verifyStored checks what a later reader of the database can: the challenge
// holds what was approved and the signature is the key's.
func (b *bench) verifyStored(request id.ID) {
	b.t.Helper()
	var challenge []byte
	var sig breakglass.Signature
	must(b.t, b.db.Core(b.t.Context(), func(ctx context.Context) error {
		return db.Tx(ctx).QueryRow(ctx, `select challenge, signature, public_key from breakglass_request where id = $1`, request).
			Scan(&challenge, &sig.Bytes, &sig.Public)
	}))
	must(b.t, sig.Verify(challenge))
	for _, part := range [][]byte{request[:], b.ann.ID[:], b.bob.ID[:], []byte("the cluster burns")} {
		if !bytes.Contains(challenge, part) {
			b.t.Fatalf("the challenge does not hold %q", part)
		}
	}
	challenge[len(challenge)-1] ^= 1
	if sig.Verify(challenge) == nil {
		b.t.Fatal("the signature verifies for another approver")
	}
}

func TestRaisedRightsCannotApproveOrAskAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	r := b.request(b.eveAfter())
	_, err := b.Approve(b.as(b.bob), r.ID, password)
	must(t, err)
	_, err = b.Approve(b.as(b.ann), r.ID, password)
	must(t, err)
	eve := b.Raise(t.Context(), b.eve)
	must(t, b.permissions.Check(b.as(eve), "tenancy:settings:update"))
	next := b.request(b.bob)
	_, err = b.Approve(b.as(eve), next.ID, password)
	wantKind(t, err, fault.Forbidden)
}

// TestConsentEndsWithTheRightToGiveIt: whoever lost the right, or was disabled,
// between the two approvals does not count as one of them.
func TestConsentEndsWithTheRightToGiveIt(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	r := b.request(b.eveAfter())
	_, err := b.Approve(b.as(b.bob), r.ID, password)
	must(t, err)
	system := actor.AsSystem(t.Context(), "test", b.tenant)
	admin := permission.SystemRoleID(b.tenant, permission.TenantAdministrator)
	must(t, b.permissions.Unassign(system, b.bob.ID, admin))
	_, err = b.Approve(b.as(b.ann), r.ID, password)
	wantKind(t, err, fault.Conflict)
	// A right under a condition, which is about a session, is one.
	role, err := b.permissions.CreateRole(system, permission.Role{Name: "With MFA", Grants: []permission.Grant{
		{Permission: breakglass.ApprovePermission, Effect: permission.Allow, Condition: "actor.mfa"}}})
	must(t, err)
	must(t, b.permissions.Assign(system, b.bob.ID, role.ID))
	_, err = b.Approve(b.as(b.ann), r.ID, "not her password")
	wantKind(t, err, fault.Unauthenticated)
	off := identity.Disabled
	_, err = b.people.UpdateUser(system, b.bob.ID, nil, &off)
	must(t, err)
	_, err = b.Approve(b.as(b.ann), r.ID, password)
	wantKind(t, err, fault.Conflict)
	if _, raised := b.Active(t.Context(), b.eve.ID); raised {
		t.Error("one consent opened it")
	}
}

// eveAfter lets Eve ask for break-glass, and nothing more.
func (b *bench) eveAfter() actor.Actor {
	ctx := actor.AsSystem(b.t.Context(), "test", b.tenant)
	role, err := b.permissions.CreateRole(ctx, permission.Role{Name: "Caller", Grants: []permission.Grant{{Permission: breakglass.RequestPermission, Effect: permission.Allow}}})
	must(b.t, err)
	must(b.t, b.permissions.Assign(ctx, b.eve.ID, role.ID))
	return b.eve
}

func TestApprovalsThatDoNotCount(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	_, err := b.Request(b.as(b.eve), breakglass.Ask{Reason: "let me in", Minutes: 5})
	wantKind(t, err, fault.Forbidden)
	r := b.request(b.ann)
	_, err = b.Approve(b.as(b.eve), r.ID, password)
	wantKind(t, err, fault.Forbidden)
	_, err = b.Approve(b.as(b.bob), r.ID, "not his password")
	wantKind(t, err, fault.Unauthenticated)
	_, err = b.Approve(b.as(b.bob), r.ID, password)
	must(t, err)
	_, err = b.Approve(b.as(b.bob), r.ID, password)
	wantKind(t, err, fault.Conflict)
	stranger := b.ann
	stranger.TenantID = b.tenants.Root()
	_, err = b.Approve(b.as(stranger), r.ID, password)
	wantKind(t, err, fault.NotFound)
	b.join("Cleo", permission.TenantAdministrator)
	_, err = b.Approve(b.as(b.ann), r.ID, password)
	wantKind(t, err, fault.Forbidden) // three can approve now, so her own does not count
	if got := b.status(r.ID); got != breakglass.Pending {
		t.Fatalf("the request is %s", got)
	}
	_, err = b.Approve(b.as(b.sign("cleo")), r.ID, password)
	must(t, err)
	second := b.request(b.bob)
	must2(t)(b.End(b.as(b.ann), second.ID))
	if got := b.status(second.ID); got != breakglass.Refused {
		t.Fatalf("turned down, it is %s", got)
	}
}

func must2(t *testing.T) func(breakglass.Request, error) {
	return func(_ breakglass.Request, err error) { t.Helper(); must(t, err) }
}

func TestRequestThatNobodyApprovedExpires(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	r := b.request(b.ann)
	b.exec(`update breakglass_request set created_at = now() - interval '15 minutes'`)
	_, err := b.Approve(b.as(b.bob), r.ID, password)
	wantKind(t, err, fault.Gone)
	must(t, b.service(nil).Start(t.Context()))
	if trail := b.trail(b.tenant, "breakglass.session.expired"); len(trail) != 1 {
		t.Fatalf("%d records of the expiry", len(trail))
	}
}

func TestRobustness44EndsByItself(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"its time is up":     `update breakglass_request set ends_at = now() + interval '300 milliseconds'`,
		"the clock set back": `update breakglass_request set opened_at = now() + interval '1 hour', ends_at = now() + interval '90 minutes'`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, nil)
			r := b.opened()
			b.exec(change)
			b.bus.Deliver(event.Event{Type: breakglass.EventOpened, ID: r.ID}) // as another node tells it
			b.becomes(r.ID, breakglass.Ended)
			if !b.Raise(t.Context(), b.ann).BreakGlass.IsZero() {
				t.Fatal("her rights outlast the session")
			}
			if trail := b.trail(b.tenant, "breakglass.session.ended"); len(trail) != 1 || len(b.published(breakglass.EventEnded)) != 2 {
				t.Fatalf("records %v, events for %v", trail, b.published(breakglass.EventEnded))
			}
		})
	}
}

func TestRobustness44ClockSetBackDoesNotExtend(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	r := b.opened()
	b.exec(`update breakglass_request set ends_at = now() + interval '500 milliseconds'`)
	b.bus.Deliver(event.Event{Type: breakglass.EventOpened, ID: r.ID})
	s := b.Service
	for range 100 { // until the service knows the nearer end
		if o, ok := s.Active(t.Context(), b.ann.ID); ok && o.EndsAt.Before(*r.EndsAt) {
			break
		}
		time.Sleep(3 * time.Millisecond)
	}
	b.exec(`update breakglass_request set opened_at = now(), ends_at = now() + interval '50 minutes' where status = 'open'`)
	b.becomes(r.ID, breakglass.Ended)
}

func TestOpenSessionSurvivesARestart(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	r := b.opened()
	must(t, b.Stop(t.Context()))
	must(t, b.Stop(t.Context()))
	again := b.service(nil)
	must(t, again.Start(t.Context()))
	if o, ok := again.Active(t.Context(), b.ann.ID); !ok || o.ID != r.ID {
		t.Fatal("the open session did not continue")
	}
	b.exec(`update breakglass_request set opened_at = now() - interval '31 minutes', ends_at = now() - interval '1 minute'`)
	third := b.service(nil)
	must(t, third.Start(t.Context()))
	if _, ok := third.Active(t.Context(), b.ann.ID); ok || b.status(r.ID) != breakglass.Ended {
		t.Fatal("the session that ended meanwhile was not closed at the start")
	}
}

func TestRobustness43TokenPulledInTheMiddle(t *testing.T) {
	t.Parallel()
	cfg := hsmtest.SoftHSM(t)
	b := newBench(t, breakglass.NewTokenSigner(hsmtest.Start(t, cfg)))
	r := b.request(b.ann)
	must2(t)(b.Approve(b.as(b.bob), r.ID, password))
	tokens, away := filepath.Join(cfg.Dir, "tokens"), filepath.Join(cfg.Dir, "away")
	must(t, os.Rename(tokens, away))
	must(t, os.Mkdir(tokens, 0o700))
	_, err := b.Approve(b.as(b.ann), r.ID, password)
	wantKind(t, err, fault.Unavailable)
	if !strings.Contains(fault.Message(err), "oken") || b.status(r.ID) != breakglass.Pending || !b.Raise(t.Context(), b.ann).BreakGlass.IsZero() {
		t.Fatalf("without the token: %v, %s", err, b.status(r.ID))
	}
	if trail := b.trail(b.tenant, "breakglass.session.refused"); len(trail) != 1 || trail[0].Priority != audit.Critical || trail[0].Outcome != audit.Failure {
		t.Fatalf("the refusal was recorded as %+v", trail)
	}
	must(t, os.Remove(tokens))
	must(t, os.Rename(away, tokens))
	r, err = b.Approve(b.as(b.ann), r.ID, password)
	must(t, err)
	if r.Status != breakglass.Open {
		t.Fatalf("with the token back it is %s", r.Status)
	}
}

// trail are the sealed records of one event in one chain, oldest first.
func (b *bench) trail(tenant id.ID, name string) []audit.Sealed {
	b.t.Helper()
	ctx := actor.AsSystem(b.t.Context(), "test", tenant)
	v, err := b.audit.Verify(ctx) // seals first
	must(b.t, err)
	if !v.OK() {
		b.t.Fatalf("the chain is broken: %+v", v.Breaks)
	}
	found, err := b.audit.List(ctx, audit.Filter{Events: []string{name}, Limit: 100})
	must(b.t, err)
	return found
}

func TestRobustness44LoudRecord(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	r := b.opened()
	used := b.Raise(t.Context(), b.ann)
	must(t, b.audit.RecordAlone(b.as(used), b.tenant, audit.Entry{Event: "test.thing.done"}))
	r, err := b.End(b.as(used), r.ID)
	must(t, err)
	if r.Status != breakglass.Ended || r.EndedBy.ID != b.ann.ID {
		t.Fatalf("ended: %+v", r)
	}
	for _, tenant := range []id.ID{b.tenant, b.tenants.Root()} {
		for event, want := range map[string]int{"requested": 1, "approved": 2, "opened": 1, "ended": 1} {
			trail := b.trail(tenant, "breakglass.session."+event)
			if len(trail) != want {
				t.Fatalf("%d records of %s, want %d", len(trail), event, want)
			}
			for _, s := range trail {
				if s.Priority != audit.Critical || len(s.Link) != 32 || s.Reason != "the cluster burns" {
					t.Fatalf("%s is not loud or not chained: %+v", event, s)
				}
			}
		}
	}
	if use := b.trail(b.tenant, "test.thing.done"); len(use) != 1 || use[0].Actor.BreakGlass != r.ID {
		t.Fatalf("the use was recorded as %+v", use)
	}
	if opened, ended := b.published(breakglass.EventOpened), b.published(breakglass.EventEnded); len(opened) != 2 || len(ended) != 2 {
		t.Fatalf("events: opened %v, ended %v", opened, ended)
	}
	if log := b.logged(); strings.Count(log, "level=ERROR msg=break-glass") != 5 {
		t.Fatalf("the log says %s", log)
	}
	if b.Banner(b.as(b.bob)) != nil {
		t.Fatal("the banner stays after the end")
	}
}

func TestOneSessionForAPerson(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.opened()
	r := b.request(b.ann)
	must2(t)(b.Approve(b.as(b.bob), r.ID, password))
	_, err := b.Approve(b.as(b.ann), r.ID, password)
	wantKind(t, err, fault.Conflict)
	if !strings.Contains(fault.Message(err), "Ann has an open break-glass session already") || b.status(r.ID) != breakglass.Pending {
		t.Fatalf("the second session: %v, %s", err, b.status(r.ID))
	}
}

// TestRobustness44NothingWithoutTheRecord: no record, no session.
func TestRobustness44NothingWithoutTheRecord(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	r := b.request(b.ann)
	must2(t)(b.Approve(b.as(b.bob), r.ID, password))
	b.refuseRecords()
	_, err := b.Approve(b.as(b.ann), r.ID, password)
	if err == nil || !b.Raise(t.Context(), b.ann).BreakGlass.IsZero() {
		t.Fatalf("it opened without a record: %v", err)
	}
}

// refuseRecords makes the tenant's chain refuse records of openings.
func (b *bench) refuseRecords() {
	conn, err := pgx.Connect(b.t.Context(), b.dsn)
	must(b.t, err)
	defer conn.Close(b.t.Context())
	_, err = conn.Exec(b.t.Context(), `alter table `+db.TenantSchema(b.tenant)+`.audit_record add check (event <> 'breakglass.session.opened')`)
	must(b.t, err)
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	run := func(stdin string, args ...string) (string, error) {
		c := cli.Commands(func(context.Context) (*breakglass.Service, *identity.Service, func(), error) {
			return b.Service, b.people, func() {}, nil
		})
		var out bytes.Buffer
		c.SetArgs(args)
		c.SetIn(strings.NewReader(stdin))
		c.SetOut(&out)
		c.SetErr(&out)
		c.SilenceUsage = true
		err := c.ExecuteContext(t.Context())
		return out.String(), err
	}
	bob, ann := "bob@example.org\n"+password+"\n", "ann@example.org\n"+password+"\n"
	ask := []string{"open", "--reason", "the browser is dead", "--minutes", "5"}
	_, err := run(bob+bob, ask...)
	wantKind(t, err, fault.Conflict)
	_, err = run(bob+"ann@example.org\nwrong\n", ask...)
	wantKind(t, err, fault.Unauthenticated)
	_, err = run(bob+"eve@example.org\n"+password+"\n", ask...)
	wantKind(t, err, fault.Forbidden)
	_, err = run("", ask...)
	wantKind(t, err, fault.Invalid)
	out, err := run(bob+ann, ask...)
	must(t, err)
	o, ok := b.Active(t.Context(), b.bob.ID)
	if !ok || o.TenantID != b.tenant || !strings.Contains(out, "nimbus breakglass end "+o.ID.String()) {
		t.Fatalf("open printed %q", out)
	}
	if out, err = run("", "status"); err != nil || !strings.Contains(out, o.ID.String()) {
		t.Fatalf("status printed %q, %v", out, err)
	}
	if out, err = run("", "end"); err != nil || !strings.Contains(out, "ended") {
		t.Fatalf("end printed %q, %v", out, err)
	}
	_, err = run("", "end")
	wantKind(t, err, fault.NotFound)
	if refused := b.trail(b.tenant, "breakglass.session.refused"); len(refused) != 1 {
		t.Fatalf("the request that Eve could not approve left %d records", len(refused))
	}
	asked := b.trail(b.tenant, "breakglass.session.requested")
	if len(asked) != 2 {
		t.Errorf("%d requests are recorded", len(asked))
	}
	for _, r := range asked {
		if r.Actor.Kind != actor.Console || r.Actor.OnBehalfOf != (actor.Principal{Kind: actor.User, ID: b.bob.ID, Name: b.bob.Name}) {
			t.Errorf("the request is not the console's on behalf of who proved to be Bob: %+v", r.Actor)
		}
	}
}
