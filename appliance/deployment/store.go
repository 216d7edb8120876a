package deployment

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"nimbus/appliance/db"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// store is the only place with SQL of this domain. Its methods run in the
// tenant's transaction of the context.
type store struct{}

const active = `('accepted', 'previewing', 'awaiting_approval', 'applying', 'verifying', 'compensating')`

const stackColumns = `s.id, s.name, s.description, s.connection_id, s.compartment_id, s.program, s.config, s.secrets, s.passphrase,
	case when exists (select from deployment d where d.stack_id = s.id and d.status in ` + active + `) then 'busy' else s.status end,
	s.outputs, s.resource_count, s.last_deployment_id, s.version, s.created_at, s.updated_at`

func (store) insertStack(ctx context.Context, s Stack) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into stack
		(id, name, description, connection_id, compartment_id, program, config, secrets, passphrase, status, version, created_at, updated_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
		s.ID, s.Name, s.Description, s.ConnectionID, s.CompartmentID, s.Program, s.Config, s.secrets, s.passphrase, s.Status, s.Version, s.CreatedAt, s.UpdatedAt)
	return taken(err, "A stack with the name %q exists already. Choose another name.", s.Name)
}

func (store) countStacks(ctx context.Context) (n int64, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `select count(*) from stack where deleted_at is null`).Scan(&n)
	return n, err
}

// updateStack stores what a person can change and raises the version. It
// returns fault.Conflict when the version is not the stored one.
func (store) updateStack(ctx context.Context, s Stack, version int) error {
	done, err := db.Tx(ctx).Exec(ctx, `update stack set name = $3, description = $4, connection_id = $5, program = $6,
		config = $7, secrets = $8, updated_at = $9, compartment_id = $10, version = version + 1
		where id = $1 and version = $2 and deleted_at is null`,
		s.ID, version, s.Name, s.Description, s.ConnectionID, s.Program, s.Config, s.secrets, s.UpdatedAt, s.CompartmentID)
	if err == nil && done.RowsAffected() == 0 {
		return fault.New(fault.Conflict, "Somebody else changed this stack in the meantime. Load it again and repeat your change.")
	}
	return taken(err, "A stack with the name %q exists already. Choose another name.", s.Name)
}

// taken gives a unique violation its sentence.
func taken(err error, format string, args ...any) error {
	err = db.Fault(err)
	if fault.Is(err, fault.Conflict) {
		return fault.Wrap(fault.Conflict, err, format, args...)
	}
	return err
}

func (store) deleteStack(ctx context.Context, stack id.ID) error {
	_, err := db.Tx(ctx).Exec(ctx, `update stack set deleted_at = now() where id = $1`, stack)
	return db.Fault(err)
}

// settleStack stores what a run made of the stack.
func (store) settleStack(ctx context.Context, s Stack) error {
	_, err := db.Tx(ctx).Exec(ctx, `update stack set status = $2, outputs = $3, resource_count = $4 where id = $1`,
		s.ID, s.Status, s.Outputs, s.ResourceCount)
	return db.Fault(err)
}

// stack returns one stack, or fault.NotFound. With lock nobody else changes it
// until the transaction ends.
func (store) stack(ctx context.Context, stack id.ID, lock bool) (Stack, error) {
	sql := `select ` + stackColumns + ` from stack s where s.id = $1 and s.deleted_at is null`
	if lock {
		sql += ` for update of s`
	}
	rows, _ := db.Tx(ctx).Query(ctx, sql, stack)
	s, err := pgx.CollectExactlyOneRow(rows, scanStack)
	return s, db.Fault(err)
}

// storedStatus is a stack's status without regard to a run under way.
func (store) storedStatus(ctx context.Context, stack id.ID) (status StackStatus, err error) {
	err = db.Tx(ctx).QueryRow(ctx, `select status from stack where id = $1`, stack).Scan(&status)
	return status, db.Fault(err)
}

