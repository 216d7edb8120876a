package identity

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/identity/oidc"
	"nimbus/appliance/identity/saml"
	"nimbus/appliance/permission"
)

// vouched is who a provider says signed in.
type vouched struct {
	// Subject is who it is at the provider, by the chosen claim; Raw by the protocol.
	Subject, Raw, Email, Name string
	// Verified is what the provider says of the address; nil when it says nothing.
	Verified      *bool
	Session       string
	MFA           bool
	Authenticated time.Time // when they proved themselves there
	Claims        claims
	tokens
}

// tokens are what is kept of a sign-in, sealed.
type tokens struct {
	IDToken string    `json:"id_token,omitempty"`
	Refresh string    `json:"refresh_token,omitempty"`
	Expires time.Time `json:"-"` // of what the provider gave
	Ends    time.Time `json:"-"` // when the provider ends the session
}

// How often the provider's word is asked for again.
const (
	refreshMin = 5 * time.Minute
	refreshMax = time.Hour
)

func (t tokens) refreshAt() *time.Time {
	if t.Refresh == "" {
		return nil
	}
	wait := min(max(time.Until(t.Expires), refreshMin), refreshMax)
	at := time.Now().Add(wait)
	return &at
}

func (t tokens) ends() *time.Time {
	if t.Ends.IsZero() {
		return nil
	}
	return &t.Ends
}

func fromOIDC(p Provider, r oidc.Result) vouched {
	v := vouched{
		Subject: r.Subject, Raw: r.Subject, Session: r.SessionID, MFA: r.MFA, Authenticated: r.Authenticated, Claims: r.Claims,
		tokens: tokens{IDToken: r.IDToken, Refresh: r.RefreshToken, Expires: r.Expires},
	}
	return v.named(p)
}

func fromSAML(p Provider, r saml.Result) vouched {
	v := vouched{Subject: r.NameID, Raw: r.NameID, Session: r.SessionIndex, MFA: r.MFA, Authenticated: r.Authenticated, Claims: claims{}, tokens: tokens{Ends: r.SessionEnds}}
	for name, values := range r.Attributes {
		v.Claims[name] = values
	}
	v.Claims["NameID"] = r.NameID
	if r.Transient {
		v.Subject = ""
	}
	return v.named(p)
}

// named reads the claims that say who it is.
func (v vouched) named(p Provider) vouched {
	p.complete()
	if p.SubjectClaim != "" {
		v.Subject = v.Claims.first(p.SubjectClaim)
	}
	v.Email, v.Name = strings.ToLower(v.Claims.first(p.EmailClaim)), v.Claims.first(p.NameClaim)
	if v.Name == "" {
		v.Name = v.Email
	}
	if said := v.Claims.first("email_verified"); said != "" {
		yes := strings.EqualFold(said, "true")
		v.Verified = &yes
	}
	return v
}

// admission is what a sign-in yields.
type admission struct {
	User    id.ID
	New     bool
	Missing []string // what could not be given, in words
}

// admit finds or makes the account of who the provider vouches for and brings
// what the provider's claims give up to date. It runs in the transaction of
// the tenant. Whom the rules do not let in is fault.Forbidden.
func (f *Federation) admit(ctx context.Context, p sealedProvider, who vouched) (admission, error) {
	p.complete()
	if who.Subject == "" || len(who.Subject) > 255 || !utf8.ValidString(who.Subject) {
		return admission{}, notAllowed("The sign-in provider does not say who you are in a way that stays the same. An administrator can choose the claim that does.")
	}
	var a admission
	err := f.Identity.DB.Core(ctx, func(ctx context.Context) error {
		var err error
		if a.User, err = f.store.identityOf(ctx, p.ID, who.Subject); err == nil && a.User.IsZero() {
			a, err = f.firstTime(ctx, p, who)
		}
		return err
	})
	if err != nil {
		return admission{}, err
	}
	if err := f.mayEnter(ctx, p, a.User); err != nil {
		return admission{}, err
	}
	a.Missing, err = f.give(ctx, p, a.User, who.Claims)
	return a, err
}

