-- tenant
create table role (
  tenant_id   uuid        not null default '{{tenant}}',
  id          uuid        not null,
  name        text        not null,
  description text        not null default '',
  system      boolean     not null default false,
  created_at  timestamptz not null default now(),
  primary key (tenant_id, id),
  unique (tenant_id, name)
);
create table role_grant (
  tenant_id  uuid    not null default '{{tenant}}',
  role_id    uuid    not null,
  permission text    not null,
  effect     text    not null check (effect in ('allow', 'deny')),
  hard       boolean not null default false,
  primary key (tenant_id, role_id, permission, effect),
  foreign key (tenant_id, role_id) references role on delete cascade
);
create table role_assignment (
  tenant_id  uuid        not null default '{{tenant}}',
  user_id    uuid        not null,
  role_id    uuid        not null,
  created_at timestamptz not null default now(),
  primary key (tenant_id, user_id, role_id),
  foreign key (tenant_id, role_id) references role on delete cascade
);
create index role_assignment_role on role_assignment (tenant_id, role_id);
