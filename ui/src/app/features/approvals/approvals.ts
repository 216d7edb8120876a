import { ChangeDetectionStrategy, Component, computed, inject } from '@angular/core';
import { RouterLink } from '@angular/router';

import { Deployment, operationName } from '@core/deployment/deployment';
import { PlanCounts } from '@core/deployment/plan-counts';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Icon } from '@core/icon/icon';
import { keysetList } from '@core/list/keyset-list';
import { Badge } from '@core/page/badge';
import { EmptyState } from '@core/page/empty-state';
import { PageHeader } from '@core/page/page-header';
import { rereadWithoutLive } from '@core/realtime/fallback';
import { Realtime } from '@core/realtime/realtime';
import { Time } from '@core/time/time';

/** The plans that wait for somebody: first those that wait for the signed-in person. */
@Component({
  selector: 'nb-approvals',
  imports: [Badge, EmptyState, Icon, PageHeader, PlanCounts, ProblemNotice, RouterLink, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './approvals.html',
  styleUrl: './approvals.scss',
})
export class Approvals {
  protected readonly list = keysetList<Deployment>('/approvals');
  protected readonly groups = computed(() => [
    {
      id: 'mine',
      title: $localize`Waiting for you`,
      items: this.list.items().filter((one) => one.approval?.can_decide),
    },
    {
      id: 'others',
      title: $localize`Waiting for somebody else`,
      items: this.list.items().filter((one) => !one.approval?.can_decide),
    },
  ]);
  protected readonly operation = operationName;

  constructor() {
    const realtime = inject(Realtime);
    realtime.on('approval.requested', () => void this.list.reload());
    realtime.on('deployment.updated', () => void this.list.reload());
    rereadWithoutLive(() => this.list.reload(), 10_000);
  }
}
