package provider

import (
	"context"
	"time"

	"nimbus/appliance/db"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// Numbers of guests are taken in two steps, because a cluster gives the same
// "next free number" to everybody who asks, and because the Pulumi provider
// adopts, and later destroys, a foreign guest whose number it was told to use:
// first the number is reserved among ourselves, by a row that only one caller
// can insert, then the cluster is asked whether it is taken.

// reservationTime is how long a reservation holds unless it is released.
const reservationTime = 24 * time.Hour

// maxAttempts bounds how many numbers are tried.
const maxAttempts = 50

// Reserve reserves a number for a new guest of a stack: the one asked for, or
// with zero one that is free. Doing it again for the same stack and number
// renews it. It authorises nobody. Faults: Conflict when the number exists in
// the cluster or is reserved by another stack, NotFound, and those of the
// connection as Unavailable.
func (s *Service) Reserve(ctx context.Context, tenant, connection, stack id.ID, number int) (int, error) {
	_, p, err := s.connect(ctx, tenant, connection)
	if err != nil {
		return 0, err
	}
	if number != 0 {
		return number, s.reserveThis(ctx, p, tenant, connection, stack, number)
	}
	from := 0
	for range maxAttempts {
		next, err := p.NextID(ctx, from)
		if err != nil {
			return 0, asFault(err)
		}
		err = s.reserveThis(ctx, p, tenant, connection, stack, next)
		if err == nil || !fault.Is(err, fault.Conflict) {
			return next, err
		}
		from = next + 1
	}
	return 0, fault.New(fault.Conflict, "No free number was found for a new machine. Try again.")
}

func (s *Service) reserveThis(ctx context.Context, p CloudProviderInterface, tenant, connection, stack id.ID, number int) error {
	r := reservation{connection: connection, number: number, tenant: tenant, stack: stack, mark: markPrefix + stack.Hex()}
	var got, fresh bool
	err := s.cfg.DB.Core(ctx, func(ctx context.Context) (err error) {
		got, fresh, err = s.store.reserve(ctx, r, reservationTime)
		return err
	})
	if err != nil {
		return err
	}
	if !got {
		return fault.New(fault.Conflict, "The number %d is reserved for another stack. Choose another one.", number)
	}
	exists, err := p.Exists(ctx, number)
	if err == nil && !exists {
		return nil
	}
	if fresh {
		if err := s.Release(ctx, connection, stack, number); err != nil {
			s.cfg.Logger.Warn("reservation not released", "connection", connection, "vmid", number, "error", err)
		}
	}
	if err != nil {
		return asFault(err)
	}
	return fault.New(fault.Conflict, "The number %d is taken by a machine that is in the cluster already. Nothing was touched; choose another one.", number)
}

// Release gives a number back, or with zero all numbers of the stack. What is
// not reserved is no error.
func (s *Service) Release(ctx context.Context, connection, stack id.ID, number int) error {
	return s.cfg.DB.Core(ctx, func(ctx context.Context) error {
		return db.Fault(s.store.release(ctx, connection, stack, number))
	})
}

// Exists asks the cluster whether a number is taken, on any node, away or not.
func (s *Service) Exists(ctx context.Context, tenant, connection id.ID, number int) (bool, error) {
	_, p, err := s.connect(ctx, tenant, connection)
	if err != nil {
		return false, err
	}
	exists, err := p.Exists(ctx, number)
	return exists, asFault(err)
}

// Owns asks the cluster whether the guest with a number is one that this stack
// made: it carries the stack's mark, or it was created by our own token after
// the stack had reserved the number, which says the same of a guest whose
// making was interrupted before it was marked. A deployment changes and
// deletes no other. A number that nobody has is NotFound.
func (s *Service) Owns(ctx context.Context, tenant, connection, stack id.ID, number int) (bool, error) {
	_, p, err := s.connect(ctx, tenant, connection)
	if err != nil {
		return false, err
	}
	g, err := p.Find(ctx, number)
	if err != nil {
		return false, asFault(err)
	}
	tags, err := p.Tags(ctx, g)
	if err != nil {
		return false, asFault(err)
	}
	if owner, marked := MarkedBy(tags); marked {
		return owner == stack, nil
	}
	t, err := s.creation(ctx, p, connection, stack, number)
	return t.Running || t.OK, err
}

// HalfMade finds the guest whose making for this stack ended in the middle because
// its node went down: Proxmox VE keeps it, locked, and lets only root remove it.
// Any other guest, and none, is not ok.
func (s *Service) HalfMade(ctx context.Context, tenant, connection, stack id.ID, number int) (g Guest, ok bool, err error) {
	_, p, err := s.connect(ctx, tenant, connection)
	if err != nil {
		return g, false, err
	}
	g, err = p.Find(ctx, number)
	if fault.Is(err, fault.NotFound) || err == nil && g.Lock != "create" {
		return g, false, nil
	}
	if err != nil {
		return g, false, asFault(err)
	}
	t, err := s.creation(ctx, p, connection, stack, number)
	return g, t.Ref != "" && !t.Running && !t.OK, err
}

// creation is the task by which our own token made the guest that has the number
// now, or tried to, after the stack had reserved it; zero when there is none, or
// when somebody made or removed a guest of that number since.
func (s *Service) creation(ctx context.Context, p CloudProviderInterface, connection, stack id.ID, number int) (t TaskStatus, err error) {
	var since time.Time
	err = s.cfg.DB.Core(ctx, func(ctx context.Context) (err error) {
		since, err = s.store.reservedAt(ctx, connection, stack, number)
		return err
	})
	if err != nil || since.IsZero() {
		return t, err
	}
	t, err = p.Maker(ctx, number, since.Add(-clockSkew))
	return t, asFault(err)
}

// Mark puts the stack's mark on a guest that Owns says is the stack's; on any
// other it is fault.Conflict.
func (s *Service) Mark(ctx context.Context, tenant, connection, stack id.ID, number int) error {
	owned, err := s.Owns(ctx, tenant, connection, stack, number)
	if err != nil {
		return err
	}
	if !owned {
		return fault.New(fault.Conflict, "The machine %d was not made by this stack, so it is not touched.", number)
	}
	_, p, err := s.connect(ctx, tenant, connection)
	if err != nil {
		return err
	}
	g, err := p.Find(ctx, number)
	if err != nil {
		return asFault(err)
	}
	return asFault(p.Mark(ctx, g, MarkTags(stack)))
}

// asFault turns a failure of the connection into fault.Unavailable; faults and
// nil pass.
func asFault(err error) error {
	if f, ok := AsFailure(err); ok {
		return fault.Wrap(fault.Unavailable, f, "%s", f.Detail)
	}
	return err
}
