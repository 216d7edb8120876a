package provider

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/actor"
	"nimbus/appliance/db"
	"nimbus/appliance/id"
)

// store is the SQL of this domain: connections and tasks in a tenant's
// transaction, owners and reservations in one of the provider level.
type store struct{}

// errChanged says that a connection is another one than the caller read.
var errChanged = errors.New("provider: the connection was changed meanwhile")

const connectionColumns = `id, name, url, token_id, fingerprint, simulated, status, status_detail, status_since,
	coalesce(collected_at, '0001-01-01Z'), version, offered_fingerprint, provider, secret, ca_pem, position, failures, next_attempt_at, revision`

func scanConnection(row pgx.CollectableRow) (stored, error) {
	var c stored
	err := row.Scan(&c.ID, &c.Name, &c.URL, &c.TokenID, &c.Fingerprint, &c.Simulated, &c.Status, &c.StatusDetail, &c.StatusSince,
		&c.CollectedAt, &c.Version, &c.OfferedFingerprint, &c.provider, &c.sealed, &c.caPEM, &c.position, &c.failures, &c.nextAttempt, &c.revision)
	c.CollectedAt, c.StatusSince = c.CollectedAt.UTC(), c.StatusSince.UTC()
	return c, err
}

func (store) connection(ctx context.Context, connection id.ID) (stored, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select `+connectionColumns+` from connection where id = $1`, connection)
	return pgx.CollectExactlyOneRow(rows, scanConnection)
}

func (store) connections(ctx context.Context) ([]stored, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select `+connectionColumns+` from connection order by name, id`)
	return pgx.CollectRows(rows, scanConnection)
}

func (store) addConnection(ctx context.Context, c stored) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into connection (id, provider, name, url, token_id, secret, fingerprint, ca_pem, simulated)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		c.ID, c.provider, c.Name, c.URL, c.TokenID, c.sealed, c.Fingerprint, c.caPEM, c.Simulated)
	return err
}

func (store) deleteConnection(ctx context.Context, connection id.ID) error {
	_, err := db.Tx(ctx).Exec(ctx, `delete from connection where id = $1`, connection)
	return err
}

// accept pins a fingerprint, which from now on is all that counts, and forgets
// the failures.
func (store) accept(ctx context.Context, connection id.ID, fingerprint string) (Connection, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `update connection set fingerprint = $2, ca_pem = '', offered_fingerprint = '', status = 'unknown', status_detail = '',
		status_since = now(), failures = 0, next_attempt_at = now(), revision = revision + 1 where id = $1 returning `+connectionColumns, connection, fingerprint)
	c, err := pgx.CollectExactlyOneRow(rows, scanConnection)
	return c.Connection, err
}

// collected writes the outcome of a collection unless the connection was
// changed since it was read.
func (store) collected(ctx context.Context, c stored, began time.Time, got Collection) (Connection, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `update connection set status_since = case when status = 'ok' then status_since else now() end,
		status = 'ok', status_detail = '', offered_fingerprint = '', failures = 0, next_attempt_at = now(),
		attempted_at = $3, collected_at = $3, version = $4, position = $5
		where id = $1 and revision = $2 returning `+connectionColumns, c.ID, c.revision, began, got.Version, got.Position)
	after, err := pgx.CollectExactlyOneRow(rows, scanConnection)
	return after.Connection, changed(err)
}

func (store) failed(ctx context.Context, c stored, f Failure, next time.Time) (Connection, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `update connection set status_since = case when status = $3 then status_since else now() end,
		status = $3, status_detail = $4, offered_fingerprint = $5, failures = failures + 1, next_attempt_at = $6, attempted_at = now()
		where id = $1 and revision = $2 returning `+connectionColumns, c.ID, c.revision, string(f.Status), f.Detail, f.Offered, next)
	after, err := pgx.CollectExactlyOneRow(rows, scanConnection)
	return after.Connection, changed(err)
}

func changed(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return errChanged
	}
	return err
}

// owner is a connection and the tenant that has it.
type owner struct{ Connection, Tenant id.ID }

