-- tenant
create table stack (
  tenant_id          uuid        not null default '{{tenant}}',
  id                 uuid        not null,
  name               text        not null check (name <> ''),
  description        text        not null,
  connection_id      uuid        not null,
  program            text        not null,
  config             jsonb       not null, -- secret values left out
  secrets            bytea       not null, -- sealed: the secret values by key
  passphrase         bytea       not null, -- sealed
  status             text        not null check (status in ('empty', 'deployed', 'failed', 'destroyed')),
  outputs            jsonb       not null default '{}',
  resource_count     integer     not null default 0,
  last_deployment_id uuid,
  version            integer     not null default 1,
  created_at         timestamptz not null,
  updated_at         timestamptz not null,
  deleted_at         timestamptz,
  primary key (tenant_id, id)
);
create unique index stack_name on stack (tenant_id, lower(name)) where deleted_at is null;
create table stack_guest (
  tenant_id     uuid    not null default '{{tenant}}',
  stack_id      uuid    not null,
  name          text    not null,
  connection_id uuid    not null,
  vmid          integer not null,
  primary key (tenant_id, stack_id, connection_id, name),
  foreign key (tenant_id, stack_id) references stack (tenant_id, id)
);
comment on table stack_guest is 'append-only: a VMID that was given to a guest of a stack stays its own';
create table deployment (
  tenant_id     uuid        not null default '{{tenant}}',
  id            uuid        not null,
  stack_id      uuid        not null,
  stack_name    text        not null,
  stack_version integer     not null,
  operation     text        not null check (operation in ('preview', 'up', 'destroy', 'refresh')),
  refresh       boolean     not null,
  status        text        not null check (status in ('accepted', 'previewing', 'awaiting_approval', 'applying', 'verifying',
                                                       'compensating', 'succeeded', 'failed', 'rejected', 'cancelled', 'expired')),
  requested_by  uuid,
  requester     jsonb       not null, -- the actor, for a start that comes later
  created_at    timestamptz not null,
  started_at    timestamptz,
  ended_at      timestamptz,
  plan          jsonb,
  engine_digest text        not null default '',
  outputs       jsonb       not null default '{}',
  error         text,
  leftovers     jsonb       not null default '[]',
  steps         jsonb       not null default '[]',
  before        jsonb       not null default '[]', -- URNs before the execution began
  begun         boolean     not null default false,
  executed      boolean     not null default false,
  cancelled     boolean     not null default false,
  primary key (tenant_id, id),
  foreign key (tenant_id, stack_id) references stack (tenant_id, id)
);
create unique index deployment_active on deployment (tenant_id, stack_id)
  where status in ('accepted', 'previewing', 'awaiting_approval', 'applying', 'verifying', 'compensating');
create index deployment_stack on deployment (tenant_id, stack_id, id);
create index deployment_status on deployment (tenant_id, status, id);
create table deployment_event (
  tenant_id     uuid        not null default '{{tenant}}',
  deployment_id uuid        not null,
  seq           bigint      not null,
  time          timestamptz not null,
  kind          text        not null,
  status        text        not null,
  urn           text        not null,
  type          text        not null,
  name          text        not null,
  op            text        not null,
  message       text        not null,
  primary key (tenant_id, deployment_id, seq),
  foreign key (tenant_id, deployment_id) references deployment (tenant_id, id)
);
comment on table deployment_event is 'append-only: what happened in a run';
