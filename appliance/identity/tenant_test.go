package identity_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/id"
)

// TestPurgingATenantKeepsWhoBelongsElsewhere purges Home, in which somebody is
// alone, somebody is elsewhere too, and the emergency administrator is.
func TestPurgingATenantKeepsWhoBelongsElsewhere(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	other := b.anotherTenant("Other")
	alone, both := b.person("Al", "al@example.org", b.tenant), b.person("Bo", "bo@example.org", b.tenant)
	b.exec(`insert into core.membership (user_id, tenant_id) values ($1, $2)`, both.ID, other)
	if n, err := b.CountPeople(t.Context(), b.tenant); err != nil || n != 3 {
		t.Errorf("%d people, %v", n, err)
	}
	for range 2 {
		b.must(b.PurgeTenant(t.Context(), b.tenant))
	}
	conn, err := pgx.Connect(t.Context(), b.dsn)
	b.must(err)
	defer conn.Close(t.Context())
	rows, _ := conn.Query(t.Context(), `select id from core.account`)
	left, err := pgx.CollectRows(rows, pgx.RowTo[id.ID])
	b.must(err)
	there := map[id.ID]bool{}
	for _, account := range left {
		there[account] = true
	}
	if there[alone.ID] || !there[both.ID] || !there[b.ann.ID] || len(left) != 2 {
		t.Errorf("accounts left: %v", left)
	}
	if n, err := b.CountPeople(t.Context(), b.tenant); err != nil || n != 0 {
		t.Errorf("%d people are left, %v", n, err)
	}
	if n, err := b.CountPeople(t.Context(), other); err != nil || n != 1 {
		t.Errorf("%d people are in the other tenant, %v", n, err)
	}
}
