-- core
create table audit_query (
  id         uuid        primary key,
  name       text        not null,
  filter     jsonb       not null,
  shared     boolean     not null,
  owner_id   uuid        not null,
  owner_name text        not null,
  created_at timestamptz not null default now()
);
create index audit_query_owner on audit_query (owner_id);
-- tenant
create table audit_query (
  tenant_id  uuid        not null default '{{tenant}}',
  id         uuid        primary key,
  name       text        not null,
  filter     jsonb       not null,
  shared     boolean     not null,
  owner_id   uuid        not null,
  owner_name text        not null,
  created_at timestamptz not null default now()
);
create index audit_query_owner on audit_query (owner_id);
