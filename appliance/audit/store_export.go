package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/db"
	"nimbus/appliance/id"
)

// exportsShown is how many exports a list has at most: they expire.
const exportsShown = 200

const exportColumns = `select id, state, format, filter, records, position, total, bytes, sha256, error, created_by, creator, created_at, expires_at, include_archive from audit_export`

func scanExport(row pgx.CollectableRow) (Export, error) {
	var e Export
	var filter []byte
	err := row.Scan(&e.ID, &e.State, &e.Format, &filter, &e.Records, &e.Position, &e.Total, &e.Bytes, &e.SHA256, &e.Error,
		&e.CreatedBy, &e.Creator, &e.CreatedAt, &e.ExpiresAt, &e.WithArchive)
	if err != nil {
		return e, err
	}
	return e, json.Unmarshal(filter, &e.Filter)
}

func (store) addExport(ctx context.Context, e Export) error {
	filter, err := json.Marshal(e.Filter)
	if err != nil {
		return err
	}
	_, err = db.Tx(ctx).Exec(ctx, `insert into audit_export (id, format, filter, created_by, creator, created_at, expires_at, include_archive) values ($1, $2, $3, $4, $5, $6, $7, $8)`,
		e.ID, e.Format, filter, e.CreatedBy, e.Creator, e.CreatedAt, e.ExpiresAt, e.WithArchive)
	return err
}

// exports lists those of an owner, or all when there is none.
func (store) exports(ctx context.Context, owner id.ID) ([]Export, error) {
	rows, _ := db.Tx(ctx).Query(ctx, exportColumns+` where $1 or created_by = $2 order by created_at desc limit `+fmt.Sprint(exportsShown), owner.IsZero(), owner)
	return pgx.CollectRows(rows, scanExport)
}

func (store) export(ctx context.Context, export id.ID) (Export, error) {
	rows, _ := db.Tx(ctx).Query(ctx, exportColumns+` where id = $1`, export)
	return pgx.CollectExactlyOneRow(rows, scanExport)
}

func (store) exportProgress(ctx context.Context, e Export) error {
	_, err := db.Tx(ctx).Exec(ctx, `update audit_export set records = $2, position = $3, total = $4, bytes = $5, sha256 = $6 where id = $1`,
		e.ID, e.Records, e.Position, e.Total, e.Bytes, e.SHA256)
	return err
}

// endExport reports whether it was running until now.
func (store) endExport(ctx context.Context, export id.ID, end exportEnd) (bool, error) {
	done, err := db.Tx(ctx).Exec(ctx, `update audit_export set state = $2, error = $3 where id = $1 and state = 'running'`, export, end.State, end.Error)
	return done.RowsAffected() > 0, err
}

func (store) forgetExport(ctx context.Context, export id.ID) error {
	_, err := db.Tx(ctx).Exec(ctx, `delete from audit_export where id = $1`, export)
	return err
}

// following returns matching records after a sequence number, up to last, the
// oldest first, as many as fit a batch, and up to where there are no others.
func (st store) following(ctx context.Context, f Filter, after, last int64, limit int) (found []Sealed, upTo int64, err error) {
	f.After, f.Before = after, last+1
	t, err := st.terms(ctx, f)
	if err != nil || t.none {
		return nil, last, err
	}
	from, args := t.from(page{"asc", limit})
	rows, _ := db.Tx(ctx).Query(ctx, from, args...)
	sequences, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, 0, err
	}
	fit, upTo, err := st.fitting(ctx, sequences, last, limit, streamBytes)
	if err != nil {
		return nil, 0, err
	}
	found, err = st.read(ctx, fit)
	slices.Reverse(found)
	return found, upTo, err
}
