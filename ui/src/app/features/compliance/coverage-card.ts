import { ChangeDetectionStrategy, Component, computed, input } from '@angular/core';
import { RouterLink } from '@angular/router';

import { Badge } from '@core/page/badge';
import { Time } from '@core/time/time';

import { Coverage, percent } from './report';

/** How much of the chain can be proven: signed, published, verified. */
@Component({
  selector: 'nb-coverage-card',
  imports: [Badge, RouterLink, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <section class="card" aria-labelledby="coverage">
      <header>
        <h2 id="coverage" i18n>Coverage of the proof</h2>
        <a class="small-text" routerLink="/audit-settings/proof" i18n>Checkpoints</a>
      </header>
      <div class="body stack">
        @for (row of rows(); track row.word) {
          <div class="row-of">
            <p>
              <span>{{ row.word }}</span>
              <span class="soft">{{ row.part.toLocaleString() }} <ng-container i18n>of</ng-container> {{ coverage().records.toLocaleString() }} · {{ row.percent }} %</span>
            </p>
            <span class="track" aria-hidden="true"><i [class.whole]="row.percent === 100" [style.width.%]="row.percent"></i></span>
          </div>
        }
        <dl class="facts">
          <div>
            <dt i18n>Verified</dt>
            <dd>
              @if (coverage().verified_at) {
                <nb-time [at]="coverage().verified_at" [relative]="true" />&ngsp;
                @if (coverage().ok) {
                  <nb-badge tone="good" i18n>whole</nb-badge>
                } @else {
                  <nb-badge tone="bad" i18n>broken</nb-badge>
                }
              } @else {
                <span i18n>never</span>&ngsp;· <a routerLink="/audit/verify" i18n>verify now</a>
              }
            </dd>
          </div>
          <div><dt i18n>Last published</dt><dd><nb-time [at]="coverage().published_at" [relative]="true" i18n-none none="never" /></dd></div>
          @if (coverage().oldest_unpublished; as since) {
            <div><dt i18n>Waits to be published since</dt><dd><nb-time [at]="since" [relative]="true" /></dd></div>
          }
        </dl>
      </div>
    </section>
  `,
  styles: `
    .row-of {
      display: grid;
      gap: var(--s1);
    }
    .row-of p {
      display: flex;
      flex-wrap: wrap;
      justify-content: space-between;
      gap: 0 var(--s3);
    }
    .track {
      height: 0.5rem;
      border-radius: 1rem;
      background: var(--surface-sunken);
      overflow: hidden;
    }
    i {
      display: block;
      height: 100%;
      border-radius: 1rem;
      background: var(--warn);
    }
    i.whole {
      background: var(--good);
    }
    dd nb-badge {
      margin-left: var(--s2);
    }
  `,
})
export class CoverageCard {
  readonly coverage = input.required<Coverage>();
  protected readonly rows = computed(() => {
    const { records, checkpointed, published } = this.coverage();
    return [
      { word: $localize`Covered by a signed checkpoint`, part: checkpointed, percent: percent(checkpointed, records) },
      { word: $localize`Published outside`, part: published, percent: percent(published, records) },
    ];
  });
}
