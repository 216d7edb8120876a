-- tenant
-- A role can hold the same permission several times: under other conditions,
-- in other compartments, at other times.
alter table role_grant
  add id             uuid        not null default gen_random_uuid(),
  add condition      text        not null default '',
  add compartment_id uuid,
  add not_before     timestamptz,
  add expires_at     timestamptz,
  add check (not_before is null or expires_at is null or not_before < expires_at);
alter table role_grant drop constraint role_grant_pkey;
alter table role_grant add primary key (tenant_id, id);
create index role_grant_role on role_grant (tenant_id, role_id);
create table role_inherit (
  tenant_id uuid not null default '{{tenant}}',
  role_id   uuid not null,
  parent_id uuid not null,
  primary key (tenant_id, role_id, parent_id),
  foreign key (tenant_id, role_id) references role on delete cascade,
  foreign key (tenant_id, parent_id) references role,
  check (role_id <> parent_id)
);
create index role_inherit_parent on role_inherit (tenant_id, parent_id);
-- Groups and service accounts hold roles as people do. The column keeps its
-- old rows: all of them are people's.
alter table role_assignment rename user_id to subject_id;
alter table role_assignment
  add id             uuid        not null default gen_random_uuid(),
  add subject_kind   text        not null default 'user' check (subject_kind in ('user', 'group', 'service_account')),
  add compartment_id uuid,
  add not_before     timestamptz,
  add expires_at     timestamptz,
  add check (not_before is null or expires_at is null or not_before < expires_at);
alter table role_assignment drop constraint role_assignment_pkey;
alter table role_assignment add primary key (tenant_id, id);
create unique index role_assignment_once on role_assignment
  (tenant_id, subject_kind, subject_id, role_id, compartment_id, not_before, expires_at) nulls not distinct;
create table subject_grant (
  tenant_id      uuid        not null default '{{tenant}}',
  id             uuid        not null,
  subject_kind   text        not null check (subject_kind in ('user', 'group', 'service_account')),
  subject_id     uuid        not null,
  permission     text        not null,
  effect         text        not null check (effect in ('allow', 'deny')),
  hard           boolean     not null default false,
  condition      text        not null default '',
  compartment_id uuid,
  not_before     timestamptz,
  expires_at     timestamptz,
  created_at     timestamptz not null default now(),
  primary key (tenant_id, id),
  check (not_before is null or expires_at is null or not_before < expires_at)
);
create index subject_grant_subject on subject_grant (tenant_id, subject_id);
