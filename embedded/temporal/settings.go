package temporal

import (
	"time"

	"go.temporal.io/sdk/worker"
	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/membership/static"
	"go.temporal.io/server/common/metrics"
	"go.temporal.io/server/common/persistence/sql/sqlplugin/postgresql"
	"go.temporal.io/server/common/primitives"
	"go.temporal.io/server/temporal"
)

const (
	shards      = 4 // may never change for a database
	clusterName = "nimbus"
	// startLimit is how long all services of a server may take to start. Processors that are
	// emulated or overcommitted need minutes; what fails says so at once.
	startLimit = 10 * time.Minute
)

// services in the order of the ports.
var services = []primitives.ServiceName{
	primitives.FrontendService, primitives.HistoryService, primitives.MatchingService, primitives.WorkerService,
}

func serverOptions(ports []int, g *guard, p *pools, l serverLogger) []temporal.ServerOption {
	hosts := map[primitives.ServiceName]static.Hosts{}
	for i, name := range services {
		hosts[name] = static.SingleLocalHost(loopback(ports[i]))
	}
	return []temporal.ServerOption{
		temporal.WithConfig(serverConfig(ports, p)),
		temporal.ForServices(temporal.DefaultServices),
		temporal.WithStaticHosts(hosts),
		temporal.WithLogger(l),
		temporal.WithNamespaceLogger(l),
		temporal.WithAuthorizer(g),
		temporal.WithClaimMapper(func(*config.Config) authorization.ClaimMapper { return g }),
		temporal.WithTLSConfigFactory(g),
		temporal.WithDynamicConfigClient(dynamicSettings()),
		temporal.WithCustomMetricsHandler(metrics.NoopMetricsHandler),
	}
}

func serverConfig(ports []int, p *pools) *config.Config {
	services := map[string]config.Service{}
	for i, name := range servicesNames() {
		services[name] = config.Service{RPC: config.RPC{GRPCPort: ports[i], BindOnIP: "127.0.0.1"}}
	}
	off := config.HistoryArchival{State: config.ArchivalDisabled}
	return &config.Config{
		Services: services,
		// Nothing is joined, the hosts are fixed. But twice of it limits the start of the services.
		Global: config.Global{Membership: config.Membership{MaxJoinDuration: startLimit / 2, BroadcastAddress: "127.0.0.1"}},
		Persistence: config.Persistence{
			DefaultStore: MainDatabase, VisibilityStore: VisibilityDatabase, NumHistoryShards: shards,
			DataStores: map[string]config.DataStore{
				MainDatabase: store(MainDatabase, p), VisibilityDatabase: store(VisibilityDatabase, p),
			},
		},
		ClusterMetadata: &cluster.Config{
			FailoverVersionIncrement: 10, MasterClusterName: clusterName, CurrentClusterName: clusterName,
			ClusterInformation: map[string]cluster.ClusterInformation{
				// The address is for other clusters and kept in the database; there are none.
				clusterName: {Enabled: true, InitialFailoverVersion: 1, RPCAddress: "127.0.0.1:7233"},
			},
		},
		DCRedirectionPolicy: config.DCRedirectionPolicy{Policy: "noop"},
		Archival:            config.Archival{History: off, Visibility: config.VisibilityArchival{State: config.ArchivalDisabled}},
		NamespaceDefaults: config.NamespaceDefaults{Archival: config.ArchivalNamespaceDefaults{
			History:    config.HistoryArchivalNamespaceDefaults{State: config.ArchivalDisabled},
			Visibility: config.VisibilityArchivalNamespaceDefaults{State: config.ArchivalDisabled},
		}},
	}
}

func servicesNames() []string {
	names := make([]string, len(services))
	for i, name := range services {
		names[i] = string(name)
	}
	return names
}

func store(database string, p *pools) config.DataStore {
	return config.DataStore{SQL: &config.SQL{
		PluginName: postgresql.PluginNamePGX, DatabaseName: database, Connect: p.connect,
		ConnectAddr: "pool", ConnectProtocol: "tcp", // not used, but asked for
	}}
}

// dynamicSettings are what differs from Temporal's defaults, which are made for clusters
// with thousands of workflows a second.
func dynamicSettings() dynamicconfig.StaticClient {
	return dynamicconfig.StaticClient{
		// One node, few tasks: one partition instead of four.
		dynamicconfig.MatchingNumTaskqueueReadPartitions.Key():  1,
		dynamicconfig.MatchingNumTaskqueueWritePartitions.Key(): 1,

		// Caches by size.
		dynamicconfig.HistoryCacheSizeBasedLimit.Key():        true,
		dynamicconfig.HistoryCacheHostLevelMaxSizeBytes.Key(): 16 << 20,
		dynamicconfig.EnableHostLevelEventsCache.Key():        true,
		dynamicconfig.EventsHostLevelCacheMaxSizeBytes.Key():  8 << 20,

		// No more tasks at a time than there are connections. After a power cut all that is overdue
		// comes at once: hundreds that wait for a connection run into their deadlines, are tried
		// again, and on a slow machine nothing gets done.
		dynamicconfig.TransferProcessorSchedulerWorkerCount.Key():    mainConnections,
		dynamicconfig.TimerProcessorSchedulerWorkerCount.Key():       mainConnections,
		dynamicconfig.MemoryTimerProcessorSchedulerWorkerCount.Key(): mainConnections,
		dynamicconfig.VisibilityProcessorSchedulerWorkerCount.Key():  visibilityConnections,

		// Namespaces hardly change and are read through when they are new.
		dynamicconfig.NamespaceCacheRefreshInterval.Key():  time.Minute,
		dynamicconfig.ClusterMetadataRefreshInterval.Key(): 10 * time.Minute,

		// Jobs that clean up after faults that one node with SQL does not have.
		dynamicconfig.TaskQueueScannerEnabled.Key():  false,
		dynamicconfig.HistoryScannerEnabled.Key():    false,
		dynamicconfig.ExecutionsScannerEnabled.Key(): false,
		dynamicconfig.BuildIdScavengerEnabled.Key():  false,

		// Long polls wait longer, progress is noted less often: a crash repeats a little more.
		dynamicconfig.TransferProcessorUpdateAckInterval.Key():   2 * time.Minute,
		dynamicconfig.TimerProcessorUpdateAckInterval.Key():      2 * time.Minute,
		dynamicconfig.VisibilityProcessorUpdateAckInterval.Key(): 2 * time.Minute,
		dynamicconfig.OutboundProcessorUpdateAckInterval.Key():   5 * time.Minute,
		dynamicconfig.MatchingUpdateAckInterval.Key():            5 * time.Minute,

		// The system's own workers: two pollers of a kind, and a small cache that they share
		// with the appliance's workers (it is one per process).
		dynamicconfig.WorkerStickyCacheSize.Key(): 256,
		dynamicconfig.WorkerPerNamespaceWorkerOptions.Key(): worker.Options{
			MaxConcurrentActivityTaskPollers: 2, MaxConcurrentWorkflowTaskPollers: 2,
		},
		dynamicconfig.WorkerParentCloseMaxConcurrentActivityTaskPollers.Key(): 1,
		dynamicconfig.WorkerParentCloseMaxConcurrentWorkflowTaskPollers.Key(): 2,
		dynamicconfig.WorkerScannerMaxConcurrentActivityTaskPollers.Key():     1,
		dynamicconfig.WorkerScannerMaxConcurrentWorkflowTaskPollers.Key():     2,

		// Signals of overload that nobody reads.
		dynamicconfig.PersistenceHealthSignalMetricsEnabled.Key(): false,
	}
}
