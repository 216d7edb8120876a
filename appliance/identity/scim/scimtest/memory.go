// Package scimtest tests SCIM: a directory in memory, and scripts of requests
// with the answers that must come.
package scimtest

import (
	"context"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/identity/scim"
)

// Memory is a directory of one tenant that lives as long as the test.
type Memory struct {
	mu      sync.Mutex
	users   []scim.User
	groups  []scim.Group
	version int
}

func missing() error { return fault.New(fault.NotFound, "It does not exist, or it is not yours.") }

func taken(what string) error { return fault.New(fault.Conflict, "This %s is taken.", what) }

// choose applies a query to all, in the order in which they were made.
func choose[T any](all []T, q scim.Query, key func(T, string) string) scim.Page[T] {
	page := scim.Page[T]{Total: len(all)}
	for _, one := range all {
		switch value := key(one, q.Attribute); {
		case len(q.IDs) > 0 && !slices.Contains(q.IDs, key(one, "id")):
		case q.Attribute == "userName" && !strings.EqualFold(value, q.Value), q.Attribute == "displayName" && !strings.EqualFold(value, q.Value):
		case (q.Attribute == "id" || q.Attribute == "externalId") && value != q.Value:
		case key(one, "id") <= q.After:
		default:
			page.Items = append(page.Items, one)
		}
	}
	page.Items = page.Items[min(q.Offset, len(page.Items)):]
	page.Items = page.Items[:min(q.Limit, len(page.Items))]
	return page
}

func userKey(u scim.User, name string) string {
	return map[string]string{"id": u.ID, "externalId": u.ExternalID, "userName": u.UserName, "displayName": u.DisplayName}[name]
}

func groupKey(g scim.Group, name string) string {
	return map[string]string{"id": g.ID, "externalId": g.ExternalID, "displayName": g.DisplayName}[name]
}

// Users implements scim.Directory.
func (m *Memory) Users(_ context.Context, q scim.Query) (scim.Page[scim.User], error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	page := choose(m.users, q, userKey)
	for i := range page.Items {
		page.Items[i].Groups = m.groupsOf(page.Items[i].ID)
	}
	return page, nil
}

func (m *Memory) groupsOf(user string) []scim.Ref {
	var refs []scim.Ref
	for _, g := range m.groups {
		if slices.ContainsFunc(g.Members, func(r scim.Ref) bool { return r.ID == user }) {
			refs = append(refs, scim.Ref{ID: g.ID, Kind: "Group", Display: g.DisplayName})
		}
	}
	return refs
}

func (m *Memory) checkUser(u scim.User) error {
	for _, other := range m.users {
		switch {
		case other.ID == u.ID:
		case strings.EqualFold(other.UserName, u.UserName):
			return taken("userName")
		case u.ExternalID != "" && other.ExternalID == u.ExternalID:
			return taken("externalId")
		}
	}
	return nil
}

// CreateUser implements scim.Directory.
func (m *Memory) CreateUser(_ context.Context, u scim.User) (scim.User, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	u.ID, u.Password, u.Created = id.New().String(), "", time.Now()
	u.Modified = u.Created
	if err := m.checkUser(u); err != nil {
		return u, err
	}
	m.users = append(m.users, u)
	return u, nil
}

// ChangeUser implements scim.Directory.
func (m *Memory) ChangeUser(_ context.Context, user string, change func(scim.User) (scim.User, error)) (scim.User, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.IndexFunc(m.users, func(u scim.User) bool { return u.ID == user })
	if i < 0 {
		return scim.User{}, missing()
	}
	before := m.users[i]
	before.Groups = m.groupsOf(user)
	after, err := change(before)
	if err == nil {
		err = m.checkUser(after)
	}
	if err != nil || reflect.DeepEqual(before, after) {
		return before, err
	}
	after.Modified = time.Now()
	m.users[i] = after
	return after, nil
}

