import { Clipboard } from '@angular/cdk/clipboard';
import { ChangeDetectionStrategy, Component, computed, inject, signal } from '@angular/core';
import { toSignal } from '@angular/core/rxjs-interop';
import { ActivatedRoute, Router, RouterLink } from '@angular/router';

import { Api } from '@core/api/api';
import { remote } from '@core/api/remote';
import { action } from '@core/feedback/action';
import { Toasts } from '@core/feedback/toasts';
import { Icon } from '@core/icon/icon';
import { keysetList } from '@core/list/keyset-list';
import { ListFrame } from '@core/list/list-frame';
import { EmptyState } from '@core/page/empty-state';
import { PageHeader } from '@core/page/page-header';
import { Session } from '@core/session/session';

import { AuditTabs } from './audit-tabs';
import { spanOf } from './buckets';
import { Facets } from './facets';
import { AuditFilter, countOf, filterOf, paramsOf, queryOf } from './filter';
import { FilterBar } from './filter-bar';
import { Histogram } from './histogram';
import { AuditRecord, Bucket } from './record';
import { RecordGrid } from './record-grid';
import { SavedQueries } from './saved-queries';

const denseKey = 'nimbus.audit.dense';

/** The audit chain of the active tenant, newest first. The filters live in the address. */
@Component({
  selector: 'nb-audit-explorer',
  imports: [
    AuditTabs,
    EmptyState,
    Facets,
    FilterBar,
    Histogram,
    Icon,
    ListFrame,
    PageHeader,
    RecordGrid,
    RouterLink,
    SavedQueries,
  ],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './explorer.html',
  styleUrl: './explorer.scss',
})
export class AuditExplorer {
  private readonly router = inject(Router);
  private readonly api = inject(Api);
  private readonly toasts = inject(Toasts);
  private readonly clipboard = inject(Clipboard);
  private readonly session = inject(Session);
  private readonly route = inject(ActivatedRoute);
  private readonly params = toSignal(this.route.queryParamMap, { initialValue: this.route.snapshot.queryParamMap });

  protected readonly filter = computed(() => filterOf(this.params()));
  protected readonly filtered = computed(() => countOf(this.filter()) > 0);
  // A preset ends at the moment it was chosen: all parts of the page ask for the same time.
  private readonly asked = computed(() => ({ query: queryOf(this.filter(), Date.now()), at: Date.now() }));
  protected readonly query = computed(() => this.asked().query);
  protected readonly span = computed(() => {
    const { query, at } = this.asked();
    return spanOf(query['from'] as string | undefined, query['to'] as string | undefined, at);
  });
  protected readonly list = keysetList<AuditRecord>('/audit/records', () => ({ ...this.query(), limit: 100 }));
  protected readonly timeline = remote<{ buckets: Bucket[] }>(() => {
    const { from, to, bucket } = this.span();
    const times = { from: new Date(from).toISOString(), to: new Date(to).toISOString() };
    return { path: '/audit/timeline', query: { ...this.query(), ...times, bucket } };
  });
  protected readonly buckets = computed(() => this.timeline.value()?.buckets ?? []);
  protected readonly dense = signal(localStorage.getItem(denseKey) === 'on');
  protected readonly mayExport = computed(() => this.session.can('audit:export:create'));
  protected readonly exporting = action('toast');

  protected show(filter: AuditFilter): void {
    void this.router.navigate([], { queryParams: paramsOf(filter) });
  }

  protected add(field: keyof AuditFilter, value: string): void {
    const filter = this.filter();
    const event = field === 'event' ? [...new Set([...filter.event, value])] : filter.event;
    this.show({ ...filter, ...(field === 'event' ? {} : { [field]: value }), event });
  }

  protected narrow(range: { from: string; to: string }): void {
    this.show({ ...this.filter(), ...range, last: '' });
  }

  protected tighten(): void {
    this.dense.update((dense) => !dense);
    localStorage.setItem(denseKey, this.dense() ? 'on' : 'off');
  }

  protected copyLink(): void {
    const params = paramsOf({ ...this.filter(), ...this.fixed() });
    const tree = this.router.createUrlTree([], { relativeTo: this.route, queryParams: params });
    this.clipboard.copy(location.origin + this.router.serializeUrl(tree));
    this.toasts.done($localize`The link is copied. Its times are fixed, so that it shows the same records tomorrow.`);
  }

  protected export(format: 'jsonl' | 'csv'): Promise<boolean> {
    return this.exporting.run(async () => {
      await this.api.post('/audit/exports', { format, filter: this.query() });
      await this.router.navigate(['/audit/exports']);
    });
  }

  // A link that says "last 24 hours" shows other records tomorrow.
  private fixed(): Partial<AuditFilter> {
    const { last } = this.filter();
    if (!last) return {};
    const { from, to } = this.span();
    return { last: '', from: new Date(from).toISOString(), to: new Date(to).toISOString() };
  }
}
