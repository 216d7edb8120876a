import { ChangeDetectionStrategy, Component, computed, inject, signal } from '@angular/core';
import { RouterLink } from '@angular/router';

import { Api } from '@core/api/api';
import { remote } from '@core/api/remote';
import { rereadWhile } from '@core/api/reread';
import { Dialogs } from '@core/dialog/dialogs';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Progress } from '@core/feedback/progress';
import { Toasts } from '@core/feedback/toasts';
import { BytesPipe } from '@core/format/bytes';
import { Icon } from '@core/icon/icon';
import { keysetList } from '@core/list/keyset-list';
import { ListFrame } from '@core/list/list-frame';
import { Badge } from '@core/page/badge';
import { CopyBlock } from '@core/page/copy-block';
import { EmptyState } from '@core/page/empty-state';
import { PageHeader } from '@core/page/page-header';
import { Realtime } from '@core/realtime/realtime';
import { Session } from '@core/session/session';
import { Clock } from '@core/time/clock';
import { localTime } from '@core/time/format';
import { Time } from '@core/time/time';

import { Backup, BackupSettings, isMade, isOpen, kindWord, restoreCommand, standing, stateTone, stateWord } from './backup';
import { BackupDetails } from './backup-details';
import { BackupTabs } from './backup-tabs';

/** The backups of the appliance: whether they can be relied on, each with its state, and what can be done. */
@Component({
  selector: 'nb-backups-page',
  imports: [BackupTabs, Badge, BytesPipe, CopyBlock, EmptyState, Icon, ListFrame, PageHeader, ProblemNotice, Progress, RouterLink, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './backups-page.html',
  styleUrl: './backups-page.scss',
})
export class BackupsPage {
  private readonly api = inject(Api);
  private readonly clock = inject(Clock);
  private readonly dialogs = inject(Dialogs);
  private readonly toasts = inject(Toasts);
  private readonly session = inject(Session);

  protected readonly list = keysetList<Backup>('/system/backups', () => ({}), 'after');
  protected readonly settings = remote<BackupSettings>(() => '/system/backups/settings');
  protected readonly standing = computed(() => {
    const settings = this.settings.value();
    return settings && !this.list.loading() ? standing(this.list.items(), settings, this.clock.now()) : null;
  });
  protected readonly running = computed(() => this.list.items().some((one) => one.state === 'running'));
  protected readonly failed = computed(() => this.list.items()[0]?.state === 'failed');
  protected readonly mayCreate = this.session.can('system:backup:create');
  protected readonly mayVerify = this.session.can('system:backup:verify');
  protected readonly mayDelete = this.session.can('system:backup:delete');
  protected readonly creating = action();
  protected readonly working = action('toast');
  /** The backup that a button is being pressed for. */
  protected readonly at = signal('');
  protected readonly isMade = isMade;
  protected readonly isOpen = isOpen;
  protected readonly kindWord = kindWord;
  protected readonly stateWord = stateWord;
  protected readonly stateTone = stateTone;
  protected readonly command = computed(() => restoreCommand(this.settings.value()?.target ?? { kind: 'none' }));

  constructor() {
    rereadWhile(() => this.list.items().some(isOpen), () => this.list.reload());
    inject(Realtime).on<Backup>('backup.updated', ({ data }) => this.take(data));
  }

  protected async create(): Promise<void> {
    const done = await this.creating.run(() => this.api.post('/system/backups'));
    if (!done) return;
    this.toasts.done($localize`The backup has begun. Nimbus works on while it is made; you can leave this page.`);
    await this.list.reload();
  }

  protected async verify(backup: Backup): Promise<void> {
    this.at.set(backup.id);
    const done = await this.working.run(() => this.api.post(`/system/backups/${backup.id}/verify`));
    if (done) this.toasts.done($localize`The check has begun: the backup is restored beside the appliance, started and looked through.`);
    await this.list.reload();
  }

  protected async remove(backup: Backup): Promise<void> {
    if (!(await this.sure(backup))) return;
    this.at.set(backup.id);
    const done = await this.working.run(() => this.api.delete(`/system/backups/${backup.id}`));
    if (done) this.toasts.done($localize`The backup is deleted.`);
    await this.list.reload();
  }

  protected async stop(backup: Backup): Promise<void> {
    const makes = backup.state === 'running';
    const sure = await this.dialogs.confirm({
      heading: makes ? $localize`Stop this backup?` : $localize`Stop this check?`,
      text: makes ? $localize`What was written of it is removed; it cannot be restored.` : $localize`The backup stays as it is, and is not proven.`,
      verb: makes ? $localize`Stop the backup` : $localize`Stop the check`,
      danger: true,
    });
    if (!sure) return;
    this.at.set(backup.id);
    await this.working.run(() => this.api.delete(`/system/backups/${backup.id}`));
    await this.list.reload();
  }

  protected show(backup: Backup): void {
    void this.dialogs.open<void, Backup>(BackupDetails, backup, { wide: true });
  }

  protected busy(backup: Backup): boolean {
    return this.working.busy() && this.at() === backup.id;
  }

  private sure(backup: Backup): Promise<boolean> {
    const made = this.list.items().filter(isMade);
    const when = localTime(new Date(backup.started_at));
    const only = isMade(backup) && made.length === 1;
    const text = only
      ? $localize`It is the only one. Without it nothing can be restored until the next backup is made.`
      : $localize`Its file goes from where it is kept, and moments that only it leads to cannot be restored any more.`;
    return this.dialogs.confirm({
      heading: $localize`Delete the backup of ${when}?`,
      text: isMade(backup) ? text : $localize`What is left of it is removed. It could not have been restored.`,
      verb: $localize`Delete the backup`,
      danger: true,
    });
  }

  private take(told: Backup): void {
    if (this.list.items().some((one) => one.id === told.id)) this.list.patch((one) => one.id === told.id, () => told);
    else void this.list.reload();
  }
}
