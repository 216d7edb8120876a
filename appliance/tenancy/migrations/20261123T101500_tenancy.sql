-- core
create table tenant (
  id            uuid        primary key,
  name          text        not null,
  parent_id     uuid        references tenant,
  is_root       boolean     not null default false,
  description   text        not null default '',
  contact_email text        not null default '',
  status        text        not null check (status in ('creating', 'active')),
  settings      jsonb       not null default '{}',
  created_at    timestamptz not null default now(),
  check (is_root = (parent_id is null))
);
create unique index tenant_name on tenant (lower(name));
create unique index tenant_one_root on tenant (is_root) where is_root;
create table tenant_key (
  tenant_id  uuid        primary key, -- the zero uuid is the provider's
  root       text        not null,
  wrapped    bytea       not null,
  escrow     bytea,
  created_at timestamptz not null default now()
);
