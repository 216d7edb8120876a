import { ChangeDetectionStrategy, Component, computed, inject, signal } from '@angular/core';

import { Api } from '@core/api/api';
import { remote } from '@core/api/remote';
import { Dialogs } from '@core/dialog/dialogs';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Toasts } from '@core/feedback/toasts';
import { saveFile } from '@core/file/save-file';
import { Said } from '@core/format/said';
import { Icon } from '@core/icon/icon';
import { Badge } from '@core/page/badge';
import { PageHeader } from '@core/page/page-header';
import { Session } from '@core/session/session';
import { Time } from '@core/time/time';

import { Report, countOf, groupsOf, measuredLines, statusIcon, statusTone, statusWord } from './doctor';

/** What is wrong with the appliance and what to do, and the bundle for support. */
@Component({
  selector: 'nb-doctor-page',
  imports: [Badge, Icon, PageHeader, ProblemNotice, Said, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './doctor-page.html',
  styleUrl: './doctor-page.scss',
})
export class DoctorPage {
  private readonly api = inject(Api);
  private readonly dialogs = inject(Dialogs);
  private readonly toasts = inject(Toasts);
  private readonly session = inject(Session);

  protected readonly told = remote<Report>(() => '/system/doctor');
  private readonly items = computed(() => this.told.value()?.items ?? []);
  /** Shows what needs somebody only. */
  protected readonly onlyProblems = signal(false);
  protected readonly groups = computed(() => {
    const wanted = this.onlyProblems() ? this.items().filter((one) => one.status === 'failed' || one.status === 'warning') : this.items();
    return groupsOf(wanted);
  });
  protected readonly failed = computed(() => countOf(this.items(), 'failed'));
  protected readonly warnings = computed(() => countOf(this.items(), 'warning'));
  protected readonly unknown = computed(() => countOf(this.items(), 'unknown'));
  protected readonly tone = computed(() => statusTone(this.failed() ? 'failed' : this.warnings() ? 'warning' : 'ok'));
  protected readonly mayBundle = this.session.can('system:support:create');
  protected readonly running = action();
  protected readonly bundling = action();
  protected readonly statusTone = statusTone;
  protected readonly statusWord = statusWord;
  protected readonly statusIcon = statusIcon;
  protected readonly measuredLines = measuredLines;

  protected async run(): Promise<void> {
    await this.running.run(async () => this.told.set(await this.api.post<Report>('/system/doctor/run')));
  }

  protected async bundle(): Promise<void> {
    const sure = await this.dialogs.confirm({
      heading: $localize`Make a support bundle?`,
      text: $localize`One file with the findings, settings, the last lines of the log and the state of workflows. Passwords, tokens and keys are left out. Names of tenants, people and machines may be in it: look through it before you pass it on.`,
      verb: $localize`Make the bundle`,
    });
    if (!sure) return;
    const done = await this.bundling.run(async () => {
      const file = await this.api.download('/system/support-bundle');
      saveFile(`nimbus-support-${new Date().toISOString().slice(0, 19).replaceAll(':', '')}.tar.gz`, file, 'application/gzip');
    });
    if (done) this.toasts.done($localize`The bundle is in your downloads. That it was made is recorded.`);
  }
}
