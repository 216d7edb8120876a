-- core
create table node_shared (
  key        text        primary key,
  value      jsonb       not null,
  updated_at timestamptz not null default now()
);
comment on table node_shared is 'what every node of the appliance must know the same of; secrets in it are sealed';
