-- core
-- Somebody who signs in elsewhere only has no password; '' matches nothing.
alter table account alter password_hash set default '';
alter table account add emergency boolean not null default false;
create unique index account_one_emergency on account (emergency) where emergency;
update account set emergency = true where id = (select id from account order by created_at, id limit 1);
create table password_history (
  user_id    uuid        not null references account on delete cascade,
  hash       text        not null,
  created_at timestamptz not null default now(),
  primary key (user_id, hash)
);
alter table membership
  add status      text        not null default 'active' check (status in ('active', 'disabled')),
  add source      text        not null default 'local' check (source in ('local', 'oidc', 'saml', 'scim')),
  add external_id text        not null default '',
  add created_at  timestamptz not null default now();
create unique index membership_external_id on membership (tenant_id, source, external_id) where external_id <> '';
alter table session
  add method       text    not null default 'password' check (method in ('password', 'oidc', 'saml', 'passkey', 'recovery')),
  add provider_id  uuid,
  add mfa          boolean not null default false,
  add idp_session  text    not null default '',
  add idle_seconds integer not null default 43200 check (idle_seconds > 0);
create index session_idp on session (provider_id, idp_session) where provider_id is not null;
create index session_tenant on session (tenant_id);
create table service_account (
  id          uuid        primary key,
  tenant_id   uuid        not null references tenant on delete cascade,
  name        text        not null,
  description text        not null default '',
  status      text        not null default 'active' check (status in ('active', 'disabled')),
  created_at  timestamptz not null default now(),
  unique (tenant_id, id)
);
create unique index service_account_name on service_account (tenant_id, lower(name));
alter table api_token alter user_id drop not null;
alter table api_token
  add service_account_id uuid,
  add scopes text[] not null default '{}',
  add foreign key (tenant_id, service_account_id) references service_account (tenant_id, id) on delete cascade,
  add check (num_nonnulls(user_id, service_account_id) = 1);
create index api_token_service_account on api_token (service_account_id);
create index api_token_tenant on api_token (tenant_id);
create table invitation (
  id         uuid        primary key,
  token_hash bytea       not null unique,
  tenant_id  uuid        not null references tenant on delete cascade,
  name       text        not null,
  email      text        not null,
  role_ids   uuid[]      not null default '{}',
  group_ids  uuid[]      not null default '{}',
  invited_by text        not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null
);
create unique index invitation_email on invitation (tenant_id, lower(email));
create table password_reset (
  user_id    uuid        primary key references account on delete cascade,
  token_hash bytea       not null unique,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null
);
-- tenant
create table user_group (
  tenant_id   uuid        not null default '{{tenant}}',
  id          uuid        not null,
  name        text        not null,
  description text        not null default '',
  source      text        not null default 'local' check (source in ('local', 'oidc', 'saml', 'scim')),
  external_id text        not null default '',
  created_at  timestamptz not null default now(),
  primary key (tenant_id, id)
);
create unique index user_group_name on user_group (tenant_id, lower(name));
create unique index user_group_external_id on user_group (tenant_id, source, external_id) where external_id <> '';
create table group_member (
  tenant_id    uuid        not null default '{{tenant}}',
  group_id     uuid        not null,
  member_kind  text        not null check (member_kind in ('user', 'group', 'service_account')),
  member_id    uuid        not null,
  -- What lets a group that is deleted leave the groups it was in.
  member_group uuid        generated always as (case when member_kind = 'group' then member_id end) stored,
  created_at   timestamptz not null default now(),
  primary key (tenant_id, group_id, member_kind, member_id),
  foreign key (tenant_id, group_id) references user_group on delete cascade,
  foreign key (tenant_id, member_group) references user_group on delete cascade,
  check (member_group <> group_id)
);
create index group_member_member on group_member (tenant_id, member_kind, member_id);
