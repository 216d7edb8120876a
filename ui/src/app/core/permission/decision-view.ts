import { ChangeDetectionStrategy, Component, computed, input } from '@angular/core';

import { Icon } from '../icon/icon';
import { Considered, Decision, decides, inOrder } from './decision';
import { GrantChip } from './grant-chip';
import { GrantLimits } from './grant-limits';

/** The answer to one question and the grants that were looked at for it. */
@Component({
  selector: 'nb-decision',
  imports: [GrantChip, GrantLimits, Icon],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './decision-view.html',
  styleUrl: './decision-view.scss',
})
export class DecisionView {
  readonly decision = input.required<Decision>();
  /** Names of compartments, by id. */
  readonly places = input<ReadonlyMap<string, string>>(new Map());

  private readonly ordered = computed(() => inOrder(this.decision()));
  protected readonly holding = computed(() => this.ordered().filter((one) => one.matched || one.note));
  protected readonly others = computed(() => this.ordered().filter((one) => !one.matched && !one.note));

  protected decides(one: Considered): boolean {
    return decides(this.decision(), one);
  }

  protected via(one: Considered): string {
    return one.via ?? (one.role ? $localize`role ${one.role}` : $localize`direct grant`);
  }
}
