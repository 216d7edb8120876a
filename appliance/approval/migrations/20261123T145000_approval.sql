-- tenant
create table approval_request (
  tenant_id      uuid        not null default '{{tenant}}',
  id             uuid        not null,
  subject_kind   text        not null,
  subject_id     uuid        not null,
  subject_name   text        not null,
  digest         text        not null check (digest <> ''),
  policy         text        not null check (policy in ('second_person', 'confirm_self')),
  permission     text        not null check (permission <> ''),
  needed         integer     not null check (needed > 0),
  status         text        not null check (status in ('pending', 'approved', 'rejected', 'expired', 'void')),
  requested_by   uuid,
  requester_name text        not null,
  created_at     timestamptz not null,
  expires_at     timestamptz not null,
  ended_at       timestamptz,
  primary key (tenant_id, id)
);
create unique index approval_request_open on approval_request (tenant_id, subject_kind, subject_id) where status = 'pending';
create index approval_request_subject on approval_request (tenant_id, subject_kind, subject_id, id);
create table approval_decision (
  tenant_id          uuid        not null default '{{tenant}}',
  request_id         uuid        not null,
  actor_id           uuid        not null,
  actor_name         text        not null,
  verdict            text        not null check (verdict in ('approve', 'reject')),
  comment            text        not null,
  self               boolean     not null,
  at                 timestamptz not null,
  reauthenticated_at timestamptz,
  primary key (tenant_id, request_id, actor_id),
  foreign key (tenant_id, request_id) references approval_request (tenant_id, id)
);
comment on table approval_decision is 'append-only: who decided what, and when';