// mayEnter holds for every sign-in, the first and the later ones. A provider
// vouches for people of its own tenant: an account that reaches into other
// tenants would carry its word there.
func (f *Federation) mayEnter(ctx context.Context, p sealedProvider, user id.ID) error {
	return f.Identity.DB.Core(ctx, func(ctx context.Context) error {
		acc, err := f.Identity.store.byID(ctx, user)
		if err != nil {
			return err
		}
		if acc.Emergency {
			return notAllowed("This is the emergency administrator. It signs in here, with its password, and never through a provider.")
		}
		in, err := f.store.memberships(ctx, user)
		if err != nil {
			return err
		}
		switch {
		case acc.Status != Active || !in[p.tenant]:
			return notAllowed("Your account is disabled. Ask an administrator.")
		case len(in) > 1 && !f.Identity.Permissions.IsRoot(p.tenant):
			return notAllowed("Your account belongs to other tenants too, so that only the provider of this appliance can vouch for it. Sign in with your password.")
		}
		return nil
	})
}

// firstTime decides about somebody whom the provider vouches for the first
// time: an account that is there, a new one, or none.
func (f *Federation) firstTime(ctx context.Context, p sealedProvider, who vouched) (admission, error) {
	if _, _, err := validPerson("x", who.Email); err != nil {
		return admission{}, notAllowed("The sign-in provider names no e-mail address of yours. An administrator can choose the claim that has it.")
	}
	if err := f.store.lockEmail(ctx, who.Email); err != nil {
		return admission{}, err
	}
	acc, found, err := f.store.accountOf(ctx, who.Email)
	switch {
	case err != nil:
		return admission{}, err
	case found:
		return f.linkTo(ctx, p, who, acc)
	}
	return f.newcomer(ctx, p, who)
}

var errNotLinked = "There is an account with your e-mail address that is not linked to this sign-in provider. Sign in as you did before, or ask an administrator."

// linkTo gives an account that is there to a subject: only where the
// administrator allowed it, the provider says that the address is verified,
// the address's domain is the tenant's, and the account is of this tenant.
func (f *Federation) linkTo(ctx context.Context, p sealedProvider, who vouched, acc account) (admission, error) {
	in, err := f.store.memberships(ctx, acc.ID)
	if err != nil {
		return admission{}, err
	}
	own, _, err := f.domain(ctx, p.tenant, who.Email)
	if err != nil {
		return admission{}, err
	}
	verified := who.Verified != nil && *who.Verified
	if acc.Emergency || p.JIT.LinkByEmail != LinkVerified || !verified || !own || !in[p.tenant] || len(in) > 1 {
		return admission{}, notAllowed("%s", errNotLinked)
	}
	if err := f.store.link(ctx, p.ID, who.Subject, acc.ID, p.tenant); err != nil {
		return admission{}, err
	}
	return admission{User: acc.ID}, f.record(ctx, p.tenant, audit.Entry{
		Event: "identity.user.linked", Priority: audit.Warning, Target: audit.Target{Kind: "user", ID: acc.ID.String(), Name: acc.Name},
		Details: map[string]any{"provider": p.ID, "subject": who.Subject, "email": who.Email},
	})
}

// domain tells whether an address's domain is the tenant's, or nobody's.
func (f *Federation) domain(ctx context.Context, tenant id.ID, email string) (own, free bool, err error) {
	owner, found, err := f.TenantForEmail(ctx, email)
	return found && owner == tenant, !found, err
}

// newcomer makes an account, where the administrator allowed it. The address
// has to be of the tenant's domain, or verified and of a domain that is nobody's.
func (f *Federation) newcomer(ctx context.Context, p sealedProvider, who vouched) (admission, error) {
	if !p.JIT.Users {
		return admission{}, notAllowed("You have no account here yet. Ask an administrator for one.")
	}
	if who.Verified != nil && !*who.Verified {
		return admission{}, notAllowed("Your e-mail address is not verified at the sign-in provider. Verify it there and try again.")
	}
	own, free, err := f.domain(ctx, p.tenant, who.Email)
	if err != nil {
		return admission{}, err
	}
	if !own && !(free && who.Verified != nil) {
		return admission{}, notAllowed("The domain of your e-mail address does not belong to this tenant. Ask an administrator to add it.")
	}
	if err := f.room(ctx, p.tenant); err != nil {
		return admission{}, err
	}
	name, email, err := validPerson(firstRunes(who.Name, 100), who.Email)
	if err != nil {
		return admission{}, notAllowed("The sign-in provider names no name of yours that can be used.")
	}
	return f.makeAccount(ctx, p, who, account{ID: id.New(), Name: name, Email: email, Status: Active})
}

// room makes sure that the tenant may have one more person.
func (f *Federation) room(ctx context.Context, tenant id.ID) error {
	return f.Identity.DB.Tenant(ctx, tenant, func(ctx context.Context) error { return f.Identity.reserve(ctx, tenant) })
}

