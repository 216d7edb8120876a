package audit

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/id"
)

// seen is one sealed record as the rules see it. Body is there for those whose
// contents matter.
type seen struct {
	Sequence   int64
	Time       time.Time
	Event      string
	Outcome    Outcome
	ActorID    id.ID
	ActorKind  actor.Kind
	ActorName  string
	TargetKind string
	TargetID   string
	TargetName string
	Address    string
	Body       []byte
}

// habit is when somebody signs in.
type habit struct {
	FirstSeen, LastSeen time.Time
	SignIns             int32
	Hours               []int32
}

type network struct{ Subject, Network string }

// hour counts what was recorded in one hour.
type hour struct{ Total, Failed int64 }

// memory is what was learned of a tenant, and what of it changed.
type memory struct {
	began    time.Time
	habits   map[string]*habit
	networks map[network]bool
	roles    map[string]bool
	hours    map[time.Time]*hour
	touched  struct {
		habits   map[string]bool
		networks map[network]time.Time
		roles    map[string]bool
		hours    map[time.Time]hour // what is added
	}
}

func newMemory() *memory {
	m := &memory{habits: map[string]*habit{}, networks: map[network]bool{}, roles: map[string]bool{}, hours: map[time.Time]*hour{}}
	m.touched.habits, m.touched.networks = map[string]bool{}, map[network]time.Time{}
	m.touched.roles, m.touched.hours = map[string]bool{}, map[time.Time]hour{}
	return m
}

// sighting is a finding before it is compared with those there are.
type sighting struct {
	Anomaly
	pattern string
	records map[int64]time.Time
}

// detector looks at records, oldest first, without any I/O.
type detector struct {
	rules    map[AnomalyKind]AnomalyRule
	zone     *time.Location
	memory   *memory
	own      bool      // the tenant's own chain; else sign-ins in the provider's
	since    time.Time // older records are learned from and make no finding
	chief    []string  // names of roles that may do everything
	found    map[string]*sighting
	recent   map[string][]seen  // refusals and reads by who, within the longest window
	sudden   map[time.Time]bool // hours to compare with the baseline
	failures map[time.Time][]seen
}

var (
	refusals = []string{"identity.session.refused", "identity.second-factor.refused"}
	signIn   = "identity.session.created"
	// reading are the last words of events about what was read.
	reading = regexp.MustCompile(`\.(read|viewed|revealed|exported|downloaded)$`)
	export  = regexp.MustCompile(`\.(exported|downloaded)$`)
)

// look applies the rules to new records. before are refusals and reads that
// were looked at already and may lie in a window with the new ones.
func (d *detector) look(before, records []seen) []*sighting {
	d.found, d.recent = map[string]*sighting{}, map[string][]seen{}
	d.sudden, d.failures = map[time.Time]bool{}, map[time.Time][]seen{}
	for _, r := range before {
		d.remember(r)
	}
	for _, r := range records {
		d.one(r)
	}
	d.spikes()
	return slices.SortedFunc(maps.Values(d.found), func(a, b *sighting) int { return cmp.Compare(a.pattern, b.pattern) })
}

func (d *detector) one(r seen) {
	if d.memory.began.IsZero() {
		d.memory.began = r.Time
	}
	d.remember(r)
	switch {
	case slices.Contains(refusals, r.Event):
		d.refused(r)
	case r.Event == signIn:
		d.signedIn(r)
	case reading.MatchString(r.Event):
		d.read(r)
	}
	if d.own {
		d.privilege(r)
		d.count(r)
	}
}

// note adds records to the finding of a pattern, when its rule is on.
func (d *detector) note(kind AnomalyKind, severity Severity, subject AnomalySubject, what, summary string, records ...seen) {
	newest := records[len(records)-1]
	if !d.rules[kind].Enabled || newest.Time.Before(d.since) {
		return
	}
	pattern := strings.Join([]string{string(kind), subject.Kind, subject.ID, what}, "\x1f")
	s := d.found[pattern]
	if s == nil {
		s = &sighting{pattern: pattern, records: map[int64]time.Time{}}
		s.Kind, s.Subject, s.Provider = kind, subject, !d.own
		d.found[pattern] = s
	}
	s.Severity, s.Summary = worse(s.Severity, severity), summary
	for _, r := range records {
		s.records[r.Sequence] = r.Time
	}
}

