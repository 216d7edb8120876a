package identity

import (
	"context"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"
	"github.com/jackc/pgx/v5"

	"nimbus/appliance/db"
	"nimbus/appliance/id"
)

// ceremony is one step of a proof that waits for its answer: a sign-in between
// its two steps, or a WebAuthn challenge. Only the hash of its token is stored.
type ceremony struct {
	Kind      string
	User      id.ID // zero when a passkey will tell
	Session   id.ID // zero before there is one
	Address   string
	Tries     int
	SignIn    *SignedIn
	Challenge *webauthn.SessionData
}

// The kinds of ceremonies.
const (
	secondFactor   = "second_factor"
	passkeySignIn  = "passkey"
	register       = "register"
	reauthenticate = "reauthenticate"
)

// addCeremony stores c, drops what is over and keeps the newest of its address.
func (store) addCeremony(ctx context.Context, hash []byte, c ceremony, life time.Duration) error {
	tx := db.Tx(ctx)
	if _, err := tx.Exec(ctx, `delete from mfa_ceremony where expires_at < now() or token_hash in
		(select token_hash from mfa_ceremony where address = $1 order by created_at desc offset $2)`, c.Address, openCeremonies-1); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `insert into mfa_ceremony (token_hash, kind, user_id, session_id, address, sign_in, challenge, expires_at)
		values ($1, $2, $3, $4, $5, $6, $7, now() + make_interval(secs => $8))`,
		hash, c.Kind, c.User, c.Session, c.Address, c.SignIn, c.Challenge, life.Seconds())
	return err
}

// liveCeremony is one that has not expired. One that began in the future did
// so before the clock was set back, and is over.
const liveCeremony = ` token_hash = $1 and kind = $2 and expires_at > now() and created_at < now() + interval '5 seconds' `

const ceremonyColumns = ` kind, user_id, session_id, address, tries, sign_in, challenge `

func (store) ceremony(ctx context.Context, hash []byte, kind string) (ceremony, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select`+ceremonyColumns+`from mfa_ceremony where`+liveCeremony, hash, kind)
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[ceremony])
}

// takeCeremony ends a ceremony and returns it: it serves one answer.
func (store) takeCeremony(ctx context.Context, hash []byte, kind string) (ceremony, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `delete from mfa_ceremony where`+liveCeremony+`returning`+ceremonyColumns, hash, kind)
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[ceremony])
}

// tryCeremony counts one try; false when they are used up.
func (store) tryCeremony(ctx context.Context, hash []byte) (bool, error) {
	tag, err := db.Tx(ctx).Exec(ctx, `update mfa_ceremony set tries = tries + 1 where token_hash = $1 and tries < $2`, hash, pendingTries)
	return tag.RowsAffected() == 1, err
}

// askAgain replaces the challenge of a sign-in that waits.
func (store) askAgain(ctx context.Context, hash []byte, challenge *webauthn.SessionData) error {
	_, err := db.Tx(ctx).Exec(ctx, `update mfa_ceremony set challenge = $2 where token_hash = $1`, hash, challenge)
	return err
}

// totp is a person's authenticator app. The secrets are sealed.
type totp struct {
	Secret   []byte // nil before the first one is confirmed
	LastStep int64
	Pending  []byte // shown and not confirmed yet; nil when that took too long
}

func (store) totpOf(ctx context.Context, user id.ID) (totp, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select secret, last_step, case when pending_at > now() - make_interval(secs => $2) then pending end
		from totp where user_id = $1`, user, enrolmentLife.Seconds())
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[totp])
}

func (store) offerTOTP(ctx context.Context, user id.ID, sealed []byte) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into totp (user_id, pending, pending_at) values ($1, $2, now())
		on conflict (user_id) do update set pending = excluded.pending, pending_at = now()`, user, sealed)
	return err
}

// confirmTOTP puts the pending secret into use; false when it is another one by now.
func (store) confirmTOTP(ctx context.Context, user id.ID, pending []byte, step int64) (bool, error) {
	tag, err := db.Tx(ctx).Exec(ctx, `update totp set secret = pending, pending = null, pending_at = null, last_step = $3, confirmed_at = now()
		where user_id = $1 and pending = $2`, user, pending, step)
	return tag.RowsAffected() == 1, err
}

// useStep spends the code of a time step; false when it or a later one was used.
func (store) useStep(ctx context.Context, user id.ID, step int64) (bool, error) {
	tag, err := db.Tx(ctx).Exec(ctx, `update totp set last_step = $2 where user_id = $1 and last_step < $2 and secret is not null`, user, step)
	return tag.RowsAffected() == 1, err
}

func (store) removeTOTP(ctx context.Context, user id.ID) (bool, error) {
	tag, err := db.Tx(ctx).Exec(ctx, `delete from totp where user_id = $1 and secret is not null`, user)
	return tag.RowsAffected() == 1, err
}

// keysOf lists a person's passkeys and locks them, so that two assertions
// cannot both raise the same counter.
func (store) keysOf(ctx context.Context, user id.ID) ([]passkey, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select id, name, created_at, last_used_at, user_id, credential from passkey
		where user_id = $1 order by created_at, id for update`, user)
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (passkey, error) {
		var c passkey
		return c, row.Scan(&c.ID, &c.Name, &c.CreatedAt, &c.LastUsedAt, &c.UserID, &c.Key)
	})
}

