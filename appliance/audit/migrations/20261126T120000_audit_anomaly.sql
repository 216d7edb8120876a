-- core
create table audit_anomaly_scan (
  source   text        primary key, -- 'own' or 'provider': whose chain was read
  sequence bigint      not null,    -- everything up to it was looked at
  began    timestamptz not null     -- time of the first record that was looked at
);
create table audit_anomaly_rule (
  kind       text        primary key,
  enabled    boolean     not null,
  parameters jsonb       not null,
  updated_at timestamptz not null default now()
);
create table audit_anomaly_habit (
  subject    text        primary key, -- a person's id
  first_seen timestamptz not null,
  last_seen  timestamptz not null,
  sign_ins   integer     not null,
  hours      integer[]   not null     -- sign-ins by hour of the day in the tenant's time zone
);
create table audit_anomaly_network (
  subject    text        not null,
  network    text        not null,
  first_seen timestamptz not null,
  last_seen  timestamptz not null,
  primary key (subject, network)
);
create table audit_anomaly_role (
  role text primary key -- the id of a role that grants everything in a domain
);
create table audit_anomaly_hour (
  hour   timestamptz primary key,
  total  bigint      not null,
  failed bigint      not null
);
create table audit_anomaly (
  id           uuid        primary key,
  kind         text        not null,
  pattern      text        not null, -- what makes two findings the same
  severity     text        not null,
  state        text        not null,
  subject_kind text        not null,
  subject_id   text        not null,
  subject_name text        not null,
  summary      text        not null,
  chain        text        not null, -- 'own' or 'provider': whose sequence numbers the evidence has
  evidence     bigint[]    not null, -- the newest
  last         bigint      not null, -- the newest sequence number that was counted
  first_at     timestamptz not null,
  last_at      timestamptz not null,
  count        bigint      not null,
  suppressed   bigint      not null default 0, -- records that came after it was called a false positive
  decided_by   uuid,
  decided_name text        not null default '',
  decided_at   timestamptz,
  note         text        not null default ''
);
create unique index audit_anomaly_open on audit_anomaly (pattern) where state = 'open';
create unique index audit_anomaly_false_positive on audit_anomaly (pattern) where state = 'false_positive';
-- tenant
create table audit_anomaly_scan (
  tenant_id uuid not null default '{{tenant}}',
  source   text        primary key, -- 'own' or 'provider': whose chain was read
  sequence bigint      not null,    -- everything up to it was looked at
  began    timestamptz not null     -- time of the first record that was looked at
);
create table audit_anomaly_rule (
  tenant_id uuid not null default '{{tenant}}',
  kind       text        primary key,
  enabled    boolean     not null,
  parameters jsonb       not null,
  updated_at timestamptz not null default now()
);
create table audit_anomaly_habit (
  tenant_id uuid not null default '{{tenant}}',
  subject    text        primary key, -- a person's id
  first_seen timestamptz not null,
  last_seen  timestamptz not null,
  sign_ins   integer     not null,
  hours      integer[]   not null     -- sign-ins by hour of the day in the tenant's time zone
);
create table audit_anomaly_network (
  tenant_id uuid not null default '{{tenant}}',
  subject    text        not null,
  network    text        not null,
  first_seen timestamptz not null,
  last_seen  timestamptz not null,
  primary key (subject, network)
);
create table audit_anomaly_role (
  tenant_id uuid not null default '{{tenant}}',
  role text primary key -- the id of a role that grants everything in a domain
);
create table audit_anomaly_hour (
  tenant_id uuid not null default '{{tenant}}',
  hour   timestamptz primary key,
  total  bigint      not null,
  failed bigint      not null
);
create table audit_anomaly (
  tenant_id uuid not null default '{{tenant}}',
  id           uuid        primary key,
  kind         text        not null,
  pattern      text        not null, -- what makes two findings the same
  severity     text        not null,
  state        text        not null,
  subject_kind text        not null,
  subject_id   text        not null,
  subject_name text        not null,
  summary      text        not null,
  chain        text        not null, -- 'own' or 'provider': whose sequence numbers the evidence has
  evidence     bigint[]    not null, -- the newest
  last         bigint      not null, -- the newest sequence number that was counted
  first_at     timestamptz not null,
  last_at      timestamptz not null,
  count        bigint      not null,
  suppressed   bigint      not null default 0, -- records that came after it was called a false positive
  decided_by   uuid,
  decided_name text        not null default '',
  decided_at   timestamptz,
  note         text        not null default ''
);
create unique index audit_anomaly_open on audit_anomaly (pattern) where state = 'open';
create unique index audit_anomaly_false_positive on audit_anomaly (pattern) where state = 'false_positive';
