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
