-- core
create table audit_sink (
  id              uuid        not null,
  name            text        not null,
  kind            text        not null check (kind in ('webhook', 'syslog')),
  enabled         boolean     not null,
  filter          jsonb       not null,
  batch_size      integer     not null check (batch_size between 1 and 1000),
  format          text        not null check (format in ('json', 'cef', 'rfc5424')),
  url             text        not null,
  address         text        not null,
  transport       text        not null check (transport in ('', 'udp', 'tcp', 'tls')),
  ca_pem          text        not null,
  client_cert_pem text        not null,
  secrets         bytea       not null, -- sealed; empty: none
  has             text[]      not null, -- which secrets there are
  cursor          bigint      not null, -- the last sequence that is settled
  sent            bigint      not null default 0,
  failures        integer     not null default 0, -- since the last success
  failing_since   timestamptz,
  last_success    timestamptz,
  last_error      text        not null default '',
  retry_at        timestamptz,
  lease           uuid, -- who delivers now
  lease_until     timestamptz,
  created_at      timestamptz not null default now(),
  updated_at      timestamptz not null default now(),
  primary key (id)
);
create unique index audit_sink_name on audit_sink (lower(name));
create table audit_dead_letter (
  id         uuid        not null,
  sink_id    uuid        not null,
  first      bigint      not null,
  last       bigint      not null,
  reason     text        not null,
  attempts   integer     not null,
  due        boolean     not null default false, -- to be sent again
  created_at timestamptz not null default now(),
  primary key (id),
  foreign key (sink_id) references audit_sink (id) on delete cascade
);
create index audit_dead_letter_sink on audit_dead_letter (sink_id, id);
-- tenant
create table audit_sink (
  tenant_id       uuid        not null default '{{tenant}}',
  id              uuid        not null,
  name            text        not null,
  kind            text        not null check (kind in ('webhook', 'syslog')),
  enabled         boolean     not null,
  filter          jsonb       not null,
  batch_size      integer     not null check (batch_size between 1 and 1000),
  format          text        not null check (format in ('json', 'cef', 'rfc5424')),
  url             text        not null,
  address         text        not null,
  transport       text        not null check (transport in ('', 'udp', 'tcp', 'tls')),
  ca_pem          text        not null,
  client_cert_pem text        not null,
  secrets         bytea       not null, -- sealed; empty: none
  has             text[]      not null, -- which secrets there are
  cursor          bigint      not null, -- the last sequence that is settled
  sent            bigint      not null default 0,
  failures        integer     not null default 0, -- since the last success
  failing_since   timestamptz,
  last_success    timestamptz,
  last_error      text        not null default '',
  retry_at        timestamptz,
  lease           uuid, -- who delivers now
  lease_until     timestamptz,
  created_at      timestamptz not null default now(),
  updated_at      timestamptz not null default now(),
  primary key (tenant_id, id)
);
create unique index audit_sink_name on audit_sink (tenant_id, lower(name));
create table audit_dead_letter (
  tenant_id       uuid        not null default '{{tenant}}',
  id         uuid        not null,
  sink_id    uuid        not null,
  first      bigint      not null,
  last       bigint      not null,
  reason     text        not null,
  attempts   integer     not null,
  due        boolean     not null default false, -- to be sent again
  created_at timestamptz not null default now(),
  primary key (tenant_id, id),
  foreign key (tenant_id, sink_id) references audit_sink (tenant_id, id) on delete cascade
);
create index audit_dead_letter_sink on audit_dead_letter (tenant_id, sink_id, id);
