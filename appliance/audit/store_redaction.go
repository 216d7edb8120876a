package audit

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"nimbus/appliance/db"
)

func (store) redaction(ctx context.Context) ([]RedactionRule, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select id, name, kind, match, scope, enabled from audit_redaction_rule order by position`)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[RedactionRule])
}

// lockedRedaction reads the rules while nobody else replaces them.
func (st store) lockedRedaction(ctx context.Context) ([]RedactionRule, error) {
	_, err := db.Tx(ctx).Exec(ctx, `select pg_advisory_xact_lock(hashtextextended('audit redaction ' || current_schema(), 0))`)
	if err != nil {
		return nil, err
	}
	return st.redaction(ctx)
}

func (store) replaceRedaction(ctx context.Context, rules []RedactionRule) error {
	n := len(rules)
	ids, names, kinds := make([]pgtype.UUID, n), make([]string, n), make([]string, n)
	matches, scopes, enabled := make([]string, n), make([]string, n), make([]bool, n)
	for i, r := range rules {
		ids[i], names[i], kinds[i] = pgtype.UUID{Bytes: r.ID, Valid: true}, r.Name, string(r.Kind)
		matches[i], scopes[i], enabled[i] = r.Match, r.Scope, r.Enabled
	}
	if _, err := db.Tx(ctx).Exec(ctx, `delete from audit_redaction_rule`); err != nil {
		return err
	}
	_, err := db.Tx(ctx).Exec(ctx, `insert into audit_redaction_rule (id, name, kind, match, scope, enabled, position)
		select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::boolean[]) with ordinality`,
		ids, names, kinds, matches, scopes, enabled)
	return err
}
