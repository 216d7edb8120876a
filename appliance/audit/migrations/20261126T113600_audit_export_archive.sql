-- core
alter table audit_export add column include_archive boolean not null default false;
-- tenant
alter table audit_export add column include_archive boolean not null default false;
