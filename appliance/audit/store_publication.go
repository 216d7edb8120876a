package audit

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/db"
	"nimbus/appliance/id"
)

// defaultInterval is how often checkpoints are published when nobody chose.
const defaultInterval = 60

// unsigned tells whether there are records after the last checkpoint; with due
// also whether an enabled place does not have it.
func (store) unsigned(ctx context.Context, due bool) (wants bool, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `with newest as (select id, size from audit_checkpoint order by size desc, created_at desc limit 1)
		select coalesce((select max(sequence) from audit_entry), 0) > coalesce((select size from newest), 0)
		or $1 and exists (select from audit_publication_place p, newest n where p.enabled and not exists (
			select from audit_checkpoint_publication c where c.checkpoint_id = n.id and c.place_id = p.id and c.published_at is not null))`, due).Scan(&wants)
	return wants, err
}

func (store) publishing(ctx context.Context) (Publishing, error) {
	p := Publishing{IntervalMinutes: defaultInterval}
	err := db.Tx(ctx).QueryRow(ctx, `select interval_minutes from audit_publication`).Scan(&p.IntervalMinutes)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return p, err
	}
	rows, _ := db.Tx(ctx).Query(ctx, `select id, kind, enabled, settings, secret from audit_publication_place order by position`)
	p.Places, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (Place, error) {
		var place, is Place
		var settings []byte
		if err := row.Scan(&is.ID, &is.Kind, &is.Enabled, &settings, &is.sealed); err != nil {
			return place, err
		}
		err := json.Unmarshal(settings, &place)
		place.ID, place.Kind, place.Enabled, place.sealed = is.ID, is.Kind, is.Enabled, is.sealed
		place.HasSecret = len(is.sealed) > 0
		return place, err
	})
	return p, err
}

func (store) setPublishing(ctx context.Context, p Publishing) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into audit_publication (interval_minutes) values ($1)
		on conflict (only_row) do update set interval_minutes = excluded.interval_minutes, updated_at = now()`, p.IntervalMinutes)
	if err != nil {
		return err
	}
	if _, err := db.Tx(ctx).Exec(ctx, `delete from audit_publication_place`); err != nil {
		return err
	}
	for i, place := range p.Places {
		place.Secret = ""
		settings, err := json.Marshal(place)
		if err != nil {
			return err
		}
		_, err = db.Tx(ctx).Exec(ctx, `insert into audit_publication_place (id, kind, enabled, settings, secret, position) values ($1, $2, $3, $4, $5, $6)`,
			place.ID, place.Kind, place.Enabled, settings, place.sealed, i)
		if err != nil {
			return err
		}
	}
	return nil
}

// lastPublished is when each place got its last checkpoint; for ever in the
// future for those that have this one.
func (store) lastPublished(ctx context.Context, newest id.ID) (map[id.ID]time.Time, error) {
	rows, err := db.Tx(ctx).Query(ctx, `select place_id, case when bool_or(checkpoint_id = $1) then now() + interval '100 years' else max(published_at) end
		from audit_checkpoint_publication where published_at is not null group by place_id`, newest)
	if err != nil {
		return nil, err
	}
	found := map[id.ID]time.Time{}
	var place id.ID
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&place, &at}, func() error {
		found[place] = at
		return nil
	})
	return found, err
}

// placeFailed tells whether a place's last result was a failure.
func (store) placeFailed(ctx context.Context, place id.ID) (failed bool, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `select error <> '' from audit_checkpoint_publication where place_id = $1 order by updated_at desc limit 1`, place).Scan(&failed)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return failed, err
}

// setPublication keeps a result; one that succeeded before stays so.
func (store) setPublication(ctx context.Context, p Publication) (Publication, error) {
	err := db.Tx(ctx).QueryRow(ctx, `insert into audit_checkpoint_publication as c (checkpoint_id, place_id, place, attempts, published_at, error)
		values ($1, $2, $3, 1, case when $4 = '' then now() end, $4)
		on conflict (checkpoint_id, place_id) do update set place = excluded.place, attempts = c.attempts + 1, updated_at = now(),
			published_at = coalesce(excluded.published_at, c.published_at), error = excluded.error
		returning published_at`, p.CheckpointID, p.PlaceID, p.Place, p.Error).Scan(&p.At)
	return p, err
}

// publications adds to checkpoints where they were published.
func (store) publications(ctx context.Context, all []Checkpoint) error {
	ids := make([]string, len(all))
	at := map[id.ID]int{}
	for i, c := range all {
		ids[i], at[c.ID] = c.ID.String(), i
	}
	rows, _ := db.Tx(ctx).Query(ctx, `select checkpoint_id, place_id, place, published_at, error from audit_checkpoint_publication
		where checkpoint_id = any($1::uuid[]) order by place`, ids)
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Publication])
	for _, p := range found {
		i := at[p.CheckpointID]
		all[i].Published = append(all[i].Published, p)
	}
	return err
}
