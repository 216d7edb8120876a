import { ChangeDetectionStrategy, Component, computed, effect, inject } from '@angular/core';
import { RouterLink } from '@angular/router';

import { remote } from '@core/api/remote';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Icon } from '@core/icon/icon';
import { keysetList } from '@core/list/keyset-list';
import { ListFrame } from '@core/list/list-frame';
import { Badge } from '@core/page/badge';
import { EmptyState } from '@core/page/empty-state';
import { PageHeader } from '@core/page/page-header';
import { Realtime } from '@core/realtime/realtime';
import { Session } from '@core/session/session';
import { Time } from '@core/time/time';

import {
  ConnectionSummary,
  DeploymentSummary,
  connectionState,
  deploymentStatus,
  deploymentTone,
  isRunning,
  operationName,
} from './deployment-summary';

/** The overall state of the appliance, as far as the dashboard needs it. */
interface HealthSummary {
  status: 'ok' | 'degraded' | 'down';
  components: { name: string; status: string }[];
}

/** The first page: what runs, what waits for somebody, how the clusters are. */
@Component({
  selector: 'nb-dashboard',
  imports: [Badge, EmptyState, Icon, ListFrame, PageHeader, ProblemNotice, RouterLink, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './dashboard.html',
  styleUrl: './dashboard.scss',
})
export class Dashboard {
  protected readonly session = inject(Session);
  protected readonly deployments = keysetList<DeploymentSummary>('/deployments', () => ({ limit: 8 }));
  protected readonly approvals = keysetList<DeploymentSummary>('/approvals');
  protected readonly connections = keysetList<ConnectionSummary>('/connections');
  protected readonly health = remote<HealthSummary>(() => '/system/health');

  protected readonly running = computed(() => this.deployments.items().filter(isRunning));
  protected readonly mine = computed(
    () => this.approvals.items().filter((one) => one.approval?.can_decide).length,
  );
  protected readonly unwell = computed(
    () => this.connections.items().filter((one) => one.status !== 'ok').length,
  );
  protected readonly ailing = computed(
    () => this.health.value()?.components.filter((part) => part.status !== 'ok') ?? [],
  );
  /** True when there is nothing to show but how to begin. */
  protected readonly fresh = computed(() => this.connections.empty() && this.deployments.empty());

  protected readonly tone = deploymentTone;
  protected readonly status = deploymentStatus;
  protected readonly operation = operationName;
  protected readonly connection = connectionState;

  constructor() {
    const realtime = inject(Realtime);
    realtime.on('deployment.updated', () => this.rereadDeployments());
    realtime.on('approval.requested', () => void this.approvals.reload());
    realtime.on('connection.updated', () => void this.connections.reload());
    effect(() => {
      if (realtime.reconnected() === 0) return;
      this.rereadDeployments();
      void this.connections.reload();
    });
  }

  private rereadDeployments(): void {
    void this.deployments.reload();
    void this.approvals.reload();
  }
}
