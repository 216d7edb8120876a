package cmdb

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/db"
	"nimbus/appliance/id"
)

// store is the SQL of this domain. It works in a tenant's transaction.
type store struct{}

// lock takes the connection's collection row for this transaction and tells
// when the newest collection began (zero: never).
func (store) lock(ctx context.Context, connection id.ID) (time.Time, error) {
	var taken time.Time
	err := db.Tx(ctx).QueryRow(ctx, `insert into ci_collection (connection_id, taken_at, stale) values ($1, 'epoch', true)
		on conflict (connection_id) do update set stale = ci_collection.stale returning taken_at`, connection).Scan(&taken)
	return taken, err
}

func (store) collected(ctx context.Context, connection id.ID, taken time.Time) error {
	_, err := db.Tx(ctx).Exec(ctx, `update ci_collection set taken_at = $2, stale = false where connection_id = $1`, connection, taken)
	return err
}

func (store) stale(ctx context.Context, connection id.ID) error {
	_, err := db.Tx(ctx).Exec(ctx, `update ci_collection set stale = true where connection_id = $1`, connection)
	return err
}

func (store) present(ctx context.Context, connection id.ID) ([]present, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select id, kind, key, node, marks from ci where connection_id = $1 and deleted_at is null`, connection)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[present])
}

// write applies a plan in at most four statements, whatever its size. Removals
// come first: they free the keys that insertions take.
func (s store) write(ctx context.Context, p plan, snap Snapshot) error {
	if err := s.remove(ctx, p.remove, snap.TakenAt); err != nil {
		return err
	}
	if err := s.update(ctx, p.update, snap.TakenAt); err != nil {
		return err
	}
	if err := s.insert(ctx, p.insert, snap); err != nil {
		return err
	}
	if len(p.stale) == 0 {
		return nil
	}
	_, err := db.Tx(ctx).Exec(ctx, `update ci set stale = true, status = $3, collected_at = $2 where id = any($1::uuid[])`,
		texts(p.stale), snap.TakenAt, StatusUnknown)
	return err
}

func (store) remove(ctx context.Context, gone []removal, at time.Time) error {
	if len(gone) == 0 {
		return nil
	}
	ids, reasons := make([]string, len(gone)), make([]string, len(gone))
	for i, g := range gone {
		ids[i], reasons[i] = g.ID.String(), g.Because
	}
	_, err := db.Tx(ctx).Exec(ctx, `update ci set deleted_at = $3, deleted_because = r.because
		from unnest($1::uuid[], $2::text[]) as r (id, because) where ci.id = r.id`, ids, reasons, at)
	return err
}

const recordset = `jsonb_to_recordset($1::jsonb) as r (id uuid, kind text, key text, name text, node text, status text,
	properties jsonb, managed boolean, stack_id uuid, marks text[], silent boolean)`

// update keeps the marks that were read earlier when this collection read none.
func (store) update(ctx context.Context, observed []observation, at time.Time) error {
	if len(observed) == 0 {
		return nil
	}
	rows, err := records(observed)
	if err != nil {
		return err
	}
	_, err = db.Tx(ctx).Exec(ctx, `update ci set name = r.name, node = r.node, status = r.status, properties = r.properties,
		managed = r.managed, stack_id = r.stack_id, stale = false, collected_at = $2, last_seen_at = $2,
		marks = case when cardinality(r.marks) = 0 then ci.marks else r.marks end,
		marks_read_at = case when cardinality(r.marks) = 0 then ci.marks_read_at else $2 end
		from `+recordset+` where ci.id = r.id`, rows, at)
	return err
}

func (store) insert(ctx context.Context, observed []observation, snap Snapshot) error {
	if len(observed) == 0 {
		return nil
	}
	rows, err := records(observed)
	if err != nil {
		return err
	}
	_, err = db.Tx(ctx).Exec(ctx, `insert into ci (id, connection_id, kind, key, name, node, status, properties, managed, stack_id,
		marks, marks_read_at, stale, collected_at, first_seen_at, last_seen_at)
		select r.id, $3, r.kind, r.key, r.name, r.node, r.status, r.properties, r.managed, r.stack_id,
		r.marks, case when cardinality(r.marks) > 0 then $2::timestamptz end, r.silent, $2, $2, $2 from `+recordset,
		rows, snap.TakenAt, snap.ConnectionID)
	return err
}

// record is an observation as jsonb_to_recordset reads it.
type record struct {
	ID         id.ID          `json:"id"`
	Kind       Kind           `json:"kind"`
	Key        string         `json:"key"`
	Name       string         `json:"name"`
	Node       string         `json:"node"`
	Status     string         `json:"status"`
	Properties map[string]any `json:"properties"`
	Managed    bool           `json:"managed"`
	StackID    *id.ID         `json:"stack_id"`
	Marks      []string       `json:"marks"`
	Silent     bool           `json:"silent"`
}

func records(observed []observation) (string, error) {
	rows := make([]record, len(observed))
	for i, o := range observed {
		rows[i] = record{
			ID: o.ID, Kind: o.Kind, Key: clean(o.Key), Name: clean(o.Name), Node: clean(o.Node), Status: clean(o.Status),
			Properties: cleanMap(o.Properties), Managed: o.Managed, Marks: append([]string{}, o.Marks...), Silent: o.Silent,
		}
		if !o.StackID.IsZero() {
			rows[i].StackID = &o.StackID
		}
	}
	raw, err := json.Marshal(rows)
	return string(raw), err
}

// clean drops NUL, the one character that Postgres cannot store.
func clean(text string) string { return strings.ReplaceAll(text, "\x00", "") }

func cleanMap(properties map[string]any) map[string]any {
	out := make(map[string]any, len(properties))
	for k, v := range properties {
		if text, ok := v.(string); ok {
			v = clean(text)
		}
		out[clean(k)] = v
	}
	return out
}

func texts(ids []id.ID) []string {
	out := make([]string, len(ids))
	for i, v := range ids {
		out[i] = v.String()
	}
	return out
}

// forget removes everything behind a connection.
func (store) guestUsage(ctx context.Context) (guests, cores, memory, disk int64, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `select count(*), coalesce(sum((properties->>'cores')::numeric), 0)::bigint,
		coalesce(sum((properties->>'memory_bytes')::numeric), 0)::bigint, coalesce(sum((properties->>'disk_bytes')::numeric), 0)::bigint
		from ci where kind in ('vm', 'container') and managed and deleted_at is null`).Scan(&guests, &cores, &memory, &disk)
	return guests, cores, memory, disk, err
}

func (store) forget(ctx context.Context, connection id.ID, because string) ([]id.ID, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `update ci set deleted_at = now(), deleted_because = $2
		where connection_id = $1 and deleted_at is null returning id`, connection, because)
	ids, err := pgx.CollectRows(rows, pgx.RowTo[id.ID])
	if err != nil {
		return nil, err
	}
	_, err = db.Tx(ctx).Exec(ctx, `delete from ci_collection where connection_id = $1`, connection)
	return ids, err
}

func (store) known(ctx context.Context, connection id.ID) (map[string]Known, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select key, name, marks, coalesce(marks_read_at, 'epoch') from ci
		where connection_id = $1 and kind in ('vm', 'container') and deleted_at is null`, connection)
	known := map[string]Known{}
	var key string
	var k Known
	_, err := pgx.ForEachRow(rows, []any{&key, &k.Name, &k.Marks, &k.MarksReadAt}, func() error {
		known[key] = k
		k.Marks = nil
		return nil
	})
	return known, err
}

