-- core
create table audit_appliance (
  only_row boolean primary key default true check (only_row),
  id       uuid    not null
);
comment on table audit_appliance is 'append-only: the name of this appliance in the origins of its checkpoints';
insert into audit_appliance (id) values (gen_random_uuid());
create table audit_signing_key (
  fingerprint text        primary key,
  public      bytea       not null, -- SubjectPublicKeyInfo
  algorithm   text        not null,
  kind        text        not null,
  label       text        not null,
  created_at  timestamptz not null default now(),
  used_at     timestamptz not null default now(),
  retired_at  timestamptz
);
create table audit_checkpoint (
  id          uuid        primary key,
  size        bigint      not null, -- records that it covers
  root        bytea       not null,
  note        text        not null, -- C2SP signed note
  fingerprint text        not null, -- of the key that signed
  key_kind    text        not null,
  key_name    text        not null,
  algorithm   text        not null,
  created_at  timestamptz not null default now(),
  unique (size, fingerprint)
);
comment on table audit_checkpoint is 'append-only: signed heads of the chain';
create table audit_publication (
  only_row         boolean     primary key default true check (only_row),
  interval_minutes integer     not null,
  updated_at       timestamptz not null default now()
);
create table audit_publication_place (
  id       uuid    primary key,
  kind     text    not null,
  enabled  boolean not null,
  settings jsonb   not null,
  secret   bytea,
  position integer not null
);
create table audit_checkpoint_publication (
  checkpoint_id uuid        not null,
  place_id      uuid        not null,
  place         text        not null, -- as it was called then
  attempts      integer     not null default 0,
  published_at  timestamptz,
  error         text        not null default '',
  updated_at    timestamptz not null default now(),
  primary key (checkpoint_id, place_id)
);
create table audit_verification (
  id          uuid        primary key,
  state       text        not null,
  started_by  text        not null,
  started_at  timestamptz not null default now(),
  updated_at  timestamptz not null default now(),
  cancel      boolean     not null default false,
  checked     bigint      not null default 0,
  total       bigint      not null default 0,
  result      jsonb
);
-- tenant
create table audit_checkpoint (
  tenant_id        uuid        not null default '{{tenant}}',
  id          uuid        primary key,
  size        bigint      not null, -- records that it covers
  root        bytea       not null,
  note        text        not null, -- C2SP signed note
  fingerprint text        not null, -- of the key that signed
  key_kind    text        not null,
  key_name    text        not null,
  algorithm   text        not null,
  created_at  timestamptz not null default now(),
  unique (size, fingerprint)
);
comment on table audit_checkpoint is 'append-only: signed heads of the chain';
create table audit_publication (
  tenant_id        uuid        not null default '{{tenant}}',
  only_row         boolean     primary key default true check (only_row),
  interval_minutes integer     not null,
  updated_at       timestamptz not null default now()
);
create table audit_publication_place (
  tenant_id        uuid        not null default '{{tenant}}',
  id       uuid    primary key,
  kind     text    not null,
  enabled  boolean not null,
  settings jsonb   not null,
  secret   bytea,
  position integer not null
);
create table audit_checkpoint_publication (
  tenant_id        uuid        not null default '{{tenant}}',
  checkpoint_id uuid        not null,
  place_id      uuid        not null,
  place         text        not null, -- as it was called then
  attempts      integer     not null default 0,
  published_at  timestamptz,
  error         text        not null default '',
  updated_at    timestamptz not null default now(),
  primary key (checkpoint_id, place_id)
);
create table audit_verification (
  tenant_id        uuid        not null default '{{tenant}}',
  id          uuid        primary key,
  state       text        not null,
  started_by  text        not null,
  started_at  timestamptz not null default now(),
  updated_at  timestamptz not null default now(),
  cancel      boolean     not null default false,
  checked     bigint      not null default 0,
  total       bigint      not null default 0,
  result      jsonb
);
