-- core
create table audit_archive_target (
  id          uuid        primary key,
  kind        text        not null check (kind in ('directory', 's3')),
  settings    jsonb       not null,
  secret      bytea, -- sealed
  current     boolean     not null, -- the others are kept for the segments in them
  created_at  timestamptz not null default now(),
  updated_at  timestamptz not null default now()
);
create unique index audit_archive_target_current on audit_archive_target (current) where current;
create table audit_archive_state (
  only_row    boolean     primary key default true check (only_row),
  ran_at      timestamptz not null,
  failed_at   timestamptz, -- null: the last run did what it should
  error       text        not null default ''
);
create table audit_segment (
  id          uuid        primary key,
  first       bigint      not null unique check ((first - 1) % 256 = 0),
  last        bigint      not null unique check (last % 256 = 0 and last > first),
  bytes       bigint      not null,
  plain       bigint      not null, -- bytes when decompressed
  key         text        not null,
  sha256      text        not null,
  target_id   uuid        not null,
  created_at  timestamptz not null default now()
);
comment on table audit_segment is 'append-only: ranges of the chain that are in an archive';
create table audit_segment_check (
  segment_id  uuid        not null,
  at          timestamptz not null default clock_timestamp(),
  error       text        not null, -- empty: it was read back and found whole
  primary key (segment_id, at)
);
comment on table audit_segment_check is 'append-only: when segments were read back';
create table audit_pruning (
  record_id   uuid        primary key, -- of the record that tells of it
  segment_id  uuid        not null,
  records     bigint      not null,
  at          timestamptz not null default now()
);
comment on table audit_pruning is 'append-only: what audit_prune did';
create index audit_pruning_segment on audit_pruning (segment_id);
create table audit_retention (
  only_row           boolean     primary key default true check (only_row),
  default_days       integer     check (default_days between 1 and 36500), -- null: for ever
  archive_after_days integer     not null check (archive_after_days between 1 and 36500),
  prune_enabled      boolean     not null,
  updated_at         timestamptz not null default now()
);
create table audit_retention_rule (
  event       text        primary key, -- a code, or the beginning of codes up to a dot
  days        integer     check (days between 1 and 36500)
);
create table audit_hold (
  id             uuid        primary key,
  name           text        not null,
  reason         text        not null,
  from_sequence  bigint,
  to_sequence    bigint,
  from_time      timestamptz,
  to_time        timestamptz, -- not included
  actor          text        not null default '',
  target         text        not null default '',
  event          text        not null default '',
  created_by     uuid,
  creator        text        not null,
  created_at     timestamptz not null default now(),
  released_at    timestamptz,
  released_by    uuid,
  releaser       text        not null default '',
  release_reason text        not null default ''
);
create function audit_due(lowest bigint, highest bigint) returns setof bigint
language sql stable set search_path from current as $due$
  select e.sequence
  from audit_entry e
  cross join audit_retention k
  left join lateral (select true as found, r.days from audit_retention_rule r
    where e.event = r.event or starts_with(e.event, r.event || '.') order by length(r.event) desc limit 1) rule on true
  cross join lateral (select now() - make_interval(days => case when rule.found then rule.days else k.default_days end) as at) kept
  where e.sequence between lowest and highest
    and k.prune_enabled
    and e.time < kept.at and e.sealed_at < kept.at -- null when it is kept for ever
    and e.event <> 'audit.records.pruned' -- without it the others were missing
    and e.sequence < (select max(sequence) from audit_entry) -- the chain goes on from its last entry
    and exists (select from audit_tile t where t.level = 0 and t.number = (e.sequence - 1) / 256)
    and not exists (select from audit_hold h where h.released_at is null
      and (h.from_sequence is null or e.sequence >= h.from_sequence)
      and (h.to_sequence is null or e.sequence <= h.to_sequence)
      and (h.from_time is null or e.time >= h.from_time)
      and (h.to_time is null or e.time < h.to_time)
      and (h.actor = '' or e.actor_id::text = lower(h.actor) or strpos(lower(e.actor_name), lower(h.actor)) > 0)
      and (h.target = '' or e.target_id = h.target)
      and (h.event = '' or e.event = h.event or starts_with(e.event, h.event || '.')))
$due$;
comment on function audit_due is 'the records whose retention is over and that nothing holds';
create function audit_prune(told uuid) returns bigint
language plpgsql security definer set search_path from current as $prune$
declare
  details jsonb;
  segment audit_segment;
  asked   bigint[];
  found_n bigint;
