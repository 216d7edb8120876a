import { ChangeDetectionStrategy, Component, computed, effect, inject, untracked } from '@angular/core';
import { FormControl, FormGroup, ReactiveFormsModule, Validators } from '@angular/forms';

import { Api } from '@core/api/api';
import { answered } from '@core/api/answered';
import { remote } from '@core/api/remote';
import { Dialogs } from '@core/dialog/dialogs';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Toasts } from '@core/feedback/toasts';
import { Field, FieldInput } from '@core/form/field';
import { submit } from '@core/form/submit';
import { Icon } from '@core/icon/icon';
import { Session } from '@core/session/session';

import { Address } from './certificate';

/** Name and address of the appliance, with what a change breaks before it is made. */
@Component({
  selector: 'nb-address-card',
  imports: [Field, FieldInput, Icon, ProblemNotice, ReactiveFormsModule],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <form class="card" [formGroup]="form" (ngSubmit)="save()" novalidate aria-labelledby="address">
      <header><h2 id="address" i18n>Name and address</h2></header>
      <div class="body stack">
        <nb-problem [problem]="told.problem() ?? saving.problem()" [retryable]="told.problem() !== null" (retry)="told.reload()" />
        <nb-field i18n-label label="Name" i18n-hint hint="Shown beside every tenant." [error]="saving.error('name')">
          <input nbInput autocomplete="off" maxlength="100" formControlName="name" />
        </nb-field>
        <nb-field i18n-label label="Address" i18n-hint hint="What people type into the browser, with https:// and the port." [error]="saving.error('url')">
          <input nbInput type="url" class="mono" autocomplete="off" spellcheck="false" formControlName="url" />
        </nb-field>
        @for (warning of warnings(); track warning) {
          <div class="notice tone-warn"><nb-icon name="warning" /><p>{{ warning }}</p></div>
        }
        @if (mayEdit) {
          <div class="row end">
            <button class="button primary" [disabled]="saving.busy() || !changed()">
              @if (saving.busy()) {
                <ng-container i18n>Saving …</ng-container>
              } @else {
                <ng-container i18n>Save name and address</ng-container>
              }
            </button>
          </div>
        }
      </div>
    </form>
  `,
})
export class AddressCard {
  private readonly api = inject(Api);
  private readonly dialogs = inject(Dialogs);
  private readonly toasts = inject(Toasts);
  protected readonly told = remote<Address>(() => '/system/address');
  protected readonly mayEdit = inject(Session).can('system:settings:update');
  protected readonly form = new FormGroup({
    name: new FormControl('', { nonNullable: true, validators: Validators.required }),
    url: new FormControl('', { nonNullable: true, validators: Validators.required }),
  });
  protected readonly saving = submit(this.form);
  private readonly values = computed(() => {
    this.saving.touched();
    return this.form.getRawValue();
  });
  protected readonly changed = computed(() => {
    const told = this.told.value();
    return told !== null && (this.values().name !== told.name || this.values().url !== told.url);
  });
  // What a change would mean is asked while it is typed; nothing is changed by that.
  private readonly check = answered<Address>(() => {
    const body = this.values();
    if (!this.mayEdit || !this.changed() || !/^https:\/\/[^/\s]+$/.test(body.url)) return null;
    return (signal) => this.api.put<Address>('/system/address?check=true', body, { signal });
  });
  protected readonly warnings = computed(() => (this.changed() ? this.check.value() : this.told.value())?.warnings ?? []);

  constructor() {
    if (!this.mayEdit) this.form.disable();
    effect(() => {
      const told = this.told.value();
      if (told) untracked(() => this.form.reset({ name: told.name, url: told.url }));
    });
  }

  protected async save(): Promise<void> {
    if (!this.saving.ready() || !(await this.sure())) return;
    await this.saving.run(async () => {
      this.told.set(await this.api.put<Address>('/system/address', this.form.getRawValue()));
      this.toasts.done($localize`Saved.`);
    });
  }

  private async sure(): Promise<boolean> {
    if (this.values().url === this.told.value()?.url) return true;
    return this.dialogs.confirm({
      heading: $localize`Change the address?`,
      text: this.warnings().join(' ') || $localize`Links that Nimbus makes from now on lead to the new address.`,
      verb: $localize`Change it`,
      danger: this.warnings().length > 0,
    });
  }
}
