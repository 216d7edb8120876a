-- core
-- status is what counts in effect: what is above a tenant is reckoned in. What
-- was decided about the tenant itself is in suspended_at, deleted_at and purging_at.
alter table tenant drop constraint tenant_status_check;
alter table tenant add constraint tenant_status_check check (status in ('creating', 'active', 'suspended', 'deleted', 'purging'));
alter table tenant
  add onboarding       boolean not null default false, -- being made with all its parts: finished as a whole or undone
  add suspended_at     timestamptz,
  add suspended_reason text not null default '',
  add deleted_at       timestamptz,
  add purging_at       timestamptz,
  add check (purging_at is null or deleted_at is not null),
  add check (not is_root or (suspended_at is null and deleted_at is null));
-- A name is taken below one parent only, and while its tenant is not deleted:
-- elsewhere nobody can find out by trying.
drop index tenant_name;
create unique index tenant_name on tenant (parent_id, lower(name)) nulls not distinct where deleted_at is null;
create index tenant_parent on tenant (parent_id);

create table tenant_domain (
  tenant_id   uuid        not null references tenant on delete cascade,
  domain      text        not null check (domain = lower(domain)),
  token       text        not null, -- what the domain's DNS has to say
  verified_at timestamptz,
  created_at  timestamptz not null default now(),
  primary key (tenant_id, domain)
);
comment on table tenant_domain is 'E-mail domains. Anybody may claim one; only a verified one counts, and belongs to one tenant.';
create unique index tenant_domain_verified on tenant_domain (domain) where verified_at is not null;

create table tenant_quota (
  tenant_id uuid   not null references tenant on delete cascade,
  kind      text   not null check (kind in ('users', 'compartments', 'stacks', 'vcpu', 'memory_mib', 'disk_gib', 'guests')),
  soft      bigint check (soft >= 0),
  hard      bigint check (hard >= 0),
  primary key (tenant_id, kind)
);
comment on table tenant_quota is 'Limits that somebody above the tenant set. What is used is counted, never stored.';

-- tenant
create table compartment (
  tenant_id   uuid        not null default '{{tenant}}',
  id          uuid        not null,
  parent_id   uuid,
  name        text        not null check (name <> ''),
  description text        not null default '',
  created_at  timestamptz not null default now(),
  primary key (tenant_id, id),
  foreign key (tenant_id, parent_id) references compartment (tenant_id, id),
  check (parent_id <> id)
);
create unique index compartment_name on compartment (tenant_id, parent_id, lower(name)) nulls not distinct;
