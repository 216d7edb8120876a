package identity

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"

	"nimbus/appliance/audit"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/identity/scim"
	"nimbus/appliance/permission"
)

// Groups implements scim.Directory.
func (d *directory) Groups(ctx context.Context, q scim.Query) (page scim.Page[scim.Group], err error) {
	err = d.in(ctx, func(ctx context.Context, tenant id.ID) error {
		var found []group
		switch {
		case q.Attribute == "id":
			found, err = d.scim.groups(ctx, parseIDs(q.Value))
		case q.Attribute == "displayName" || q.Attribute == "externalId":
			found, err = d.scim.groupsBy(ctx, q.Attribute, q.Value)
		case q.Attribute == "members":
			if len(parseIDs(q.Value)) == 1 {
				found, err = d.scim.groupsBy(ctx, q.Attribute, q.Value)
			}
		case q.Attribute != "": // groups have nothing else to find them by
		case len(q.IDs) > 0:
			found, err = d.scim.groups(ctx, parseIDs(q.IDs...))
		default:
			if found, err = d.scim.groupPage(ctx, parse(q.After), q.Offset, q.Limit); err == nil {
				page.Total, err = d.scim.countGroups(ctx)
			}
		}
		if err != nil {
			return err
		}
		page.Items, err = d.presentGroups(ctx, tenant, found, q.Detail)
		for i := range page.Items {
			if q.Attribute == "members" && !q.Detail {
				page.Items[i].Members = []scim.Ref{{ID: q.Value}}
			}
		}
		return err
	})
	return page, err
}

func (d *directory) presentGroups(ctx context.Context, tenant id.ID, found []group, detail bool) ([]scim.Group, error) {
	members := map[id.ID][]scim.Ref{}
	if detail {
		var err error
		if members, err = d.membersOf(ctx, tenant, found); err != nil {
			return nil, err
		}
	}
	all := make([]scim.Group, len(found))
	for i, g := range found {
		sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %s", g.Name, g.ExternalID, g.State))
		all[i] = scim.Group{
			ID: g.ID.String(), DisplayName: g.Name, ExternalID: g.ExternalID, Members: members[g.ID],
			Version: hex.EncodeToString(sum[:8]), Created: g.CreatedAt, Modified: g.UpdatedAt,
		}
	}
	return all, nil
}

// membersOf lists the members of groups with their names.
func (d *directory) membersOf(ctx context.Context, tenant id.ID, groups []group) (map[id.ID][]scim.Ref, error) {
	ids := make([]id.ID, len(groups))
	for i, g := range groups {
		ids[i] = g.ID
	}
	all, err := d.scim.members(ctx, ids)
	if err != nil {
		return nil, err
	}
	users := map[id.ID]bool{}
	for _, b := range all {
		if b.Kind == "user" {
			users[b.ID] = true
		}
	}
	names, err := d.accounts(ctx, tenant, users)
	byGroup := map[id.ID][]scim.Ref{}
	for _, b := range all {
		ref := scim.Ref{ID: b.ID.String(), Kind: "Group", Display: b.Name}
		if b.Kind == "user" {
			acc, still := names[b.ID]
			if !still {
				continue // left the tenant
			}
			ref.Kind, ref.Display = "User", acc.Name
		}
		byGroup[b.Of] = append(byGroup[b.Of], ref)
	}
	return byGroup, err
}

func (d *directory) accounts(ctx context.Context, tenant id.ID, users map[id.ID]bool) (names map[id.ID]account, err error) {
	if len(users) == 0 {
		return nil, nil
	}
	err = d.DB.Core(ctx, func(ctx context.Context) error {
		names, err = d.scim.names(ctx, tenant, sortedKeys(users))
		return err
	})
	return names, err
}

