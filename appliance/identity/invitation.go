package identity

import (
	"context"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/audit"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/permission"
)

const invitationLife = 7 * 24 * time.Hour

// Invitation asks somebody by e-mail address to join a tenant.
type Invitation struct {
	ID        id.ID     `json:"id"`
	TenantID  id.ID     `json:"-"`
	Tenant    string    `json:"-"`
	Name      string    `json:"name"`
	Email     string    `json:"email"`
	RoleIDs   []id.ID   `json:"role_ids"`
	GroupIDs  []id.ID   `json:"group_ids"`
	InvitedBy string    `json:"invited_by"`
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"`

	inviter actor.Principal
}

// NewInvitation is what it takes to invite somebody.
type NewInvitation struct {
	Name, Email   string
	Roles, Groups []id.ID // what they hold and are in from the beginning
}

// Invite makes an invitation and the link that accepts it, which is returned
// once. It lives a week, works once and replaces an earlier one to the same
// address, and ends with the rights that it promises from. Roles and groups that the actor could not give are fault.Forbidden.
func (s *Service) Invite(ctx context.Context, n NewInvitation) (Invitation, string, error) {
	a, err := s.authorise(ctx, CreateInvitation)
	if err != nil {
		return Invitation{}, "", err
	}
	if n.Name, n.Email, err = validPerson(n.Name, n.Email); err != nil {
		return Invitation{}, "", err
	}
	if err := s.Permissions.MayGive(ctx, n.Roles); err != nil {
		return Invitation{}, "", err
	}
	token := newToken()
	i := Invitation{
		ID: id.New(), TenantID: a.TenantID, Name: n.Name, Email: n.Email,
		RoleIDs: orEmpty(n.Roles), GroupIDs: orEmpty(n.Groups), InvitedBy: a.Name, inviter: a.Principal(),
	}
	err = s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		if err := s.mayInvite(ctx, i); err != nil {
			return err
		}
		err := s.DB.Core(ctx, func(ctx context.Context) error {
			return s.store.addInvitation(ctx, &i, hashToken(token), invitationLife)
		})
		if err != nil {
			return err
		}
		return s.Audit.Record(ctx, i.entry("identity.invitation.created", i))
	})
	return i, s.link("/accept-invitation", token), err
}

func orEmpty(ids []id.ID) []id.ID {
	if ids == nil {
		return []id.ID{}
	}
	return ids
}

// mayInvite refuses members and groups that the actor could not add to.
func (s *Service) mayInvite(ctx context.Context, i Invitation) error {
	for _, group := range i.GroupIDs {
		g, err := s.store.group(ctx, group)
		if err != nil {
			return err
		}
		if err := g.ours(); err != nil {
			return err
		}
		if err := s.Permissions.Check(ctx, UpdateGroup); err != nil {
			return err
		}
		if err := s.Permissions.Covers(ctx, g.subject()); err != nil {
			return err
		}
	}
	return s.DB.Core(ctx, func(ctx context.Context) error {
		member, err := s.store.memberByEmail(ctx, i.TenantID, i.Email)
		if err == nil && member {
			err = fault.New(fault.Conflict, "This person belongs to the tenant already.")
		}
		return err
	})
}

func (i Invitation) entry(what string, after any) audit.Entry {
	return audit.Entry{
		Event: what, Priority: audit.Notice, After: after, Target: audit.Target{Kind: "invitation", ID: i.ID.String(), Name: i.Email},
	}
}

// Invitations lists the open invitations of the actor's tenant.
func (s *Service) Invitations(ctx context.Context) ([]Invitation, error) {
	a, err := s.authorise(ctx, ReadInvitation)
	if err != nil {
		return nil, err
	}
	var all []Invitation
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		all, err = s.store.invitations(ctx, a.TenantID)
		return err
	})
	return all, err
}