func (store) addOwner(ctx context.Context, connection, tenant id.ID) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into connection_owner (connection_id, tenant_id) values ($1, $2)`, connection, tenant)
	return err
}

func (store) deleteOwner(ctx context.Context, connection id.ID) error {
	_, err := db.Tx(ctx).Exec(ctx, `delete from connection_owner where connection_id = $1`, connection)
	return err
}

func (store) owners(ctx context.Context) ([]owner, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select connection_id, tenant_id from connection_owner order by connection_id`)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[owner])
}

// reservation is a number taken for a stack.
type reservation struct {
	connection    id.ID
	number        int
	tenant, stack id.ID
	mark          string
}

// reserve takes a number that is free, or whose reservation is over, or that
// the stack has already (then it is not fresh).
func (store) reserve(ctx context.Context, r reservation, hold time.Duration) (got, fresh bool, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `insert into vmid_reservation as v (connection_id, vmid, tenant_id, stack_id, mark, expires_at)
		values ($1, $2, $3, $4, $5, now() + $6::interval)
		on conflict (connection_id, vmid) do update set tenant_id = $3, stack_id = $4, mark = $5, expires_at = excluded.expires_at,
			reserved_at = case when v.stack_id = $4 and v.expires_at > now() then v.reserved_at else now() end
			where v.stack_id = $4 or v.expires_at <= now()
		returning reserved_at = now()`, r.connection, r.number, r.tenant, r.stack, r.mark, hold).Scan(&fresh)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, false, nil
	}
	return err == nil, fresh, err
}

func (store) release(ctx context.Context, connection, stack id.ID, number int) error {
	_, err := db.Tx(ctx).Exec(ctx, `delete from vmid_reservation where connection_id = $1 and stack_id = $2 and ($3 = 0 or vmid = $3)`, connection, stack, number)
	return err
}

func (store) reservedAt(ctx context.Context, connection, stack id.ID, number int) (time.Time, error) {
	var at time.Time
	err := db.Tx(ctx).QueryRow(ctx, `select reserved_at from vmid_reservation
		where connection_id = $1 and stack_id = $2 and vmid = $3 and expires_at > now()`, connection, stack, number).Scan(&at)
	if errors.Is(err, pgx.ErrNoRows) {
		return at, nil
	}
	return at, err
}

// numbersOfOthers are the numbers that other stacks than the given one reserved.
func (store) numbersOfOthers(ctx context.Context, connection, stack id.ID) ([]string, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select vmid::text from vmid_reservation where connection_id = $1 and stack_id <> $2`, connection, stack)
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// switched are the numbers of guests whose power action was called and not
// answered yet: its task is on the cluster, perhaps, and not in our list.
func (store) switched(ctx context.Context, connection id.ID) ([]string, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select split_part(guest_key, '/', 2) from provider_task
		where connection_id = $1 and status = 'running' and called_at is not null and upid is null`, connection)
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

const taskColumns = `id, coalesce(upid, ''), connection_id, node, type, item_id, deployment_id, status, exit_status,
	started_at, coalesce(ended_at, '0001-01-01Z'), actor_name, guest_kind, guest_key, action, actor_kind, actor_id, called_at, log_lines`

func scanTask(row pgx.CollectableRow) (job, error) {
	var j job
	err := row.Scan(&j.ID, &j.UPID, &j.ConnectionID, &j.Node, &j.Type, &j.ItemID, &j.DeploymentID, &j.Status, &j.ExitStatus,
		&j.StartedAt, &j.EndedAt, &j.ActorName, &j.guest.Kind, &j.guest.Key, &j.action, &j.actor.Kind, &j.actor.ID, &j.calledAt, &j.lines)
	j.StartedAt, j.EndedAt = j.StartedAt.UTC(), j.EndedAt.UTC()
	j.guest.Node, j.actor.Name = j.Node, j.ActorName
	return j, err
}

func (store) task(ctx context.Context, task id.ID) (job, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select `+taskColumns+` from provider_task where id = $1`, task)
	return pgx.CollectExactlyOneRow(rows, scanTask)
}

// tasks lists newest first; item and before narrow when they are not zero.
func (store) tasks(ctx context.Context, item, before id.ID, limit int) ([]job, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select `+taskColumns+` from provider_task
		where ($1::uuid is null or item_id = $1) and ($2::uuid is null or id < $2) order by id desc limit $3`, item, before, limit)
	return pgx.CollectRows(rows, scanTask)
}