// DeleteUser implements scim.Directory.
func (m *Memory) DeleteUser(_ context.Context, user string, check func(scim.User) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.IndexFunc(m.users, func(u scim.User) bool { return u.ID == user })
	if i < 0 {
		return missing()
	}
	if err := check(m.users[i]); err != nil {
		return err
	}
	m.users = slices.Delete(m.users, i, i+1)
	for g := range m.groups {
		m.groups[g].Members = slices.DeleteFunc(m.groups[g].Members, func(r scim.Ref) bool { return r.ID == user })
	}
	return nil
}

// Groups implements scim.Directory.
func (m *Memory) Groups(_ context.Context, q scim.Query) (scim.Page[scim.Group], error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	groups, member := m.groups, q.Attribute == "members"
	if member {
		holds := func(r scim.Ref) bool { return r.ID == q.Value }
		groups = slices.DeleteFunc(slices.Clone(groups), func(g scim.Group) bool { return !slices.ContainsFunc(g.Members, holds) })
	}
	page := choose(groups, q, groupKey)
	for i := range page.Items {
		page.Items[i].Members = slices.Clone(page.Items[i].Members)
		if !q.Detail {
			page.Items[i].Members = nil
		}
		if !q.Detail && member {
			page.Items[i].Members = []scim.Ref{{ID: q.Value}}
		}
	}
	return page, nil
}

// admit checks a group and names its members.
func (m *Memory) admit(g *scim.Group) error {
	for _, other := range m.groups {
		if other.ID != g.ID && strings.EqualFold(other.DisplayName, g.DisplayName) {
			return taken("displayName")
		}
	}
	for i, r := range g.Members {
		member, ok := m.member(r.ID)
		if !ok {
			return fault.New(fault.Invalid, "The member %s does not exist, or it is not yours.", r.ID)
		}
		g.Members[i] = member
	}
	slices.SortFunc(g.Members, func(a, b scim.Ref) int { return strings.Compare(a.ID, b.ID) })
	return nil
}

func (m *Memory) member(id string) (scim.Ref, bool) {
	for _, u := range m.users {
		if u.ID == id {
			return scim.Ref{ID: id, Kind: "User", Display: u.Name()}, true
		}
	}
	for _, g := range m.groups {
		if g.ID == id {
			return scim.Ref{ID: id, Kind: "Group", Display: g.DisplayName}, true
		}
	}
	return scim.Ref{}, false
}

// CreateGroup implements scim.Directory.
func (m *Memory) CreateGroup(_ context.Context, g scim.Group) (scim.Group, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.version++
	g.ID, g.Created, g.Version = id.New().String(), time.Now(), strconv.Itoa(m.version)
	g.Modified = g.Created
	if err := m.admit(&g); err != nil {
		return g, err
	}
	m.groups = append(m.groups, g)
	return g, nil
}

// ChangeGroup implements scim.Directory.
func (m *Memory) ChangeGroup(_ context.Context, group string, change func(scim.Group) (scim.Group, error)) (scim.Group, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.IndexFunc(m.groups, func(g scim.Group) bool { return g.ID == group })
	if i < 0 {
		return scim.Group{}, missing()
	}
	after, err := change(m.groups[i])
	if err == nil {
		err = m.admit(&after)
	}
	if err != nil || reflect.DeepEqual(m.groups[i], after) {
		return m.groups[i], err
	}
	m.version++
	after.Modified, after.Version = time.Now(), strconv.Itoa(m.version)
	m.groups[i] = after
	return after, nil
}

// DeleteGroup implements scim.Directory.
func (m *Memory) DeleteGroup(_ context.Context, group string, check func(scim.Group) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.IndexFunc(m.groups, func(g scim.Group) bool { return g.ID == group })
	if i < 0 {
		return missing()
	}
	if err := check(m.groups[i]); err != nil {
		return err
	}
	m.groups = slices.Delete(m.groups, i, i+1)
	return nil
}
