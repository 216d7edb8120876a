import { DIALOG_DATA, DialogRef } from '@angular/cdk/dialog';
import { ChangeDetectionStrategy, Component, inject, linkedSignal } from '@angular/core';

import { Api } from '@core/api/api';
import { remote } from '@core/api/remote';
import { DialogFrame } from '@core/dialog/dialog-frame';
import { action } from '@core/feedback/action';
import { ProblemNotice } from '@core/feedback/problem-notice';
import { Toasts } from '@core/feedback/toasts';

import { Tenant, TenantSettings } from './tenant';

/** Who may approve what somebody in this tenant deploys. */
@Component({
  selector: 'nb-tenant-settings',
  imports: [DialogFrame, ProblemNotice],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <nb-dialog-frame [heading]="heading">
      <nb-problem [problem]="settings.problem() ?? saving.problem()" />
      <fieldset class="stack">
        <legend i18n>Who approves a plan</legend>
        <label class="check">
          <input
            type="radio"
            name="policy"
            [checked]="policy() === 'second_person'"
            (change)="policy.set('second_person')"
          />
          <span><strong i18n>A second person</strong><br /><span class="soft" i18n>Nobody approves what they asked for themselves.</span></span>
        </label>
        <label class="check">
          <input
            type="radio"
            name="policy"
            [checked]="policy() === 'confirm_self'"
            (change)="policy.set('confirm_self')"
          />
          <span><strong i18n>Confirm oneself</strong><br /><span class="soft" i18n>For people who run this alone: after the password is asked again. The record says so.</span></span>
        </label>
      </fieldset>
      <ng-container actions>
        <button type="button" class="button" (click)="ref.close()" i18n>Cancel</button>
        <button type="button" class="button primary" [disabled]="!policy() || saving.busy()" (click)="save()" i18n>
          Save
        </button>
      </ng-container>
    </nb-dialog-frame>
  `,
  styles: `
    fieldset {
      border: 0;
      margin: 0;
      padding: 0;
    }
    legend {
      margin-bottom: var(--s3);
      font-weight: 550;
    }
  `,
})
export class TenantSettingsDialog {
  private readonly api = inject(Api);
  private readonly toasts = inject(Toasts);
  private readonly tenant = inject<Tenant>(DIALOG_DATA);
  protected readonly ref = inject<DialogRef<void>>(DialogRef);
  protected readonly heading = $localize`Settings of ${this.tenant.name}`;
  protected readonly settings = remote<TenantSettings>(() => this.path);
  protected readonly policy = linkedSignal(() => this.settings.value()?.approval_policy ?? null);
  protected readonly saving = action();

  private get path(): string {
    return `/tenants/${this.tenant.id}/settings`;
  }

  protected async save(): Promise<void> {
    const body = { approval_policy: this.policy() };
    if (!(await this.saving.run(() => this.api.put(this.path, body)))) return;
    this.toasts.done($localize`Saved.`);
    this.ref.close();
  }
}