// waiting are the tasks of a connection that were accepted a while ago and never called.
func (store) waiting(ctx context.Context, connection id.ID, since time.Duration) ([]id.ID, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select id from provider_task where connection_id = $1 and status = 'running' and called_at is null
		and deployment_id is null and requested_at < now() - $2::interval`, connection, since)
	return pgx.CollectRows(rows, pgx.RowTo[id.ID])
}

func (store) addTask(ctx context.Context, j job) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into provider_task (id, connection_id, node, type, item_id, guest_kind, guest_key, action,
		status, actor_kind, actor_id, actor_name, started_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
		j.ID, j.ConnectionID, j.Node, j.Type, j.ItemID, string(j.guest.Kind), j.guest.Key, j.action,
		j.Status, string(j.actor.Kind), j.actor.ID, j.actor.Name, j.StartedAt)
	return err
}

// noteTask adds a task that somebody else started, or says how it stands now; of
// one that a person started RunTask says so. It tells whose it is and whether it
// was new.
func (store) noteTask(ctx context.Context, connection, deployment id.ID, a actor.Actor, t TaskStatus) (n noted, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `insert into provider_task as p (id, connection_id, deployment_id, upid, node, type, guest_kind, guest_key, action,
		status, exit_status, actor_kind, actor_id, actor_name, called_at, started_at, ended_at)
		values ($1, $2, $3, $4, $5, $6, '', $7, 'deployment', $8, $9, $10, $11, $12, $13, $13, $14)
		on conflict (tenant_id, connection_id, upid) do update set
			status = case when p.deployment_id is null then p.status else $8 end,
			exit_status = case when p.deployment_id is null then p.exit_status else $9 end,
			ended_at = case when p.deployment_id is null then p.ended_at else $14 end
		returning id, coalesce(deployment_id = $3, false), id = $1`,
		id.New(), connection, deployment, t.Ref, t.Node, t.Type, t.Subject, t.state(), t.Exit,
		string(a.Kind), a.ID, a.Name, t.Started, t.ended()).Scan(&n.task, &n.own, &n.fresh)
	return n, err
}

// noted is a task that noteTask has kept.
type noted struct {
	task  id.ID
	own   bool // it belongs to the deployment asked about
	fresh bool
}

// knownUPIDs are the references that tasks of a connection have since a time.
func (store) knownUPIDs(ctx context.Context, connection id.ID, since time.Time) ([]string, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select upid from provider_task where connection_id = $1 and upid is not null and requested_at >= $2`, connection, since)
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

func (store) called(ctx context.Context, task id.ID) error {
	_, err := db.Tx(ctx).Exec(ctx, `update provider_task set called_at = now() where id = $1`, task)
	return err
}

func (store) accepted(ctx context.Context, task id.ID, upid string) error {
	_, err := db.Tx(ctx).Exec(ctx, `update provider_task set upid = $2, started_at = now() where id = $1`, task, upid)
	return err
}

// keptLines is how much of a log's end is kept.
const keptLines = 500

func (store) appendLog(ctx context.Context, task id.ID, lines []string) error {
	_, err := db.Tx(ctx).Exec(ctx, `update provider_task set log_lines = log_lines + cardinality($2::text[]),
		log = (log || $2::text[])[greatest(1, cardinality(log) + cardinality($2::text[]) - $3 + 1):] where id = $1`, task, lines, keptLines)
	return err
}

func (store) finished(ctx context.Context, task id.ID, status, exit string) error {
	_, err := db.Tx(ctx).Exec(ctx, `update provider_task set status = $2, exit_status = $3, ended_at = now() where id = $1`, task, status, exit)
	return err
}

func (store) log(ctx context.Context, task id.ID) ([]string, error) {
	var lines []string
	err := db.Tx(ctx).QueryRow(ctx, `select log from provider_task where id = $1`, task).Scan(&lines)
	return lines, err
}