// CreateGroup implements scim.Directory.
func (d *directory) CreateGroup(ctx context.Context, in scim.Group) (made scim.Group, err error) {
	g, err := validGroup(in)
	if err != nil {
		return made, err
	}
	g.ID = id.New()
	err = d.in(ctx, func(ctx context.Context, tenant id.ID) error {
		if err := d.freeGroup(ctx, g); err != nil {
			return err
		}
		if err := d.scim.addGroup(ctx, g); err != nil {
			return err
		}
		details, err := d.setMembers(ctx, tenant, g.ID, nil, in.Members)
		if err != nil {
			return err
		}
		if made, err = d.readGroup(ctx, tenant, g.ID); err != nil {
			return err
		}
		return d.Audit.Record(ctx, audit.Entry{
			Event: "identity.group.created", Priority: audit.Notice, Target: groupTarget(g), After: g.facts(), Details: details,
		})
	})
	return made, err
}

func groupTarget(g group) audit.Target {
	return audit.Target{Kind: "group", ID: g.ID.String(), Name: g.Name}
}

func (g group) facts() map[string]any {
	return map[string]any{"name": g.Name, "external_id": g.ExternalID, "source": "scim"}
}

func (d *directory) freeGroup(ctx context.Context, g group) error {
	name, external, err := d.scim.groupTaken(ctx, g)
	switch {
	case err != nil:
		return err
	case name:
		return attributeTaken("displayName")
	case external:
		return attributeTaken("externalId")
	}
	return nil
}

func (d *directory) readGroup(ctx context.Context, tenant, g id.ID) (scim.Group, error) {
	found, err := d.scim.groups(ctx, []id.ID{g})
	if err == nil && len(found) != 1 {
		err = errNotHere
	}
	if err != nil {
		return scim.Group{}, err
	}
	all, err := d.presentGroups(ctx, tenant, found, true)
	if err != nil {
		return scim.Group{}, err
	}
	return all[0], nil
}

func (d *directory) lockGroup(ctx context.Context, tenant id.ID, text string) (id.ID, scim.Group, error) {
	g, err := oneID(text)
	if err != nil {
		return g, scim.Group{}, err
	}
	if err := d.scim.lockGroup(ctx, g); err != nil {
		return g, scim.Group{}, err
	}
	before, err := d.readGroup(ctx, tenant, g)
	return g, before, err
}

// ChangeGroup implements scim.Directory.
func (d *directory) ChangeGroup(ctx context.Context, text string, change func(scim.Group) (scim.Group, error)) (result scim.Group, err error) {
	err = d.in(ctx, func(ctx context.Context, tenant id.ID) error {
		group, before, err := d.lockGroup(ctx, tenant, text)
		if err != nil {
			return err
		}
		after, err := change(before)
		if err != nil {
			return err
		}
		if err := d.applyGroup(ctx, tenant, group, before, after); err != nil {
			return err
		}
		result, err = d.readGroup(ctx, tenant, group)
		return err
	})
	return result, err
}

func (d *directory) applyGroup(ctx context.Context, tenant, ofID id.ID, before, after scim.Group) error {
	was := group{ID: ofID, Name: before.DisplayName, ExternalID: before.ExternalID}
	g, err := validGroup(after)
	if err != nil {
		return err
	}
	g.ID = ofID
	if g != was {
		if err := d.freeGroup(ctx, g); err != nil {
			return err
		}
		if err := d.scim.changeGroup(ctx, g); err != nil {
			return err
		}
	}
	details, err := d.setMembers(ctx, tenant, ofID, before.Members, after.Members)
	if err != nil || g == was && len(details) == 0 {
		return err
	}
	if err := d.scim.touchGroup(ctx, ofID); err != nil {
		return err
	}
	return d.Audit.Record(ctx, audit.Entry{
		Event: "identity.group.updated", Priority: audit.Notice, Target: groupTarget(g), Before: was.facts(), After: g.facts(), Details: details,
	})
}

