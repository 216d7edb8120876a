-- core
create table scim_token (
  id           uuid        primary key,
  token_hash   bytea       not null unique,
  tenant_id    uuid        not null references tenant on delete cascade,
  name         text        not null,
  created_at   timestamptz not null default now(),
  last_used_at timestamptz,
  expires_at   timestamptz not null
);
create index scim_token_tenant on scim_token (tenant_id);
create index membership_tenant_user on membership (tenant_id, user_id);
create index account_name on account (lower(name));
-- tenant
-- What a directory says of a member beyond the account. The keys are in lower
-- case, by the rules of Unicode and not of the database.
create table scim_user (
  tenant_id        uuid        not null default '{{tenant}}',
  user_id          uuid        not null,
  user_name        text        not null,
  user_name_key    text        not null,
  display_name     text        not null default '',
  display_name_key text        not null default '',
  external_id      text        not null default '',
  attributes       jsonb       not null default '{}',
  updated_at       timestamptz not null default now(),
  primary key (tenant_id, user_id),
  unique (tenant_id, user_name_key)
);
create unique index scim_user_external_id on scim_user (tenant_id, external_id) where external_id <> '';
create index scim_user_display_name on scim_user (tenant_id, display_name_key);
create table scim_group (
  tenant_id  uuid        not null default '{{tenant}}',
  group_id   uuid        not null,
  updated_at timestamptz not null default now(),
  primary key (tenant_id, group_id),
  foreign key (tenant_id, group_id) references user_group on delete cascade
);
