-- tenant
create table ci (
  id              uuid primary key,
  tenant_id       uuid not null default '{{tenant}}',
  connection_id   uuid not null,
  kind            text not null check (kind in ('node', 'vm', 'container', 'storage', 'network', 'pool')),
  key             text not null,
  name            text not null,
  node            text not null,
  status          text not null,
  properties      jsonb not null,
  managed         boolean not null,
  stack_id        uuid,
  marks           text[] not null,
  marks_read_at   timestamptz,
  stale           boolean not null,
  collected_at    timestamptz not null,
  first_seen_at   timestamptz not null,
  last_seen_at    timestamptz not null,
  deleted_at      timestamptz,
  deleted_because text,
  check ((deleted_at is null) = (deleted_because is null))
) with (fillfactor = 70);
comment on table ci is 'Configuration items. Rows of things that are gone stay, with the evidence; an id is never used again.';
comment on column ci.marks is 'What tells this thing from another one under the same key, such as uuid=… or mac=…';
create unique index ci_present on ci (tenant_id, connection_id, key) where deleted_at is null;
create index ci_listed on ci (tenant_id, kind, name, id) where deleted_at is null;

create table ci_collection (
  connection_id uuid primary key,
  tenant_id     uuid not null default '{{tenant}}',
  taken_at      timestamptz not null,
  stale         boolean not null
);
comment on table ci_collection is 'When the items of a connection were last collected; its row is locked while a collection is written.';
