import { ChangeDetectionStrategy, Component, computed, effect, inject, untracked } from '@angular/core';
import { FormControl, FormGroup, ReactiveFormsModule, Validators } from '@angular/forms';

import { Api } from '@core/api/api';
import { remote } from '@core/api/remote';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Toasts } from '@core/feedback/toasts';
import { Field, FieldInput } from '@core/form/field';
import { submit } from '@core/form/submit';
import { Session } from '@core/session/session';

import { TenantSettings, completeSettings, defaultSettings } from './tenant-settings';
import { TenantStore } from './tenant-store';

/** How a tenant is run: approvals, sign-in, sessions, passwords, place and retention. */
@Component({
  selector: 'nb-tenant-settings',
  imports: [Field, FieldInput, ProblemNotice, ReactiveFormsModule],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './settings.html',
  styleUrl: './settings.scss',
})
export class SettingsTab {
  private readonly api = inject(Api);
  private readonly session = inject(Session);
  private readonly toasts = inject(Toasts);
  private readonly store = inject(TenantStore);
  protected readonly told = remote<Partial<TenantSettings>>(() =>
    this.store.id() ? this.store.path('settings') : null,
  );
  protected readonly mayEdit = this.session.can('tenancy:settings:update');
  /** What the tenant has now is always among the choices, known to this browser or not. */
  protected readonly zones = computed(() =>
    withOwn(['UTC', ...Intl.supportedValuesOf('timeZone')], this.told.value()?.time_zone),
  );
  protected readonly locales = computed(() =>
    withOwn(['en', 'de', 'fr', 'es', 'it', 'nl'], this.told.value()?.locale).map((value) => ({
      value,
      name: new Intl.DisplayNames([value], { type: 'language' }).of(value) ?? value,
    })),
  );
  protected readonly form = new FormGroup({
    approval_policy: new FormControl(defaultSettings.approval_policy, { nonNullable: true }),
    local_sign_in: new FormControl(true, { nonNullable: true }),
    time_zone: new FormControl('', { nonNullable: true }),
    locale: new FormControl('en', { nonNullable: true, validators: Validators.required }),
    retention_days: number(1, 3650),
    session: new FormGroup({
      max_per_user: number(1, 1000),
      idle_minutes: number(5, 43_200),
      max_hours: number(1, 2160),
    }),
    password: new FormGroup({
      min_length: number(8, 128),
      history: number(0, 24),
      breached_check: new FormControl(true, { nonNullable: true }),
    }),
    mfa: new FormGroup({
      required_for: new FormControl(defaultSettings.mfa.required_for, { nonNullable: true }),
      step_up_minutes: number(1, 1440),
    }),
  });
  protected readonly saving = submit(this.form);

  constructor() {
    if (!this.mayEdit) this.form.disable();
    effect(() => {
      const told = this.told.value();
      if (told) untracked(() => this.form.reset(completeSettings(told)));
    });
  }

  protected reset(): void {
    this.form.reset(completeSettings(this.told.value() ?? {}));
  }

  protected async save(): Promise<void> {
    if (!this.saving.ready()) return;
    const body = this.form.getRawValue();
    if (!(await this.saving.run(() => this.api.put(this.store.path('settings'), body)))) return;
    if (this.session.tenant()?.id === this.store.id()) await this.session.refresh();
    this.toasts.done($localize`Saved. It counts from the next request on.`);
    this.told.set(body as TenantSettings);
  }
}

function number(min: number, max: number): FormControl<number> {
  const whole = Validators.pattern(/^\d+$/);
  return new FormControl(min, {
    nonNullable: true,
    validators: [Validators.required, Validators.min(min), Validators.max(max), whole],
  });
}

function withOwn(known: readonly string[], own: string | undefined): string[] {
  return [...new Set(own ? [...known, own] : known)];
}
