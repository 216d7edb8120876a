package tenancy_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"nimbus/appliance/db"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/tenancy"
)

func (b *bench) compartment(name string, parent tenancy.Compartment) tenancy.Compartment {
	b.t.Helper()
	c, err := b.CreateCompartment(b.hal, tenancy.Compartment{Name: name, ParentID: parent.ID})
	must(b.t, err)
	return c
}

// path is CompartmentPath in a transaction of Home.
func (b *bench) path(c tenancy.Compartment) (path []id.ID) {
	b.t.Helper()
	must(b.t, b.db.Tenant(b.t.Context(), b.home.ID, func(ctx context.Context) (err error) {
		path, err = b.CompartmentPath(ctx, c.ID)
		return err
	}))
	return path
}

func TestCompartmentsNestAndMove(t *testing.T) {
	t.Parallel()
	var stale []id.ID
	b := newBench(t, func(c *tenancy.Config) {
		c.RightsChanged = func(_ context.Context, tenant id.ID) error { stale = append(stale, tenant); return nil }
	})
	none := tenancy.Compartment{}
	prod, test := b.compartment(" Production ", none), b.compartment("Test", none)
	web := b.compartment("Web", prod)
	front := b.compartment("Front", web)
	if front.Path != "Production/Web/Front" || !slices.Equal(b.path(front), []id.ID{front.ID, web.ID, prod.ID}) {
		t.Errorf("%s %v", front.Path, b.path(front))
	}
	moved, err := b.MoveCompartment(b.hal, web.ID, test.ID)
	must(t, err)
	if moved.Path != "Test/Web" || !slices.Equal(b.path(front), []id.ID{front.ID, web.ID, test.ID}) || !slices.Equal(stale, []id.ID{b.home.ID}) {
		t.Errorf("%s %v, rights of %v are stale", moved.Path, b.path(front), stale)
	}
	_, err = b.MoveCompartment(b.hal, test.ID, front.ID)
	wants(t, err, fault.Invalid, "into its own subtree")
	_, err = b.MoveCompartment(b.hal, test.ID, test.ID)
	wants(t, err, fault.Invalid, "into itself")
	_, err = b.MoveCompartment(b.hal, test.ID, id.New())
	wants(t, err, fault.Invalid, "into a missing one")
	out, err := b.MoveCompartment(b.hal, web.ID, id.ID{})
	must(t, err)
	if out.Path != "Web" || !out.ParentID.IsZero() {
		t.Errorf("%+v", out)
	}
	all, err := b.Compartments(b.hal)
	must(t, err)
	var paths []string
	for _, c := range all {
		paths = append(paths, c.Path)
	}
	if strings.Join(paths, " ") != "Production Test Web Web/Front" {
		t.Error(paths)
	}
	for _, verb := range []string{"created", "moved"} {
		if b.recorded(db.TenantSchema(b.home.ID), "tenancy.compartment."+verb) == 0 || !b.told("compartment."+verb) {
			t.Errorf("%s was not recorded and told", verb)
		}
	}
}

func TestCompartmentNames(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	one := b.compartment("One", tenancy.Compartment{})
	two := b.compartment("Two", tenancy.Compartment{})
	b.compartment("One", one) // elsewhere
	_, err := b.CreateCompartment(b.hal, tenancy.Compartment{Name: "ONE"})
	wants(t, err, fault.Invalid, "a taken name")
	taken, described := "one", "what it is for"
	_, err = b.UpdateCompartment(b.hal, two.ID, &taken, nil)
	wants(t, err, fault.Invalid, "renaming to a taken name")
	for _, bad := range []string{"", "  ", "a/b", "a\nb", strings.Repeat("x", 101)} {
		_, err := b.CreateCompartment(b.hal, tenancy.Compartment{Name: bad})
		wants(t, err, fault.Invalid, fmt.Sprintf("%q", bad))
	}
	after, err := b.UpdateCompartment(b.hal, two.ID, nil, &described)
	must(t, err)
	if after.Name != "Two" || after.Description != described || b.recorded(db.TenantSchema(b.home.ID), "tenancy.compartment.updated") != 1 {
		t.Errorf("%+v", after)
	}
}

