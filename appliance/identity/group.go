package identity

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"nimbus/appliance/audit"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/permission"
)

// Group is a set of people, service accounts and other groups of one tenant.
// What is given to a group, all of its members have, those of groups in it too.
type Group struct {
	ID          id.ID     `json:"id"`
	Name        string    `json:"name"`
	Description string    `json:"description"`
	Source      Source    `json:"source" enum:"local,oidc,saml,scim"`
	MemberCount int       `json:"member_count" doc:"Direct members."`
	CreatedAt   time.Time `json:"created_at"`
}

// Member is one direct member of a group.
type Member struct {
	Kind  permission.SubjectKind `json:"kind" enum:"user,group,service_account"`
	ID    id.ID                  `json:"id"`
	Name  string                 `json:"name"`
	Email string                 `json:"email,omitempty"`
}

func (g Group) valid() (Group, error) {
	var err error
	g.Name, g.Description, err = validTexts("group", g.Name, g.Description)
	return g, err
}

func (g Group) subject() permission.Subject {
	return permission.Subject{Kind: permission.GroupSubject, ID: g.ID}
}

// ours fails when a provider or a directory keeps the group.
func (g Group) ours() error {
	if g.Source != Local {
		return fault.New(fault.Conflict, "This group is kept by the %s connection of your organisation. Change it there.", strings.ToUpper(string(g.Source)))
	}
	return nil
}

func (g Group) entry(what string, before, after any) audit.Entry {
	return audit.Entry{
		Event: what, Priority: audit.Notice, Before: before, After: after,
		Target: audit.Target{Kind: "group", ID: g.ID.String(), Name: g.Name},
	}
}

// GroupsOf lists all groups of a subject, those in groups too, in the
// transaction of the tenant. It is permission.Config.Groups.
func (s *Service) GroupsOf(ctx context.Context, tenant id.ID, subject permission.Subject) ([]id.ID, error) {
	var all []id.ID
	err := s.DB.Tenant(ctx, tenant, func(ctx context.Context) error {
		var err error
		all, err = s.store.groupsOf(ctx, subject)
		return err
	})
	return all, err
}

// Groups lists the groups of the actor's tenant by name.
func (s *Service) Groups(ctx context.Context, f Filter) (Page[Group], error) {
	a, err := s.authorise(ctx, ReadGroup)
	if err != nil {
		return Page[Group]{}, err
	}
	f, after, err := f.valid()
	if err != nil {
		return Page[Group]{}, err
	}
	var all []Group
	err = s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		all, err = s.store.groups(ctx, f, after)
		return err
	})
	return pageOf(all, f.Limit, func(g Group) place { return place{g.Name, g.ID} }), err
}

// Group returns one group.
func (s *Service) Group(ctx context.Context, group id.ID) (g Group, err error) {
	a, err := s.authorise(ctx, ReadGroup)
	if err != nil {
		return Group{}, err
	}
	err = s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		g, err = s.store.group(ctx, group)
		return err
	})
	return g, err
}

// CreateGroup makes a group without members in the actor's tenant.
func (s *Service) CreateGroup(ctx context.Context, name, description string) (Group, error) {
	a, err := s.authorise(ctx, CreateGroup)
	if err != nil {
		return Group{}, err
	}
	g := Group{ID: id.New(), Name: name, Description: description, Source: Local, CreatedAt: time.Now().UTC()}
	if g, err = g.valid(); err != nil {
		return g, err
	}
	return g, s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		if err := s.store.addGroup(ctx, g, ""); err != nil {
			return nameTaken(err, "group")
		}
		return s.Audit.Record(ctx, g.entry("identity.group.created", nil, g))
	})
}

// UpdateGroup renames or describes a group; nil stays.
func (s *Service) UpdateGroup(ctx context.Context, group id.ID, name, description *string) (Group, error) {
	a, err := s.authorise(ctx, UpdateGroup)
	if err != nil {
		return Group{}, err
	}
	var after Group
	err = s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		before, err := s.store.group(ctx, group)
		if err != nil {
			return err
		}
		if err := before.ours(); err != nil {
			return err
		}
		after = before
		if name != nil {
			after.Name = *name
		}
		if description != nil {
			after.Description = *description
		}
		if after, err = after.valid(); err != nil {
			return err
		}
		if err := s.store.updateGroup(ctx, after); err != nil {
			return nameTaken(err, "group")
		}
		return s.Audit.Record(ctx, after.entry("identity.group.updated", before, after))
	})
	return after, err
}

