package identity

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"nimbus/appliance/actor"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/identity/scim"
)

// directory is what SCIM sees of a tenant: its members as users, and the
// groups that came by SCIM. Groups that were made here are neither shown nor
// changed. Its methods act for the tenant of the context's token; the handler
// has proven the token, so they do not authorise.
//
// A membership that SCIM made is owned by it: name and address of the account
// follow, as long as the person belongs to no other tenant. Of others it can
// change what concerns this tenant only. The emergency administrator it cannot
// change at all.
type directory struct {
	*Service
	scim scimStore
}

// Directory returns what package scim serves.
func (s *Service) Directory() scim.Directory { return &directory{Service: s} }

// in runs fn in the transaction of the token's tenant.
func (d *directory) in(ctx context.Context, fn func(ctx context.Context, tenant id.ID) error) error {
	a, err := actor.Require(ctx)
	if err != nil {
		return err
	}
	return d.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error { return fn(ctx, a.TenantID) })
}

// parseIDs leaves out what is no id: nothing has it.
func parseIDs(texts ...string) []id.ID {
	ids := []id.ID{}
	for _, text := range texts {
		if parsed, err := id.Parse(text); err == nil && parsed.String() == text {
			ids = append(ids, parsed)
		}
	}
	return ids
}

var errNotHere = fault.New(fault.NotFound, "It does not exist, or it is not yours.")

func oneID(text string) (id.ID, error) {
	if ids := parseIDs(text); len(ids) == 1 {
		return ids[0], nil
	}
	return id.ID{}, errNotHere
}

// Users implements scim.Directory.
func (d *directory) Users(ctx context.Context, q scim.Query) (page scim.Page[scim.User], err error) {
	err = d.in(ctx, func(ctx context.Context, tenant id.ID) error {
		var found []member
		if found, page.Total, err = d.find(ctx, tenant, q); err != nil {
			return err
		}
		page.Items, err = d.present(ctx, found, q.Detail)
		return err
	})
	return page, err
}

// find chooses members, by an index when the query names an attribute.
func (d *directory) find(ctx context.Context, tenant id.ID, q scim.Query) (found []member, total int, err error) {
	ids, name, email := parseIDs(q.IDs...), "", ""
	switch lower := strings.ToLower(q.Value); q.Attribute {
	case "id":
		ids = parseIDs(q.Value)
	case "userName", "displayName", "externalId":
		if ids, err = d.scim.profileBy(ctx, q.Attribute, q.Value); err != nil {
			return nil, 0, err
		}
		if q.Attribute == "userName" {
			email = lower
		} else if q.Attribute == "displayName" {
			name = lower
		}
	}
	err = d.DB.Core(ctx, func(ctx context.Context) error {
		if q.Attribute != "" || len(q.IDs) > 0 {
			found, err = d.scim.some(ctx, tenant, ids, name, email)
			return err
		}
		if found, err = d.scim.page(ctx, tenant, parse(q.After), q.Offset, q.Limit); err != nil {
			return err
		}
		total, err = d.scim.countMembers(ctx, tenant)
		return err
	})
	return found, total, err
}

func parse(text string) id.ID {
	parsed, _ := id.Parse(text)
	return parsed
}

// present makes users of members, with their groups when detail is asked for.
func (d *directory) present(ctx context.Context, found []member, detail bool) ([]scim.User, error) {
	ids := make([]id.ID, len(found))
	for i, m := range found {
		ids[i] = m.ID
	}
	profiles, err := d.scim.profiles(ctx, ids)
	if err != nil {
		return nil, err
	}
	groups := map[id.ID][]scim.Ref{}
	if detail {
		if groups, err = d.groupsOfUsers(ctx, ids); err != nil {
			return nil, err
		}
	}
	users := make([]scim.User, len(found))
	for i, m := range found {
		p, linked := profiles[m.ID]
		if users[i], err = m.user(p, linked); err != nil {
			return nil, err
		}
		users[i].Groups = groups[m.ID]
	}
	return users, nil
}

