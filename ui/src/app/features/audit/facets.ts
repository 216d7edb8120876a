import { ChangeDetectionStrategy, Component, computed, input, output } from '@angular/core';

import { remote } from '@core/api/remote';

import { AuditFilter, FilterQuery } from './filter';
import { FacetValue } from './record';

type Field = 'event' | 'actor' | 'outcome' | 'category' | 'priority' | 'target_kind' | 'address';

const groups: readonly { name: string; field: Field; label: string }[] = [
  { name: 'outcomes', field: 'outcome', label: $localize`Outcome` },
  { name: 'categories', field: 'category', label: $localize`Category` },
  { name: 'events', field: 'event', label: $localize`Event` },
  { name: 'priorities', field: 'priority', label: $localize`Priority` },
  { name: 'actors', field: 'actor', label: $localize`Who` },
  { name: 'target_kinds', field: 'target_kind', label: $localize`Kind of resource` },
  { name: 'addresses', field: 'address', label: $localize`Address` },
];

/** The values that occur most in what the filter finds; a click adds one to the filter. */
@Component({
  selector: 'nb-facets',
  changeDetection: ChangeDetectionStrategy.OnPush,
  host: { role: 'group', '[attr.aria-label]': 'label', '[attr.aria-busy]': 'facets.loading()' },
  template: `
    @for (group of shown(); track group.field) {
      <details [open]="$index < 3 && !narrow">
        <summary>{{ group.label }}</summary>
        <ul>
          @for (value of group.values; track value.value) {
            <li>
              <button type="button" (click)="picked.emit({ field: group.field, value: value.value })">
                <span>{{ value.value }}</span><span class="soft">{{ value.count }}</span>
              </button>
            </li>
          }
        </ul>
      </details>
    } @empty {
      @if (facets.problem()) {
        <p class="small-text soft" i18n>The most frequent values could not be counted.</p>
      } @else if (facets.loading()) {
        <p class="small-text soft" i18n>Counting …</p>
      } @else {
        <p class="small-text soft" i18n>Nothing to count.</p>
      }
    }
  `,
  styles: `
    :host {
      display: grid;
      align-content: start;
      gap: var(--s3);
    }
    summary {
      padding: var(--s1) 0;
      color: var(--ink-soft);
      font-size: var(--text-s);
      font-weight: 550;
      cursor: pointer;
    }
    button {
      display: flex;
      justify-content: space-between;
      gap: var(--s2);
      width: 100%;
      padding: 3px var(--s2);
      border: 0;
      border-radius: var(--radius-s);
      background: none;
      font-size: var(--text-s);
      text-align: left;
      cursor: pointer;
    }
    button:hover {
      background: var(--surface-hover);
    }
    button span:first-child {
      min-width: 0;
      overflow-wrap: anywhere;
    }
  `,
})
export class Facets {
  readonly query = input.required<FilterQuery>();
  readonly picked = output<{ field: keyof AuditFilter; value: string }>();

  protected readonly label = $localize`Most frequent values`;
  protected readonly narrow = matchMedia('(max-width: 1100px)').matches;
  protected readonly facets = remote<Record<string, FacetValue[] | number | boolean | undefined>>(() => ({
    path: '/audit/facets',
    query: this.query(),
  }));
  protected readonly shown = computed(() => {
    const answer = this.facets.value() ?? {};
    return groups
      .map((group) => ({ ...group, values: valuesOf(answer[group.name]) }))
      .filter((group) => group.values.length > 0);
  });
}

function valuesOf(values: FacetValue[] | number | boolean | undefined): FacetValue[] {
  return Array.isArray(values) ? values.filter((each) => each.value).slice(0, 8) : [];
}
