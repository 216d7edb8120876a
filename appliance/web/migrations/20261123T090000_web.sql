-- core
create table idempotency (
  key         text        not null,
  actor       text        not null,
  request     text        not null, -- SHA-256 of method, path and body
  status      int,                  -- null while the first request is running
  content_type text,
  location    text,
  body        bytea,
  created_at  timestamptz not null default now(),
  primary key (actor, key)
);
create index idempotency_created_at on idempotency (created_at);
