import { ChangeDetectionStrategy, Component, computed, effect, inject, signal, untracked } from '@angular/core';
import { FormControl, FormGroup, ReactiveFormsModule, Validators } from '@angular/forms';

import { Api } from '@core/api/api';
import { remote } from '@core/api/remote';
import { TargetKind, fillTarget, targetBody, targetFaults, targetForm } from '@core/backup/target';
import { TargetFields } from '@core/backup/target-fields';
import { Dialogs } from '@core/dialog/dialogs';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Toasts } from '@core/feedback/toasts';
import { Choice, Option } from '@core/form/choice';
import { Field, FieldInput } from '@core/form/field';
import { submit } from '@core/form/submit';
import { PageHeader } from '@core/page/page-header';
import { Session } from '@core/session/session';

import { BackupSettings, badRecipients, recipientsOf } from './backup';
import { BackupTabs } from './backup-tabs';

/** Where backups go, how often they are made, how long they are kept, and who can open them. */
@Component({
  selector: 'nb-backup-settings-page',
  imports: [BackupTabs, Choice, Field, FieldInput, PageHeader, ProblemNotice, ReactiveFormsModule, TargetFields],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './backup-settings-page.html',
  styleUrl: './backup-settings-page.scss',
})
export class BackupSettingsPage {
  private readonly api = inject(Api);
  private readonly dialogs = inject(Dialogs);
  private readonly toasts = inject(Toasts);
  private readonly session = inject(Session);

  protected readonly told = remote<BackupSettings>(() => '/system/backups/settings');
  protected readonly mayEdit = this.session.can('system:backup:update');
  protected readonly mayPrune = this.session.can('system:backup:delete');
  protected readonly kind = signal<TargetKind>('none');
  protected readonly form = new FormGroup({
    target: targetForm(),
    enabled: new FormControl(true, { nonNullable: true }),
    at: new FormControl('02:30', { nonNullable: true, validators: Validators.required }),
    weekday: new FormControl('', { nonNullable: true }),
    wal: new FormControl(true, { nonNullable: true }),
    verify: new FormControl(true, { nonNullable: true }),
    daily: count(1, 366),
    weekly: count(0, 520),
    monthly: count(0, 240),
    recipients: new FormControl('', { nonNullable: true }),
    alarm_after_hours: count(1, 8760),
  });
  protected readonly saving = submit(this.form);
  protected readonly testing = action();
  protected readonly pruning = action('toast');
  private readonly tried = signal(false);
  protected readonly keepsSecret = computed(() => {
    const target = this.told.value()?.target;
    return Boolean(target?.has_secret) && target?.kind === this.kind();
  });
  protected readonly faults = computed(() => {
    this.saving.touched();
    return this.tried() ? targetFaults(this.kind(), this.form.controls.target.getRawValue(), this.keepsSecret()) : {};
  });
  protected readonly recipientFault = computed(() => {
    this.saving.touched();
    const bad = badRecipients(this.form.getRawValue().recipients);
    return bad.length ? $localize`${bad[0] ?? ''} is no age recipient: one begins with age1 and has 62 characters.` : this.saving.error('recipients');
  });
  protected readonly changed = computed(() => {
    this.saving.touched();
    return this.form.dirty || this.kind() !== (this.told.value()?.target.kind ?? 'none');
  });
  /** How many backups the policy keeps at most, in words. */
  protected readonly kept = computed(() => {
    this.saving.touched();
    const { daily, weekly, monthly } = this.form.getRawValue();
    return $localize`At most ${daily + weekly + monthly} backups stay; fewer when one counts for several.`;
  });
  protected readonly hasTarget = computed(() => (this.told.value()?.target.kind ?? 'none') !== 'none');
  protected readonly kinds: readonly Option<TargetKind>[] = [
    { value: 'none', label: $localize`Nowhere`, text: $localize`No backups are made. What is lost with this machine is lost.` },
    { value: 'directory', label: $localize`A directory`, text: $localize`On a disk or a share that is mounted on this machine.` },
    { value: 's3', label: $localize`Object storage`, text: $localize`A bucket that speaks S3, at a provider or your own.` },
    { value: 'sftp', label: $localize`An SFTP server`, text: $localize`Another machine that SSH reaches, such as a NAS.` },
  ];
  protected readonly days = Array.from({ length: 7 }, (_, day) => ({
    value: String(day),
    name: new Intl.DateTimeFormat(undefined, { weekday: 'long', timeZone: 'UTC' }).format(new Date(Date.UTC(2026, 10, 22 + day))),
  }));