func TestOnlyEmptyCompartmentsAreDeleted(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	outer := b.compartment("Outer", tenancy.Compartment{})
	inner := b.compartment("Inner", outer)
	err := b.DeleteCompartment(b.hal, outer.ID)
	if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "1 compartment.") {
		t.Errorf("with one inside: %v", err)
	}
	schema := db.TenantSchema(b.home.ID)
	b.exec(`create table ` + schema + `.parked_thing (tenant_id uuid, compartment_id uuid); grant select on ` + schema + `.parked_thing to ` + schema)
	b.exec(`insert into `+schema+`.parked_thing (compartment_id) values ($1), ($1)`, inner.ID)
	err = b.DeleteCompartment(b.hal, inner.ID)
	if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "2 parked things") {
		t.Errorf("with things of another domain inside: %v", err)
	}
	b.exec(`delete from ` + schema + `.parked_thing`)
	must(t, b.DeleteCompartment(b.hal, inner.ID))
	must(t, b.DeleteCompartment(b.hal, outer.ID))
	wants(t, b.DeleteCompartment(b.hal, outer.ID), fault.NotFound, "twice")
	if b.recorded(schema, "tenancy.compartment.deleted") != 2 || !b.told("compartment.deleted") {
		t.Error("it was not recorded and told")
	}
}

func TestForeignCompartmentsLookMissing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	olga := person(t, "Olga", b.create("Other", b.root).ID)
	mine := b.compartment("Mine", tenancy.Compartment{})
	hers, err := b.CreateCompartment(olga, tenancy.Compartment{Name: "Hers"})
	must(t, err)
	name := "x"
	for what, do := range map[string]func(c id.ID) error{
		"read":   func(c id.ID) error { _, err := b.Compartment(b.hal, c); return err },
		"update": func(c id.ID) error { _, err := b.UpdateCompartment(b.hal, c, &name, nil); return err },
		"move":   func(c id.ID) error { _, err := b.MoveCompartment(b.hal, c, mine.ID); return err },
		"into":   func(c id.ID) error { _, err := b.MoveCompartment(b.hal, mine.ID, c); return err },
		"in": func(c id.ID) error {
			_, err := b.CreateCompartment(b.hal, tenancy.Compartment{Name: name, ParentID: c})
			return err
		},
		"delete": func(c id.ID) error { return b.DeleteCompartment(b.hal, c) },
	} {
		foreign, missing := do(hers.ID), do(id.New())
		if foreign == nil || fault.KindOf(foreign) != fault.KindOf(missing) || fault.Message(foreign) != fault.Message(missing) {
			t.Errorf("%s: %v for a foreign one, %v for a missing one", what, foreign, missing)
		}
	}
	if path := b.path(hers); len(path) != 0 {
		t.Errorf("a foreign compartment has the path %v", path)
	}
}

// TestMovesAtOnceKeepATree moves compartments about from many sides at once;
// each still hangs on the outermost level afterwards.
func TestMovesAtOnceKeepATree(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var all []tenancy.Compartment
	for i := range 8 {
		all = append(all, b.compartment(fmt.Sprint(i), tenancy.Compartment{}))
	}
	var g sync.WaitGroup
	for range 6 {
		g.Go(func() {
			for range 25 {
				c, to := all[rand.IntN(len(all))], all[rand.IntN(len(all))]
				if _, err := b.MoveCompartment(b.hal, c.ID, to.ID); err != nil && !fault.Is(err, fault.Invalid) {
					t.Error(err)
				}
			}
		})
	}
	g.Wait()
	listed, err := b.Compartments(b.hal)
	must(t, err)
	if len(listed) != len(all) {
		t.Errorf("%d of %d compartments hang on the outermost level", len(listed), len(all))
	}
}

// TestDeepCompartments nests without limit and moves a deep subtree.
func TestDeepCompartments(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c := b.compartment("0", tenancy.Compartment{})
	top := c
	const depth = 150
	for i := 1; i < depth; i++ {
		c = b.compartment(fmt.Sprint(i), c)
	}
	if n := len(b.path(c)); n != depth {
		t.Errorf("the path has %d levels", n)
	}
	_, err := b.MoveCompartment(b.hal, top.ID, c.ID)
	wants(t, err, fault.Invalid, "the outermost into the innermost")
	roof := b.compartment("roof", tenancy.Compartment{})
	_, err = b.MoveCompartment(b.hal, top.ID, roof.ID)
	must(t, err)
	if n := len(b.path(c)); n != depth+1 {
		t.Errorf("the path has %d levels", n)
	}
}
