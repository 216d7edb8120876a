import { ChangeDetectionStrategy, Component, computed, input } from '@angular/core';

import { Icon } from '../icon/icon';
import { IconName } from '../icon/icons';
import { localTime } from '../time/format';
import { Grant } from './grant';

/** Where, when and under what condition something holds; nothing for what always holds. */
@Component({
  selector: 'nb-grant-limits',
  imports: [Icon],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    @for (one of limits(); track one.icon) {
      <span [class.mono]="one.icon === 'code'"><nb-icon [name]="one.icon" [size]="13" />{{ one.text }}</span>
    }
  `,
  styles: `
    :host {
      display: inline-flex;
      flex-wrap: wrap;
      gap: var(--s1) var(--s2);
      min-width: 0;
      color: var(--ink-soft);
      font-size: var(--text-s);
    }
    :host(:empty) {
      display: none;
    }
    span {
      display: inline-flex;
      align-items: center;
      gap: var(--s1);
      min-width: 0;
      overflow-wrap: anywhere;
    }
  `,
})
export class GrantLimits {
  readonly grant = input.required<Omit<Grant, 'permission' | 'effect'>>();
  /** Names of compartments, by id. */
  readonly places = input<ReadonlyMap<string, string>>(new Map());

  protected readonly limits = computed(() => {
    const { compartment_id: place, not_before: from, expires_at: to, condition } = this.grant();
    const all: { icon: IconName; text: string }[] = [];
    if (place) all.push({ icon: 'pool', text: $localize`in ${this.places().get(place) ?? place}` });
    if (from || to) all.push({ icon: 'clock', text: span(from, to) });
    if (condition) all.push({ icon: 'code', text: condition });
    return all;
  });
}

function span(from: string | null | undefined, to: string | null | undefined): string {
  const of = (at: string) => localTime(new Date(at));
  if (from && to) return $localize`${of(from)} to ${of(to)}`;
  return to ? $localize`until ${of(to)}` : $localize`from ${of(from ?? '')}`;
}