func (store) addKey(ctx context.Context, user id.ID, p Passkey, key *webauthn.Credential) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into passkey (id, user_id, credential_id, credential, name, created_at) values ($1, $2, $3, $4, $5, $6)`,
		p.ID, user, key.ID, key, p.Name, p.CreatedAt)
	return err
}

func (store) usedKey(ctx context.Context, key *webauthn.Credential) error {
	_, err := db.Tx(ctx).Exec(ctx, `update passkey set credential = $2, last_used_at = now() where credential_id = $1`, key.ID, key)
	return err
}

func (store) removeKey(ctx context.Context, user, key id.ID) (name string, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `delete from passkey where id = $2 and user_id = $1 returning name`, user, key).Scan(&name)
	return name, err
}

func (store) replaceCodes(ctx context.Context, user id.ID, hashes [][]byte) error {
	if _, err := db.Tx(ctx).Exec(ctx, `delete from recovery_code where user_id = $1`, user); err != nil {
		return err
	}
	_, err := db.Tx(ctx).Exec(ctx, `insert into recovery_code (user_id, hash) select $1, unnest($2::bytea[])`, user, hashes)
	return err
}

// useCode spends a recovery code; false when there is none like it.
func (store) useCode(ctx context.Context, user id.ID, hash []byte) (bool, error) {
	tag, err := db.Tx(ctx).Exec(ctx, `update recovery_code set used_at = now() where user_id = $1 and hash = $2 and used_at is null`, user, hash)
	return tag.RowsAffected() == 1, err
}

func (store) factorsOf(ctx context.Context, user id.ID) (Factors, error) {
	var f Factors
	err := db.Tx(ctx).QueryRow(ctx, `select exists (select from totp where user_id = $1 and secret is not null),
		(select count(*) from recovery_code where user_id = $1 and used_at is null)`, user).Scan(&f.TOTP, &f.RecoveryCodesLeft)
	if err != nil {
		return f, err
	}
	rows, _ := db.Tx(ctx).Query(ctx, `select id, name, created_at, last_used_at from passkey where user_id = $1 order by created_at, id`, user)
	f.Passkeys, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Passkey])
	return f, err
}

// withFactors returns those of some people who have a second factor.
func (store) withFactors(ctx context.Context, users []id.ID) (map[id.ID]bool, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select user_id from totp where user_id = any($1) and secret is not null
		union select user_id from passkey where user_id = any($1)`, users)
	who, err := pgx.CollectRows(rows, pgx.RowTo[id.ID])
	have := make(map[id.ID]bool, len(who))
	for _, user := range who {
		have[user] = true
	}
	return have, err
}

// forgetFactors removes every second factor of a person and what waits for one.
func (store) forgetFactors(ctx context.Context, user id.ID) error {
	for _, table := range []string{"totp", "passkey", "recovery_code", "mfa_ceremony"} {
		if _, err := db.Tx(ctx).Exec(ctx, `delete from `+table+` where user_id = $1`, user); err != nil {
			return err
		}
	}
	return nil
}

// forgetPending ends what waits for a second factor of a person.
func (store) forgetPending(ctx context.Context, user id.ID) error {
	_, err := db.Tx(ctx).Exec(ctx, `delete from mfa_ceremony where user_id = $1 and kind = 'second_factor'`, user)
	return err
}

// proved notes a fresh proof in a session, and that a second factor was among
// what it saw; false when there is no such session.
func (store) proved(ctx context.Context, user, session id.ID, mfa bool) (bool, error) {
	tag, err := db.Tx(ctx).Exec(ctx, `update session set authenticated_at = now(), mfa = mfa or $3 where id = $2 and user_id = $1`, user, session, mfa)
	return tag.RowsAffected() == 1, err
}

// knows tells whether a person is signed in from an address with a second factor.
func (store) knows(ctx context.Context, user id.ID, address string) (bool, error) {
	var yes bool
	err := db.Tx(ctx).QueryRow(ctx, `select exists (select from session where user_id = $1 and address = $2 and mfa)`, user, address).Scan(&yes)
	return yes, err
}

func (store) countPasskeys(ctx context.Context) (n int, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `select count(*) from passkey`).Scan(&n)
	return n, err
}
