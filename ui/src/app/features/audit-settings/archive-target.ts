import { ChangeDetectionStrategy, Component, computed, effect, inject, signal, untracked } from '@angular/core';
import { FormControl, FormGroup, ReactiveFormsModule, Validators } from '@angular/forms';
import { RouterLink } from '@angular/router';

import { Api } from '@core/api/api';
import { remote } from '@core/api/remote';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Toasts } from '@core/feedback/toasts';
import { BucketField, BucketFields } from '@core/form/bucket-fields';
import { Choice, Option } from '@core/form/choice';
import { Field, FieldInput } from '@core/form/field';
import { submit } from '@core/form/submit';
import { Icon } from '@core/icon/icon';
import { Session } from '@core/session/session';
import { Time } from '@core/time/time';

import { ArchiveKind, ArchiveTarget, targetBody } from './archive';

/** Chooses where copies of records go, and tries the place. */
@Component({
  selector: 'nb-archive-target',
  imports: [BucketFields, Choice, Field, FieldInput, Icon, ProblemNotice, ReactiveFormsModule, RouterLink, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './archive-target.html',
})
export class ArchiveTargetCard {
  private readonly api = inject(Api);
  private readonly toasts = inject(Toasts);
  protected readonly told = remote<ArchiveTarget>(() => '/audit/archive/target');
  private readonly session = inject(Session);
  protected readonly mayEdit = this.session.can('audit:archive:update');
  /** Paths on the appliance are the provider's; a tenant's directory is kept by the appliance. */
  protected readonly choosesPath = computed(() => Boolean(this.session.tenant()?.is_root));
  protected readonly kind = signal<ArchiveKind>('none');
  protected readonly kinds: readonly Option<ArchiveKind>[] = [
    { value: 'none', label: $localize`No archive`, text: $localize`Records stay in the database only, and nothing is ever pruned.` },
    { value: 'directory', label: $localize`A directory`, text: $localize`On the appliance: copies outlive the database, not the machine.` },
    { value: 's3', label: $localize`Object storage`, text: $localize`Anything that speaks S3, at a provider or your own.` },
  ];
  protected readonly form = new FormGroup({
    path: text(),
    endpoint: text(Validators.required),
    bucket: text(Validators.required),
    region: text(),
    prefix: text(),
    access_key: text(Validators.required),
    secret: text(),
    ca_pem: text(),
  });
  protected readonly saving = submit(this.form);
  protected readonly errors = computed(() => {
    this.saving.touched();
    return (name: BucketField): string => this.saving.error(name);
  });
  protected readonly testing = action();
  protected readonly changed = computed(() => {
    this.saving.touched();
    return this.form.dirty || this.kind() !== this.told.value()?.kind;
  });
  protected readonly keeps = $localize`Left empty, the stored one stays.`;

  constructor() {
    effect(() => {
      const told = this.told.value();
      if (told) untracked(() => this.fill(told));
    });
    effect(() => {
      const kind = this.kind();
      untracked(() => this.choose(kind));
    });
  }

  protected async save(): Promise<void> {
    if (!this.saving.ready()) return;
    await this.saving.run(async () => {
      const body = targetBody(this.kind(), this.form.getRawValue());
      this.told.set(await this.api.put<ArchiveTarget>('/audit/archive/target', body));
      this.toasts.done($localize`Saved. Test the place to see that it can be written and read.`);
    });
  }

  protected async test(): Promise<void> {
    if (!(await this.testing.run(() => this.api.post('/audit/archive/target/test')))) return;
    this.toasts.done($localize`It works: something was written there, read back and removed.`);
  }

  private fill(told: ArchiveTarget): void {
    const { path = '', endpoint = '', bucket = '', region = '', prefix = '', access_key = '', ca_pem = '' } = told;
    this.form.reset({ path, endpoint, bucket, region, prefix, access_key, ca_pem, secret: '' });
    this.kind.set(told.kind);
    this.choose(told.kind);
  }

  // Only the fields of the chosen kind are asked for.
  private choose(kind: ArchiveKind): void {
    for (const [name, control] of Object.entries(this.form.controls)) {
      const asked = this.mayEdit && kind !== 'none' && (name === 'path') === (kind === 'directory');
      if (asked) control.enable({ emitEvent: false });
      else control.disable({ emitEvent: false });
    }
  }
}

function text(...validators: typeof Validators.required[]): FormControl<string> {
  return new FormControl('', { nonNullable: true, validators });
}