// setMembers makes the members of a group those that the directory says, and
// returns for the record what changed, nothing when nothing did. Members that
// SCIM does not show stay.
func (d *directory) setMembers(ctx context.Context, tenant, g id.ID, before, after []scim.Ref) (map[string]any, error) {
	was, want := map[id.ID]string{}, map[id.ID]bool{}
	for _, r := range before {
		was[parse(r.ID)] = r.Kind
	}
	added := map[id.ID]bool{}
	for _, r := range after {
		ids := parseIDs(r.ID)
		if len(ids) == 0 {
			return nil, noMember(r.ID)
		}
		want[ids[0]] = true
		if was[ids[0]] == "" {
			added[ids[0]] = true
		}
	}
	gone := map[string][]id.ID{}
	for member, kind := range was {
		if !want[member] {
			gone[kind] = append(gone[kind], member)
		}
	}
	if len(added) == 0 && len(gone) == 0 {
		return nil, nil
	}
	if err := d.admit(ctx, tenant, g, added); err != nil {
		return nil, err
	}
	for kind, members := range gone {
		if err := d.scim.removeMembers(ctx, g, memberKind[kind], members); err != nil {
			return nil, err
		}
	}
	details := map[string]any{"added": shown(sortedKeys(added)), "removed": shown(slices.Concat(gone["User"], gone["Group"]))}
	return details, d.Permissions.Changed(ctx, tenant)
}

var memberKind = map[string]string{"User": "user", "Group": "group"}

func noMember(text string) error {
	return fault.New(fault.Invalid, "The member %s does not exist, or it is not yours.", text)
}

// shown bounds a list of members in a record.
func shown(members []id.ID) any {
	const most = 500
	if len(members) > most {
		return map[string]any{"count": len(members), "first": members[:most]}
	}
	return members
}

// admit adds members: people of the tenant and groups of the directory. A
// circle of groups is refused, and so is the emergency administrator, whom a
// group could take rights from.
func (d *directory) admit(ctx context.Context, tenant, g id.ID, added map[id.ID]bool) error {
	if len(added) == 0 {
		return nil
	}
	if err := d.store.lockGroups(ctx, tenant); err != nil {
		return err
	}
	people, err := d.accounts(ctx, tenant, added)
	if err != nil {
		return err
	}
	var users, groups []id.ID
	for _, member := range sortedKeys(added) {
		acc, person := people[member]
		switch {
		case person && acc.Emergency:
			return errEmergency
		case person:
			users = append(users, member)
		default:
			groups = append(groups, member)
		}
	}
	if err := d.nest(ctx, g, groups); err != nil || len(users) == 0 {
		return err
	}
	return d.scim.addMembers(ctx, g, "user", users)
}

// nest puts groups into a group.
func (d *directory) nest(ctx context.Context, g id.ID, groups []id.ID) error {
	if len(groups) == 0 {
		return nil
	}
	found, err := d.scim.groups(ctx, groups)
	if err != nil {
		return err
	}
	for _, member := range groups {
		if !slices.ContainsFunc(found, func(f group) bool { return f.ID == member }) {
			return noMember(member.String())
		}
		if err := d.acyclic(ctx, Group{ID: g}, member); err != nil {
			return &scim.Error{Status: http.StatusConflict, Type: scim.InvalidValue, Detail: fault.Message(err)}
		}
	}
	return d.scim.addMembers(ctx, g, "group", groups)
}

// DeleteGroup implements scim.Directory. What the group was given goes with it.
func (d *directory) DeleteGroup(ctx context.Context, text string, check func(scim.Group) error) error {
	return d.in(ctx, func(ctx context.Context, tenant id.ID) error {
		ofID, before, err := d.lockGroup(ctx, tenant, text)
		if err != nil {
			return err
		}
		if err := check(before); err != nil {
			return err
		}
		if err := d.forget(ctx, tenant, permission.Subject{Kind: permission.GroupSubject, ID: ofID}); err != nil {
			return err
		}
		if err := d.scim.removeGroup(ctx, ofID); err != nil {
			return err
		}
		g := group{ID: ofID, Name: before.DisplayName, ExternalID: before.ExternalID}
		return d.Audit.Record(ctx, audit.Entry{
			Event: "identity.group.deleted", Priority: audit.Notice, Target: groupTarget(g), Before: g.facts(),
			Details: map[string]any{"members": len(before.Members)},
		})
	})
}