// remember keeps what windows are made of.
func (d *detector) remember(r seen) {
	for _, key := range keysOf(r) {
		d.recent[key] = append(d.recent[key], r)
	}
}

// keysOf are the windows that a record counts in.
func keysOf(r seen) []string {
	switch {
	case slices.Contains(refusals, r.Event):
		return slices.DeleteFunc([]string{"account " + accountOf(r).ID, "address " + r.Address}, func(k string) bool { return strings.HasSuffix(k, " ") })
	case !reading.MatchString(r.Event) || r.ActorID.IsZero():
		return nil
	case export.MatchString(r.Event):
		return []string{"export " + r.ActorID.String()}
	}
	return []string{"read " + r.ActorID.String()}
}

// accountOf is the account that somebody tried; one that does not exist has a
// name only.
func accountOf(r seen) AnomalySubject {
	switch {
	case r.TargetKind == "user" && r.TargetID != "" && r.TargetID != (id.ID{}).String():
		return AnomalySubject{Kind: "user", ID: r.TargetID, Name: r.TargetName}
	case !r.ActorID.IsZero():
		return AnomalySubject{Kind: "user", ID: r.ActorID.String(), Name: r.ActorName}
	case r.TargetKind == "user":
		return AnomalySubject{Kind: "account", ID: strings.ToLower(r.TargetName), Name: r.TargetName}
	}
	return AnomalySubject{}
}

// within are the records of a window that ends with r, and it forgets older ones.
func (d *detector) within(key string, r seen, window time.Duration) []seen {
	all := slices.DeleteFunc(d.recent[key], func(o seen) bool { return o.Time.Before(r.Time.Add(-window)) })
	d.recent[key] = all
	return all
}

func (d *detector) refused(r seen) {
	rule := d.rules[BruteForce]
	window := rule.minutes("window_minutes")
	account := accountOf(r)
	if all := d.within("account "+account.ID, r, window); account.ID != "" && len(all) >= rule.Parameters["account_failures"] {
		d.note(BruteForce, Medium, account, "", fmt.Sprintf("Sign-ins to one account were refused %d times within %s.", len(all), spell(window)), all...)
	}
	if all := d.within("address "+r.Address, r, window); r.Address != "" && len(all) >= rule.Parameters["address_failures"] {
		d.note(BruteForce, High, AnomalySubject{Kind: "address", ID: r.Address, Name: r.Address}, "",
			fmt.Sprintf("Sign-ins from one address were refused %d times within %s.", len(all), spell(window)), all...)
	}
}

// signedIn compares a sign-in with the person's habits, then learns it.
func (d *detector) signedIn(r seen) {
	if r.ActorID.IsZero() {
		return
	}
	person := AnomalySubject{Kind: "user", ID: r.ActorID.String(), Name: r.ActorName}
	rule := d.rules[BruteForce]
	if all := d.within("account "+person.ID, r, rule.minutes("window_minutes")); len(all) >= rule.Parameters["account_failures"] {
		d.note(BruteForce, Severe, person, "succeeded", "Somebody signed in right after many refused sign-ins to the same account.", append(slices.Clone(all), r)...)
	}
	h := d.memory.habits[person.ID]
	if h == nil {
		h = &habit{FirstSeen: r.Time, Hours: make([]int32, 24)}
		d.memory.habits[person.ID] = h
	}
	d.unusualTime(r, person, h)
	d.newAddress(r, person, h)
	h.SignIns++
	h.Hours[r.Time.In(d.zone).Hour()]++
	h.LastSeen = r.Time
	d.memory.touched.habits[person.ID] = true
}

// learned is true when enough is known of somebody.
func learned(rule AnomalyRule, h *habit, at time.Time) bool {
	return int(h.SignIns) >= rule.Parameters["min_sign_ins"] && !at.Before(h.FirstSeen.Add(rule.days("learn_days")))
}

