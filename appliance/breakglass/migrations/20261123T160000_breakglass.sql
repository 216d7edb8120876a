-- core
create table breakglass_request (
  id                uuid        primary key,
  tenant_id         uuid        not null,
  user_id           uuid        not null, -- whose rights are raised
  user_name         text        not null,
  requested_by      uuid,                 -- null: somebody on the machine
  requested_by_name text        not null,
  reason            text        not null,
  minutes           int         not null check (minutes between 1 and 60),
  status            text        not null default 'pending' check (status in ('pending', 'open', 'ended', 'expired', 'refused')),
  created_at        timestamptz not null default now(),
  challenge         bytea,
  signature         bytea,
  public_key        bytea,
  key_kind          text        not null default '',
  key_label         text        not null default '',
  key_algorithm     text        not null default '',
  opened_at         timestamptz,
  ends_at           timestamptz,
  ended_at          timestamptz,
  ended_by          uuid,
  ended_by_name     text        not null default '',
  check (status not in ('open', 'ended') or (challenge is not null and signature is not null and ends_at <= opened_at + interval '60 minutes'))
);
create unique index breakglass_request_open on breakglass_request (user_id) where status = 'open';
create index breakglass_request_live on breakglass_request (status) where status in ('pending', 'open');
create index breakglass_request_tenant on breakglass_request (tenant_id, created_at desc);
create table breakglass_approval (
  request_id uuid        not null references breakglass_request,
  user_id    uuid        not null,
  user_name  text        not null,
  self       boolean     not null, -- the approver is the one whose rights are raised
  at         timestamptz not null default now(),
  primary key (request_id, user_id)
);
comment on table breakglass_approval is 'append-only: who approved, and when';
