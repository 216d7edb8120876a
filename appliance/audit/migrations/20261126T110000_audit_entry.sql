-- core
create table audit_entry (
  sequence    bigint      primary key,
  record_id   uuid        not null unique,
  leaf        bytea       not null, -- RFC 9162 leaf hash of the body
  link        bytea       not null,
  horizon     xid8        not null, -- every record of an older transaction is linked
  sealed_at   timestamptz not null default now(),
  time        timestamptz not null,
  event       text        not null,
  outcome     text        not null,
  priority    text        not null,
  actor_id    uuid,
  actor_kind  text        not null,
  actor_name  text        not null,
  target_kind text        not null,
  target_id   text        not null,
  target_name text        not null,
  address     text        not null,
  request_id  text        not null
);
comment on table audit_entry is 'append-only: the chain over audit_record, and the columns by which it is searched';
create table audit_tile (
  level  smallint not null,
  number bigint   not null,
  hashes bytea    not null, -- 256 nodes of 32 bytes
  primary key (level, number)
);
comment on table audit_tile is 'append-only: full tiles of the Merkle tree, as in C2SP tlog-tiles';
do $upgrade$
declare
  r record;
  n bigint := 0;
  leaf bytea;
  link bytea := sha256(convert_to(E'nimbus audit chain v2\n' || 'provider', 'UTF8'));
begin
  for r in select l.*, a.body, convert_from(a.body, 'UTF8')::jsonb as j from audit_link l join audit_record a on a.id = l.record_id order by l.sequence loop
    n := n + 1;
    leaf := sha256('\x00'::bytea || r.body);
    link := sha256('\x02'::bytea || link || int8send(n) || leaf);
    insert into audit_entry (sequence, record_id, leaf, link, horizon, sealed_at, time, event, outcome, priority, actor_id, actor_kind,
        actor_name, target_kind, target_id, target_name, address, request_id)
      values (n, r.record_id, leaf, link, r.horizon, r.sealed_at, (r.j ->> 'time')::timestamptz, r.j ->> 'event', r.j ->> 'outcome',
        r.j ->> 'priority', (r.j -> 'actor' ->> 'id')::uuid, r.j -> 'actor' ->> 'kind', r.j -> 'actor' ->> 'name',
        r.j -> 'target' ->> 'kind', coalesce(r.j -> 'target' ->> 'id', ''), coalesce(r.j -> 'target' ->> 'name', ''),
        coalesce(r.j -> 'actor' ->> 'address', ''), coalesce(r.j -> 'actor' ->> 'request_id', ''));
  end loop;
end $upgrade$;
drop table audit_link;
alter table audit_record drop column time, drop column outcome, drop column priority, drop column actor_id, drop column actor_name,
  drop column target_kind, drop column target_id;
-- tenant
create table audit_entry (
  tenant_id   uuid        not null default '{{tenant}}',
  sequence    bigint      primary key,
  record_id   uuid        not null unique,
  leaf        bytea       not null, -- RFC 9162 leaf hash of the body
  link        bytea       not null,
  horizon     xid8        not null, -- every record of an older transaction is linked
  sealed_at   timestamptz not null default now(),
  time        timestamptz not null,
  event       text        not null,
  outcome     text        not null,
  priority    text        not null,
  actor_id    uuid,
  actor_kind  text        not null,
  actor_name  text        not null,
  target_kind text        not null,
  target_id   text        not null,
  target_name text        not null,
  address     text        not null,
  request_id  text        not null
);
comment on table audit_entry is 'append-only: the chain over audit_record, and the columns by which it is searched';
create table audit_tile (
  tenant_id   uuid        not null default '{{tenant}}',
  level  smallint not null,
  number bigint   not null,
  hashes bytea    not null, -- 256 nodes of 32 bytes
  primary key (level, number)
);
comment on table audit_tile is 'append-only: full tiles of the Merkle tree, as in C2SP tlog-tiles';
do $upgrade$
declare
  r record;
  n bigint := 0;
  leaf bytea;
  link bytea := sha256(convert_to(E'nimbus audit chain v2\n' || '{{tenant}}'::uuid::text, 'UTF8'));
begin
  for r in select l.*, a.body, convert_from(a.body, 'UTF8')::jsonb as j from audit_link l join audit_record a on a.id = l.record_id order by l.sequence loop
    n := n + 1;
    leaf := sha256('\x00'::bytea || r.body);
    link := sha256('\x02'::bytea || link || int8send(n) || leaf);
    insert into audit_entry (sequence, record_id, leaf, link, horizon, sealed_at, time, event, outcome, priority, actor_id, actor_kind,
        actor_name, target_kind, target_id, target_name, address, request_id)
      values (n, r.record_id, leaf, link, r.horizon, r.sealed_at, (r.j ->> 'time')::timestamptz, r.j ->> 'event', r.j ->> 'outcome',
        r.j ->> 'priority', (r.j -> 'actor' ->> 'id')::uuid, r.j -> 'actor' ->> 'kind', r.j -> 'actor' ->> 'name',
        r.j -> 'target' ->> 'kind', coalesce(r.j -> 'target' ->> 'id', ''), coalesce(r.j -> 'target' ->> 'name', ''),
        coalesce(r.j -> 'actor' ->> 'address', ''), coalesce(r.j -> 'actor' ->> 'request_id', ''));
  end loop;
end $upgrade$;
drop table audit_link;
alter table audit_record drop column time, drop column outcome, drop column priority, drop column actor_id, drop column actor_name,
  drop column target_kind, drop column target_id;
