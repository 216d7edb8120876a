-- core
create table audit_redaction_rule (
  id       uuid    primary key,
  position integer not null,
  name     text    not null,
  kind     text    not null check (kind in ('field', 'pattern')),
  match    text    not null,
  scope    text    not null,
  enabled  boolean not null
);
-- tenant
create table audit_redaction_rule (
  tenant_id uuid   not null default '{{tenant}}',
  id       uuid    not null,
  position integer not null,
  name     text    not null,
  kind     text    not null check (kind in ('field', 'pattern')),
  match    text    not null,
  scope    text    not null,
  enabled  boolean not null,
  primary key (tenant_id, id)
);
