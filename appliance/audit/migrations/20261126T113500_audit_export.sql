-- core
create table audit_export (
  id          uuid        primary key,
  state       text        not null default 'running' check (state in ('running', 'done', 'failed', 'cancelled')),
  format      text        not null check (format in ('jsonl', 'csv')),
  filter      jsonb       not null,
  records     bigint      not null default 0,
  position    bigint      not null default 0, -- the last record that was looked at
  total       bigint      not null default 0, -- the last record there is to look at
  bytes       bigint      not null default 0,
  sha256      text        not null default '',
  error       text        not null default '',
  created_by  uuid,
  creator     text        not null,
  created_at  timestamptz not null default now(),
  expires_at  timestamptz not null
);
create index audit_export_created on audit_export (created_at);
-- tenant
create table audit_export (
  tenant_id   uuid        not null default '{{tenant}}',
  id          uuid        primary key,
  state       text        not null default 'running' check (state in ('running', 'done', 'failed', 'cancelled')),
  format      text        not null check (format in ('jsonl', 'csv')),
  filter      jsonb       not null,
  records     bigint      not null default 0,
  position    bigint      not null default 0, -- the last record that was looked at
  total       bigint      not null default 0, -- the last record there is to look at
  bytes       bigint      not null default 0,
  sha256      text        not null default '',
  error       text        not null default '',
  created_by  uuid,
  creator     text        not null,
  created_at  timestamptz not null default now(),
  expires_at  timestamptz not null
);
create index audit_export_created on audit_export (created_at);
