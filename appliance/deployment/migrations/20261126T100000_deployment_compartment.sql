-- tenant
alter table stack add column compartment_id uuid;
alter table stack add foreign key (tenant_id, compartment_id) references compartment (tenant_id, id);
create index stack_compartment on stack (tenant_id, compartment_id) where compartment_id is not null;
