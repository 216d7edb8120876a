-- core
create index audit_entry_event on audit_entry (event, sequence);
create index audit_entry_actor on audit_entry (actor_id, sequence);
create index audit_entry_name on audit_entry (actor_name, sequence);
create index audit_entry_target on audit_entry (target_id, sequence);
create index audit_entry_address on audit_entry (address, sequence);
create index audit_entry_request on audit_entry (request_id, sequence);
create index audit_entry_sealed on audit_entry (sealed_at, sequence);
create index audit_entry_outcome on audit_entry (outcome, sequence) where outcome <> 'success';
create index audit_entry_priority on audit_entry (priority, sequence) where priority in ('warning', 'error', 'critical');
create table audit_word (
  sequence  bigint   primary key,
  words     tsvector not null
);
comment on table audit_word is 'append-only: the words of sealed records, for full-text search; filled behind the sealer';
create index audit_word_words on audit_word using gin (words);
-- tenant
create index audit_entry_event on audit_entry (event, sequence);
create index audit_entry_actor on audit_entry (actor_id, sequence);
create index audit_entry_name on audit_entry (actor_name, sequence);
create index audit_entry_target on audit_entry (target_id, sequence);
create index audit_entry_address on audit_entry (address, sequence);
create index audit_entry_request on audit_entry (request_id, sequence);
create index audit_entry_sealed on audit_entry (sealed_at, sequence);
create index audit_entry_outcome on audit_entry (outcome, sequence) where outcome <> 'success';
create index audit_entry_priority on audit_entry (priority, sequence) where priority in ('warning', 'error', 'critical');
create table audit_word (
  tenant_id uuid     not null default '{{tenant}}',
  sequence  bigint   primary key,
  words     tsvector not null
);
comment on table audit_word is 'append-only: the words of sealed records, for full-text search; filled behind the sealer';
create index audit_word_words on audit_word using gin (words);
