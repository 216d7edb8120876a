-- core
create table identity_provider_owner (
  provider_id uuid primary key,
  tenant_id   uuid not null references tenant on delete cascade
);
comment on table identity_provider_owner is 'Which tenant a sign-in provider belongs to: the way from a public address to a tenant''s schema.';
create index identity_provider_owner_tenant on identity_provider_owner (tenant_id);

create table federated_identity (
  provider_id     uuid        not null references identity_provider_owner on delete cascade,
  subject         text        not null,
  user_id         uuid        not null,
  tenant_id       uuid        not null,
  created_at      timestamptz not null default now(),
  last_sign_in_at timestamptz not null default now(),
  primary key (provider_id, subject),
  foreign key (user_id, tenant_id) references membership on delete cascade
);
comment on table federated_identity is 'Who a provider''s subject is here. It goes with the membership.';
create index federated_identity_user on federated_identity (user_id, tenant_id);

create table sign_in_attempt (
  key_hash     bytea       primary key,
  provider_id  uuid        not null references identity_provider_owner on delete cascade,
  browser_hash bytea       not null,
  purpose      text        not null check (purpose in ('sign-in', 'test', 'reauthenticate')),
  session_id   uuid        references session on delete cascade,
  test_id      uuid,
  sealed       bytea       not null,
  return_to    text        not null,
  address      text        not null,
  expires_at   timestamptz not null
);
comment on table sign_in_attempt is 'Sign-ins that are at a provider. Each is taken once, by the browser that began it.';
create index sign_in_attempt_provider on sign_in_attempt (provider_id);
create index sign_in_attempt_session on sign_in_attempt (session_id);
create index sign_in_attempt_address on sign_in_attempt (address);
create index sign_in_attempt_expires on sign_in_attempt (expires_at);

create table federated_session (
  session_id  uuid        primary key references session on delete cascade,
  provider_id uuid        not null references identity_provider_owner on delete cascade,
  subject     text        not null,
  sealed      bytea       not null,
  refresh_at  timestamptz
);
comment on table federated_session is 'What a provider gave for a session, sealed: for its refresh and its logout.';
create index federated_session_subject on federated_session (provider_id, subject);
create index federated_session_refresh on federated_session (refresh_at) where refresh_at is not null;
-- tenant
create table identity_provider (
  tenant_id      uuid        not null default '{{tenant}}',
  id             uuid        not null,
  kind           text        not null check (kind in ('oidc', 'saml')),
  name           text        not null,
  enabled        boolean     not null,
  settings       jsonb       not null,
  secret         bytea       not null default '',
  keys           bytea       not null default '',
  status_ok      boolean     not null default false,
  status_message text        not null default '',
  checked_at     timestamptz,
  revision       bigint      not null default 1,
  created_at     timestamptz not null default now(),
  updated_at     timestamptz not null default now(),
  primary key (tenant_id, id)
);
comment on column identity_provider.secret is 'The OIDC client secret, sealed by the keyring of the tenant.';
comment on column identity_provider.keys is 'Our SAML keys, sealed by the keyring of the tenant.';
create unique index identity_provider_name on identity_provider (tenant_id, lower(name));

create table identity_provider_gift (
  tenant_id   uuid not null default '{{tenant}}',
  provider_id uuid not null,
  user_id     uuid not null,
  kind        text not null check (kind in ('role', 'group')),
  target_id   uuid not null,
  primary key (tenant_id, provider_id, user_id, kind, target_id),
  foreign key (tenant_id, provider_id) references identity_provider on delete cascade
);
comment on table identity_provider_gift is 'Roles and groups that a provider''s claims gave: they are taken away when the claims are gone. What was given by hand is not in here.';
create index identity_provider_gift_user on identity_provider_gift (tenant_id, user_id);

create table identity_provider_message (
  tenant_id    uuid        not null default '{{tenant}}',
  provider_id  uuid        not null,
  message_hash bytea       not null,
  expires_at   timestamptz not null,
  primary key (tenant_id, provider_id, message_hash),
  foreign key (tenant_id, provider_id) references identity_provider on delete cascade
);
comment on table identity_provider_message is 'Assertions and logout tokens that were accepted: none is accepted twice.';
create index identity_provider_message_expires on identity_provider_message (tenant_id, expires_at);

create table identity_provider_test (
  tenant_id   uuid        not null default '{{tenant}}',
  id          uuid        not null,
  provider_id uuid        not null,
  result      jsonb,
  expires_at  timestamptz not null,
  primary key (tenant_id, id),
  foreign key (tenant_id, provider_id) references identity_provider on delete cascade
);
create index identity_provider_test_provider on identity_provider_test (tenant_id, provider_id);