const itemColumns = `ci.id, ci.connection_id, ci.kind, ci.key, ci.name, ci.node, ci.status, ci.managed, ci.stack_id,
	ci.properties, ci.collected_at, ci.first_seen_at, ci.last_seen_at,
	ci.stale or coalesce(c.stale, true) or c.taken_at < now() - $1::interval`

func scanItem(row pgx.CollectableRow) (Item, error) {
	var i Item
	err := row.Scan(&i.ID, &i.ConnectionID, &i.Kind, &i.Key, &i.Name, &i.Node, &i.Status, &i.Managed, &i.StackID,
		&i.Properties, &i.CollectedAt, &i.FirstSeenAt, &i.LastSeenAt, &i.Stale)
	i.CollectedAt, i.FirstSeenAt, i.LastSeenAt = i.CollectedAt.UTC(), i.FirstSeenAt.UTC(), i.LastSeenAt.UTC()
	return i, err
}

// list reads one item more than the limit, to know whether there is a next page.
func (store) list(ctx context.Context, f Filter, after position) ([]Item, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select `+itemColumns+` from ci left join ci_collection c using (connection_id)
		where ci.deleted_at is null
		and ($2 = '' or ci.kind = $2) and ($3::uuid is null or ci.connection_id = $3) and ($4 = '' or ci.status = $4)
		and ($5 = '' or ci.node = $5) and ($6 = '' or ci.name ilike $6 or ci.key ilike $6)
		and ($7::uuid is null or (ci.kind, ci.name, ci.id) > ($8, $9, $7))
		order by ci.kind, ci.name, ci.id limit $10`,
		StaleAfter, string(f.Kind), f.ConnectionID, f.Status, f.Node, pattern(f.Text), after.ID, string(after.Kind), after.Name, f.Limit+1)
	return pgx.CollectRows(rows, scanItem)
}

// pattern is the LIKE pattern of "contains text".
func pattern(text string) string {
	if text == "" {
		return ""
	}
	return "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(clean(text)) + "%"
}

// age tells the oldest collection among the connections asked about.
func (store) age(ctx context.Context, connection id.ID) (oldest time.Time, stale bool, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `select coalesce(min(taken_at), 'epoch'), coalesce(bool_or(stale or taken_at < now() - $1::interval), true)
		from ci_collection where $2::uuid is null or connection_id = $2`, StaleAfter, connection).Scan(&oldest, &stale)
	if oldest.Unix() == 0 {
		return time.Time{}, stale, err
	}
	return oldest.UTC(), stale, err
}

func (store) get(ctx context.Context, item id.ID) (Item, *time.Time, string, error) {
	var gone *time.Time
	var because *string
	err := db.Tx(ctx).QueryRow(ctx, `select deleted_at, deleted_because from ci where id = $1`, item).Scan(&gone, &because)
	if err != nil {
		return Item{}, nil, "", err
	}
	rows, _ := db.Tx(ctx).Query(ctx, `select `+itemColumns+` from ci left join ci_collection c using (connection_id) where ci.id = $2`, StaleAfter, item)
	i, err := pgx.CollectExactlyOneRow(rows, scanItem)
	if gone == nil {
		return i, nil, "", err
	}
	return i, gone, *because, err
}

func (store) byKey(ctx context.Context, connection id.ID, key string) (Item, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select `+itemColumns+` from ci left join ci_collection c using (connection_id)
		where ci.connection_id = $2 and ci.key = $3 and ci.deleted_at is null`, StaleAfter, connection, key)
	return pgx.CollectExactlyOneRow(rows, scanItem)
}
