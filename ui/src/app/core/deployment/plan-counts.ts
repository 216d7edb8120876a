import { ChangeDetectionStrategy, Component, computed, input } from '@angular/core';

import { ChangeOp, PlanSummary } from './deployment';

/** The sign of an operation; it says the same as the colour. */
export const opSign: Readonly<Record<ChangeOp, string>> = {
  create: '+',
  update: '~',
  replace: '±',
  delete: '−',
  same: '=',
};

/** An operation as a verb. */
export function opWord(op: ChangeOp): string {
  switch (op) {
    case 'create':
      return $localize`create`;
    case 'update':
      return $localize`change`;
    case 'replace':
      return $localize`replace`;
    case 'delete':
      return $localize`delete`;
    case 'same':
      return $localize`unchanged`;
  }
}

const order: readonly ChangeOp[] = ['create', 'update', 'replace', 'delete'];

/** "+3 create ~1 change": how many resources a plan touches, in one line. */
@Component({
  selector: 'nb-plan-counts',
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    @for (count of counts(); track count.op) {
      <span [class]="'op-' + count.op"><b aria-hidden="true">{{ count.sign }}</b>{{ count.number }} {{ count.word }}</span>
    } @empty {
      <span class="soft" i18n>no changes</span>
    }
  `,
  styles: `
    :host {
      display: inline-flex;
      flex-wrap: wrap;
      gap: 0 var(--s3);
      font-size: var(--text-s);
    }
    span {
      white-space: nowrap;
      color: var(--tone);
    }
    b {
      display: inline-block;
      margin-right: 1px;
      font-family: var(--mono);
    }
    .op-create {
      --tone: var(--good);
    }
    .op-update {
      --tone: var(--busy);
    }
    .op-replace,
    .op-delete {
      --tone: var(--bad);
      font-weight: 600;
    }
  `,
})
export class PlanCounts {
  readonly summary = input.required<PlanSummary>();
  protected readonly counts = computed(() =>
    order
      .filter((op) => this.summary()[op] > 0)
      .map((op) => ({ op, sign: opSign[op], word: opWord(op), number: this.summary()[op] })),
  );
}
