package audit

import (
	"context"
	"encoding/json"
	"time"

	"nimbus/appliance/db"
	"nimbus/appliance/id"
)

func (store) addVerification(ctx context.Context, r VerificationRun) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into audit_verification (id, state, started_by, started_at, total) values ($1, $2, $3, $4, $5)`,
		r.ID, r.State, r.StartedBy, r.StartedAt, r.Total)
	return err
}

// verificationProgress keeps how far it is and tells whether it was cancelled.
func (store) verificationProgress(ctx context.Context, r VerificationRun) (cancelled bool, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `update audit_verification set checked = $2, total = $3, updated_at = now() where id = $1 returning cancel`,
		r.ID, r.Checked, r.Total).Scan(&cancelled)
	return cancelled, err
}

func (store) setVerification(ctx context.Context, r VerificationRun) error {
	result, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = db.Tx(ctx).Exec(ctx, `update audit_verification set state = $2, checked = $3, total = $4, result = $5, updated_at = now() where id = $1`,
		r.ID, r.State, r.Checked, r.Total, result)
	return err
}

func (store) cancelVerification(ctx context.Context, run id.ID) error {
	_, err := db.Tx(ctx).Exec(ctx, `update audit_verification set cancel = true where id = $1`, run)
	return err
}

// verification reads one. One that says nothing any more has failed.
func (store) verification(ctx context.Context, run id.ID) (VerificationRun, error) {
	r := VerificationRun{Breaks: []Break{}}
	var result []byte
	var silent bool
	err := db.Tx(ctx).QueryRow(ctx, `select id, state, started_by, started_at, checked, total, result, updated_at < now() - make_interval(secs => $2)
		from audit_verification where id = $1`, run, abandoned/time.Second).
		Scan(&r.ID, &r.State, &r.StartedBy, &r.StartedAt, &r.Checked, &r.Total, &result, &silent)
	if err != nil {
		return r, err
	}
	if result != nil {
		return r, json.Unmarshal(result, &r)
	}
	if silent {
		r.State, r.Error = "failed", "The appliance stopped while it verified. Start it again."
	}
	return r, nil
}