func (d *detector) unusualTime(r seen, person AnomalySubject, h *habit) {
	rule := d.rules[UnusualTime]
	if !learned(rule, h, r.Time) {
		return
	}
	at := r.Time.In(d.zone)
	n := at.Hour()
	var near, all int32
	for i, count := range h.Hours {
		all += count
		if i == n || i == (n+1)%24 || i == (n+23)%24 {
			near += count
		}
	}
	if int(near)*100 >= rule.Parameters["rare_percent"]*int(all) {
		return
	}
	d.note(UnusualTime, Low, person, fmt.Sprintf("%02d", n), fmt.Sprintf("A sign-in at %s (%s), when this person hardly ever signs in.", at.Format("15:04"), at.Format("MST")), r)
}

func (d *detector) newAddress(r seen, person AnomalySubject, h *habit) {
	n := network{person.ID, networkOf(r.Address)}
	if n.Network == "" {
		return
	}
	if !d.memory.networks[n] && learned(d.rules[NewAddress], h, r.Time) {
		d.note(NewAddress, Medium, person, n.Network, fmt.Sprintf("A sign-in from %s, a network this person did not use before.", n.Network), r)
	}
	d.memory.networks[n] = true
	d.memory.touched.networks[n] = r.Time
}

// networkOf is the network of an address: addresses within one change by
// themselves.
func networkOf(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return ""
	}
	ip = ip.Unmap().WithZone("")
	bits := 64
	if ip.Is4() {
		bits = 24
	}
	p, _ := ip.Prefix(bits)
	return p.String()
}

func (d *detector) read(r seen) {
	if r.ActorKind != actor.User && r.ActorKind != actor.ServiceAccount {
		return
	}
	rule := d.rules[BulkRead]
	window := rule.minutes("window_minutes")
	reader := AnomalySubject{Kind: string(r.ActorKind), ID: r.ActorID.String(), Name: r.ActorName}
	for _, c := range []struct {
		key, limit string
		severity   Severity
	}{{"read", "reads", Medium}, {"export", "exports", High}} {
		all := d.within(c.key+" "+reader.ID, r, window)
		if len(all) >= rule.Parameters[c.limit] && all[len(all)-1].Sequence == r.Sequence {
			d.note(BulkRead, c.severity, reader, c.key, fmt.Sprintf("%d %s of sensitive data within %s.", len(all), c.limit, spell(window)), all...)
		}
	}
}

// contents are the parts of bodies that the rules look into.
type contents struct {
	Before, After struct {
		Grants []granted `json:"grants"`
	}
	Details struct {
		RoleID string  `json:"role_id"`
		Role   string  `json:"role"`
		Grant  granted `json:"grant"`
	}
}

type granted struct {
	Permission string `json:"permission"`
	Effect     string `json:"effect"`
}

// broad is true for an allowance of everything in a domain, or more.
func (g granted) broad() bool {
	part := strings.Split(g.Permission, ":")
	return g.Effect == "allow" && len(part) >= 3 && part[2] == "*" && (part[0] == "*" || part[1] == "*")
}

func (d *detector) privilege(r seen) {
	var c contents
	if len(r.Body) > 0 && json.Unmarshal(r.Body, &c) != nil {
		return
	}
	switch r.Event {
	case "permission.role.created", "permission.role.updated", "permission.role.deleted":
		d.roleChanged(r, c)
	case "permission.role.assigned":
		chief := d.memory.roles[c.Details.RoleID] || slices.Contains(d.chief, c.Details.Role)
		d.given(r, chief, "the role "+c.Details.Role)
	case "permission.grant.created":
		if c.Details.Grant.Effect == "allow" {
			d.given(r, c.Details.Grant.broad(), c.Details.Grant.Permission)
		}
	case "breakglass.session.opened":
		d.note(PrivilegeEscalation, Severe, AnomalySubject{Kind: "user", ID: r.TargetID, Name: r.TargetName}, "break-glass", "Break-glass was opened.", r)
	}
}

