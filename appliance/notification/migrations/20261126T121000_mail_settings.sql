-- core
create table mail_settings (
  one          boolean     primary key default true check (one),
  host         text        not null,
  port         integer     not null check (port between 1 and 65535),
  security     text        not null check (security in ('starttls', 'tls', 'none')),
  username     text        not null,
  password     bytea, -- sealed
  from_address text        not null,
  from_name    text        not null,
  updated_at   timestamptz not null default now()
);