func (f *Federation) makeAccount(ctx context.Context, p sealedProvider, who vouched, acc account) (admission, error) {
	if err := f.Identity.store.insert(ctx, acc); err != nil {
		return admission{}, err
	}
	if err := f.store.join(ctx, acc.ID, p.tenant, p.Kind, external(p.Provider, who.Subject)); err != nil {
		return admission{}, err
	}
	if err := f.store.link(ctx, p.ID, who.Subject, acc.ID, p.tenant); err != nil {
		return admission{}, err
	}
	entry := created(acc)
	entry.Details = map[string]any{"provider": p.ID, "subject": who.Subject}
	return admission{User: acc.ID, New: true}, f.record(ctx, p.tenant, entry)
}

// record writes to the tenant's trail from within the provider level.
func (f *Federation) record(ctx context.Context, tenant id.ID, e audit.Entry) error {
	return f.Identity.DB.Tenant(ctx, tenant, func(ctx context.Context) error { return f.Identity.Audit.Record(ctx, e) })
}

// external is the name of something at a provider, apart from other providers'.
func external(p Provider, name string) string { return p.ID.String() + ":" + name }

func firstRunes(text string, n int) string {
	runes := []rune(text)
	return string(runes[:min(len(runes), n)])
}

// give brings the roles and groups that the claims give up to date: what is
// new is given, what the claims no longer give is taken. What was given by
// hand stays. It returns what could not be done, in words.
func (f *Federation) give(ctx context.Context, p sealedProvider, user id.ID, c claims) ([]string, error) {
	wanted, missing, err := f.wanted(ctx, p, c)
	if err != nil {
		return nil, err
	}
	had, err := f.store.gifts(ctx, p.ID, user)
	if err != nil {
		return nil, err
	}
	for _, g := range had {
		if slices.Contains(wanted, g) {
			continue
		}
		if err := f.takeBack(ctx, p.ID, user, g); err != nil {
			return nil, err
		}
	}
	for _, g := range wanted {
		there, err := f.exists(ctx, g)
		if err != nil {
			return nil, err
		}
		if !there {
			missing = append(missing, "A "+string(g.Kind)+" of the mapping does not exist any more.")
			continue
		}
		if err := f.giveOne(ctx, p, user, g); err != nil {
			return nil, err
		}
	}
	return missing, f.Identity.Permissions.Changed(ctx, p.tenant)
}

// exists tells whether there still is what a rule gives: a role that was
// deleted does not lock everybody out.
func (f *Federation) exists(ctx context.Context, g gift) (bool, error) {
	if g.Kind == groupGift {
		return f.store.hasGroup(ctx, g.Target)
	}
	roles, err := f.Identity.Permissions.Roles(ctx)
	return slices.ContainsFunc(roles, func(r permission.Role) bool { return r.ID == g.Target }), err
}

// wanted is what the claims give now.
func (f *Federation) wanted(ctx context.Context, p sealedProvider, c claims) (all []gift, missing []string, err error) {
	add := func(g gift) {
		if !slices.Contains(all, g) {
			all = append(all, g)
		}
	}
	for _, role := range p.DefaultRoleIDs {
		add(gift{roleGift, role})
	}
	for _, r := range p.Mapping {
		switch {
		case !r.matches(c):
		case r.RoleID.IsZero():
			add(gift{groupGift, r.GroupID})
		default:
			add(gift{roleGift, r.RoleID})
		}
	}
	if !p.JIT.Groups {
		return all, nil, nil
	}
	for _, name := range c.values(p.GroupsClaim) {
		group, why, err := f.groupFor(ctx, p, name)
		if err != nil {
			return nil, nil, err
		}
		missing = append(missing, why...)
		if !group.IsZero() {
			add(gift{groupGift, group})
		}
	}
	return all, missing, nil
}

