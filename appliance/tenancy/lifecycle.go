package tenancy

import (
	"context"
	"strings"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// Change is what can be changed of a tenant; nil leaves a member as it is.
type Change struct {
	Name, Description, ContactEmail *string
}

func (c Change) apply(t Tenant) Tenant {
	for _, f := range []struct{ from, to *string }{
		{c.Name, &t.Name}, {c.Description, &t.Description}, {c.ContactEmail, &t.ContactEmail},
	} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	return t
}

// Update renames or describes the actor's tenant or one below it. The root
// tenant keeps its name.
func (s *Service) Update(ctx context.Context, tenant id.ID, c Change) (Tenant, error) {
	before, err := s.reach(ctx, UpdateTenant, tenant)
	if err != nil {
		return Tenant{}, err
	}
	if before.IsRoot && c.Name != nil && *c.Name != before.Name {
		return Tenant{}, fault.BadField("body.name", "%s keeps its name.", RootName)
	}
	after, err := c.apply(before).valid()
	if err != nil {
		return Tenant{}, err
	}
	if err := before.notPurging(); err != nil {
		return Tenant{}, err
	}
	err = s.change(ctx, after, change{
		do:    func(ctx context.Context) error { return nameTaken(s.store.update(ctx, after)) },
		entry: recorded("tenancy.tenant.updated", before, after),
		event: told("tenant.updated", after), tell: after, above: after.Name != before.Name,
	})
	return after, err
}

func recorded(event string, before, after any) func() audit.Entry {
	return func() audit.Entry {
		return audit.Entry{Event: event, Priority: audit.Notice, Before: before, After: after}
	}
}

func told(kind string, t Tenant) event.Event {
	return event.Event{Type: kind, ID: t.ID, Tenant: t.ID, Permission: ReadTenant}
}

// reachBelow is reach for what only somebody above a tenant may do to it.
func (s *Service) reachBelow(ctx context.Context, permission string, tenant id.ID) (Tenant, error) {
	t, err := s.reach(ctx, permission, tenant)
	if err != nil {
		return Tenant{}, err
	}
	if t.IsRoot {
		return Tenant{}, fault.New(fault.Conflict, "%s is where this appliance is run from. It stays as it is.", RootName)
	}
	if a, _ := actor.From(ctx); a.TenantID == t.ID {
		return Tenant{}, fault.New(fault.Forbidden, "A tenant cannot do this to itself. Ask somebody of the tenant above it.")
	}
	return t, t.notPurging()
}

func (t Tenant) notPurging() error {
	if t.Status == Purging {
		return fault.New(fault.Gone, "The tenant %q is being removed for good.", t.Name)
	}
	return nil
}

// alter changes the tenant under the lock of the tree, reckons what holds in
// effect, and returns the tenant as it is then. The record carries it.
func (s *Service) alter(ctx context.Context, before Tenant, code, reason string, do func(ctx context.Context, t Tenant) error) (after Tenant, err error) {
	kind := "tenant." + code[strings.LastIndex(code, ".")+1:]
	err = s.change(ctx, before, change{
		do: func(ctx context.Context) error {
			if err := s.store.lockTree(ctx); err != nil {
				return err
			}
			now, err := s.store.get(ctx, before.ID)
			if err != nil {
				return err
			}
			if err := do(ctx, now); err != nil {
				return err
			}
			if err := s.store.reckon(ctx); err != nil {
				return err
			}
			after, err = s.store.get(ctx, before.ID)
			return err
		},
		entry: func() audit.Entry {
			return audit.Entry{Event: code, Priority: audit.Warning, Reason: reason, Before: before, After: after}
		},
		event: told(kind, before), tell: map[string]any{"id": before.ID, "reason": reason}, above: true,
	})
	return after, err
}

// Move puts a tenant, with what is below it, under another parent. Both must
// be the actor's to reach, the three levels are kept, and no tenant comes to
// lie below itself.
func (s *Service) Move(ctx context.Context, tenant, parent id.ID) (Tenant, error) {
	t, err := s.reachBelow(ctx, MoveTenant, tenant)
	if err != nil {
		return Tenant{}, err
	}
	to, err := s.reach(ctx, MoveTenant, parent)
	if err != nil {
		return Tenant{}, err
	}
	if err := to.mayHaveChildren(); err != nil {
		return Tenant{}, err
	}
	return s.alter(ctx, t, "tenancy.tenant.moved", "", func(ctx context.Context, t Tenant) error {
		if err := s.mayMove(ctx, t.ID, parent); err != nil {
			return err
		}
		if err := s.store.move(ctx, t.ID, parent); err != nil {
			return nameTaken(err)
		}
		return s.quotasFit(ctx, parent)
	})
}

// mayMove is asked under the lock of the tree.
func (s *Service) mayMove(ctx context.Context, tenant, parent id.ID) error {
	path, err := s.store.path(ctx, parent)
	if err != nil {
		return err
	}
	for _, above := range path {
		if above == tenant {
			return fault.BadField("body.parent_id", "A tenant cannot be moved below itself.")
		}
	}
	height, err := s.store.height(ctx, tenant)
	if err == nil && len(path)+height > MaxDepth {
		return tooDeep
	}
	return err
}

// Suspend keeps the people of a tenant, and of those below it, from acting in
// it, until it is resumed. Nothing of it is removed.
func (s *Service) Suspend(ctx context.Context, tenant id.ID, reason string) (Tenant, error) {
	t, err := s.reachBelow(ctx, SuspendTenant, tenant)
	if err != nil {
		return Tenant{}, err
	}
	reason = strings.TrimSpace(reason)
	if reason == "" || len(reason) > 500 {
		return Tenant{}, fault.BadField("body.reason", "Say in at most 500 characters why: the tenant's people read it.")
	}
	return s.alter(ctx, t, "tenancy.tenant.suspended", reason, func(ctx context.Context, t Tenant) error {
		if t.DeletedAt != nil {
			return fault.New(fault.Conflict, "The tenant is deleted.")
		}
		return s.store.suspend(ctx, t.ID, reason)
	})
}

// Resume ends what Suspend began. When the tenant above is suspended too, it
// stays suspended in effect.
func (s *Service) Resume(ctx context.Context, tenant id.ID) (Tenant, error) {
	t, err := s.reachBelow(ctx, SuspendTenant, tenant)
	if err != nil {
		return Tenant{}, err
	}
	return s.alter(ctx, t, "tenancy.tenant.resumed", "", func(ctx context.Context, t Tenant) error {
		if !t.suspended && t.Status == Suspended {
			return fault.New(fault.Conflict, "The tenant above is suspended. Resume that one.")
		}
		if !t.suspended {
			return fault.New(fault.Conflict, "The tenant is not suspended.")
		}
		return s.store.resume(ctx, t.ID)
	})
}

// Delete takes a tenant, with those below it, out of use. It can be restored
// until its retention is over; then a schedule purges it.
func (s *Service) Delete(ctx context.Context, tenant id.ID) (Tenant, error) {
	t, err := s.reachBelow(ctx, DeleteTenant, tenant)
	if err != nil {
		return Tenant{}, err
	}
	return s.alter(ctx, t, "tenancy.tenant.deleted", "", func(ctx context.Context, t Tenant) error {
		if t.DeletedAt != nil {
			return fault.New(fault.Conflict, "The tenant is deleted already.")
		}
		return s.store.delete(ctx, t.ID)
	})
}

// Restore brings a deleted tenant back. It returns fault.Conflict when the one
// above it is deleted, or when its name was given away.
func (s *Service) Restore(ctx context.Context, tenant id.ID) (Tenant, error) {
	t, err := s.reachBelow(ctx, RestoreTenant, tenant)
	if err != nil {
		return Tenant{}, err
	}
	return s.alter(ctx, t, "tenancy.tenant.restored", "", func(ctx context.Context, t Tenant) error {
		if err := t.notPurging(); err != nil {
			return err
		}
		if t.DeletedAt == nil {
			if t.Status == Deleted {
				return fault.New(fault.Conflict, "The tenant above is deleted. Restore that one.")
			}
			return fault.New(fault.Conflict, "The tenant is not deleted.")
		}
		parent, err := s.store.get(ctx, t.ParentID)
		if err != nil {
			return err
		}
		if parent.Status.gone() {
			return fault.New(fault.Conflict, "The tenant above, %q, is deleted. Restore that one first.", parent.Name)
		}
		if err := s.store.restore(ctx, t.ID); err != nil {
			if fault.Is(nameTaken(err), fault.Invalid) {
				return fault.New(fault.Conflict, "Another tenant has the name %q now. Rename one of them first.", t.Name)
			}
			return err
		}
		return s.quotasFit(ctx, t.ParentID)
	})
}