begin
  perform pg_advisory_xact_lock(hashtextextended('audit life ' || current_schema(), 0));
  select convert_from(body, 'UTF8')::jsonb -> 'details' into details from audit_record
    where id = told and event = 'audit.records.pruned' and xid = pg_current_xact_id();
  if not found then
    raise exception 'Nothing is pruned without a record of it in the same transaction.';
  end if;
  select * into segment from audit_segment where id = (details ->> 'segment')::uuid and sha256 = details ->> 'sha256';
  if not found then
    raise exception 'What is pruned must be in a segment of the archive.';
  end if;
  if not coalesce((select c.error = '' and c.at between now() - interval '1 day' and clock_timestamp() from audit_segment_check c
      where c.segment_id = segment.id order by c.at desc limit 1), false) then
    raise exception 'The segment of records % to % was not read back and found whole within a day.', segment.first, segment.last;
  end if;
  if exists (select from jsonb_array_elements(details -> 'ranges') r
      where not coalesce(jsonb_array_length(r) = 2 and (r ->> 0)::bigint >= segment.first and (r ->> 1)::bigint <= segment.last
        and (r ->> 0)::bigint <= (r ->> 1)::bigint, false)) then
    raise exception 'The ranges are not in the segment of records % to %.', segment.first, segment.last;
  end if;
  select array_agg(n) into asked from jsonb_array_elements(details -> 'ranges') r, generate_series((r ->> 0)::bigint, (r ->> 1)::bigint) n;
  select count(distinct d) into found_n
    from audit_due(segment.first, segment.last) d
    join audit_entry e on e.sequence = d
    join audit_record r on r.id = e.record_id and r.event = e.event
    join audit_tile t on t.level = 0 and t.number = (d - 1) / 256
    join unnest(asked) a (n) on a.n = d
    where sha256('\x00'::bytea || r.body) = e.leaf
      and substr(t.hashes, (32 * ((d - 1) % 256) + 1)::int, 32) = e.leaf;
  if asked is null or found_n <> cardinality(asked) then
    raise exception 'Of % records % may be pruned: the others are missing, changed, held, or to be kept longer.', coalesce(cardinality(asked), 0), found_n;
  end if;
  delete from audit_word where sequence = any (asked);
  with gone as (delete from audit_entry where sequence = any (asked) returning record_id)
    delete from audit_record where id in (select record_id from gone);
  insert into audit_pruning (record_id, segment_id, records) values (told, segment.id, found_n);
  return found_n;
end $prune$;
comment on function audit_prune is 'the only way by which records go: those that a record of this transaction tells of';
revoke all on function audit_due(bigint, bigint), audit_prune(uuid) from public;
grant execute on function audit_due(bigint, bigint), audit_prune(uuid) to nimbus_core;
-- tenant
create table audit_archive_target (
  tenant_id   uuid        not null default '{{tenant}}',
  id          uuid        primary key,
  kind        text        not null check (kind in ('directory', 's3')),
  settings    jsonb       not null,
  secret      bytea, -- sealed
  current     boolean     not null, -- the others are kept for the segments in them
  created_at  timestamptz not null default now(),
  updated_at  timestamptz not null default now()
);
create unique index audit_archive_target_current on audit_archive_target (current) where current;
create table audit_archive_state (
  tenant_id   uuid        not null default '{{tenant}}',
  only_row    boolean     primary key default true check (only_row),
  ran_at      timestamptz not null,
  failed_at   timestamptz, -- null: the last run did what it should
  error       text        not null default ''
);
create table audit_segment (
  tenant_id   uuid        not null default '{{tenant}}',
  id          uuid        primary key,
  first       bigint      not null unique check ((first - 1) % 256 = 0),
  last        bigint      not null unique check (last % 256 = 0 and last > first),
  bytes       bigint      not null,
  plain       bigint      not null, -- bytes when decompressed
  key         text        not null,
  sha256      text        not null,
  target_id   uuid        not null,
  created_at  timestamptz not null default now()
);
comment on table audit_segment is 'append-only: ranges of the chain that are in an archive';
create table audit_segment_check (
  tenant_id   uuid        not null default '{{tenant}}',
  segment_id  uuid        not null,
  at          timestamptz not null default clock_timestamp(),
  error       text        not null, -- empty: it was read back and found whole
  primary key (segment_id, at)
);
comment on table audit_segment_check is 'append-only: when segments were read back';
create table audit_pruning (
  tenant_id   uuid        not null default '{{tenant}}',
  record_id   uuid        primary key, -- of the record that tells of it
  segment_id  uuid        not null,
  records     bigint      not null,
  at          timestamptz not null default now()
);
comment on table audit_pruning is 'append-only: what audit_prune did';
create index audit_pruning_segment on audit_pruning (segment_id);
create table audit_retention (
  tenant_id   uuid        not null default '{{tenant}}',
  only_row           boolean     primary key default true check (only_row),
  default_days       integer     check (default_days between 1 and 36500), -- null: for ever
  archive_after_days integer     not null check (archive_after_days between 1 and 36500),
  prune_enabled      boolean     not null,
  updated_at         timestamptz not null default now()
);
create table audit_retention_rule (
  tenant_id   uuid        not null default '{{tenant}}',
  event       text        primary key, -- a code, or the beginning of codes up to a dot
  days        integer     check (days between 1 and 36500)
);
create table audit_hold (
  tenant_id   uuid        not null default '{{tenant}}',
  id             uuid        primary key,
  name           text        not null,
  reason         text        not null,
  from_sequence  bigint,
  to_sequence    bigint,
  from_time      timestamptz,
  to_time        timestamptz, -- not included
  actor          text        not null default '',
  target         text        not null default '',
  event          text        not null default '',
  created_by     uuid,
  creator        text        not null,
  created_at     timestamptz not null default now(),
  released_at    timestamptz,
  released_by    uuid,
  releaser       text        not null default '',
  release_reason text        not null default ''
);
create function audit_due(lowest bigint, highest bigint) returns setof bigint
language sql stable set search_path from current as $due$
  select e.sequence
  from audit_entry e
  cross join audit_retention k
  left join lateral (select true as found, r.days from audit_retention_rule r
    where e.event = r.event or starts_with(e.event, r.event || '.') order by length(r.event) desc limit 1) rule on true
  cross join lateral (select now() - make_interval(days => case when rule.found then rule.days else k.default_days end) as at) kept
  where e.sequence between lowest and highest
    and k.prune_enabled
    and e.time < kept.at and e.sealed_at < kept.at -- null when it is kept for ever
    and e.event <> 'audit.records.pruned' -- without it the others were missing
    and e.sequence < (select max(sequence) from audit_entry) -- the chain goes on from its last entry
    and exists (select from audit_tile t where t.level = 0 and t.number = (e.sequence - 1) / 256)
    and not exists (select from audit_hold h where h.released_at is null
      and (h.from_sequence is null or e.sequence >= h.from_sequence)
      and (h.to_sequence is null or e.sequence <= h.to_sequence)
      and (h.from_time is null or e.time >= h.from_time)
      and (h.to_time is null or e.time < h.to_time)
      and (h.actor = '' or e.actor_id::text = lower(h.actor) or strpos(lower(e.actor_name), lower(h.actor)) > 0)
      and (h.target = '' or e.target_id = h.target)
      and (h.event = '' or e.event = h.event or starts_with(e.event, h.event || '.')))
