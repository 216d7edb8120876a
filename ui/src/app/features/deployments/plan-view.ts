import { ChangeDetectionStrategy, Component, computed, input } from '@angular/core';

import { Change, Operation, Plan } from '@core/deployment/deployment';
import { PlanCounts } from '@core/deployment/plan-counts';
import { Icon } from '@core/icon/icon';
import { CopyId } from '@core/page/copy-id';

import { ResourceChange } from './resource-change';

const weight: Readonly<Record<Change['op'], number>> = { delete: 0, replace: 1, update: 2, create: 3, same: 4 };

/** A plan for a person to read: what is destroyed first, then what changes, then what is new. */
@Component({
  selector: 'nb-plan',
  imports: [CopyId, Icon, PlanCounts, ResourceChange],
  changeDetection: ChangeDetectionStrategy.OnPush,
  host: { class: 'card' },
  templateUrl: './plan-view.html',
  styleUrl: './plan-view.scss',
})
export class PlanView {
  readonly plan = input.required<Plan>();
  readonly operation = input.required<Operation>();

  protected readonly changes = computed(() =>
    this.plan()
      .changes.filter((change) => change.op !== 'same')
      .sort((a, b) => weight[a.op] - weight[b.op] || a.name.localeCompare(b.name)),
  );
  protected readonly drifted = computed(() => this.plan().drifted ?? []);
  protected readonly lost = computed(
    () => this.changes().filter((change) => change.op === 'delete' || change.op === 'replace').length,
  );
}