  constructor() {
    if (!this.mayEdit) this.form.disable();
    effect(() => {
      const told = this.told.value();
      if (told) untracked(() => this.fill(told));
    });
  }

  protected async save(): Promise<void> {
    if (!this.ready() || !(await this.sure())) return;
    await this.saving.run(async () => {
      this.told.set(await this.api.put<BackupSettings>('/system/backups/settings', this.body()));
      this.toasts.done($localize`Saved.`);
    });
  }

  protected async test(): Promise<void> {
    if (!this.ready()) return;
    const done = await this.testing.run(() => this.api.post('/system/backups/settings/test', this.body()));
    if (done) this.toasts.done($localize`It works: a file was written there, read back and deleted.`);
  }

  protected async prune(): Promise<void> {
    const sure = await this.dialogs.confirm({
      heading: $localize`Delete what the policy does not keep?`,
      text: $localize`Backups beyond the saved numbers are deleted where they lie, with the log that only they need. The newest and the newest that was proven always stay.`,
      verb: $localize`Delete them`,
      danger: true,
    });
    if (!sure) return;
    await this.pruning.run(async () => {
      const { items } = await this.api.post<{ items: unknown[] }>('/system/backups/prune');
      this.toasts.done(items.length ? $localize`Backups that were deleted: ${items.length}.` : $localize`There was nothing to delete.`);
    });
  }

  private ready(): boolean {
    this.tried.set(true);
    return this.saving.ready() && Object.keys(this.faults()).length === 0 && !this.recipientFault();
  }

  private async sure(): Promise<boolean> {
    if (this.kind() !== 'none' || !this.hasTarget()) return true;
    return this.dialogs.confirm({
      heading: $localize`Make no backups any more?`,
      text: $localize`Those that were made stay where they lie, but the place and its secret are forgotten here. What changes from now on is lost with this machine.`,
      verb: $localize`Stop backups`,
      danger: true,
    });
  }

  private body(): BackupSettings {
    const { target, enabled, at, weekday, wal, verify, daily, weekly, monthly, recipients, alarm_after_hours } = this.form.getRawValue();
    return {
      target: { ...targetBody(this.kind(), target), has_secret: this.keepsSecret() },
      schedule: { enabled, at, ...(weekday === '' ? {} : { weekday: Number(weekday) }) },
      keep: { daily, weekly, monthly },
      wal: { enabled: wal },
      recipients: recipientsOf(recipients),
      alarm_after_hours,
      verify,
    };
  }

  private fill(told: BackupSettings): void {
    const { schedule, keep, wal, recipients, alarm_after_hours, verify } = told;
    this.form.reset({
      ...keep,
      enabled: schedule.enabled,
      at: schedule.at,
      weekday: schedule.weekday === null || schedule.weekday === undefined ? '' : String(schedule.weekday),
      wal: wal.enabled,
      verify: verify ?? true,
      recipients: (recipients ?? []).join('\n'),
      alarm_after_hours,
    });
    fillTarget(this.form.controls.target, told.target);
    this.kind.set(told.target.kind);
    this.tried.set(false);
  }
}

function count(least: number, most: number): FormControl<number> {
  return new FormControl(least, { nonNullable: true, validators: [Validators.required, Validators.min(least), Validators.max(most)] });
}
