import { ChangeDetectionStrategy, Component, inject, input } from '@angular/core';
import { Router, RouterLink } from '@angular/router';

import {
  Deployment,
  DeploymentStatus,
  deploymentState,
  isOver,
  operationName,
} from '@core/deployment/deployment';
import { DeploymentBadge } from '@core/deployment/deployment-badge';
import { PlanCounts } from '@core/deployment/plan-counts';
import { Icon } from '@core/icon/icon';
import { keysetList } from '@core/list/keyset-list';
import { ListFrame } from '@core/list/list-frame';
import { EmptyState } from '@core/page/empty-state';
import { PageHeader } from '@core/page/page-header';
import { rereadWithoutLive } from '@core/realtime/fallback';
import { Realtime } from '@core/realtime/realtime';
import { Clock } from '@core/time/clock';
import { duration } from '@core/time/format';
import { Time } from '@core/time/time';

const statuses: readonly DeploymentStatus[] = [
  'accepted',
  'previewing',
  'awaiting_approval',
  'applying',
  'verifying',
  'compensating',
  'succeeded',
  'failed',
  'rejected',
  'cancelled',
  'expired',
];

/** Every run over every stack, newest first; the filters are in the address. */
@Component({
  selector: 'nb-deployments',
  imports: [DeploymentBadge, EmptyState, Icon, ListFrame, PageHeader, PlanCounts, RouterLink, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './deployments.html',
  styleUrl: './deployments.scss',
})
export class Deployments {
  private readonly router = inject(Router);
  private readonly clock = inject(Clock);
  readonly status = input<string>();
  readonly stack_id = input<string>();
  protected readonly list = keysetList<Deployment>('/deployments', () => ({
    status: this.status(),
    stack_id: this.stack_id(),
  }));
  protected readonly choices = statuses.map((value) => ({ value, label: deploymentState(value).word }));
  protected readonly operation = operationName;

  constructor() {
    inject(Realtime).on<Deployment>('deployment.updated', (event) => this.take(event.data));
    rereadWithoutLive(() => this.list.reload(), 5_000);
  }

  protected filter(queryParams: Record<string, string | null>): void {
    void this.router.navigate([], { queryParams, queryParamsHandling: 'merge' });
  }

  protected took(one: Deployment): string {
    if (!one.started_at) return '–';
    const end = one.ended_at ? Date.parse(one.ended_at) : this.clock.now();
    return duration((end - Date.parse(one.started_at)) / 1000);
  }

  // An event carries no plan: what is shown of it stays, and a new run or one
  // that ended is read again.
  private take(data: Deployment): void {
    const known = this.list.items().some((one) => one.id === data.id);
    if (!known || isOver(data.status) || this.status()) return void this.list.reload();
    this.list.patch(
      (one) => one.id === data.id,
      (one) => ({ ...one, ...data, plan: one.plan }),
    );
  }
}
