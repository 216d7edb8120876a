package temporal

import (
	"context"
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	namespacepb "go.temporal.io/api/namespace/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	persistencepb "go.temporal.io/server/api/persistence/v1"
	"go.temporal.io/server/common"
	"go.temporal.io/server/common/metrics"
	"go.temporal.io/server/common/persistence/serialization"
	"go.temporal.io/server/common/persistence/sql"
	"go.temporal.io/server/common/persistence/sql/sqlplugin"
	"go.temporal.io/server/common/primitives"
	"go.temporal.io/server/common/resolver"
	"google.golang.org/protobuf/types/known/durationpb"
)

const description = "Workflows of the Nimbus appliance"

// seedNamespace puts the namespace into the database before the server starts. A server
// that is told of it later serves no schedules in it until its next look, a minute later.
func (s *Server) seedNamespace(ctx context.Context, p *pools) error {
	db, err := sql.NewSQLDB(sqlplugin.DbKindMain, store(MainDatabase, p).SQL, resolver.NewNoopResolver(), newLogger(s.log, make(chan struct{})), metrics.NoopMetricsHandler)
	if err != nil {
		return err
	}
	defer db.Close()
	rows, err := db.SelectFromNamespace(ctx, sqlplugin.NamespaceFilter{Name: &s.cfg.Namespace})
	if err == nil && len(rows) > 0 {
		return nil
	}
	id := primitives.NewUUID()
	blob, err := serialization.NewSerializer().NamespaceDetailToBlob(namespaceDetail(s.cfg.Namespace, id.String(), s.cfg.Retention))
	if err != nil {
		return err
	}
	_, err = db.InsertIntoNamespace(ctx, &sqlplugin.NamespaceRow{
		ID: id, Name: s.cfg.Namespace, Data: blob.GetData(), DataEncoding: blob.GetEncodingType().String(),
	})
	if db.IsDupEntryError(err) { // another node was faster
		return nil
	}
	return err
}

func namespaceDetail(name, id string, retention time.Duration) *persistencepb.NamespaceDetail {
	return &persistencepb.NamespaceDetail{
		Info: &persistencepb.NamespaceInfo{Id: id, Name: name, Description: description, State: enumspb.NAMESPACE_STATE_REGISTERED},
		Config: &persistencepb.NamespaceConfig{
			Retention:               durationpb.New(retention),
			HistoryArchivalState:    enumspb.ARCHIVAL_STATE_DISABLED,
			VisibilityArchivalState: enumspb.ARCHIVAL_STATE_DISABLED,
		},
		ReplicationConfig:           &persistencepb.NamespaceReplicationConfig{ActiveClusterName: clusterName, Clusters: []string{clusterName}},
		FailoverVersion:             common.EmptyVersion,
		FailoverNotificationVersion: -1,
	}
}

// ensureNamespace registers the namespace with a cluster that lacks it, or brings its
// retention up to date where the cluster is ours.
func ensureNamespace(ctx context.Context, api workflowservice.WorkflowServiceClient, name string, retention time.Duration, ours bool) error {
	found, err := api.DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: name})
	if missing := (*serviceerror.NamespaceNotFound)(nil); errors.As(err, &missing) {
		return register(ctx, api, name, retention)
	}
	if err != nil {
		return fmt.Errorf("look up namespace %s: %w", name, err)
	}
	if !ours || found.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration() == retention {
		return nil
	}
	_, err = api.UpdateNamespace(ctx, &workflowservice.UpdateNamespaceRequest{
		Namespace: name,
		Config:    &namespacepb.NamespaceConfig{WorkflowExecutionRetentionTtl: durationpb.New(retention)},
	})
	if err != nil {
		return fmt.Errorf("set the retention of namespace %s: %w", name, err)
	}
	return nil
}

func register(ctx context.Context, api workflowservice.WorkflowServiceClient, name string, retention time.Duration) error {
	_, err := api.RegisterNamespace(ctx, &workflowservice.RegisterNamespaceRequest{
		Namespace: name, Description: description, WorkflowExecutionRetentionPeriod: durationpb.New(retention),
	})
	if exists := (*serviceerror.NamespaceAlreadyExists)(nil); err != nil && !errors.As(err, &exists) {
		return fmt.Errorf("register namespace %s: %w", name, err)
	}
	return awaitNamespace(ctx, api, name)
}

// awaitNamespace waits until calls in the namespace are taken: a frontend remembers for a
// second that a name was unknown.
func awaitNamespace(ctx context.Context, api workflowservice.WorkflowServiceClient, name string) error {
	for {
		_, err := api.CountWorkflowExecutions(ctx, &workflowservice.CountWorkflowExecutionsRequest{Namespace: name})
		missing := (*serviceerror.NamespaceNotFound)(nil)
		if !errors.As(err, &missing) || !sleep(ctx, 100*time.Millisecond) {
			return err
		}
	}
}
