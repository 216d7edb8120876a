-- core
create table audit_record (
  id          uuid        primary key,
  xid         xid8        not null default pg_current_xact_id(),
  time        timestamptz not null,
  event       text        not null,
  outcome     text        not null,
  priority    text        not null,
  actor_id    uuid,
  actor_name  text        not null,
  target_kind text        not null,
  target_id   text        not null,
  body        bytea       not null
);
comment on table audit_record is 'append-only: body is what is hashed, the other columns index it';
create index audit_record_xid on audit_record (xid);
create table audit_link (
  sequence  bigint      primary key,
  record_id uuid        not null unique,
  hash      bytea       not null,
  horizon   xid8        not null, -- every record of an older transaction is linked
  sealed_at timestamptz not null default now()
);
comment on table audit_link is 'append-only: the hash chain over audit_record';
-- tenant
create table audit_record (
  tenant_id   uuid        not null default '{{tenant}}',
  id          uuid        primary key,
  xid         xid8        not null default pg_current_xact_id(),
  time        timestamptz not null,
  event       text        not null,
  outcome     text        not null,
  priority    text        not null,
  actor_id    uuid,
  actor_name  text        not null,
  target_kind text        not null,
  target_id   text        not null,
  body        bytea       not null
);
comment on table audit_record is 'append-only: body is what is hashed, the other columns index it';
create index audit_record_xid on audit_record (xid);
create table audit_link (
  tenant_id uuid        not null default '{{tenant}}',
  sequence  bigint      primary key,
  record_id uuid        not null unique,
  hash      bytea       not null,
  horizon   xid8        not null,
  sealed_at timestamptz not null default now()
);
comment on table audit_link is 'append-only: the hash chain over audit_record';
