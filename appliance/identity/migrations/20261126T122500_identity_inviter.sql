-- core
alter table invitation add column inviter_kind text not null default 'user', add column inviter_id uuid; -- null: only the name is known