$due$;
comment on function audit_due is 'the records whose retention is over and that nothing holds';
create function audit_prune(told uuid) returns bigint
language plpgsql security definer set search_path from current as $prune$
declare
  details jsonb;
  segment audit_segment;
  asked   bigint[];
  found_n bigint;
begin
  perform pg_advisory_xact_lock(hashtextextended('audit life ' || current_schema(), 0));
  select convert_from(body, 'UTF8')::jsonb -> 'details' into details from audit_record
    where id = told and event = 'audit.records.pruned' and xid = pg_current_xact_id();
  if not found then
    raise exception 'Nothing is pruned without a record of it in the same transaction.';
  end if;
  select * into segment from audit_segment where id = (details ->> 'segment')::uuid and sha256 = details ->> 'sha256';
  if not found then
    raise exception 'What is pruned must be in a segment of the archive.';
  end if;
  if not coalesce((select c.error = '' and c.at between now() - interval '1 day' and clock_timestamp() from audit_segment_check c
      where c.segment_id = segment.id order by c.at desc limit 1), false) then
    raise exception 'The segment of records % to % was not read back and found whole within a day.', segment.first, segment.last;
  end if;
  if exists (select from jsonb_array_elements(details -> 'ranges') r
      where not coalesce(jsonb_array_length(r) = 2 and (r ->> 0)::bigint >= segment.first and (r ->> 1)::bigint <= segment.last
        and (r ->> 0)::bigint <= (r ->> 1)::bigint, false)) then
    raise exception 'The ranges are not in the segment of records % to %.', segment.first, segment.last;
  end if;
  select array_agg(n) into asked from jsonb_array_elements(details -> 'ranges') r, generate_series((r ->> 0)::bigint, (r ->> 1)::bigint) n;
  select count(distinct d) into found_n
    from audit_due(segment.first, segment.last) d
    join audit_entry e on e.sequence = d
    join audit_record r on r.id = e.record_id and r.event = e.event
    join audit_tile t on t.level = 0 and t.number = (d - 1) / 256
    join unnest(asked) a (n) on a.n = d
    where sha256('\x00'::bytea || r.body) = e.leaf
      and substr(t.hashes, (32 * ((d - 1) % 256) + 1)::int, 32) = e.leaf;
  if asked is null or found_n <> cardinality(asked) then
    raise exception 'Of % records % may be pruned: the others are missing, changed, held, or to be kept longer.', coalesce(cardinality(asked), 0), found_n;
  end if;
  delete from audit_word where sequence = any (asked);
  with gone as (delete from audit_entry where sequence = any (asked) returning record_id)
    delete from audit_record where id in (select record_id from gone);
  insert into audit_pruning (record_id, segment_id, records) values (told, segment.id, found_n);
  return found_n;
end $prune$;
comment on function audit_prune is 'the only way by which records go: those that a record of this transaction tells of';
revoke all on function audit_due(bigint, bigint), audit_prune(uuid) from public;
grant execute on function audit_due(bigint, bigint), audit_prune(uuid) to tenant_{{tenant}};