// roleChanged learns which roles may do everything and tells of one that newly may.
func (d *detector) roleChanged(r seen, c contents) {
	had, has := slices.ContainsFunc(c.Before.Grants, granted.broad), slices.ContainsFunc(c.After.Grants, granted.broad)
	d.memory.roles[r.TargetID], d.memory.touched.roles[r.TargetID] = has, has
	if has && !had && !d.settling(r) {
		d.note(PrivilegeEscalation, High, AnomalySubject{Kind: "role", ID: r.TargetID, Name: r.TargetName}, "wildcard",
			fmt.Sprintf("The role was given every right of a domain by %s.", r.ActorName), r)
	}
}

// given judges a role or right that somebody gave to somebody.
func (d *detector) given(r seen, chief bool, what string) {
	self := !r.ActorID.IsZero() && r.TargetID == r.ActorID.String()
	to := AnomalySubject{Kind: r.TargetKind, ID: r.TargetID, Name: r.TargetName}
	switch {
	case self:
		severity := High
		if chief {
			severity = Severe
		}
		to.Name = r.ActorName
		d.note(PrivilegeEscalation, severity, to, what, fmt.Sprintf("Somebody gave %s to themselves.", what), r)
	case chief && !d.settling(r):
		d.note(PrivilegeEscalation, High, to, what, fmt.Sprintf("%s gave %s, with which one may do everything.", r.ActorName, what), r)
	}
}

// settling is true while a new tenant is being set up.
func (d *detector) settling(r seen) bool {
	return r.ActorKind == actor.Setup || r.Time.Before(d.memory.began.Add(d.rules[PrivilegeEscalation].days("learn_days")))
}

// count adds a record to its hour.
func (d *detector) count(r seen) {
	at := r.Time.UTC().Truncate(time.Hour)
	h := d.memory.hours[at]
	if h == nil {
		h = &hour{}
		d.memory.hours[at] = h
	}
	added := d.memory.touched.hours[at]
	h.Total, added.Total = h.Total+1, added.Total+1
	if r.Outcome != Success {
		h.Failed, added.Failed = h.Failed+1, added.Failed+1
		d.failures[at] = append(d.failures[at], r)
		d.sudden[at] = true
	}
	d.memory.touched.hours[at] = added
}

// usualDays is how long the baseline of failures reaches back.
const usualDays = 14 * 24 * time.Hour

// spikes compares the hours that got failures with those before.
func (d *detector) spikes() {
	rule := d.rules[FailureSpike]
	for _, at := range slices.SortedFunc(maps.Keys(d.sudden), time.Time.Compare) {
		from := d.memory.began.UTC().Truncate(time.Hour).Add(time.Hour) // the first hour is not whole
		if earliest := at.Add(-usualDays); from.Before(earliest) {
			from = earliest
		}
		hours := int64(at.Sub(from) / time.Hour)
		failed := d.memory.hours[at].Failed
		if hours < int64(rule.Parameters["learn_hours"]) || failed < int64(rule.Parameters["min_failures"]) {
			continue
		}
		var usual int64
		for when, h := range d.memory.hours {
			if !when.Before(from) && when.Before(at) {
				usual += h.Failed
			}
		}
		if failed*hours < usual*int64(rule.Parameters["factor"]) {
			continue
		}
		severity := Medium
		if failed*hours >= usual*int64(rule.Parameters["factor"])*3 && usual > 0 {
			severity = High
		}
		d.note(FailureSpike, severity, AnomalySubject{Kind: "chain", ID: "failures", Name: "Failures and refusals"}, "",
			fmt.Sprintf("%d failures and refusals in the hour from %s; %.1f are usual.", failed, at.In(d.zone).Format("2006-01-02 15:04 MST"), float64(usual)/float64(hours)),
			d.failures[at]...)
	}
}

// spell says a duration in words.
func spell(d time.Duration) string {
	if d%time.Hour == 0 {
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return fmt.Sprintf("%d min", d/time.Minute)
}
