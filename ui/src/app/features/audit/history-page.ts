import { ChangeDetectionStrategy, Component, computed, inject, input } from '@angular/core';

import { Api, Page } from '@core/api/api';
import { remote } from '@core/api/remote';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { CopyId } from '@core/page/copy-id';
import { EmptyState } from '@core/page/empty-state';
import { PageHeader } from '@core/page/page-header';

import { AuditRecord, targetName } from './record';
import { RecordList } from './record-list';

/** Everything that happened to one resource, oldest first, with what was changed. */
@Component({
  selector: 'nb-history-page',
  imports: [CopyId, EmptyState, PageHeader, ProblemNotice, RecordList],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <nb-page-header [heading]="heading()" [back]="back" i18n-lead lead="Every record about it, the oldest first.">
      <nb-id [value]="id()" />
    </nb-page-header>
    @if (page.problem(); as problem) {
      <nb-problem [problem]="problem" [retryable]="true" (retry)="page.reload()" />
    } @else if (page.value(); as it) {
      <section class="card">
        @if (it.items.length) {
          <nb-record-list [records]="it.items" [withChanges]="true" />
        } @else {
          <nb-empty icon="history" i18n-heading heading="Nothing is recorded about it" i18n-text text="Look at the archive when its records are older than the retention." />
        }
        @if (it.next) {
          <div class="body">
            <button type="button" class="button" [disabled]="reading.busy()" (click)="more()" i18n>Show more</button>
            <nb-problem [problem]="reading.problem()" />
          </div>
        }
      </section>
    } @else {
      <p class="soft" role="status" i18n>Reading …</p>
    }
  `,
})
export class HistoryPage {
  private readonly api = inject(Api);

  readonly kind = input.required<string>();
  readonly id = input.required<string>();

  private readonly path = computed(() => `/audit/history/${encodeURIComponent(this.kind())}/${encodeURIComponent(this.id())}`);
  protected readonly page = remote<Page<AuditRecord>>(() => this.path());
  protected readonly reading = action();
  protected readonly heading = computed(() => {
    const last = this.page.value()?.items.at(-1);
    return $localize`History of ${this.kind()} ${last ? targetName(last) : ''}`.trim();
  });
  protected readonly back = { link: '/audit', label: $localize`Audit` };

  protected async more(): Promise<void> {
    const path = this.path();
    await this.reading.run(async () => {
      const before = this.page.value();
      const after = await this.api.get<Page<AuditRecord>>(path, { query: { cursor: before?.next } });
      if (path === this.path()) this.page.set({ ...after, items: [...(before?.items ?? []), ...after.items] });
    });
  }
}