// stacks lists newest first, below a cursor.
func (store) stacks(ctx context.Context, before id.ID, limit int) ([]Stack, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select `+stackColumns+` from stack s
		where s.deleted_at is null and ($1::uuid is null or s.id < $1) order by s.id desc limit $2`, before, limit)
	all, err := pgx.CollectRows(rows, scanStack)
	return all, db.Fault(err)
}

// places are the stacks of runs that are still there, as far as permissions ask
// about them, by id.
func (store) places(ctx context.Context, runs []Deployment) (map[id.ID]Stack, error) {
	stacks := make([]id.ID, len(runs))
	for i, d := range runs {
		stacks[i] = d.StackID
	}
	rows, _ := db.Tx(ctx).Query(ctx, `select id, name, connection_id, compartment_id from stack where id = any($1) and deleted_at is null`, stacks)
	all := map[id.ID]Stack{}
	for rows.Next() {
		var st Stack
		if err := rows.Scan(&st.ID, &st.Name, &st.ConnectionID, &st.CompartmentID); err != nil {
			return nil, db.Fault(err)
		}
		all[st.ID] = st
	}
	return all, db.Fault(rows.Err())
}

func scanStack(row pgx.CollectableRow) (s Stack, err error) {
	var last id.ID
	err = row.Scan(&s.ID, &s.Name, &s.Description, &s.ConnectionID, &s.CompartmentID, &s.Program, &s.Config, &s.secrets, &s.passphrase,
		&s.Status, &s.Outputs, &s.ResourceCount, &last, &s.Version, &s.CreatedAt, &s.UpdatedAt)
	if !last.IsZero() {
		s.LastDeploymentID = &last
	}
	return s, err
}

// pins are the VMIDs given to a stack's guests on its connection, by name.
func (store) pins(ctx context.Context, s Stack) (map[string]int, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select name, vmid from stack_guest where stack_id = $1 and connection_id = $2`, s.ID, s.ConnectionID)
	type pin struct {
		Name string
		VMID int
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[pin])
	pins := map[string]int{}
	for _, p := range all {
		pins[p.Name] = p.VMID
	}
	return pins, db.Fault(err)
}

func (store) addPin(ctx context.Context, s Stack, name string, vmid int) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into stack_guest (stack_id, connection_id, name, vmid)
		values ($1, $2, $3, $4) on conflict do nothing`, s.ID, s.ConnectionID, name, vmid)
	return db.Fault(err)
}

const deploymentColumns = `id, stack_id, stack_name, stack_version, operation, refresh, status, requested_by, requester,
	created_at, started_at, ended_at, plan, engine_digest, outputs, error, leftovers, steps, before, begun, executed, cancelled`

// insertDeployment returns fault.Conflict while another one of the stack is
// under way.
func (store) insertDeployment(ctx context.Context, d Deployment) error {
	_, err := db.Tx(ctx).Exec(ctx, `insert into deployment
		(id, stack_id, stack_name, stack_version, operation, refresh, status, requested_by, requester, created_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		d.ID, d.StackID, d.StackName, d.run.stackVersion, d.Operation, d.Refresh, d.Status, d.RequestedBy.ID, string(d.run.requester), d.CreatedAt)
	if err := taken(err, "Another deployment of this stack is under way. Wait for it or cancel it."); err != nil {
		return err
	}
	_, err = db.Tx(ctx).Exec(ctx, `update stack set last_deployment_id = $2 where id = $1`, d.StackID, d.ID)
	return db.Fault(err)
}

func (store) updateDeployment(ctx context.Context, d Deployment) error {
	_, err := db.Tx(ctx).Exec(ctx, `update deployment set status = $2, started_at = $3, ended_at = $4, plan = $5, engine_digest = $6,
		outputs = $7, error = $8, leftovers = $9, steps = $10, before = $11, begun = $12, executed = $13, cancelled = $14 where id = $1`,
		d.ID, d.Status, d.StartedAt, d.EndedAt, jsonOf(d.Plan), d.run.engineDigest, jsonOf(d.Outputs), d.Error,
		jsonOf(d.Leftovers), jsonOf(d.Steps), jsonOf(d.run.before), d.run.begun, d.run.executed, d.run.cancelled)
	return db.Fault(err)
}

