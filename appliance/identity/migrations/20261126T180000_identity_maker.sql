-- core
alter table api_token add column made_by uuid; -- of a service account's: the person who made it; null where that is not known
