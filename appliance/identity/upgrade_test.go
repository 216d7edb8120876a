package identity_test

import (
	"io/fs"
	"testing"
	"testing/fstest"

	"nimbus/appliance/audit"
	"nimbus/appliance/db"
	"nimbus/appliance/db/dbtest"
	"nimbus/appliance/id"
	"nimbus/appliance/identity"
	"nimbus/appliance/permission"
	"nimbus/appliance/tenancy"
)

// first is the history of identity as its first release had it.
func first(t *testing.T) fs.FS {
	t.Helper()
	files, err := fs.Glob(identity.Migrations, "migrations/*.sql")
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	text, err := fs.ReadFile(identity.Migrations, files[0])
	if err != nil {
		t.Fatal(err)
	}
	return fstest.MapFS{files[0]: {Data: text}}
}

// TestUpgradeKeepsPeople brings a database of the first release with people,
// sessions and API tokens to this one.
func TestUpgradeKeepsPeople(t *testing.T) {
	t.Parallel()
	b := &bench{t: t}
	database, _, dsn := dbtest.OpenDSN(t, audit.Migrations, tenancy.Migrations, permission.Migrations, first(t))
	b.dsn = dsn
	tenant, ann, bob := id.New(), id.New(), id.New()
	b.exec(`insert into core.tenant (id, name, is_root, status) values ($1, 'Provider Root', true, 'active')`, tenant)
	b.exec(`insert into core.account (id, email, name, password_hash, status, created_at) values
		($2, 'bob@example.org', 'Bob', 'x', 'active', now()), ($1, 'ann@example.org', 'Ann', 'x', 'active', now() - interval '1 year')`, ann, bob)
	b.exec(`insert into core.membership (user_id, tenant_id) values ($1, $3), ($2, $3)`, ann, bob, tenant)
	b.exec(`insert into core.session (id, token_hash, user_id, tenant_id, address, user_agent, expires_at)
		values ($1, sha256('a session'), $2, $3, '', '', now() + interval '1 day')`, id.New(), bob, tenant)
	b.exec(`insert into core.api_token (id, token_hash, user_id, tenant_id, name, expires_at)
		values ($1, sha256('a token'), $2, $3, 'x', now() + interval '1 day')`, id.New(), bob, tenant)

	history, err := db.ReadMigrations(audit.Migrations, tenancy.Migrations, permission.Migrations, identity.Migrations)
	b.must(err)
	b.must(database.Migrate(t.Context(), history))
	s := identity.New(identity.Config{DB: database})
	if yes, err := s.Emergency(t.Context(), ann); err != nil || !yes {
		t.Errorf("the first account is the emergency administrator: %v, %v", yes, err)
	}
	if yes, err := s.Emergency(t.Context(), bob); err != nil || yes {
		t.Errorf("the second account is not: %v, %v", yes, err)
	}
	for what, authenticate := range map[string]func() (id.ID, error){
		"session": func() (id.ID, error) { a, err := s.Authenticate(t.Context(), "a session"); return a.ID, err },
		"token":   func() (id.ID, error) { a, err := s.AuthenticateToken(t.Context(), "a token"); return a.ID, err },
	} {
		if who, err := authenticate(); err != nil || who != bob {
			t.Errorf("the %s: %v, %v", what, who, err)
		}
	}
}
