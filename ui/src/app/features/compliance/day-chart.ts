import { ChangeDetectionStrategy, Component, computed, input } from '@angular/core';

import { DayCount, barsOf, worstDay } from './report';

const short = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short', timeZone: 'UTC' });

/** Numbers by day as bars, with the same as a table for whoever wants to read or hear it. */
@Component({
  selector: 'nb-day-chart',
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <div class="chart" role="img" [attr.aria-label]="summary()">
      <span class="top small-text soft">{{ highest() }}</span>
      <div class="bars">
        @for (bar of bars(); track bar.day) {
          <span class="bar" [title]="name(bar.day) + ': ' + bar.count"><i [style.height.%]="bar.height * 100"></i></span>
        }
      </div>
      <div class="ends small-text soft">
        <span>{{ name(bars().at(0)?.day) }}</span>
        <span>{{ name(bars().at(-1)?.day) }}</span>
      </div>
    </div>
    <details>
      <summary i18n>As a table</summary>
      <div class="scroll" tabindex="0" role="region" [attr.aria-label]="label()">
        <table class="table">
          <thead>
            <tr>
              <th scope="col" i18n>Day</th>
              <th scope="col" class="num">{{ label() }}</th>
            </tr>
          </thead>
          <tbody>
            @for (one of some(); track one.day) {
              <tr>
                <th scope="row">{{ name(one.day) }}</th>
                <td class="num">{{ one.count }}</td>
              </tr>
            } @empty {
              <tr><td colspan="2" class="soft" i18n>None on any day.</td></tr>
            }
          </tbody>
        </table>
      </div>
    </details>
  `,
  styles: `
    :host {
      display: grid;
      gap: var(--s3);
      min-width: 0;
    }
    .chart {
      position: relative;
      display: grid;
      gap: var(--s1);
    }
    .top {
      border-bottom: 1px dashed var(--line);
    }
    .bars {
      display: flex;
      align-items: stretch;
      gap: clamp(1px, 0.3%, 4px);
      height: 8rem;
      border-bottom: 1px solid var(--line-strong);
    }
    .bar {
      flex: 1 1 0;
      display: flex;
      align-items: flex-end;
      min-width: 0;
    }
    .bar:hover {
      background: var(--surface-hover);
    }
    i {
      width: 100%;
      border-radius: 2px 2px 0 0;
      background: var(--accent);
    }
    .ends {
      display: flex;
      justify-content: space-between;
    }
    summary {
      width: fit-content;
      color: var(--ink-soft);
      font-size: var(--text-s);
      cursor: pointer;
    }
    .scroll {
      max-height: 18rem;
      overflow: auto;
    }
  `,
})
export class DayChart {
  readonly days = input.required<readonly DayCount[]>();
  /** What is counted. */
  readonly label = input.required<string>();

  protected readonly bars = computed(() => barsOf(this.days()));
  protected readonly some = computed(() => this.days().filter((one) => one.count > 0).reverse());
  protected readonly highest = computed(() => worstDay(this.days())?.count ?? 0);
  protected readonly summary = computed(() => {
    const worst = worstDay(this.days());
    if (!worst) return $localize`${this.label()}:label:: none on any day`;
    return $localize`${this.label()}:label:: most on ${this.name(worst.day)}:day: with ${worst.count}`;
  });

  protected name(day: string | undefined): string {
    return day ? short.format(new Date(`${day}T00:00Z`)) : '';
  }
}