// DeleteGroup removes a group with what was given to it; its members stay. What
// was denied to it is theirs again: who may not do that is fault.Forbidden.
func (s *Service) DeleteGroup(ctx context.Context, group id.ID) error {
	a, err := s.authorise(ctx, DeleteGroup)
	if err != nil {
		return err
	}
	return s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		g, err := s.store.group(ctx, group)
		if err != nil {
			return err
		}
		if err := s.Permissions.Releases(ctx, g.subject()); err != nil {
			return err
		}
		if err := s.forget(ctx, a.TenantID, g.subject()); err != nil {
			return err
		}
		if err := s.store.removeGroup(ctx, group); err != nil {
			return err
		}
		return s.Audit.Record(ctx, g.entry("identity.group.deleted", g, nil))
	})
}

// Members lists the direct members of a group by name.
func (s *Service) Members(ctx context.Context, group id.ID) ([]Member, error) {
	a, err := s.authorise(ctx, ReadGroup)
	if err != nil {
		return nil, err
	}
	all := []Member{}
	err = s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		if _, err := s.store.group(ctx, group); err != nil {
			return err
		}
		subjects, err := s.store.groupMembers(ctx, group)
		if err != nil {
			return err
		}
		all, err = s.named(ctx, a.TenantID, subjects)
		return err
	})
	return all, err
}

// Named gives subjects of a tenant their names, and leaves out those that are
// not of the tenant, without asking: for services that have authorised already.
func (s *Service) Named(ctx context.Context, tenant id.ID, subjects []permission.Subject) (all []Member, err error) {
	err = s.DB.Tenant(ctx, tenant, func(ctx context.Context) error {
		all, err = s.named(ctx, tenant, subjects)
		return err
	})
	return all, err
}

// Everybody lists who can act in a tenant, people and service accounts, by name,
// without asking: for services that have authorised already. It is
// permission.Config.People.
func (s *Service) Everybody(ctx context.Context, tenant id.ID) (all []permission.Subject, err error) {
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		all, err = s.store.everybody(ctx, tenant)
		return err
	})
	return all, err
}

// named gives subjects their names and leaves out those that are no more.
func (s *Service) named(ctx context.Context, tenant id.ID, subjects []permission.Subject) ([]Member, error) {
	ids := make([]id.ID, len(subjects))
	for i, m := range subjects {
		ids[i] = m.ID
	}
	groups, err := s.store.groupNames(ctx, ids)
	if err != nil {
		return nil, err
	}
	var names map[id.ID]Member
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		names, err = s.store.memberNames(ctx, tenant, ids)
		return err
	})
	for _, g := range groups {
		if err == nil {
			names[g.ID] = Member{Kind: permission.GroupSubject, ID: g.ID, Name: g.Name}
		}
	}
	all := []Member{}
	for _, m := range subjects {
		if member, ok := names[m.ID]; ok && member.Kind == m.Kind {
			all = append(all, member)
		}
	}
	slices.SortFunc(all, func(a, b Member) int {
		return cmp.Or(cmp.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)), cmp.Compare(a.ID.String(), b.ID.String()))
	})
	return all, err
}

// AddMember puts a person, a service account or a group of the actor's tenant
// into a group. Doing it again is fine. A group that would contain itself is
// fault.Conflict; a group that may do more than the actor is fault.Forbidden,
// because whoever adds to it gives what it holds.
func (s *Service) AddMember(ctx context.Context, group id.ID, m permission.Subject) error {
	return s.changeMember(ctx, group, m, "identity.group.member-added", s.enter)
}

