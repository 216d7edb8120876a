package temporal

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	enumsspb "go.temporal.io/server/api/enums/v1"
	"go.temporal.io/server/common/primitives"
)

// Extensions are those of Postgres that Temporal's databases need.
var Extensions = []string{"btree_gin"}

// Connections is how many the embedded server holds at most.
const Connections = mainConnections + visibilityConnections

// OpenWorkflows reads from the database of a server that does not run the ids of the
// workflows that have not ended, paused ones too, besides Temporal's own. A Temporal that
// was never started has none. What can be searched lags behind and would miss some.
func OpenWorkflows(ctx context.Context, dsn func(database string) string) ([]string, error) {
	conn, err := pgx.Connect(ctx, dsn(MainDatabase))
	if hasCode(err, "3D000") {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	rows, _ := conn.Query(ctx, `SELECT workflow_id FROM current_executions
		WHERE state IN ($1, $2) AND namespace_id <> $3 AND workflow_id NOT LIKE 'temporal-sys-%' ORDER BY workflow_id`,
		int32(enumsspb.WORKFLOW_EXECUTION_STATE_CREATED), int32(enumsspb.WORKFLOW_EXECUTION_STATE_RUNNING), []byte(primitives.MustParseUUID(primitives.SystemNamespaceID)))
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// Probe tries the existing cluster that cfg names: whether it answers and lets us in. A
// namespace that is missing is registered at Start, not here.
func Probe(ctx context.Context, cfg Config) error {
	s := New(cfg)
	if s.cfg.APIKey != "" && s.cfg.TLS == nil {
		return errors.New("an API key of the Temporal cluster is sent over TLS only: turn TLS on")
	}
	if err := greet(ctx, s.cfg.Address, s.cfg.TLS); err != nil {
		return fmt.Errorf("the Temporal cluster at %s does not answer: %w", s.cfg.Address, err)
	}
	n := &node{address: s.cfg.Address, tls: s.cfg.TLS, apiKey: s.cfg.APIKey, log: s.log}
	c, err := n.dial(ctx, client.Options{Namespace: s.cfg.Namespace, Logger: sdkLogger(s.log)})
	if err != nil {
		return fmt.Errorf("the Temporal cluster at %s does not answer: %w", s.cfg.Address, err)
	}
	defer c.Close()
	_, err = c.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: s.cfg.Namespace})
	if missing := (*serviceerror.NamespaceNotFound)(nil); err == nil || errors.As(err, &missing) {
		return nil
	}
	return fmt.Errorf("the Temporal cluster at %s does not let us in: %w", s.cfg.Address, err)
}
