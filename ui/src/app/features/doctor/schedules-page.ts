import { ChangeDetectionStrategy, Component, inject, signal } from '@angular/core';

import { Api } from '@core/api/api';
import { Dialogs } from '@core/dialog/dialogs';
import { action } from '@core/feedback/action';
import { Toasts } from '@core/feedback/toasts';
import { Icon } from '@core/icon/icon';
import { ListFrame } from '@core/list/list-frame';
import { wholeList } from '@core/list/whole-list';
import { Badge } from '@core/page/badge';
import { EmptyState } from '@core/page/empty-state';
import { PageHeader } from '@core/page/page-header';
import { Session } from '@core/session/session';
import { Time } from '@core/time/time';

import { Schedule, specWords } from './workflow';
import { WorkflowTabs } from './workflow-tabs';

type Verb = 'pause' | 'resume' | 'trigger';

/** What runs by itself: when next, and buttons that pause it or run it now. */
@Component({
  selector: 'nb-schedules-page',
  imports: [Badge, EmptyState, Icon, ListFrame, PageHeader, Time, WorkflowTabs],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './schedules-page.html',
})
export class SchedulesPage {
  private readonly api = inject(Api);
  private readonly dialogs = inject(Dialogs);
  private readonly toasts = inject(Toasts);

  protected readonly list = wholeList<Schedule>(() => '/system/schedules');
  protected readonly mayChange = inject(Session).can('system:workflow:update');
  protected readonly working = action('toast');
  protected readonly specWords = specWords;
  /** The schedule that a button is being pressed for. */
  protected readonly at = signal('');

  protected async pause(schedule: Schedule): Promise<void> {
    const sure = await this.dialogs.confirm({
      heading: $localize`Pause ${schedule.id}?`,
      text: $localize`It does not run by itself any more until somebody resumes it. What depends on it grows old meanwhile: backups, checkpoints and collected data, for example.`,
      verb: $localize`Pause it`,
      danger: true,
    });
    if (sure) await this.do(schedule, 'pause', $localize`Paused.`);
  }

  protected resume(schedule: Schedule): Promise<void> {
    return this.do(schedule, 'resume', $localize`It runs by itself again.`);
  }

  protected trigger(schedule: Schedule): Promise<void> {
    return this.do(schedule, 'trigger', $localize`Started. Its run appears under Workflows.`);
  }

  protected busy(schedule: Schedule): boolean {
    return this.working.busy() && this.at() === schedule.id;
  }

  private async do(schedule: Schedule, verb: Verb, done: string): Promise<void> {
    this.at.set(schedule.id);
    const worked = await this.working.run(() => this.api.post(`/system/schedules/${encodeURIComponent(schedule.id)}/${verb}`));
    if (worked) this.toasts.done(done);
    await this.list.reload();
  }
}