// RemoveMember takes a member out of a group. Taking out what is not in is fine;
// giving back what the group denies and the actor may not do is fault.Forbidden.
func (s *Service) RemoveMember(ctx context.Context, group id.ID, m permission.Subject) error {
	return s.changeMember(ctx, group, m, "identity.group.member-removed", func(ctx context.Context, _ id.ID, g Group, m permission.Subject) (bool, error) {
		if err := s.Permissions.Releases(ctx, g.subject()); err != nil {
			return false, err
		}
		return s.store.removeGroupMember(ctx, g.ID, m)
	})
}

type memberChange func(ctx context.Context, tenant id.ID, g Group, m permission.Subject) (bool, error)

func (s *Service) changeMember(ctx context.Context, group id.ID, m permission.Subject, what string, do memberChange) error {
	a, err := s.authorise(ctx, UpdateGroup)
	if err != nil {
		return err
	}
	return s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		g, err := s.store.group(ctx, group)
		if err != nil {
			return err
		}
		if err := g.ours(); err != nil {
			return err
		}
		if err := s.Permissions.Covers(ctx, g.subject()); err != nil {
			return err
		}
		done, err := do(ctx, a.TenantID, g, m)
		if err != nil || !done {
			return err
		}
		if err := s.Permissions.Changed(ctx, a.TenantID); err != nil {
			return err
		}
		entry := g.entry(what, nil, nil)
		entry.Details = map[string]any{"member_kind": m.Kind, "member_id": m.ID}
		return s.Audit.Record(ctx, entry)
	})
}

// enter puts an existing subject of the tenant into a group, in the tenant's
// transaction and without asking: every way into a group goes through it. The
// emergency administrator is in no group: what it may do depends on no list
// that others keep.
func (s *Service) enter(ctx context.Context, tenant id.ID, g Group, m permission.Subject) (bool, error) {
	if err := s.store.lockGroups(ctx, tenant); err != nil {
		return false, err
	}
	found, err := s.named(ctx, tenant, []permission.Subject{m})
	if err != nil {
		return false, err
	}
	if len(found) == 0 {
		return false, fault.New(fault.NotFound, "It does not exist, or it is not yours.")
	}
	if err := s.mayEnter(ctx, g, m); err != nil {
		return false, err
	}
	return s.store.addGroupMember(ctx, g.ID, m)
}

func (s *Service) mayEnter(ctx context.Context, g Group, m permission.Subject) error {
	switch m.Kind {
	case permission.GroupSubject:
		return s.acyclic(ctx, g, m.ID)
	case permission.UserSubject:
		emergency, err := s.Emergency(ctx, m.ID)
		if err == nil && emergency {
			err = fault.New(fault.Conflict, "The emergency administrator is in no group. Give roles to the account itself.")
		}
		return err
	}
	return nil
}

// acyclic refuses a member that contains the group already, and says how.
func (s *Service) acyclic(ctx context.Context, g Group, member id.ID) error {
	if member == g.ID {
		return fault.New(fault.Conflict, "A group cannot contain itself.")
	}
	in, err := s.store.nesting(ctx)
	if err != nil {
		return err
	}
	path := way(in, g.ID, member)
	if path == nil {
		return nil
	}
	names, err := s.store.groupNames(ctx, path)
	if err != nil {
		return err
	}
	return fault.New(fault.Conflict, "A group cannot contain itself: %s. Take one of them out first.", inWords(path, names))
}

// way finds the shortest way from a group up to one that it is in; nil when
// there is none.
func way(in map[id.ID][]id.ID, from, to id.ID) []id.ID {
	came := map[id.ID]id.ID{from: {}}
	for queue := []id.ID{from}; len(queue) > 0; queue = queue[1:] {
		for _, outer := range in[queue[0]] {
			if _, seen := came[outer]; seen {
				continue
			}
			came[outer] = queue[0]
			queue = append(queue, outer)
		}
	}
	if _, found := came[to]; !found {
		return nil
	}
	path := []id.ID{to}
	for path[0] != from {
		path = append([]id.ID{came[path[0]]}, path...)
	}
	return path
}

// inWords tells a path: A is in B, which is in C.
func inWords(path []id.ID, groups []GroupName) string {
	names := make([]string, len(path))
	for _, g := range groups {
		names[slices.Index(path, g.ID)] = g.Name
	}
	return names[0] + " is in " + strings.Join(names[1:], ", which is in ") + " already"
}
