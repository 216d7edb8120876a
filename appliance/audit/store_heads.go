package audit

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/db"
)

// linkAt is the link of one record; nil when there is none.
func (store) linkAt(ctx context.Context, sequence int64) (link []byte, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `select link from audit_entry where sequence = $1`, sequence).Scan(&link)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return link, err
}
