package temporal

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
)

// Extensions are those of Postgres that Temporal's databases need.
var Extensions = []string{"btree_gin"}

// Connections is how many the embedded server holds at most.
const Connections = mainConnections + visibilityConnections

// OpenWorkflow is one that has not ended.
type OpenWorkflow struct {
	Type string `json:"type"`
	ID   string `json:"id"`
}

// OpenWorkflows reads from the databases of a server that does not run which workflows have
// not ended, besides Temporal's own. A Temporal that was never started has none.
func OpenWorkflows(ctx context.Context, dsn func(database string) string) ([]OpenWorkflow, error) {
	conn, err := pgx.Connect(ctx, dsn(VisibilityDatabase))
	if hasCode(err, "3D000") {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	rows, _ := conn.Query(ctx, `SELECT workflow_type_name, workflow_id FROM executions_visibility
		WHERE status = 1 AND workflow_type_name NOT LIKE 'temporal-sys-%' ORDER BY start_time`)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[OpenWorkflow])
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