// DeleteInvitation withdraws an invitation: its link is worthless at once.
func (s *Service) DeleteInvitation(ctx context.Context, invitation id.ID) error {
	a, err := s.authorise(ctx, DeleteInvitation)
	if err != nil {
		return err
	}
	i := Invitation{ID: invitation}
	return s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		err := s.DB.Core(ctx, func(ctx context.Context) error {
			i.Email, err = s.store.removeInvitation(ctx, a.TenantID, invitation)
			return err
		})
		if err != nil {
			return err
		}
		return s.Audit.Record(ctx, i.entry("identity.invitation.deleted", nil))
	})
}

// Invited is what the bearer of an invitation's link may know.
type Invited struct {
	Tenant string `json:"tenant"`
	Name   string `json:"name"`
	Email  string `json:"email"`
	// NeedsPassword says that the person has no account yet and chooses a
	// password; else they prove that the account is theirs.
	NeedsPassword bool `json:"needs_password"`
}

var errInvitation = fault.New(fault.Gone, "This invitation was used, replaced, withdrawn or has expired. Ask for a new one.")

// InspectInvitation tells what an invitation's link is for. One that is not
// good is fault.Gone and counts towards the throttle.
func (s *Service) InspectInvitation(ctx context.Context, token, address string) (Invited, error) {
	i, acc, err := s.openInvitation(ctx, token, address)
	return Invited{Tenant: i.Tenant, Name: i.Name, Email: i.Email, NeedsPassword: acc.ID.IsZero()}, err
}

// openInvitation finds an invitation by its token and the account that its
// address has already, if any.
func (s *Service) openInvitation(ctx context.Context, token, address string) (i Invitation, acc account, err error) {
	if err := s.throttle.allow(invitationSecrets, address); err != nil {
		return i, acc, err
	}
	err = s.DB.Core(ctx, func(ctx context.Context) error {
		if i, err = s.store.invitationBy(ctx, hashToken(token)); err != nil {
			return err
		}
		if acc, err = s.store.byEmail(ctx, i.Email); missing(err) {
			acc, err = account{}, nil
		}
		return err
	})
	if missing(err) {
		err = errInvitation
	}
	if err != nil {
		return i, acc, s.wrongSecret(ctx, invitationSecrets, address, err)
	}
	s.throttle.succeeded(invitationSecrets, address)
	return i, acc, nil
}

// AcceptInvitation makes the bearer of an invitation's link a member of its
// tenant and returns their e-mail address, with which they sign in. Who has no
// account yet chooses the password of a new one. Who has one proves that it is
// theirs, because whoever invites sees the link too: by being signed in, or by
// the password, which is wrong as it is at the sign-in.
func (s *Service) AcceptInvitation(ctx context.Context, token, password, address string) (email string, err error) {
	i, acc, err := s.openInvitation(ctx, token, address)
	if err != nil {
		return "", err
	}
	fresh := acc.ID.IsZero()
	if fresh {
		acc, err = s.invitedAccount(ctx, i, password)
	} else {
		err = s.own(ctx, acc, password, address)
	}
	if err != nil {
		return "", err
	}
	ctx = actor.With(ctx, person(acc, Session{Address: address}))
	err = s.DB.Tenant(ctx, i.TenantID, func(ctx context.Context) error {
		return s.accept(ctx, i, acc, fresh, hashToken(token))
	})
	return acc.Email, err
}

func (s *Service) invitedAccount(ctx context.Context, i Invitation, password string) (account, error) {
	var policy PasswordPolicy
	err := s.DB.Core(ctx, func(ctx context.Context) (err error) {
		policy, err = s.passwordPolicy(ctx, i.TenantID)
		return err
	})
	if err == nil {
		err = policy.check(password, i.Email)
	}
	if err != nil {
		return account{}, err
	}
	return account{ID: id.New(), Name: i.Name, Email: i.Email, Hash: hashPassword(password), Status: Active}, nil
}