// groupFor finds or makes the group that stands for one of the provider's. It
// never takes a group that is there for another reason, whatever its name.
func (f *Federation) groupFor(ctx context.Context, p sealedProvider, name string) (id.ID, []string, error) {
	shown := firstRunes(strings.TrimSpace(name), 80)
	if shown == "" || len(name) > 200 {
		return id.ID{}, []string{"A group without a usable name was left out."}, nil
	}
	group, err := f.store.providerGroup(ctx, p.Kind, external(p.Provider, name))
	if err != nil || !group.IsZero() {
		return group, nil, err
	}
	group = id.New()
	for _, try := range []string{shown, shown + " (" + firstRunes(p.Name, 60) + ")"} {
		made, err := f.store.addProviderGroup(ctx, group, try, p.Kind, external(p.Provider, name))
		if err != nil {
			return id.ID{}, nil, err
		}
		if made {
			return group, nil, f.Identity.Audit.Record(ctx, audit.Entry{
				Event: "identity.group.created", Priority: audit.Notice, Target: audit.Target{Kind: "group", ID: group.String(), Name: try},
				Details: map[string]any{"provider": p.ID, "external": name},
			})
		}
	}
	return id.ID{}, []string{"The group " + shown + " was left out: its name is taken."}, nil
}

// giveOne gives a role or group, and remembers that it was not given by hand.
func (f *Federation) giveOne(ctx context.Context, p sealedProvider, user id.ID, g gift) error {
	there, err := f.holds(ctx, user, g)
	if err != nil {
		return err
	}
	byProvider, err := f.store.given(ctx, user, g)
	if err != nil || there && !byProvider {
		return err
	}
	if !there && g.Kind == roleGift {
		err = f.Identity.Permissions.Assign(ctx, user, g.Target)
	} else if !there {
		err = f.enterGroup(ctx, p.tenant, user, g.Target)
	}
	if err != nil {
		return err
	}
	return f.store.addGift(ctx, p.ID, user, g)
}

func (f *Federation) holds(ctx context.Context, user id.ID, g gift) (bool, error) {
	if g.Kind == groupGift {
		groups, err := f.store.groupsOf(ctx, user)
		return slices.ContainsFunc(groups, func(n GivenGroup) bool { return n.ID == g.Target }), err
	}
	roles, err := f.Identity.Permissions.RolesOf(ctx, user)
	return slices.ContainsFunc(roles, func(r permission.Role) bool { return r.ID == g.Target }), err
}

func (f *Federation) enterGroup(ctx context.Context, tenant, user, group id.ID) error {
	g, err := f.Identity.store.group(ctx, group)
	if err != nil {
		return err
	}
	if _, err := f.Identity.enter(ctx, tenant, g, permission.Subject{Kind: permission.UserSubject, ID: user}); err != nil {
		return err
	}
	return f.membershipChanged(ctx, "identity.group.member-added", user, group)
}

func (f *Federation) membershipChanged(ctx context.Context, what string, user, group id.ID) error {
	return f.Identity.Audit.Record(ctx, audit.Entry{
		Event: what, Priority: audit.Notice, Target: audit.Target{Kind: "group", ID: group.String()},
		Details: map[string]any{"member_kind": "user", "member_id": user},
	})
}

// takeBack takes a gift away unless another provider gives it too.
func (f *Federation) takeBack(ctx context.Context, provider, user id.ID, g gift) error {
	if err := f.store.removeGift(ctx, provider, user, g); err != nil {
		return err
	}
	other, err := f.store.given(ctx, user, g)
	if err != nil || other {
		return err
	}
	there, err := f.exists(ctx, g)
	if err != nil || !there {
		return err // what is gone gives nothing any more
	}
	if g.Kind == roleGift {
		return f.Identity.Permissions.Unassign(ctx, user, g.Target)
	}
	if err := f.store.leave(ctx, g.Target, user); err != nil {
		return err
	}
	return f.membershipChanged(ctx, "identity.group.member-removed", user, g.Target)
}

// takeAll takes away all that a provider gave.
func (f *Federation) takeAll(ctx context.Context, tenant, provider id.ID) error {
	ctx = actor.AsSystem(ctx, systemName, tenant)
	users, err := f.store.receivers(ctx, provider)
	for _, user := range users {
		var had []gift
		if err == nil {
			had, err = f.store.gifts(ctx, provider, user)
		}
		for _, g := range had {
			if err == nil {
				err = f.takeBack(ctx, provider, user, g)
			}
		}
	}
	if err != nil {
		return err
	}
	return f.Identity.Permissions.Changed(ctx, tenant)
}

// TestResult is what a login would yield.
type TestResult struct {
	Finished bool            `json:"finished"`
	Error    string          `json:"error" doc:"Why the provider's answer was not accepted; empty when it was."`
	Cause    string          `json:"cause"`
	Claims   json.RawMessage `json:"claims"`
	Subject  string          `json:"subject"`
	Email    string          `json:"email"`
	Verified *bool           `json:"email_verified"`
	Name     string          `json:"name"`
	MFA      bool            `json:"mfa"`
	WouldBe  WouldBe         `json:"would_be"`
}