func (d *directory) groupsOfUsers(ctx context.Context, users []id.ID) (map[id.ID][]scim.Ref, error) {
	all, err := d.scim.groupsOf(ctx, users)
	byUser := map[id.ID][]scim.Ref{}
	for _, b := range all {
		byUser[b.Of] = append(byUser[b.Of], scim.Ref{ID: b.ID.String(), Kind: "Group", Display: b.Name})
	}
	return byUser, err
}

// user is the member as the directory knows it, or one that it does not know
// yet as the account says.
func (m member) user(p profile, linked bool) (scim.User, error) {
	u := scim.User{
		ID: m.ID.String(), UserName: m.Email, DisplayName: m.Name, Active: m.MemberStatus == Active && m.Status == Active,
		Created: m.CreatedAt, Modified: m.CreatedAt,
		Attributes: map[string]any{"emails": []any{map[string]any{"value": m.Email, "type": "work", "primary": true}}},
	}
	if !linked {
		return u, nil
	}
	u.UserName, u.DisplayName, u.ExternalID, u.Modified, u.Attributes = p.UserName, p.DisplayName, p.ExternalID, p.UpdatedAt, map[string]any{}
	return u, json.Unmarshal(p.Attributes, &u.Attributes)
}

// addressOf is what the person signs in with: the user name when it is an
// address, else the e-mail address that the directory prefers.
func addressOf(u scim.User) (string, error) {
	for _, address := range []string{u.UserName, u.Email()} {
		if _, valid, err := validPerson("x", address); err == nil {
			return valid, nil
		}
	}
	return "", fault.New(fault.Invalid, "userName or one of emails must be an e-mail address: people sign in with it.")
}

// nameOf is the user's name as long as accounts can have it.
func nameOf(u scim.User) string {
	name := strings.TrimSpace(u.Name())
	if runes := []rune(name); len(runes) > 100 {
		name = strings.TrimSpace(string(runes[:100]))
	}
	return name
}

func statusOf(active bool) Status {
	if active {
		return Active
	}
	return Disabled
}

func attributeTaken(what string) error { return fault.New(fault.Conflict, "This %s is taken.", what) }

// CreateUser implements scim.Directory. An address that any account has is
// taken: a directory cannot lay hands on the people of other tenants.
func (d *directory) CreateUser(ctx context.Context, u scim.User) (scim.User, error) {
	email, err := addressOf(u)
	if err != nil {
		return scim.User{}, err
	}
	name, email, err := validPerson(nameOf(u), email)
	if err != nil {
		return scim.User{}, err
	}
	acc := account{ID: id.New(), Name: name, Email: email, Status: Active}
	if acc.Hash, err = d.firstHash(ctx, u.Password, email); err != nil {
		return scim.User{}, err
	}
	var made scim.User
	err = d.in(ctx, func(ctx context.Context, tenant id.ID) error {
		if err := d.insert(ctx, tenant, acc, u); err != nil {
			return err
		}
		made, err = d.read(ctx, tenant, acc.ID)
		return err
	})
	return made, err
}

// firstHash hashes the password of a new person, who needs none. It is called
// outside transactions: hashing takes long.
func (d *directory) firstHash(ctx context.Context, password, email string) (string, error) {
	if password == "" {
		return "", nil
	}
	err := d.in(ctx, func(ctx context.Context, tenant id.ID) error {
		return d.DB.Core(ctx, func(ctx context.Context) error {
			policy, err := d.passwordPolicy(ctx, tenant)
			if err != nil {
				return err
			}
			return policy.check(password, email)
		})
	})
	if err != nil {
		return "", err
	}
	return hashPassword(password), nil
}

func (d *directory) insert(ctx context.Context, tenant id.ID, acc account, u scim.User) error {
	if err := d.reserve(ctx, tenant); err != nil {
		return overQuota(err)
	}
	if err := d.free(ctx, tenant, account{ID: acc.ID}, u, acc.Email); err != nil {
		return err
	}
	err := d.DB.Core(ctx, func(ctx context.Context) error {
		if err := d.store.insert(ctx, acc); err != nil {
			return err
		}
		return d.scim.addMember(ctx, acc.ID, tenant, statusOf(u.Active), u.ExternalID)
	})
	if err != nil {
		return err
	}
	if err := d.save(ctx, acc.ID, u); err != nil {
		return err
	}
	entry := created(acc)
	entry.After = facts(u, acc)
	return d.Audit.Record(ctx, entry)
}

