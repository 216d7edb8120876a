package notification

import (
	"context"
	"embed"
	"errors"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/db"
)

// Migrations holds the tables of this domain.
//
//go:embed migrations/*.sql
var Migrations embed.FS

type store struct{}

// mail returns the settings and the sealed password; zero when there are none.
func (store) mail(ctx context.Context) (m Mail, sealed []byte, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `select host, port, security, username, password, from_address, from_name from mail_settings`).
		Scan(&m.Host, &m.Port, &m.Security, &m.Username, &sealed, &m.FromAddress, &m.FromName)
	if errors.Is(err, pgx.ErrNoRows) {
		return Mail{Port: 587, Security: StartTLS}, nil, nil
	}
	m.HasPassword = sealed != nil
	return m, sealed, err
}

func (store) removeMail(ctx context.Context) error {
	_, err := db.Tx(ctx).Exec(ctx, `delete from mail_settings`)
	return err
}

func (store) setMail(ctx context.Context, m Mail, sealed []byte) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into mail_settings (host, port, security, username, password, from_address, from_name)
		values ($1, $2, $3, $4, $5, $6, $7) on conflict (one) do update set host = excluded.host, port = excluded.port,
		security = excluded.security, username = excluded.username, password = excluded.password,
		from_address = excluded.from_address, from_name = excluded.from_name, updated_at = now()`,
		m.Host, m.Port, m.Security, m.Username, sealed, m.FromAddress, m.FromName)
	return err
}
