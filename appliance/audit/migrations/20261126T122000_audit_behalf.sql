-- core
alter table audit_entry add column behalf_id uuid, add column behalf_kind text not null default '', add column behalf_name text not null default '';
create index audit_entry_behalf on audit_entry (behalf_id, sequence) where behalf_id is not null;
create index audit_entry_behalf_name on audit_entry (behalf_name, sequence) where behalf_name > '';
alter table audit_archive_state add column waiting bigint not null default 0, add column waits_for text[] not null default '{}';
create function audit_over(lowest bigint, highest bigint) returns setof bigint
language sql stable set search_path from current as $over$
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
      and (h.actor = '' or e.actor_id::text = lower(h.actor) or strpos(lower(e.actor_name), lower(h.actor)) > 0
        or e.behalf_id::text = lower(h.actor) or strpos(lower(e.behalf_name), lower(h.actor)) > 0)
      and (h.target = '' or e.target_id = h.target)
      and (h.event = '' or e.event = h.event or starts_with(e.event, h.event || '.')))
$over$;
comment on function audit_over is 'the records whose retention is over and that no hold keeps';
create or replace function audit_due(lowest bigint, highest bigint) returns setof bigint
language sql stable set search_path from current as $due$
  select o from audit_over(lowest, highest) o where o <= coalesce((select min(cursor) from audit_sink where enabled), highest)
$due$;
comment on function audit_due is 'the records that may go: their retention is over, no hold keeps them, and every enabled sink was given them';
revoke all on function audit_over(bigint, bigint) from public;
grant execute on function audit_over(bigint, bigint) to nimbus_core;
create table audit_thinned (
  number      bigint  primary key, -- of a tile of 256 records
  gone        integer not null, -- how many of its records were pruned
  link_before bytea,            -- of the record before its first; null: there is none
  link_after  bytea   not null  -- of its last record
);
comment on table audit_thinned is 'append-only: tiles of which records were pruned, with the links that the chain had around them';
do $upgrade$
declare
  t record;
  ahead bytea;
  head bytea := sha256(convert_to(E'nimbus audit chain v2\n' || 'provider', 'UTF8'));
begin
  if not exists (select from audit_pruning) then
    return;
  end if;
  for t in select number, hashes from audit_tile where level = 0 order by number loop
    ahead := head;
    for n in 0..255 loop
      head := sha256('\x02'::bytea || head || int8send(t.number * 256 + n + 1) || substr(t.hashes, 32 * n + 1, 32));
    end loop;
    insert into audit_thinned (number, gone, link_before, link_after)
      select t.number, 256 - count(*), case when t.number > 0 then ahead end, head from audit_entry
      where sequence > t.number * 256 and sequence <= t.number * 256 + 256 having count(*) < 256;
  end loop;
end $upgrade$;
create or replace function audit_prune(told uuid) returns bigint
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
  insert into audit_thinned as t (number, gone, link_before, link_after)
    select a.number, a.gone,
      coalesce((select e.link from audit_entry e where e.sequence = a.number * 256), (select p.link_after from audit_thinned p where p.number = a.number - 1)),
      coalesce((select e.link from audit_entry e where e.sequence = a.number * 256 + 256), (select p.link_after from audit_thinned p where p.number = a.number))
    from (select (n - 1) / 256 as number, count(*) as gone from unnest(asked) n group by 1) a
    on conflict (number) do update set gone = t.gone + excluded.gone;
  delete from audit_word where sequence = any (asked);
  with gone as (delete from audit_entry where sequence = any (asked) returning record_id)
    delete from audit_record where id in (select record_id from gone);
  insert into audit_pruning (record_id, segment_id, records) values (told, segment.id, found_n);
  return found_n;
end $prune$;
-- tenant
alter table audit_entry add column behalf_id uuid, add column behalf_kind text not null default '', add column behalf_name text not null default '';
create index audit_entry_behalf on audit_entry (behalf_id, sequence) where behalf_id is not null;
create index audit_entry_behalf_name on audit_entry (behalf_name, sequence) where behalf_name > '';
alter table audit_archive_state add column waiting bigint not null default 0, add column waits_for text[] not null default '{}';
create function audit_over(lowest bigint, highest bigint) returns setof bigint
language sql stable set search_path from current as $over$
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
      and (h.actor = '' or e.actor_id::text = lower(h.actor) or strpos(lower(e.actor_name), lower(h.actor)) > 0
        or e.behalf_id::text = lower(h.actor) or strpos(lower(e.behalf_name), lower(h.actor)) > 0)
      and (h.target = '' or e.target_id = h.target)
      and (h.event = '' or e.event = h.event or starts_with(e.event, h.event || '.')))
$over$;
comment on function audit_over is 'the records whose retention is over and that no hold keeps';
create or replace function audit_due(lowest bigint, highest bigint) returns setof bigint
language sql stable set search_path from current as $due$
  select o from audit_over(lowest, highest) o where o <= coalesce((select min(cursor) from audit_sink where enabled), highest)
$due$;
comment on function audit_due is 'the records that may go: their retention is over, no hold keeps them, and every enabled sink was given them';
revoke all on function audit_over(bigint, bigint) from public;
grant execute on function audit_over(bigint, bigint) to tenant_{{tenant}};
create table audit_thinned (
  tenant_id   uuid    not null default '{{tenant}}',
  number      bigint  primary key, -- of a tile of 256 records
  gone        integer not null, -- how many of its records were pruned
  link_before bytea,            -- of the record before its first; null: there is none
  link_after  bytea   not null  -- of its last record
);
comment on table audit_thinned is 'append-only: tiles of which records were pruned, with the links that the chain had around them';
do $upgrade$
declare
  t record;
  ahead bytea;
  head bytea := sha256(convert_to(E'nimbus audit chain v2\n' || '{{tenant}}', 'UTF8'));
begin
  if not exists (select from audit_pruning) then
    return;
  end if;
  for t in select number, hashes from audit_tile where level = 0 order by number loop
    ahead := head;
    for n in 0..255 loop
      head := sha256('\x02'::bytea || head || int8send(t.number * 256 + n + 1) || substr(t.hashes, 32 * n + 1, 32));
    end loop;
    insert into audit_thinned (number, gone, link_before, link_after)
      select t.number, 256 - count(*), case when t.number > 0 then ahead end, head from audit_entry
      where sequence > t.number * 256 and sequence <= t.number * 256 + 256 having count(*) < 256;
  end loop;
end $upgrade$;
create or replace function audit_prune(told uuid) returns bigint
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
  insert into audit_thinned as t (number, gone, link_before, link_after)
    select a.number, a.gone,
      coalesce((select e.link from audit_entry e where e.sequence = a.number * 256), (select p.link_after from audit_thinned p where p.number = a.number - 1)),
      coalesce((select e.link from audit_entry e where e.sequence = a.number * 256 + 256), (select p.link_after from audit_thinned p where p.number = a.number))
    from (select (n - 1) / 256 as number, count(*) as gone from unnest(asked) n group by 1) a
    on conflict (number) do update set gone = t.gone + excluded.gone;
  delete from audit_word where sequence = any (asked);
  with gone as (delete from audit_entry where sequence = any (asked) returning record_id)
    delete from audit_record where id in (select record_id from gone);
  insert into audit_pruning (record_id, segment_id, records) values (told, segment.id, found_n);
  return found_n;
end $prune$;
