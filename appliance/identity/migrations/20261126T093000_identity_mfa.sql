-- core
create table totp (
  user_id      uuid        primary key references account on delete cascade,
  secret       bytea,
  last_step    bigint      not null default 0,
  confirmed_at timestamptz,
  pending      bytea,
  pending_at   timestamptz,
  check (secret is not null or pending is not null)
);
create table passkey (
  id            uuid        primary key,
  user_id       uuid        not null references account on delete cascade,
  credential_id bytea       not null unique,
  credential    jsonb       not null,
  name          text        not null,
  created_at    timestamptz not null default now(),
  last_used_at  timestamptz
);
create index passkey_user on passkey (user_id);
create table recovery_code (
  user_id uuid        not null references account on delete cascade,
  hash    bytea       not null,
  used_at timestamptz,
  primary key (user_id, hash)
);
create table mfa_ceremony (
  token_hash bytea       primary key,
  kind       text        not null check (kind in ('second_factor', 'passkey', 'register', 'reauthenticate')),
  user_id    uuid        references account on delete cascade,
  session_id uuid        references session on delete cascade,
  address    text        not null,
  tries      integer     not null default 0,
  sign_in    jsonb,
  challenge  jsonb,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null
);
create index mfa_ceremony_user on mfa_ceremony (user_id);
create index mfa_ceremony_session on mfa_ceremony (session_id);
create index mfa_ceremony_address on mfa_ceremony (address, created_at);
create index mfa_ceremony_expires on mfa_ceremony (expires_at);