// own fails unless the actor is the account, or proves to be by its password.
func (s *Service) own(ctx context.Context, acc account, password, address string) error {
	if a, err := inSession(ctx); err == nil && a.ID == acc.ID {
		return nil
	}
	if acc.Hash == "" || password == "" {
		return fault.New(fault.Unauthenticated, "You have an account already. Sign in as %s, then open the link again.", acc.Email)
	}
	if err := s.throttle.allow(acc.Email, address); err != nil {
		return err
	}
	if _, err := s.prove(ctx, acc.Email, password); err != nil {
		return s.refuse(ctx, acc, acc.Email, address, err)
	}
	s.throttle.succeeded(acc.Email, address)
	return nil
}

// accept uses the invitation up and makes the membership, all or nothing.
func (s *Service) accept(ctx context.Context, i Invitation, acc account, fresh bool, hash []byte) error {
	err := s.DB.Core(ctx, func(ctx context.Context) error {
		good, err := s.store.useInvitation(ctx, i.ID, hash)
		if err == nil && !good {
			err = errInvitation
		}
		if err == nil && fresh {
			err = s.store.insert(ctx, acc)
		}
		if err != nil {
			return err
		}
		if err := s.store.addMember(ctx, acc.ID, i.TenantID); err != nil {
			return err
		}
		// A link that another tenant made would open this one.
		return s.store.dropReset(ctx, acc.ID)
	})
	if err == nil {
		err = s.reserve(ctx, i.TenantID)
	}
	if err != nil {
		return err
	}
	if err := s.settle(ctx, i, acc.ID); err != nil {
		return err
	}
	return s.Audit.Record(ctx, audit.Entry{
		Event: "identity.invitation.accepted", Priority: audit.Notice,
		Target:  audit.Target{Kind: "user", ID: acc.ID.String(), Name: acc.Name},
		Details: map[string]any{"invitation": i.ID, "invited_by": i.InvitedBy, "new_account": fresh},
	})
}

var errInviter = fault.New(fault.Gone, "Whoever invited you may not do so any more. Ask for a new invitation.")

// stands fails with fault.Gone when the inviter, as a member of the tenant, could
// not give now what the invitation promises: it does not outlive their rights.
// Who invited from above the tenant, or from the console, is no member.
func (s *Service) stands(ctx context.Context, i Invitation) error {
	by := permission.Subject{Kind: permission.SubjectKind(i.inviter.Kind), ID: i.inviter.ID}
	if by.ID.IsZero() || by.Kind != permission.UserSubject && by.Kind != permission.ServiceAccountSubject {
		return nil
	}
	var member, active bool
	err := s.DB.Core(ctx, func(ctx context.Context) (err error) {
		member, active, err = s.store.inviter(ctx, i.TenantID, by.ID)
		return err
	})
	if err == nil && !active {
		err = errInviter
	}
	if err != nil || !member {
		return err
	}
	groups := make([]permission.Subject, len(i.GroupIDs))
	for n, group := range i.GroupIDs {
		groups[n] = Group{ID: group}.subject()
	}
	if err := s.Permissions.CouldGive(ctx, i.TenantID, by, i.RoleIDs, groups); fault.Is(err, fault.Forbidden) {
		return errInviter
	} else if err != nil {
		return err
	}
	return nil
}

// settle gives what the inviter may give. Roles and groups that have gone since
// are left out.
func (s *Service) settle(ctx context.Context, i Invitation, user id.ID) error {
	if err := s.stands(ctx, i); err != nil {
		return err
	}
	as := actor.With(ctx, actor.Actor{Kind: actor.System, Name: "invitation", TenantID: i.TenantID, OnBehalfOf: i.inviter})
	for _, role := range i.RoleIDs {
		if err := s.Permissions.Assign(as, user, role); err != nil && !missing(err) {
			return err
		}
	}
	for _, group := range i.GroupIDs {
		g, err := s.store.group(ctx, group)
		if missing(err) || err == nil && g.Source != Local {
			continue
		}
		if err != nil {
			return err
		}
		if _, err := s.enter(ctx, i.TenantID, g, permission.Subject{Kind: permission.UserSubject, ID: user}); err != nil {
			return err
		}
	}
	return s.Permissions.Changed(ctx, i.TenantID)
}