// jsonOf is v as JSON, NULL for nil pointers; empty lists and maps are kept.
func jsonOf(v any) *string {
	raw, err := json.Marshal(v)
	if err != nil || string(raw) == "null" {
		return nil
	}
	s := string(raw)
	return &s
}

// deployment returns one deployment, or fault.NotFound. With lock nobody else
// changes it until the transaction ends.
func (store) deployment(ctx context.Context, deployment id.ID, lock bool) (Deployment, error) {
	sql := `select ` + deploymentColumns + ` from deployment where id = $1`
	if lock {
		sql += ` for update`
	}
	rows, _ := db.Tx(ctx).Query(ctx, sql, deployment)
	d, err := pgx.CollectExactlyOneRow(rows, scanDeployment)
	return d, db.Fault(err)
}

// Filter narrows a list of deployments. Zero members do not narrow.
type Filter struct {
	StackID id.ID
	Status  Status
	Before  id.ID // keyset: older than this one
	Limit   int
}

// deployments lists newest first.
func (store) deployments(ctx context.Context, f Filter) ([]Deployment, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select `+deploymentColumns+` from deployment
		where ($1::uuid is null or stack_id = $1) and ($2 = '' or status = $2) and ($3::uuid is null or id < $3)
		order by id desc limit $4`, f.StackID, string(f.Status), f.Before, f.Limit)
	all, err := pgx.CollectRows(rows, scanDeployment)
	return all, db.Fault(err)
}

func scanDeployment(row pgx.CollectableRow) (d Deployment, err error) {
	var requester struct{ Name string }
	err = row.Scan(&d.ID, &d.StackID, &d.StackName, &d.run.stackVersion, &d.Operation, &d.Refresh, &d.Status, &d.RequestedBy.ID,
		&d.run.requester, &d.CreatedAt, &d.StartedAt, &d.EndedAt, &d.Plan, &d.run.engineDigest, &d.Outputs, &d.Error,
		&d.Leftovers, &d.Steps, &d.run.before, &d.run.begun, &d.run.executed, &d.run.cancelled)
	if err == nil {
		err = json.Unmarshal(d.run.requester, &requester)
	}
	d.RequestedBy.Name = requester.Name
	return d, err
}

// addEvents appends events and returns them with their numbers. Beyond limit
// events of a deployment nothing is kept.
func (store) addEvents(ctx context.Context, deployment id.ID, events []Event, limit int64) ([]Event, error) {
	var last int64
	err := db.Tx(ctx).QueryRow(ctx, `select coalesce(max(seq), 0) from deployment_event where deployment_id = $1`, deployment).Scan(&last)
	if err != nil {
		return nil, db.Fault(err)
	}
	if room := max(limit-last, 0); int64(len(events)) > room {
		events = events[:room]
	}
	if len(events) == 0 {
		return nil, nil
	}
	var values strings.Builder
	args := []any{deployment}
	for i := range events {
		e := &events[i]
		e.Seq = last + int64(i) + 1
		n := len(args)
		fmt.Fprintf(&values, ", ($1::uuid, $%d::bigint, $%d::timestamptz, $%d, $%d, $%d, $%d, $%d, $%d, $%d)",
			n+1, n+2, n+3, n+4, n+5, n+6, n+7, n+8, n+9)
		args = append(args, e.Seq, e.Time, e.Kind, e.Status, e.URN, e.Type, e.Name, e.Op, e.Message)
	}
	_, err = db.Tx(ctx).Exec(ctx, `insert into deployment_event
		(deployment_id, seq, time, kind, status, urn, type, name, op, message) values `+values.String()[2:], args...)
	return events, db.Fault(err)
}

// events lists those after a number, oldest first.
func (store) events(ctx context.Context, deployment id.ID, after int64, limit int) ([]Event, error) {
	rows, _ := db.Tx(ctx).Query(ctx, `select seq, time, kind, status, urn, type, name, op, message
		from deployment_event where deployment_id = $1 and seq > $2 order by seq limit $3`, deployment, after, limit)
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Event])
	return all, db.Fault(err)
}
