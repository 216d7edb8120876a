-- core
create table connection_owner (
  connection_id uuid primary key,
  tenant_id     uuid not null
);
comment on table connection_owner is 'Which tenant a connection belongs to: the way from a schedule to a tenant''s schema.';

create table vmid_reservation (
  connection_id uuid not null references connection_owner on delete cascade,
  vmid          integer not null check (vmid between 100 and 999999999),
  tenant_id     uuid not null,
  stack_id      uuid not null,
  mark          text not null,
  reserved_at   timestamptz not null default now(),
  expires_at    timestamptz not null,
  primary key (connection_id, vmid)
);
create index vmid_reservation_stack on vmid_reservation (stack_id);
-- tenant
create table connection (
  id                  uuid primary key,
  tenant_id           uuid not null default '{{tenant}}',
  provider            text not null,
  name                text not null,
  url                 text not null,
  token_id            text not null,
  secret              bytea not null,
  fingerprint         text not null,
  ca_pem              text not null,
  simulated           boolean not null,
  status              text not null default 'unknown'
    check (status in ('unknown', 'ok', 'unreachable', 'unauthorised', 'fingerprint_changed')),
  status_detail       text not null default '',
  status_since        timestamptz not null default now(),
  offered_fingerprint text not null default '',
  version             text not null default '',
  position            text not null default '',
  failures            integer not null default 0,
  attempted_at        timestamptz,
  collected_at        timestamptz,
  next_attempt_at     timestamptz not null default now(),
  revision            bigint not null default 1,
  created_at          timestamptz not null default now(),
  unique (tenant_id, name)
);
comment on column connection.secret is 'Sealed by the keyring of the tenant.';
comment on column connection.position is 'How far the cluster''s task log was read.';
comment on column connection.revision is 'Counts changes of what is needed to connect.';

create table provider_task (
  id            uuid primary key,
  tenant_id     uuid not null default '{{tenant}}',
  connection_id uuid not null,
  upid          text,
  node          text not null,
  type          text not null,
  item_id       uuid,
  guest_kind    text not null,
  guest_key     text not null,
  action        text not null,
  deployment_id uuid,
  status        text not null check (status in ('running', 'ok', 'failed')),
  exit_status   text not null default '',
  log           text[] not null default '{}',
  log_lines     integer not null default 0,
  actor_kind    text not null,
  actor_id      uuid,
  actor_name    text not null,
  requested_at  timestamptz not null default now(),
  called_at     timestamptz,
  started_at    timestamptz not null default now(),
  ended_at      timestamptz,
  unique (tenant_id, connection_id, upid),
  check ((status = 'running') = (ended_at is null))
);
comment on table provider_task is 'Tasks at the provider and who caused them: the provider itself logs our token, not the person.';
create index provider_task_item on provider_task (tenant_id, item_id, id);
create index provider_task_running on provider_task (tenant_id, requested_at) where status = 'running';
