package tenancy

import (
	"context"
	"fmt"
	"strings"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// Compartment is a part of a tenant: a scope for permissions and a place for
// things. Compartments nest without limit.
type Compartment struct {
	ID          id.ID     `json:"id"`
	ParentID    id.ID     `json:"parent_id"`
	Name        string    `json:"name"`
	Description string    `json:"description"`
	Path        string    `json:"path" doc:"The names from the outermost compartment to this one, with slashes between."`
	CreatedAt   time.Time `json:"created_at"`
}

func (c Compartment) valid() (Compartment, error) {
	c.Name = strings.TrimSpace(c.Name)
	switch {
	case c.Name == "" || len(c.Name) > 100:
		return c, fault.BadField("body.name", "Give the compartment a name of at most 100 characters.")
	case strings.ContainsAny(c.Name, "/\x00\r\n"):
		return c, fault.BadField("body.name", "A compartment's name has no slash and is one line.")
	case len(c.Description) > 1000:
		return c, fault.BadField("body.description", "A description has at most 1000 characters.")
	}
	return c, nil
}

// inTenant authorises and runs fn in a transaction of the actor's tenant.
func (s *Service) inTenant(ctx context.Context, permission string, fn func(ctx context.Context) error) error {
	a, err := actor.Require(ctx)
	if err != nil {
		return err
	}
	if err := s.Check(ctx, permission); err != nil {
		return err
	}
	return s.DB.Tenant(ctx, a.TenantID, fn)
}

// Compartments lists all compartments of the actor's tenant by path.
func (s *Service) Compartments(ctx context.Context) (all []Compartment, err error) {
	err = s.inTenant(ctx, ReadCompartment, func(ctx context.Context) error {
		all, err = s.store.compartments(ctx)
		return err
	})
	return all, err
}

// Compartment returns one compartment of the actor's tenant, or fault.NotFound.
func (s *Service) Compartment(ctx context.Context, compartment id.ID) (c Compartment, err error) {
	err = s.inTenant(ctx, ReadCompartment, func(ctx context.Context) error {
		c, err = s.store.compartment(ctx, compartment)
		return err
	})
	return c, err
}

// CompartmentPath returns a compartment and those above it, nearest first. It
// is called inside a transaction of the tenant and does not authorise; a
// compartment that does not exist has no path.
func (s *Service) CompartmentPath(ctx context.Context, compartment id.ID) ([]id.ID, error) {
	return s.store.compartmentPath(ctx, compartment)
}

// CreateCompartment makes a compartment inside another one, or outermost. It
// returns fault.Conflict when the tenant's quota is used up.
func (s *Service) CreateCompartment(ctx context.Context, c Compartment) (Compartment, error) {
	c, err := c.valid()
	if err != nil {
		return Compartment{}, err
	}
	c.ID = id.New()
	err = s.inTenant(ctx, CreateCompartment, func(ctx context.Context) error {
		if err := s.parentExists(ctx, c.ParentID); err != nil {
			return err
		}
		if err := s.Reserve(ctx, Compartments, 1); err != nil {
			return err
		}
		if err := s.store.addCompartment(ctx, c); err != nil {
			return compartmentTaken(err)
		}
		if c, err = s.store.compartment(ctx, c.ID); err != nil {
			return err
		}
		return s.compartmentChanged(ctx, "created", nil, c)
	})
	return c, err
}

// parentExists answers as for any id that is not there. Locking the row keeps
// the parent from being deleted meanwhile.
func (s *Service) parentExists(ctx context.Context, parent id.ID) error {
	if parent.IsZero() {
		return nil
	}
	found, err := s.store.lockCompartment(ctx, parent)
	if err == nil && !found {
		err = fault.BadField("body.parent_id", "The compartment to put it into does not exist, or it is not yours.")
	}
	return err
}

func compartmentTaken(err error) error {
	if fault.Is(nameTaken(err), fault.Invalid) {
		return fault.BadField("body.name", "There is a compartment with this name in the same place already.")
	}
	return err
}

// UpdateCompartment renames or describes a compartment; nil leaves as it is.
func (s *Service) UpdateCompartment(ctx context.Context, compartment id.ID, name, description *string) (after Compartment, err error) {
	err = s.inTenant(ctx, UpdateCompartment, func(ctx context.Context) error {
		before, err := s.store.compartment(ctx, compartment)
		if err != nil {
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
		if err := s.store.updateCompartment(ctx, after); err != nil {
			return compartmentTaken(err)
		}
		if after, err = s.store.compartment(ctx, compartment); err != nil {
			return err
		}
		return s.compartmentChanged(ctx, "updated", before, after)
	})
	return after, err
}

// MoveCompartment puts a compartment, with all inside it, into another one
// (zero: outermost). One cannot be moved into itself; two moves at the same
// time wait for one another, so that together they make no cycle either.
func (s *Service) MoveCompartment(ctx context.Context, compartment, parent id.ID) (after Compartment, err error) {
	err = s.inTenant(ctx, MoveCompartment, func(ctx context.Context) error {
		if err := s.store.lockCompartments(ctx); err != nil {
			return err
		}
		before, err := s.store.compartment(ctx, compartment)
		if err != nil {
			return err
		}
		if err := s.mayHold(ctx, parent, compartment); err != nil {
			return err
		}
		if err := s.store.moveCompartment(ctx, compartment, parent); err != nil {
			return compartmentTaken(err)
		}
		if after, err = s.store.compartment(ctx, compartment); err != nil {
			return err
		}
		if err := s.rightsChanged(ctx); err != nil {
			return err
		}
		return s.compartmentChanged(ctx, "moved", before, after)
	})
	return after, err
}

// mayHold is asked under the lock of all compartments.
func (s *Service) mayHold(ctx context.Context, parent, compartment id.ID) error {
	if err := s.parentExists(ctx, parent); err != nil || parent.IsZero() {
		return err
	}
	path, err := s.store.compartmentPath(ctx, parent)
	for _, above := range path {
		if above == compartment {
			return fault.BadField("body.parent_id", "A compartment cannot be moved into itself or into one that lies in it.")
		}
	}
	return err
}

// DeleteCompartment removes an empty compartment. It returns fault.Conflict,
// saying what is in it, when it is not.
func (s *Service) DeleteCompartment(ctx context.Context, compartment id.ID) error {
	return s.inTenant(ctx, DeleteCompartment, func(ctx context.Context) error {
		if err := s.store.lockCompartments(ctx); err != nil {
			return err
		}
		before, err := s.store.compartment(ctx, compartment)
		if err != nil {
			return err
		}
		inside, err := s.store.inside(ctx, compartment)
		if err != nil {
			return err
		}
		if len(inside) > 0 {
			return fault.New(fault.Conflict, "The compartment is not empty: it has %s. Move or remove them first.", holding(inside))
		}
		if err := s.store.removeCompartment(ctx, compartment); err != nil {
			return err
		}
		return s.compartmentChanged(ctx, "deleted", before, nil)
	})
}

// content is how many rows of a table are in a compartment.
type content struct {
	Table string
	Count int64
}

// holding puts contents into words: 2 compartments, 1 role assignment.
func holding(all []content) string {
	var parts []string
	for _, c := range all {
		name := strings.ReplaceAll(c.Table, "_", " ")
		if c.Count != 1 {
			name += "s"
		}
		parts = append(parts, fmt.Sprintf("%d %s", c.Count, name))
	}
	return strings.Join(parts, ", ")
}

func (s *Service) rightsChanged(ctx context.Context) error {
	a, err := actor.Require(ctx)
	if err != nil || s.RightsChanged == nil {
		return err
	}
	return s.RightsChanged(ctx, a.TenantID)
}

func (s *Service) compartmentChanged(ctx context.Context, verb string, before, after any) error {
	c, ok := after.(Compartment)
	if !ok {
		c = before.(Compartment)
	}
	err := s.Audit.Record(ctx, audit.Entry{
		Event: "tenancy.compartment." + verb, Target: audit.Target{Kind: "compartment", ID: c.ID.String(), Name: c.Name}, Before: before, After: after,
	})
	if err != nil {
		return err
	}
	a, err := actor.Require(ctx)
	if err != nil {
		return err
	}
	return s.publish(ctx, event.Event{Type: "compartment." + verb, ID: c.ID, Tenant: a.TenantID, Permission: ReadCompartment}, c)
}
