import { ChangeDetectionStrategy, Component, computed, inject, input } from '@angular/core';
import { RouterLink } from '@angular/router';

import { Api } from '@core/api/api';
import { remote } from '@core/api/remote';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Icon } from '@core/icon/icon';
import { EmptyState } from '@core/page/empty-state';
import { PageHeader } from '@core/page/page-header';
import { Time } from '@core/time/time';

import { UserActivity } from './record';
import { RecordList } from './record-list';

/** What one person or program did: when in the day, from where, and what. */
@Component({
  selector: 'nb-activity-page',
  imports: [EmptyState, Icon, PageHeader, ProblemNotice, RecordList, RouterLink, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './activity-page.html',
  styleUrl: './activity-page.scss',
})
export class ActivityPage {
  private readonly api = inject(Api);

  readonly user = input.required<string>();

  private readonly path = computed(() => `/audit/activity/${encodeURIComponent(this.user())}`);
  protected readonly activity = remote<UserActivity>(() => this.path());
  protected readonly reading = action();
  protected readonly heading = computed(() => $localize`Activity of ${this.activity.value()?.user.name || this.user()}`);
  protected readonly hours = computed(() => {
    const hours = this.activity.value()?.hours ?? [];
    const most = Math.max(1, ...hours);
    return hours.map((count, hour) => ({ hour, count, share: Math.round((count * 100) / most) }));
  });
  protected readonly back = { link: '/audit', label: $localize`Audit` };

  protected told(hour: number, count: number): string {
    const [from, to] = [`${hour}:00`, `${hour + 1}:00`];
    return $localize`${from} to ${to} – ${count} records`;
  }

  protected async more(): Promise<void> {
    const path = this.path();
    await this.reading.run(async () => {
      const before = this.activity.value();
      const after = await this.api.get<UserActivity>(path, { query: { cursor: before?.next } });
      if (before && path === this.path()) {
        this.activity.set({ ...before, items: [...before.items, ...after.items], next: after.next });
      }
    });
  }
}
