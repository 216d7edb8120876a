package scim

import (
	"context"
	"net/http"
)

// kind is a type of resources with what can be done to them, the same for
// users and groups.
type kind struct {
	*resourceType
	query  func(ctx context.Context, q Query) ([]Resource, int, error)
	create func(ctx context.Context, r Resource) (Resource, error)
	// change replaces what the client may write by what fn returns.
	change func(ctx context.Context, id string, fn func(Resource) (Resource, error)) (Resource, error)
	remove func(ctx context.Context, id string, check func(Resource) error) error
	// detail is the attribute that costs more than the others.
	detail string
}

func (h *handler) users() *kind {
	d := h.Directory
	return &kind{
		resourceType: userType, detail: "groups",
		query: func(ctx context.Context, q Query) ([]Resource, int, error) {
			page, err := d.Users(ctx, q)
			all := make([]Resource, len(page.Items))
			for i, u := range page.Items {
				all[i] = u.resource(h.address)
			}
			return all, page.Total, err
		},
		create: func(ctx context.Context, r Resource) (Resource, error) {
			u, err := userOf(r)
			if err == nil {
				u, err = d.CreateUser(ctx, u)
			}
			return u.resource(h.address), err
		},
		change: func(ctx context.Context, id string, fn func(Resource) (Resource, error)) (Resource, error) {
			u, err := d.ChangeUser(ctx, id, func(u User) (User, error) {
				r, err := fn(u.resource(h.address))
				if err != nil {
					return u, err
				}
				after, err := userOf(r)
				after.ID, after.Created, after.Modified, after.Groups = u.ID, u.Created, u.Modified, u.Groups
				return after, err
			})
			return u.resource(h.address), err
		},
		remove: func(ctx context.Context, id string, check func(Resource) error) error {
			return d.DeleteUser(ctx, id, func(u User) error { return check(u.resource(h.address)) })
		},
	}
}

func (h *handler) groups() *kind {
	d := h.Directory
	return &kind{
		resourceType: groupType, detail: "members",
		query: func(ctx context.Context, q Query) ([]Resource, int, error) {
			page, err := d.Groups(ctx, q)
			all := make([]Resource, len(page.Items))
			for i, g := range page.Items {
				all[i] = g.resource(h.address)
			}
			return all, page.Total, err
		},
		create: func(ctx context.Context, r Resource) (Resource, error) {
			g, err := d.CreateGroup(ctx, groupOf(r))
			return g.resource(h.address), err
		},
		change: func(ctx context.Context, id string, fn func(Resource) (Resource, error)) (Resource, error) {
			g, err := d.ChangeGroup(ctx, id, func(g Group) (Group, error) {
				r, err := fn(g.resource(h.address))
				if err != nil {
					return g, err
				}
				after := groupOf(r)
				after.ID, after.Created, after.Modified, after.Version = g.ID, g.Created, g.Modified, g.Version
				return after, nil
			})
			return g.resource(h.address), err
		},
		remove: func(ctx context.Context, id string, check func(Resource) error) error {
			return d.DeleteGroup(ctx, id, func(g Group) error { return check(g.resource(h.address)) })
		},
	}
}

// operation is one request for one resource, alone or as part of a bulk.
type operation struct {
	method  string
	kind    *kind
	id      string
	body    map[string]any
	ifMatch string
	// detail asks for the whole resource as answer.
	detail bool
}

// result is what came of an operation; resource is nil when there is nothing
// to show.
type result struct {
	status   int
	resource Resource
}

func (k *kind) perform(ctx context.Context, o operation) (result, error) {
	switch o.method {
	case http.MethodPost:
		r, err := k.clean(o.body)
		if err == nil {
			r, err = k.create(ctx, r)
		}
		return result{http.StatusCreated, r}, err
	case http.MethodGet:
		r, err := k.get(ctx, o.id, o.detail)
		return result{http.StatusOK, r}, err
	case http.MethodPut:
		r, err := k.replace(ctx, o)
		return result{http.StatusOK, r}, err
	case http.MethodPatch:
		r, err := k.modify(ctx, o)
		return result{http.StatusOK, r}, err
	}
	return result{status: http.StatusNoContent}, k.remove(ctx, o.id, func(r Resource) error { return matching(r, o.ifMatch) })
}

func (k *kind) get(ctx context.Context, id string, detail bool) (Resource, error) {
	all, _, err := k.query(ctx, Query{Attribute: "id", Value: id, Limit: 1, Detail: detail})
	if err == nil && len(all) != 1 {
		err = errMissing
	}
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// replace is PUT: what the client did not send is removed, except whether the
// person is active.
func (k *kind) replace(ctx context.Context, o operation) (Resource, error) {
	in, err := k.clean(o.body)
	if err != nil {
		return nil, err
	}
	if in["password"] != nil {
		return nil, mayWrite(target{attr: find(userSchema.Attributes, "password")})
	}
	return k.change(ctx, o.id, func(before Resource) (Resource, error) {
		if err := matching(before, o.ifMatch); err != nil {
			return nil, err
		}
		if active, ok := before["active"]; ok && in["active"] == nil {
			in["active"] = active
		}
		return in, nil
	})
}

func (k *kind) modify(ctx context.Context, o operation) (Resource, error) {
	changes, err := parsePatch(o.body)
	if err != nil {
		return nil, err
	}
	return k.change(ctx, o.id, func(r Resource) (Resource, error) {
		if err := matching(r, o.ifMatch); err != nil {
			return nil, err
		}
		if err := k.patch(r, changes); err != nil {
			return nil, err
		}
		return k.clean(r)
	})
}

// matching holds the resource against If-Match (RFC 7644, section 3.14).
func matching(r Resource, tags string) error {
	if tags == "" || tagged(tags, version(r)) {
		return nil
	}
	return &Error{Status: http.StatusPreconditionFailed, Detail: "It was changed in the meantime. Read it again, then change it."}
}