// overQuota says so without calling it a name that is taken.
func overQuota(err error) error {
	if !fault.Is(err, fault.Conflict) {
		return err
	}
	return &scim.Error{Status: http.StatusForbidden, Detail: fault.Message(err)}
}

// facts are what the audit record tells of a user.
func facts(u scim.User, acc account) map[string]any {
	return map[string]any{"name": acc.Name, "email": acc.Email, "user_name": u.UserName, "external_id": u.ExternalID, "active": u.Active, "source": "scim"}
}

func (d *directory) save(ctx context.Context, user id.ID, u scim.User) error {
	attributes, err := json.Marshal(u.Attributes)
	if err != nil {
		return err
	}
	return d.scim.saveProfile(ctx, profile{UserID: user, UserName: u.UserName, DisplayName: u.DisplayName, ExternalID: u.ExternalID, Attributes: attributes})
}

// free refuses a user name, address or external id that somebody else has, and
// a new address whose domain belongs to another tenant: whether there is such a
// person is not told.
func (d *directory) free(ctx context.Context, tenant id.ID, now account, u scim.User, email string) error {
	for _, key := range []struct{ attribute, value string }{{"userName", u.UserName}, {"externalId", u.ExternalID}} {
		if key.value == "" {
			continue
		}
		holders, err := d.scim.profileBy(ctx, key.attribute, key.value)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(holders, func(h id.ID) bool { return h != now.ID }) {
			return attributeTaken(key.attribute)
		}
	}
	return d.DB.Core(ctx, func(ctx context.Context) error {
		for _, address := range []string{u.UserName, email} {
			yes, err := d.scim.addressTaken(ctx, address, now.ID)
			if err == nil && !yes && !strings.EqualFold(address, now.Email) {
				yes, err = d.foreign(ctx, tenant, address)
			}
			if err != nil {
				return err
			}
			if yes {
				return attributeTaken("userName")
			}
		}
		return nil
	})
}

// foreign is true for an address in the domain of another tenant.
func (d *directory) foreign(ctx context.Context, tenant id.ID, address string) (bool, error) {
	if d.TenantForEmail == nil || !strings.Contains(address, "@") {
		return false, nil
	}
	owner, found, err := d.TenantForEmail(ctx, address)
	return found && owner != tenant, err
}

// read reads one user in detail.
func (d *directory) read(ctx context.Context, tenant, user id.ID) (scim.User, error) {
	var found []member
	err := d.DB.Core(ctx, func(ctx context.Context) error {
		var err error
		if found, err = d.scim.some(ctx, tenant, []id.ID{user}, "", ""); err == nil && len(found) != 1 {
			err = errNotHere
		}
		return err
	})
	if err != nil {
		return scim.User{}, err
	}
	users, err := d.present(ctx, found, true)
	if err != nil {
		return scim.User{}, err
	}
	return users[0], nil
}

// lock reads a member for changing it.
func (d *directory) lock(ctx context.Context, tenant id.ID, text string) (m member, u scim.User, err error) {
	user, err := oneID(text)
	if err != nil {
		return m, u, err
	}
	err = d.DB.Core(ctx, func(ctx context.Context) error {
		m, err = d.scim.lockMember(ctx, tenant, user)
		return err
	})
	if err != nil {
		return m, u, err
	}
	users, err := d.present(ctx, []member{m}, true)
	if err != nil {
		return m, u, err
	}
	return m, users[0], nil
}

// validGroup checks what a directory wants a group to be.
func validGroup(g scim.Group) (group, error) {
	name := strings.TrimSpace(g.DisplayName)
	if name == "" || utf8.RuneCountInString(name) > 256 {
		return group{}, fault.New(fault.Invalid, "displayName has 1 to 256 characters.")
	}
	return group{Name: name, ExternalID: g.ExternalID}, nil
}

// sortedKeys lists the ids of a set in their order, so that transactions lock
// and insert in the same one.
func sortedKeys(set map[id.ID]bool) []id.ID {
	return slices.SortedFunc(maps.Keys(set), func(a, b id.ID) int { return strings.Compare(a.String(), b.String()) })
}
