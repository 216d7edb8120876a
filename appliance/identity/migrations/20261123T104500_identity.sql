-- core
create table account (
  id              uuid        primary key,
  email           text        not null,
  name            text        not null,
  password_hash   text        not null,
  status          text        not null check (status in ('active', 'disabled')),
  last_sign_in_at timestamptz,
  created_at      timestamptz not null default now()
);
create unique index account_email on account (lower(email));
create table membership (
  user_id   uuid not null references account on delete cascade,
  tenant_id uuid not null references tenant on delete cascade,
  primary key (user_id, tenant_id)
);
create index membership_tenant on membership (tenant_id);
create table session (
  id               uuid        primary key,
  token_hash       bytea       not null unique,
  user_id          uuid        not null references account on delete cascade,
  tenant_id        uuid        not null,
  address          text        not null,
  user_agent       text        not null,
  signed_in_at     timestamptz not null default now(),
  authenticated_at timestamptz not null default now(),
  last_seen_at     timestamptz not null default now(),
  expires_at       timestamptz not null,
  foreign key (user_id, tenant_id) references membership on delete cascade
);
create index session_user_id on session (user_id);
create table api_token (
  id           uuid        primary key,
  token_hash   bytea       not null unique,
  user_id      uuid        not null,
  tenant_id    uuid        not null,
  name         text        not null,
  created_at   timestamptz not null default now(),
  last_used_at timestamptz,
  expires_at   timestamptz not null,
  foreign key (user_id, tenant_id) references membership on delete cascade
);
create index api_token_user on api_token (user_id);
