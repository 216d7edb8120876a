import { ChangeDetectionStrategy, Component, computed, inject } from '@angular/core';
import { toSignal } from '@angular/core/rxjs-interop';
import { ActivatedRoute, Router, RouterLink } from '@angular/router';

import { remote } from '@core/api/remote';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Icon } from '@core/icon/icon';
import { keysetList } from '@core/list/keyset-list';
import { ListFrame } from '@core/list/list-frame';
import { EmptyState } from '@core/page/empty-state';
import { PageHeader } from '@core/page/page-header';

import { AuditTabs } from './audit-tabs';
import { spanOf } from './buckets';
import { AuditFilter, filterOf, paramsOf, queryOf } from './filter';
import { FilterBar } from './filter-bar';
import { Histogram } from './histogram';
import { AuditRecord, Bucket } from './record';
import { RecordList } from './record-list';

/** The trail along time: a large histogram and below it what happened, with what it changed. */
@Component({
  selector: 'nb-timeline-page',
  imports: [AuditTabs, EmptyState, FilterBar, Histogram, Icon, ListFrame, PageHeader, ProblemNotice, RecordList, RouterLink],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <nb-page-header i18n-heading heading="Timeline" i18n-lead lead="What happened when. Drag across the bars to look closer.">
      <a class="button" routerLink="/audit" [queryParams]="params()"><nb-icon name="audit" [size]="15" /><ng-container i18n>In the explorer</ng-container></a>
    </nb-page-header>
    <nb-audit-tabs />
    <nb-list-frame [list]="list" i18n-label label="Records along time">
      <ng-container above>
        <nb-filter-bar [filter]="filter()" (changed)="show($event)" />
        @if (timeline.problem(); as problem) {
          <nb-problem [problem]="problem" [retryable]="true" (retry)="timeline.reload()" />
        } @else {
          <nb-histogram [buckets]="timeline.value()?.buckets ?? []" [span]="span()" (narrow)="narrow($event)" />
        }
      </ng-container>
      <nb-record-list [records]="list.items()" [withChanges]="true" />
      <nb-empty whenEmpty icon="history" i18n-heading heading="Nothing happened" i18n-text text="Widen the times or take a filter away." />
    </nb-list-frame>
  `,
  styles: `
    nb-histogram {
      --plot: 11rem;
      border-bottom: 1px solid var(--line);
    }
  `,
})
export class TimelinePage {
  private readonly router = inject(Router);
  private readonly route = inject(ActivatedRoute);
  private readonly query = toSignal(this.route.queryParamMap, { initialValue: this.route.snapshot.queryParamMap });

  protected readonly filter = computed(() => filterOf(this.query()));
  protected readonly params = computed(() => paramsOf(this.filter()));
  private readonly asked = computed(() => ({ query: queryOf(this.filter(), Date.now()), at: Date.now() }));
  protected readonly span = computed(() => {
    const { query, at } = this.asked();
    return spanOf(query['from'] as string | undefined, query['to'] as string | undefined, at);
  });
  protected readonly timeline = remote<{ buckets: Bucket[] }>(() => {
    const { from, to, bucket } = this.span();
    const times = { from: new Date(from).toISOString(), to: new Date(to).toISOString() };
    return { path: '/audit/timeline', query: { ...this.asked().query, ...times, bucket } };
  });
  protected readonly list = keysetList<AuditRecord>('/audit/records', () => ({ ...this.asked().query, limit: 50 }));

  protected show(filter: AuditFilter): void {
    void this.router.navigate([], { queryParams: paramsOf(filter) });
  }

  protected narrow(range: { from: string; to: string }): void {
    this.show({ ...this.filter(), ...range, last: '' });
  }
}