// WouldBe is the account that a login would give.
type WouldBe struct {
	User   string       `json:"user" enum:"existing,new,refused"`
	Reason string       `json:"reason"`
	Roles  []GivenRole  `json:"roles"`
	Groups []GivenGroup `json:"groups"`
	Notes  []string     `json:"notes" doc:"What the mapping names and cannot be given."`
}

// GivenRole is a role by id and name.
type GivenRole struct {
	ID   id.ID  `json:"id"`
	Name string `json:"name"`
}

// GivenGroup is a group by id and name.
type GivenGroup struct {
	ID   id.ID  `json:"id"`
	Name string `json:"name"`
}

// errRollback ends a trial.
var errRollback = errors.New("only a trial")

// tested stores what the sign-in would have yielded, by doing it and rolling
// it back: there is no second set of rules.
func (f *Federation) tested(ctx context.Context, p sealedProvider, a attempt, who vouched, why error) (Arrival, error) {
	r := TestResult{Finished: true, Subject: who.Subject, Email: who.Email, Verified: who.Verified, Name: who.Name, MFA: who.MFA}
	now := time.Now().UTC()
	p.Status = ProviderStatus{OK: why == nil, Message: "A test sign-in succeeded.", CheckedAt: &now}
	if why != nil {
		r.Error, r.Cause = fault.Message(why), trimmed(causeOf(why), 500)
		r.WouldBe = WouldBe{User: "refused", Reason: r.Error}
		p.Status.Message = r.Error
	} else if err := f.trial(ctx, p, who, &r); err != nil {
		return Arrival{}, err
	}
	f.note(ctx, p)
	text, err := json.Marshal(r)
	if err != nil {
		return Arrival{}, err
	}
	err = f.Identity.DB.Tenant(ctx, p.tenant, func(ctx context.Context) error { return f.store.finishTest(ctx, a.Test, text) })
	joint := "?"
	if strings.Contains(a.ReturnTo, "?") {
		joint = "&"
	}
	return Arrival{ReturnTo: a.ReturnTo + joint + "test=" + a.Test.String()}, err
}

func (f *Federation) trial(ctx context.Context, p sealedProvider, who vouched, r *TestResult) error {
	said, err := json.Marshal(who.Claims)
	if err != nil {
		return err
	}
	r.Claims = said
	err = f.Identity.DB.Tenant(ctx, p.tenant, func(ctx context.Context) error {
		a, err := f.admit(ctx, p, who)
		if err != nil {
			return err
		}
		if r.WouldBe, err = f.wouldBe(ctx, a); err != nil {
			return err
		}
		return errRollback
	})
	if errors.Is(err, errRollback) {
		return nil
	}
	if k := fault.KindOf(err); k == fault.Internal || k == fault.Unavailable {
		return err
	}
	r.WouldBe = WouldBe{User: "refused", Reason: fault.Message(err)}
	return nil
}

func (f *Federation) wouldBe(ctx context.Context, a admission) (WouldBe, error) {
	w := WouldBe{User: "existing", Notes: a.Missing}
	if a.New {
		w.User = "new"
	}
	roles, err := f.Identity.Permissions.RolesOf(ctx, a.User)
	if err != nil {
		return w, err
	}
	for _, r := range roles {
		w.Roles = append(w.Roles, GivenRole{r.ID, r.Name})
	}
	w.Groups, err = f.store.groupsOf(ctx, a.User)
	return w, err
}

// TestResult shows how a test ended, or that it has not.
func (f *Federation) TestResult(ctx context.Context, provider, test id.ID) (TestResult, error) {
	a, err := f.Identity.authorise(ctx, UpdateProvider)
	if err != nil {
		return TestResult{}, err
	}
	var text []byte
	err = f.Identity.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		text, err = f.store.test(ctx, provider, test)
		return err
	})
	r := TestResult{}
	if err == nil && text != nil {
		err = json.Unmarshal(text, &r)
	}
	return r.listed(), err
}

// listed makes lists of what is empty.
func (r TestResult) listed() TestResult {
	if r.Claims == nil {
		r.Claims = json.RawMessage("{}")
	}
	if r.WouldBe.Roles == nil {
		r.WouldBe.Roles = []GivenRole{}
	}
	if r.WouldBe.Groups == nil {
		r.WouldBe.Groups = []GivenGroup{}
	}
	if r.WouldBe.Notes == nil {
		r.WouldBe.Notes = []string{}
	}
	return r
}
